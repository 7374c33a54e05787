# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of many: the table, the count, and what is typed next for those that are not well; pure."""

from __future__ import annotations

import shlex
import typing as t

from ..core.text import count, cut, visible
from ..summary import layout
from .row import PLANNED, STANDINGS, WELL, Row

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: More hosts than this are shown in a table.
FEW: t.Final = 3
#: From this width on the table says where each database is.
WIDE: t.Final = 100
GAP: t.Final = "  "
#: The widths of the columns at most, and from WIDE on.
HOST, WHERE, STANDING, NOW, NEXT = 18, 30, 14, 7, 19
HEADINGS: t.Final = ("database", "where", "verdict", "did", "now", "next")
#: Judged, and found wanting: the same command would find the same. Without another one, the block says what a person has to do.
BY_HAND: t.Final = frozenset({"still failing", "not passed", "failing"})
#: So many different commands are shown below the count; the blocks have all of them.
COMMANDS: t.Final = 4
#: More hosts than this are named by a file, where there is one.
NAMED: t.Final = 10


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Worst first; those that are equal as they were given."""
    return sorted(rows, key=rank)


def rank(row: Row) -> int:
    """0 for the worst; those that are well are last."""
    return STANDINGS.index(row["standing"]) if row["standing"] in STANDINGS else len(STANDINGS)


def table(rows: Sequence[Row], width: int) -> list[str]:
    """A line for each database, worst first, below one that names the columns; no line is wider than `width` columns."""
    width = max(width, layout.WIDTH)
    headings = tuple("would" if each == "did" and _is_plan(rows) else each for each in HEADINGS)
    cells = [headings, *(_cells(row) for row in ordered(rows))]
    widest = [max(len(line[at]) for line in cells) for at in range(len(HEADINGS))]
    most = [HOST, WHERE if width >= WIDE else 0, STANDING, width, NOW, NEXT]
    widths = [min(each, limit) for each, limit in zip(widest, most, strict=True)]
    taken = sum(each + len(GAP) for at, each in enumerate(widths) if each and HEADINGS[at] != "did")
    widths[HEADINGS.index("did")] = min(widest[HEADINGS.index("did")], max(width - taken - len(GAP), 8))
    return [_line(line, widths) for line in cells]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [cut(text, room).ljust(room) for text, room in zip(cells, widths, strict=True) if room]
    return f"{GAP}{GAP.join(shown)}".rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    again = (
        ""
        if row["standing"] not in STANDINGS or row["standing"] == "at work"
        else "see below"
        if _is_by_hand(row)
        else "run it again"
    )
    next_one = _playbook(row["command"]) or again
    cells = (row["host"], row["database"], row["verdict"], row["did"], row["now"] or "unknown", next_one)
    return tuple(" ".join(visible(text).split()) for text in cells)


def _is_plan(rows: Sequence[Row]) -> bool:
    return any(row["standing"] == PLANNED for row in rows)


def _is_by_hand(row: Row) -> bool:
    return not row["command"] and row["standing"] in BY_HAND


def _playbook(command: str) -> str:
    """The name of the playbook of a command, without its folder."""
    words = command.split()
    return words[1].rpartition("/")[2].removeprefix("scout.recovery.") if len(words) > 1 else ""


def counted(rows: Sequence[Row], operation: str = "") -> str:
    """How many there are, and of each standing: those that are well first, then worst first."""
    numbers: dict[str, int] = {}
    for row in ordered(rows):
        numbers[row["standing"]] = numbers.get(row["standing"], 0) + 1
    well = [name for name in numbers if name not in STANDINGS] or [WELL.get(operation, "done")]
    parts = [f"{numbers.get(name, 0):,} {name}" for name in (*well, *(n for n in numbers if n in STANDINGS))]
    return f"{count(len(rows), 'database')}: {', '.join(parts)}"


def following(rows: Sequence[Row], again: str, target: str = "", retry_file: str = "") -> list[str]:
    """Commands, each for all the databases that it is to be typed for: first those that the blocks name, then the same command
    `again` for the rest of what is not well. `target` is the pattern that was typed, empty for the usual one; `retry_file`
    names all that are not well, more than can be typed."""
    wanted: dict[str, list[str]] = {}
    for row in ordered(rows):
        if row["standing"] in STANDINGS and row["standing"] not in ("degraded", "paused") and not _is_by_hand(row):
            wanted.setdefault(_for_all(row, target), []).append(row["host"])
    repeated = wanted.pop("", [])
    made = [_limited(command, hosts) for command, hosts in list(wanted.items())[:COMMANDS]]
    if repeated and again:
        by_file = retry_file and len(repeated) > NAMED
        made.append(_limited(again, [f"@{retry_file}"] if by_file else repeated))
    return made


def left(rows: Iterable[Row]) -> list[str]:
    """The hosts on which nothing was reached, worst first: those that the same command is for."""
    return [row["host"] for row in ordered(rows) if row["standing"] in STANDINGS[: STANDINGS.index("degraded")]]


def _for_all(row: Row, target: str) -> str:
    """The row's command without its host."""
    named = f" -e target={shlex.quote(row['host'])}"
    typed = f" -e target={shlex.quote(target)}" if target else ""
    return row["command"].replace(named, typed, 1)


def _limited(command: str, hosts: Sequence[str]) -> str:
    return f"{command} --limit {shlex.quote(','.join(hosts))}"


def ending(rows: Sequence[Row], commands: Sequence[str], width: int, of: str = "") -> Iterator[str]:
    """The last lines: the count, `of` what, and below it the commands, each over as many lines as a shell reads on."""
    yield counted(rows, rows[0]["operation"] if rows else "")
    if of:
        yield from layout.labelled("of", layout.wrapped(of, max(width, layout.WIDTH) - layout.INDENT))
    folded = [line for command in commands for line in layout.folded(command, max(width, layout.WIDTH) - layout.INDENT)]
    if _is_plan(rows) and not folded:
        folded = ["run it without --check; -v shows each plan in full"]
    yield from layout.labelled("next", folded)
