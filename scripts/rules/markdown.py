# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows: its code, its commands and its tables, each with its line."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from scripts.rules.tree import Tree, line_of

FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
ANY_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
BAR = re.compile(r"(?<!\\)\|")


class Row(NamedTuple):
    """A row of a table."""

    line: int
    cells: list[str]


def pages(tree: Tree) -> list[str]:
    """Every page of the documentation."""
    return tree.files("README.md", "CONTRIBUTING.md", "drills/README.md", "benchmarks/README.md", "docs/*.md")


def code(tree: Tree, page: str) -> tuple[tuple[int, str], ...]:
    """Every command and name that a page shows as code; what is marked as text is a screen, which a test makes."""
    return _code(tree.text(page))


def commands(tree: Tree, page: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The words of every such command on a page, with arguments; one whose quotes do not end is a single word."""
    for number, line in code(tree, page):
        if line.strip().startswith(f"{name} "):
            yield number, _words(line)


def rows(tree: Tree, page: str) -> Iterator[Row]:
    """Every row of every table on a page."""
    for number, line in enumerate(tree.text(page).splitlines(), 1):
        if line.startswith("|"):
            yield Row(number, [cell.strip() for cell in BAR.split(line)[1:-1]])


def section(tree: Tree, page: str, heading: str) -> tuple[int, str]:
    """The text of a section, with the line on which it begins."""
    before, mark, rest = tree.text(page).partition(f"\n## {heading}")
    return line_of(before, len(before)) + 1, rest.partition("\n## ")[0] if mark else ""


@functools.cache
def _code(text: str) -> tuple[tuple[int, str], ...]:
    return (*_of_blocks(text), *_between_blocks(text))


def _of_blocks(text: str) -> Iterator[tuple[int, str]]:
    for block in FENCED.finditer(text):
        if block[1] == "text":
            continue
        number = line_of(text, block.start(2))
        for line in block[2].removesuffix("\n").replace("\\\n", "\0").split("\n"):
            yield number, line.replace("\0", " ").partition("  #")[0].strip()
            number += 1 + line.count("\0")


def _between_blocks(text: str) -> Iterator[tuple[int, str]]:
    plain = ANY_FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    for number, line in enumerate(plain.split("\n"), 1):
        yield from ((number, found) for found in INLINE.findall(line))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split(" ", 1)
