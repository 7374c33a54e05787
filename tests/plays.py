# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks are made of: the roles that each reaches, and the roles whose options it checks first."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests import CHECKOUT

ROOTS = {"scout.recovery": CHECKOUT, "scout.drills": CHECKOUT / "drills"}
IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
FILES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
#: Roles that are a whole operation.
OPERATIONS = {"scout.recovery.emergency_reset", "scout.recovery.move", "scout.recovery.rollback"}
#: Every playbook by its name; those for drills are imported from the collection that has them.
PLAYBOOKS = {path.stem: path for root in ROOTS.values() for path in sorted(root.glob("playbooks/*.yml"))}

Task = dict[str, Any]


class Reached(NamedTuple):
    """A role that a task reaches, with its arguments and the task."""

    role: str
    arguments: dict[str, Any]
    task: Task


@functools.cache
def loaded(path: Path) -> Any:
    """The content of a YAML file, for reading only."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tasks(entries: list[Task]) -> Iterator[Task]:
    """All tasks, those of blocks too."""
    for entry in entries:
        for part in ("block", "rescue", "always"):
            yield from tasks(entry.get(part, []))
        if "block" not in entry:
            yield entry


def file_of(role: str, name: str) -> Path:
    """A file of the tasks of a role."""
    collection, _, short = role.rpartition(".")
    return ROOTS[collection] / "roles" / short / "tasks" / name


def reached(entries: list[Task], folder: Path, given: dict[str, Any]) -> Iterator[Reached]:
    """Every role that tasks reach, through other roles and files too."""
    for task in tasks(entries):
        given_here = given | task.get("vars", {})
        for file in FILES:
            if file in task and "{{" not in task[file]:
                yield from reached(loaded(folder / task[file]), folder, given_here)
        if arguments := next((task[name] for name in IMPORTS if name in task), None):
            role = arguments["name"].replace("{{ move_role }}", given_here.get("move_role", ""))
            yield Reached(role, arguments, task)
            inner = file_of(role, arguments["tasks_from"])
            yield from reached(loaded(inner), inner.parent, given_here)


@functools.cache
def of(playbook: str) -> list[Reached]:
    """Every role that a playbook reaches."""
    (play,) = loaded(PLAYBOOKS[playbook])
    return list(reached(play["tasks"], PLAYBOOKS[playbook].parent, {}))


def checked(playbook: str) -> list[list[str]]:
    """The roles whose options are checked, for each time that some are."""
    (play,) = loaded(PLAYBOOKS[playbook])
    moving = next(
        (task["vars"]["move_role"] for task in tasks(play["tasks"]) if "move_role" in task.get("vars", {})), ""
    )
    lists: list[list[str]] = []
    for each in of(playbook):
        named = each.task.get("vars", {}).get("preflight_roles")
        if isinstance(named, str):
            named = [moving, *re.findall(r"'(\w+)'", named)]
        lists += [named] if named else []
    return lists


def first(playbook: str) -> Task:
    """The first task of a playbook that belongs to no whole operation."""
    return next(each.task for each in of(playbook) if each.role not in OPERATIONS)


def begins_with(playbook: str) -> str:
    """The module of the first task of all; empty for another collection's."""
    arguments = first(playbook)["ansible.builtin.import_role"]
    begun = loaded(file_of(arguments["name"], arguments["tasks_from"]))[0]
    return next((key for key in begun if key.startswith(("scout.recovery.scout_", "scout.drills.scout_"))), "")
