# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No playbook and no role reads a short word from wherever it stands: an inventory may have it for something else."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, settings
from scripts.rules.tree import Finding, Tree, one, rule

ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)
#: An expression in braces; and what `when` has without them.
BRACES = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NAME = re.compile(r"(?<![\w.])([a-z]\w*)\b(?!\s*[=(])")
CONDITIONS = ("when", "changed_when", "failed_when", "until", "that")
#: Words that modules and plugins read.
BY_PLUGINS = {
    "target",
    "allow_superuser",
    "allow_owner",
    "require_tls",
    "incident",
    "ledger",
    "takeover",
    extra_vars.ALLOW,
}
PAGE = "docs/variables.md"


def plays(tree: Tree) -> list[str]:
    """Every playbook, and every file of a role but what describes it."""
    found = tree.files("playbooks/*.yml", "roles/*/*/*.yml", "drills/playbooks/*.yml", "drills/roles/*/*/*.yml")
    return [path for path in found if path.split("/")[-2] != "meta"]


def inventories(tree: Tree) -> list[str]:
    """Every file of an inventory of ours."""
    return tree.files("inventories/*/**/*.yml", "extensions/molecule/*/inventory/*.yml")


@functools.cache
def documented(tree: Tree) -> frozenset[str]:
    """The short words that docs/variables.md has; not the names that some role has for an option of its own."""
    named = {name for row in ROW.findall(tree.text(PAGE)) for name in re.findall(r"\w+", row)}
    return frozenset(name for name in named - settings.OF_A_ROLE if not name.startswith("scout_"))


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Every expression in a file, without the texts in it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from expressions(name)
            yield from expressions(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner, key)
    elif isinstance(value, str):
        found = [value] if key in CONDITIONS else ["".join(each) for each in BRACES.findall(value)]
        yield from (QUOTED.sub("''", each) for each in found)


@rule(plays)
def no_short_word_is_read_bare(tree: Tree, path: str) -> Iterator[Finding]:
    """The lookup reads it."""
    read = {name for each in expressions(tree.yaml(path)) for name in NAME.findall(each)}
    for name in sorted(read & documented(tree)):
        yield Finding(path, tree.line(path, name), f"{name} is read without the lookup")


@rule(inventories)
def no_inventory_of_ours_has_a_short_word(tree: Tree, path: str) -> Iterator[Finding]:
    """There a variable is called scout_ and its word."""
    # Deeper are the parts of values.
    for name in re.findall(r"^ {0,6}(\w+):", tree.text(path), re.MULTILINE):
        if name in documented(tree):
            yield Finding(path, tree.line(path, f"{name}:"), f"{name} sets nothing: it is called scout_{name}")


@rule(one(PAGE))
def every_word_is_read_by_the_lookup_or_by_a_plugin(tree: Tree, page: str) -> Iterator[Finding]:
    """Every word that is documented, and every word that is read is documented."""
    by_lookup = {name for path in plays(tree) for name in settings.READ.findall(tree.text(path))}
    read = {name for name in by_lookup if not name.startswith("_")} - settings.OF_A_ROLE | BY_PLUGINS
    for name in sorted(documented(tree) - read):
        yield Finding(page, tree.line(page, f"`{name}`"), f"nothing reads {name}")
    yield from (Finding(page, 1, f"{name} is read and not documented") for name in sorted(read - documented(tree)))
    for name in sorted(settings.OF_A_ROLE - by_lookup):
        yield Finding("plugins/plugin_utils/settings.py", 1, f"no role asks the lookup for {name}")
