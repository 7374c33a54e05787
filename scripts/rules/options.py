# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role says of its options is what their module does not say; scripts/docs makes the rest of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

from scripts import options
from scripts.rules.tree import ROOT, Finding, Tree, rule
from tests.results import MODULES

#: Modules whose options no role hands on.
NOT_REACHED = {"scout_options"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool, "dict": dict, "float": (int, float), "int": int, "list": (list, str), "path": str, "raw": object, "str": str,
}  # fmt: skip


class Said(NamedTuple):
    """A row of a role."""

    role: options.Role
    name: str

    def finding(self, tree: Tree, wrong: str) -> Finding:
        """What is wrong with it."""
        path = (self.role.folder / "meta" / "options.yml").relative_to(ROOT).as_posix()
        return Finding(path, tree.line(path, f"  {self.name}:"), f"{self.name} {wrong}")


@functools.cache
def _roles(tree: Tree) -> list[options.Role]:
    return options.roles(lambda path: tree.yaml(path.relative_to(ROOT).as_posix()))


def _rows(tree: Tree) -> list[Said]:
    return [Said(role, name) for role in _roles(tree) for name in role.rows]


@rule(lambda _: MODULES.keys() - NOT_REACHED)
def every_module_is_handed_options(tree: Tree, name: str) -> Iterator[Finding]:
    """By a task, or by a role for it."""
    found = {call.module for role in _roles(tree) for call in role.calls if call.given}
    if name not in found.union(*(file for role in _roles(tree) for file in role.handed_on().values())):
        yield Finding("roles", 1, f"no role hands an option on to {name}")


@rule(_rows, least=280)
def a_row_says_only_what_its_module_does_not(tree: Tree, said: Said) -> Iterator[Finding]:
    """What is said of an option twice would differ one day."""
    row, module = said.role.rows[said.name], said.role.of_module(said.name)
    for part in sorted({*options.COPIED, "default"} & row.keys() & module.keys()):
        if row[part] == module[part]:
            yield said.finding(tree, f"says its {part}, as its module does")
    if said.name == row.get("option"):
        yield said.finding(tree, "says its own name")


@rule(_rows, least=280)
def a_row_is_whole(tree: Tree, said: Said) -> Iterator[Finding]:
    """A text for people, a type, and a default of that type."""
    row, value = said.role.rows[said.name], said.role.value(said.name)
    kind = row.get("type") or said.role.of_module(said.name).get("type")
    if not row.get("text"):
        yield said.finding(tree, "is not described")
    if kind is None:
        yield said.finding(tree, "is no option of a module, and has no type")
    elif not {"template", "required"} & row.keys() and value is not None and not isinstance(value, TYPES[kind]):
        yield said.finding(tree, f"has the default {value!r}, which is no {kind}")
    if "{public}" in row.get("text", "") and "public" not in row:
        yield said.finding(tree, "names a public variable that it does not have")
