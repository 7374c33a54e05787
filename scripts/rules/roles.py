# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's entry points are its files of tasks, and these read what it specifies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scripts.rules.tree import Finding, Tree, name_of, roles, rule


def specs(role: str) -> str:
    """The file of its argument specs."""
    return f"{role}/meta/argument_specs.yml"


def entries(tree: Tree, role: str) -> dict[str, dict[str, Any]]:
    """Its entry points."""
    return tree.yaml(specs(role))["argument_specs"]


def options(tree: Tree, role: str) -> dict[str, dict[str, Any]]:
    """The options of all entry points together."""
    return {
        name: option for entry in entries(tree, role).values() for name, option in (entry.get("options") or {}).items()
    }


@rule(roles)
def every_entry_point_is_specified(tree: Tree, role: str) -> Iterator[Finding]:
    """A file of tasks that no other of the role imports is an entry point; main may refuse to guess which."""
    texts = {name_of(path): tree.text(path) for path in tree.files(f"{role}/tasks/*.yml")}
    known = set(entries(tree, role))
    imported = {name for name in texts if any(f"{name}.yml" in text for by, text in texts.items() if by != name)}
    guessed = {"main"} if "Refuse to guess" in texts.get("main", "") else set[str]()
    for name in sorted(known - texts.keys()):
        yield Finding(specs(role), tree.line(specs(role), f"{name}:"), f"no tasks for the entry point {name}")
    for name in sorted(texts.keys() - imported - known - guessed):
        yield Finding(f"{role}/tasks/{name}.yml", 1, f"{name} is imported nowhere in the role and is not specified")


@rule(roles)
def every_entry_point_is_described(tree: Tree, role: str) -> Iterator[Finding]:
    """Without it the pages that are made of a collection have only an error for the role."""
    for name, entry in entries(tree, role).items():
        if not entry.get("description"):
            yield Finding(specs(role), tree.line(specs(role), f"{name}:"), f"the entry point {name} is not described")


@rule(roles)
def tasks_read_only_variables_of_their_role(tree: Tree, role: str) -> Iterator[Finding]:
    """Which are its options, its results and what its vars make."""
    own = f"{role}/vars/main.yml"
    known = {*options(tree, role), *(tree.yaml(own) if tree.exists(own) else ())}
    for path in tree.files(f"{role}/tasks/*.yml"):
        used = " ".join(re.findall(r"\{\{.*?\}\}|when:.*", tree.text(path)))
        named = set(re.findall(rf"(?<![\w.]){name_of(role)}_[a-z_]+", used))
        for name in sorted(named - known):
            if not name.endswith("_result"):
                yield Finding(path, tree.line(path, name), f"{name} is nowhere in the role's options and vars")
