# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No playbook and no role reads a short word from wherever it stands: an inventory may have it for something else."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, rollout, settings
from tests import CHECKOUT

DRILLS = CHECKOUT / "drills"
FILES = sorted(
    path for root in (CHECKOUT, DRILLS) for pattern in ("playbooks/*.yml", "roles/*/*/*.yml") for path in root.glob(pattern)
    if path.parent.name != "meta"
)  # fmt: skip
INVENTORIES = sorted(
    [*CHECKOUT.glob("inventories/*/**/*.yml"), *CHECKOUT.glob("extensions/molecule/*/inventory/*.yml")]
)
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)
#: An expression in braces; and what `when` has without them.
BRACES = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NAME = re.compile(r"(?<![\w.])([a-z]\w*)\b(?!\s*[=(])")
CONDITIONS = ("when", "changed_when", "failed_when", "until", "that")


def documented() -> set[str]:
    """The short words that docs/variables.md has; not the names that some role has for an option of its own."""
    table = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    named = {name for row in ROW.findall(table) for name in re.findall(r"\w+", row)}
    return {name for name in named - settings.OF_A_ROLE if not name.startswith("scout_")}


def expressions(value: t.Any, key: str = "") -> Iterator[str]:
    """Every expression in a file, without the texts in it."""
    if isinstance(value, dict):
        for name, inner in t.cast("dict[str, t.Any]", value).items():
            yield from expressions(name)
            yield from expressions(inner, str(name))
    elif isinstance(value, list):
        for inner in t.cast("list[t.Any]", value):
            yield from expressions(inner, key)
    elif isinstance(value, str):
        found = [value] if key in CONDITIONS else ["".join(each) for each in BRACES.findall(value)]
        yield from (QUOTED.sub("''", each) for each in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_short_word_is_read_bare(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    read = {name for each in expressions(content) for name in NAME.findall(each)}
    assert not read & documented()


def test_every_word_is_read_by_the_lookup_or_by_a_plugin() -> None:
    by_plugins = {"target", extra_vars.ALLOW, *rollout.DEFAULTS}
    texts = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert documented() == {
        name for name in settings.READ.findall(texts) if not name.startswith("_")
    } - settings.OF_A_ROLE | by_plugins | {"allow_superuser", "require_tls", "incident", "ledger", "takeover"}
    assert set(settings.READ.findall(texts)) >= settings.OF_A_ROLE


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_inventory_of_ours_has_a_short_word(path: Path) -> None:
    # Deeper are the parts of values.
    names = re.findall(r"^ {0,6}(\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not set(names) & documented()
