# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role hands on to a module as it is has the same choices, type and default in both."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jinja2.nativetypes
import pytest
import yaml

from tests import CHECKOUT
from tests.results import MODULES, module

ROLES = sorted([*CHECKOUT.glob("roles/*/meta"), *CHECKOUT.glob("drills/roles/*/meta")])
TASK = re.compile(r"scout\.(?:recovery|drills)\.(scout_\w+)")
HANDED_ON = re.compile(r"\{\{ (\w+)( \| default\((omit|\[\]), true\))? \}\}")
#: What is one kind for people who type it, and is read more strictly by the module.
ALIKE = {"path": "str"}

#: Defaults that differ, and why.
DIFFERENT = {
    # Nobody may be kept waiting for a lock as long as for one of rows; a rollback may last longer than a query.
    "schema_rollback_lock_timeout_seconds",
    "schema_rollback_statement_timeout_seconds",
    # After a repair the check takes the time it needs.
    "assess_again_budget_seconds",
    # The playbooks pause first.
    *(
        f"{role}_require_pause"
        for role in ("cleanup", "quarantine", "redrive", "schema_rollback", "undo", "window_recovery")
    ),
}
#: Types that differ: empty stands for none, or the role reads what people type.
READ_ANEW = {"incident_next_update_minutes", "notify_channels"}


class Handed(NamedTuple):
    """An option of a role that a task gives to an option of a module."""

    role: Path
    variable: str
    module: str
    option: str
    #: Whether an empty one is left out, so that the module's own default counts.
    empty_is_none: bool


@functools.cache
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


@functools.cache
def options(role: Path) -> dict[str, Any]:
    entries = load(role / "meta" / "argument_specs.yml")["argument_specs"].values()
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


def tasks(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every call of one of our modules, also within blocks."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if (found := TASK.fullmatch(str(name))) and isinstance(inner, dict):
                yield found[1], inner
            yield from tasks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from tasks(inner)


def handed_on() -> Iterator[Handed]:
    for meta in ROLES:
        role, known = meta.parent, options(meta.parent)
        for path in sorted(role.glob("tasks/*.yml")):
            for name, given in tasks(load(path)):
                for option, value in given.items():
                    found = HANDED_ON.fullmatch(str(value))
                    if found and found[1] in known:
                        yield Handed(role, found[1], name, option, found[2] is not None)


HANDED = sorted(set(handed_on()))
each = pytest.mark.parametrize("handed", HANDED, ids=lambda h: f"{h.variable}-{h.module}-{h.option}")


def plain(role: Path, variable: str, kind: str) -> Any:
    """A role's default where no variable is set, as Ansible gives it to an option of this type."""
    given = load(role / "defaults" / "main.yml")[variable]
    if not isinstance(given, str):
        return given
    value = jinja2.nativetypes.NativeEnvironment().from_string(given).render(lookup=nobody_said)
    if kind == "list" and isinstance(value, str):
        return value.split(",")
    return "" if value is None else value


def nobody_said(plugin: str, name: str, default: Any) -> Any:
    """What the lookups for settings and environment variables give where there is none."""
    assert plugin in ("scout.recovery.setting", "ansible.builtin.env"), name
    return default


def spec(handed: Handed) -> dict[str, Any]:
    return module(handed.module).SPEC[handed.option]


def test_it_is_more_than_a_few() -> None:
    assert len(HANDED) > 150
    assert {handed.module for handed in HANDED} >= MODULES.keys() - {"scout_lease", "scout_evidence_verify"}


@each
def test_choices_agree(handed: Handed) -> None:
    mine, theirs = options(handed.role)[handed.variable].get("choices"), spec(handed).get("choices")
    empty = [""] if handed.empty_is_none else []
    assert [choice for choice in mine or [] if choice not in empty] == list(theirs or [])


@each
def test_types_agree(handed: Handed) -> None:
    mine, theirs = options(handed.role)[handed.variable], spec(handed)
    said = [[ALIKE.get(kind, kind) for kind in (one.get("type", "str"), one.get("elements"))] for one in (mine, theirs)]
    assert (said[0] != said[1]) == (handed.variable in READ_ANEW)


@pytest.mark.parametrize(
    "handed",
    [handed for handed in HANDED if spec(handed).get("default") is not None],
    ids=lambda h: f"{h.variable}-{h.module}-{h.option}",
)
def test_defaults_agree(handed: Handed) -> None:
    """One that is left out where it is empty leaves the default to the module."""
    value = plain(handed.role, handed.variable, spec(handed)["type"])
    left_out = handed.empty_is_none and not value
    assert (not left_out and value != spec(handed)["default"]) == (handed.variable in DIFFERENT)
