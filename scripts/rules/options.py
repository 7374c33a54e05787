# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role hands on to a module as it is has the same choices, type and default in both."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jinja2.nativetypes

from scripts.rules.roles import defaults, options
from scripts.rules.tree import Finding, Tree, roles, rule
from tests.results import MODULES, module

TASK = re.compile(r"scout\.(?:recovery|drills)\.(scout_\w+)")
HANDED_ON = re.compile(r"\{\{ (\w+)( \| default\((omit|\[\]), true\))? \}\}")
#: What is one kind for people who type it, and is read more strictly by the module.
ALIKE = {"path": "str"}
#: Modules whose options no role hands on as they are.
NOT_REACHED = {"scout_lease", "scout_evidence_verify"}

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

    role: str
    variable: str
    module: str
    option: str
    #: Whether an empty one is left out, so that the module's own default counts.
    empty_is_none: bool

    def of_role(self, tree: Tree) -> dict[str, Any]:
        """How the role specifies it."""
        return options(tree, self.role)[self.variable]

    def of_module(self) -> dict[str, Any]:
        """How the module specifies it."""
        return module(self.module).SPEC[self.option]

    def finding(self, tree: Tree, what: str, mine: Any, theirs: Any) -> Finding:
        """That the two differ."""
        path = f"{self.role}/meta/argument_specs.yml"
        wrong = f"{self.variable} has the {what} {mine}, {self.option} of {self.module} {theirs}"
        return Finding(path, tree.line(path, f"{self.variable}:"), wrong)


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


@functools.cache
def handed_on(tree: Tree) -> list[Handed]:
    """Each once, however many tasks do it."""
    found: set[Handed] = set()
    for role in roles(tree):
        known = options(tree, role)
        for path in tree.files(f"{role}/tasks/*.yml"):
            for name, given in tasks(tree.yaml(path)):
                for option, value in given.items():
                    match = HANDED_ON.fullmatch(str(value))
                    if match and match[1] in known:
                        found.add(Handed(role, match[1], name, option, match[2] is not None))
    return sorted(found)


def _with_default(tree: Tree) -> list[Handed]:
    return [each for each in handed_on(tree) if each.of_module().get("default") is not None]


@rule(lambda _: MODULES.keys() - NOT_REACHED)
def every_module_is_handed_options(tree: Tree, name: str) -> Iterator[Finding]:
    """So that what follows looks at all of them."""
    if name not in {each.module for each in handed_on(tree)}:
        yield Finding("roles", 1, f"no role hands an option on to {name}")


@rule(handed_on, least=151)
def choices_agree(tree: Tree, handed: Handed) -> Iterator[Finding]:
    """But for an empty one, which is left out."""
    empty = [""] if handed.empty_is_none else []
    mine = [choice for choice in handed.of_role(tree).get("choices") or [] if choice not in empty]
    if mine != (theirs := list(handed.of_module().get("choices") or [])):
        yield handed.finding(tree, "choices", mine, theirs)


@rule(handed_on, least=151)
def types_agree(tree: Tree, handed: Handed) -> Iterator[Finding]:
    """But for those that are known to differ, which do."""
    mine, theirs = (
        [ALIKE.get(kind, kind) for kind in (each.get("type", "str"), each.get("elements"))]
        for each in (handed.of_role(tree), handed.of_module())
    )
    if (mine != theirs) != (handed.variable in READ_ANEW):
        yield handed.finding(tree, "type", mine, theirs)


@rule(_with_default, least=30)
def defaults_agree(tree: Tree, handed: Handed) -> Iterator[Finding]:
    """But for those that are known to differ, which do. One that is left out where it is empty leaves the default to the module."""
    theirs = handed.of_module()
    mine = plain(defaults(tree, handed.role)[handed.variable], theirs["type"])
    left_out = handed.empty_is_none and not mine
    if (not left_out and mine != theirs["default"]) != (handed.variable in DIFFERENT):
        yield handed.finding(tree, "default", mine, theirs["default"])


def plain(given: Any, kind: str) -> Any:
    """A role's default where no variable is set, as Ansible gives it to an option of this type."""
    if not isinstance(given, str):
        return given
    value = _template(given).render(lookup=_nobody_said)
    if kind == "list" and isinstance(value, str):
        return value.split(",")
    return "" if value is None else value


@functools.cache
def _template(text: str) -> Any:
    return jinja2.nativetypes.NativeEnvironment().from_string(text)


def _nobody_said(plugin: str, name: str, default: Any) -> Any:
    """What the lookups for settings and environment variables give where there is none."""
    assert plugin in ("scout.recovery.setting", "ansible.builtin.env"), name
    return default
