# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks are made of: the options of every role they reach are checked, once, before anything begins."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from scripts.rules.tree import Finding, Tree, line_of, name_of, rule

ROOTS = {"scout.recovery": "", "scout.drills": "drills/"}
IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
FILES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
#: What is recorded, and whom it is told, stops no operation; so nothing that is set for these is refused beforehand.
STOPS_NOTHING = {
    ("notify", "main.yml"),
}
PHASE = re.compile(r"\((\d+)/(\d+)\) [A-Z]")
#: Roles that are a whole operation.
WITH_PHASES = {"emergency_reset", "move", "rollback"}
OPERATIONS = {f"scout.recovery.{name}" for name in WITH_PHASES}
IN_ANY_CASE = {
    "Release the lease",
    "Summary",
    "Check options and privileges",
}

#: What a play may have besides what comes before its tasks.
PLAY = {"name", "hosts", "connection", "gather_facts", "strategy", "serial", "tasks"}

Task = dict[str, Any]


class Reached(NamedTuple):
    """A role that a task reaches, with its arguments and the task."""

    role: str
    arguments: dict[str, Any]
    task: Task


def playbooks(tree: Tree) -> list[str]:
    """Every playbook where it stands: those for drills are links to their collection's."""
    own = {"drill"}
    paths = tree.files("playbooks/*.yml")
    return [f"drills/{path}" if name_of(path) in own else path for path in paths]


def tasks(entries: list[Task]) -> Iterator[Task]:
    """All tasks, those of blocks too."""
    for entry in entries:
        for part in ("block", "rescue", "always"):
            yield from tasks(entry.get(part, []))
        if "block" not in entry:
            yield entry


def imported(task: Task) -> dict[str, Any] | None:
    """The arguments of the role that a task imports."""
    return next((task[name] for name in IMPORTS if name in task), None)


def reached(tree: Tree, entries: list[Task], folder: str, given: dict[str, Any]) -> Iterator[Reached]:
    """Every role that tasks reach, through other roles and files too."""
    for task in tasks(entries):
        given_here = given | task.get("vars", {})
        for file in FILES:
            if file in task and "{{" not in task[file]:
                yield from reached(tree, tree.yaml(f"{folder}tasks/{task[file]}"), folder, given_here)
        if arguments := imported(task):
            role = arguments["name"].replace("{{ move_role }}", given_here.get("move_role", ""))
            yield Reached(role, arguments, task)
            collection, _, short = role.rpartition(".")
            inner = f"{ROOTS[collection]}roles/{short}/"
            yield from reached(tree, tree.yaml(f"{inner}tasks/{arguments['tasks_from']}"), inner, given_here)


def play(tree: Tree, playbook: str) -> list[Task]:
    """The tasks of the one play of a playbook."""
    (found,) = tree.yaml(playbook)
    return found["tasks"]


@functools.cache
def of(tree: Tree, playbook: str) -> list[Reached]:
    """Every role that a playbook reaches."""
    return list(reached(tree, play(tree, playbook), "", {}))


def checked(tree: Tree, playbook: str) -> list[list[str]]:
    """The roles whose options are checked, for each time that some are."""
    moving = next(
        (task["vars"]["move_role"] for task in tasks(play(tree, playbook)) if "move_role" in task.get("vars", {})), ""
    )
    lists: list[list[str]] = []
    for each in of(tree, playbook):
        named = each.task.get("vars", {}).get("preflight_roles")
        if isinstance(named, str):
            named = [moving, *re.findall(r"'(\w+)'", named)]
        lists += [named] if named else []
    return lists


@rule(playbooks)
def the_options_of_every_role_are_checked_once(tree: Tree, playbook: str) -> Iterator[Finding]:
    """And of no other role."""
    lists = checked(tree, playbook)
    if len(lists) != 1:
        yield Finding(playbook, 1, f"options are checked {len(lists)} times")
    used = {
        each.role.removeprefix("scout.recovery.")
        for each in of(tree, playbook)
        if (each.role.removeprefix("scout.recovery."), each.arguments["tasks_from"]) not in STOPS_NOTHING
        and each.arguments["tasks_from"] != "options.yml"
    }
    for named in lists[:1]:
        yield from (
            Finding(playbook, 1, f"{role} is checked twice")
            for role in sorted({r for r in named if named.count(r) > 1})
        )
        yield from (
            Finding(playbook, 1, f"the options of {role} are not checked") for role in sorted(used - set(named))
        )
        yield from (Finding(playbook, 1, f"{role} is checked and not reached") for role in sorted(set(named) - used))


