# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks are made of: the options of every role they reach are checked, once, before anything begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import CHECKOUT

PLAYBOOKS = {
    path.stem: CHECKOUT / "drills" / "playbooks" / path.name if path.stem in ("drill", "gameday") else path
    for path in sorted(CHECKOUT.glob("playbooks/*.yml"))
}
ROOTS = {"scout.recovery": CHECKOUT, "scout.drills": CHECKOUT / "drills"}
IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
FILES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
#: What is recorded, and whom it is told, stops no operation; so nothing that is set for these is refused beforehand.
STOPS_NOTHING = {
    ("incident", "seen.yml"),
    ("incident", "look.yml"),
    ("incident", "notified.yml"),
    ("notify", "main.yml"),
}
PHASE = re.compile(r"\((\d+)/(\d+)\) [A-Z]")
#: Roles that are a whole operation.
WITH_PHASES = {"emergency_reset", "move", "rollback", "watch"}
IN_ANY_CASE = {
    "Release the lease",
    "Summary",
    "Write metrics",
    "Check options and privileges",
}

Task = dict[str, Any]
by_playbook = pytest.mark.parametrize("playbook", PLAYBOOKS)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tasks(entries: list[Task]) -> Iterator[Task]:
    """All tasks, those of blocks too."""
    for entry in entries:
        for part in ("block", "rescue", "always"):
            yield from tasks(entry.get(part, []))
        if "block" not in entry:
            yield entry


def reached(entries: list[Task], folder: Path, given: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Task]]:
    """Every role that tasks reach, with its arguments and the task, through other roles and files too."""
    for task in tasks(entries):
        given_here = given | task.get("vars", {})
        for file in FILES:
            if file in task and "{{" not in task[file]:
                yield from reached(load(folder / "tasks" / task[file]), folder, given_here)
        for name in IMPORTS:
            if name in task:
                arguments: dict[str, Any] = task[name]
                role = arguments["name"].replace("{{ move_role }}", given_here.get("move_role", ""))
                yield role, arguments, task
                collection, _, short = role.rpartition(".")
                inner = ROOTS[collection] / "roles" / short
                yield from reached(load(inner / "tasks" / arguments["tasks_from"]), inner, given_here)


def of(playbook: str) -> list[tuple[str, dict[str, Any], Task]]:
    (play,) = load(PLAYBOOKS[playbook])
    return list(reached(play["tasks"], CHECKOUT, {}))


def checked(playbook: str) -> list[list[str]]:
    """The roles whose options are checked, for each time that some are."""
    (play,) = load(PLAYBOOKS[playbook])
    moving = next(
        (task["vars"]["move_role"] for task in tasks(play["tasks"]) if "move_role" in task.get("vars", {})), ""
    )
    lists: list[list[str]] = []
    for _, _, task in of(playbook):
        named = task.get("vars", {}).get("preflight_roles")
        if isinstance(named, str):
            named = [moving, *re.findall(r"'(\w+)'", named)]
        lists += [named] if named else []
    return lists


@by_playbook
def test_the_options_of_every_role_are_checked_once(playbook: str) -> None:
    (named,) = checked(playbook)
    used = {
        role.removeprefix("scout.recovery.")
        for role, arguments, _ in of(playbook)
        if (role.removeprefix("scout.recovery."), arguments["tasks_from"]) not in STOPS_NOTHING
        and arguments["tasks_from"] != "options.yml"
    }
    assert len(named) == len(set(named))
    assert set(named) == used


@by_playbook
def test_they_are_checked_before_anything_else(playbook: str) -> None:
    """The first task of all is the one that checks them: it is given their roles, and its front looks before it does anything."""
    operations = {f"scout.recovery.{name}" for name in WITH_PHASES}
    first = next(task for role, _, task in of(playbook) if role not in operations)
    assert first["vars"]["preflight_roles"]
    role, file = (first["ansible.builtin.import_role"][key] for key in ("name", "tasks_from"))
    begun = load(ROOTS[role.rpartition(".")[0]] / "roles" / role.rpartition(".")[2] / "tasks" / file)[0]
    assert [key for key in begun if key.startswith(("scout.recovery.scout_", "scout.drills.scout_"))], begun


def test_roles_are_reached_by_their_files_so_that_ansible_validates_none_again() -> None:
    """docs/design.md says why; what somebody's own play names is validated by Ansible."""
    for root in ROOTS.values():
        for path in [*root.glob("playbooks/*.yml"), *root.glob("roles/*/tasks/*.yml")]:
            text = path.read_text(encoding="utf-8")
            assert "rolespec_validate" not in text, path
            names = len(re.findall(r"(?:import|include)_role:", text))
            assert len(re.findall(r"tasks_from: \w+\.yml", text)) == names, path


def phases(playbook: str) -> list[tuple[int, int]]:
    """The number of each phase and how many the playbook has, in the order in which tasks come."""
    (play,) = load(PLAYBOOKS[playbook])
    found = [PHASE.match(name) for name in named(play["tasks"], CHECKOUT, {})]
    return [(int(phase[1]), int(phase[2])) for phase in found if phase]


def named(entries: list[Task], folder: Path, given: dict[str, Any]) -> Iterator[str]:
    """The names of all tasks that are no part of a role with phases of its own."""
    for task in tasks(entries):
        yield task.get("name", "")
        yield from task.get("vars", {}).get("preflight_phases", [])
        for file in FILES:
            if file in task:
                yield from named(load(folder / "tasks" / task[file]), folder, given)
        role = next((task[name]["name"].rpartition(".")[2] for name in IMPORTS if name in task), "")
        if role in WITH_PHASES:
            inner = CHECKOUT / "roles" / role
            arguments = next(task[name] for name in IMPORTS if name in task)
            yield from named(load(inner / "tasks" / arguments["tasks_from"]), inner, given)


@by_playbook
def test_phases_are_numbered_in_order_and_without_a_gap(playbook: str) -> None:
    found = phases(playbook)
    if playbook == "preflight":
        assert found == []
        return
    numbers = [number for number, _ in found]
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == list(range(1, numbers[-1] + 1))
    assert {total for _, total in found} == {numbers[-1]}


@by_playbook
def test_only_what_comes_in_any_case_has_no_number(playbook: str) -> None:
    """The lease is released and the summary shown however an operation ends."""
    (play,) = load(PLAYBOOKS[playbook])
    found = list(tasks(play["tasks"]))
    for role in {
        task[name]["name"].rpartition(".")[2] for task in found for name in IMPORTS if name in task
    } & WITH_PHASES:
        found = [task for path in CHECKOUT.glob(f"roles/{role}/tasks/*.yml") for task in tasks(load(path))]
    parts = {f"scout.recovery.{name}" for name in WITH_PHASES}
    names = [
        task["name"] for task in found if any(name in task and task[name]["name"] not in parts for name in IMPORTS)
    ]
    assert len(names) > 1
    assert [name for name in names if not PHASE.match(name) and name not in IN_ANY_CASE] == []
