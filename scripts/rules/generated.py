# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scripts write is current: pages made from the code and the table of what was tried."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from scripts.rules.tree import ROOT, Finding, Tree, one, rule, script

FOUND, PAGE = "docs/support.json", "docs/support.md"


@functools.cache
def _made() -> dict[str, tuple[str, str]]:
    """The script that writes a file, and what it would write now."""
    made = {path: ("scripts/docs", text) for path, text in script("docs").pages().items()}
    return {path.relative_to(ROOT).as_posix(): writes for path, writes in made.items()}


@rule(lambda _: _made(), least=6)
def generated_pages_are_current(tree: Tree, path: str) -> Iterator[Finding]:
    """Line by line."""
    writes, wanted = _made()[path]
    text = tree.text(path) if tree.exists(path) else ""
    if text != wanted:
        lines = itertools.zip_longest(text.splitlines(), wanted.splitlines())
        line = next((number for number, (is_so, due) in enumerate(lines, 1) if is_so != due), 1)
        yield Finding(path, line, f"is out of date: run {writes}")


@rule(one(PAGE))
def the_page_shows_what_was_found(tree: Tree, page: str) -> Iterator[Finding]:
    """By scripts/matrix."""
    matrix = script("matrix")
    if matrix.BETWEEN.findall(tree.text(page)) != [matrix.rendered(tree.json(FOUND))]:
        yield Finding(page, tree.line(page, "<!-- support: "), f"does not show what {FOUND} says")


@rule(one(FOUND))
def the_table_has_a_line_for_all_that_can_be_tried(tree: Tree, path: str) -> Iterator[Finding]:
    """In the order in which it is tried."""
    names, wanted = [each["name"] for each in tree.json(path)], [line.name for line in script("matrix").lines()]
    if names != wanted:
        yield Finding(path, 1, f"is about {names}, and tried is {wanted}")


@rule(lambda tree: tree.json(FOUND))
def nothing_that_is_claimed_has_failed(tree: Tree, claim: dict[str, Any]) -> Iterator[Finding]:
    """What was not tried claims nothing."""
    if not claim.get("passed", True):
        yield Finding(FOUND, tree.line(FOUND, f'"{claim["name"]}"'), f"{claim['name']} has failed")


@rule(lambda _: [*script("matrix").PLAYBOOKS, *script("matrix").MODULES])
def chosen_tests_exist(tree: Tree, test: str) -> Iterator[Finding]:
    """Those that scripts/matrix runs."""
    file, _, name = test.partition("::")
    if not tree.exists(file) or f"def {name.partition('[')[0]}" not in tree.text(file):
        yield Finding("scripts/matrix", tree.line("scripts/matrix", name), f"no test {test}")