@rule(playbooks)
def they_are_checked_before_anything_else(tree: Tree, playbook: str) -> Iterator[Finding]:
    """The first task of all is the one that checks them: it is given their roles, and its front looks before it does anything."""
    first = next(each.task for each in of(tree, playbook) if each.role not in OPERATIONS)
    if not first.get("vars", {}).get("preflight_roles"):
        yield Finding(playbook, 1, f"begins with {first.get('name')!r}, which checks no options")
        return
    role, file = (first["ansible.builtin.import_role"][key] for key in ("name", "tasks_from"))
    collection, _, short = role.rpartition(".")
    path = f"{ROOTS[collection]}roles/{short}/tasks/{file}"
    begun = tree.yaml(path)[0]
    if not module_of(begun):
        yield Finding(path, 1, f"begins with {begun.get('name')!r}, which is no module of ours")
    (whole,) = tree.yaml(playbook)
    if more := whole.keys() - PLAY:
        yield Finding(playbook, 1, f"has {', '.join(sorted(more))}, which may come before its tasks")
    if whole["gather_facts"] is not False:
        yield Finding(playbook, 1, "gathers facts before its tasks")


def module_of(task: Task) -> str:
    """The module of ours that a task calls; empty where it calls none."""
    return next((key for key in task if key.startswith(("scout.recovery.scout_", "scout.drills.scout_"))), "")


def begins_with(tree: Tree, playbook: str) -> str:
    """The module of the first task of all."""
    first = next(each.task for each in of(tree, playbook) if each.role not in OPERATIONS)
    role, file = (first["ansible.builtin.import_role"][key] for key in ("name", "tasks_from"))
    collection, _, short = role.rpartition(".")
    return module_of(tree.yaml(f"{ROOTS[collection]}roles/{short}/tasks/{file}")[0])


def _with_roles(tree: Tree) -> list[str]:
    return tree.files("playbooks/*.yml", "roles/*/tasks/*.yml", "drills/playbooks/*.yml", "drills/roles/*/tasks/*.yml")


@rule(_with_roles)
def roles_are_reached_by_their_files_so_that_ansible_validates_none_again(tree: Tree, path: str) -> Iterator[Finding]:
    """docs/design.md says why; what somebody's own play names is validated by Ansible."""
    text = tree.text(path)
    if (at := text.find("rolespec_validate")) >= 0:
        yield Finding(path, line_of(text, at), "rolespec_validate is not needed")
    names, files = len(re.findall(r"(?:import|include)_role:", text)), len(re.findall(r"tasks_from: \w+\.yml", text))
    if names != files:
        yield Finding(path, tree.line(path, "_role:"), f"names {names} roles, and {files} of them by a file")


def named(tree: Tree, entries: list[Task], folder: str) -> Iterator[str]:
    """The names of all tasks that are no part of a role with phases of its own."""
    for task in tasks(entries):
        yield task.get("name", "")
        yield from task.get("vars", {}).get("preflight_phases", [])
        for file in FILES:
            if file in task:
                yield from named(tree, tree.yaml(f"{folder}tasks/{task[file]}"), folder)
        arguments = imported(task)
        if arguments and (role := arguments["name"].rpartition(".")[2]) in WITH_PHASES:
            inner = f"roles/{role}/"
            yield from named(tree, tree.yaml(f"{inner}tasks/{arguments['tasks_from']}"), inner)


@rule(playbooks)
def phases_are_numbered_in_order_and_without_a_gap(tree: Tree, playbook: str) -> Iterator[Finding]:
    """In the order in which tasks come, and each says how many there are."""
    found = [PHASE.match(name) for name in named(tree, play(tree, playbook), "")]
    numbers = [int(phase[1]) for phase in found if phase]
    totals = {int(phase[2]) for phase in found if phase}
    if name_of(playbook) == "preflight":
        if numbers:
            yield Finding(playbook, 1, "has phases, which nobody waits for")
        return
    if not numbers or numbers != sorted(numbers) or set(numbers) != set(range(1, numbers[-1] + 1)):
        yield Finding(playbook, 1, f"its phases are {numbers}")
    elif totals != {numbers[-1]}:
        yield Finding(playbook, 1, f"has {numbers[-1]} phases, and says {sorted(totals)}")


@rule(playbooks)
def only_what_comes_in_any_case_has_no_number(tree: Tree, playbook: str) -> Iterator[Finding]:
    """The lease is released and the summary shown however an operation ends."""
    found = list(tasks(play(tree, playbook)))
    whole = {arguments["name"].rpartition(".")[2] for task in found if (arguments := imported(task))} & WITH_PHASES
    for role in whole:
        found = [task for path in tree.files(f"roles/{role}/tasks/*.yml") for task in tasks(tree.yaml(path))]
    names = [task["name"] for task in found if (arguments := imported(task)) and arguments["name"] not in OPERATIONS]
    if len(names) <= 1:
        yield Finding(playbook, 1, "reaches one role at most")
    for name in names:
        if not PHASE.match(name) and name not in IN_ANY_CASE:
            yield Finding(playbook, tree.line(playbook, name), f"{name!r} has no number")
