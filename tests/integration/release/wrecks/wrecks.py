# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of wrecks: what stood in a schema when it was captured, what a release did to it, and what a rollback comes to.

The rows are in the files `*.sql` beside this one. A row begins with `-- wreck: NAME`; the statements that follow are run before the
capture, those after `-- release:` after it, both as `loader`, who owns schema `w`. Options stand after the name, the expectation
at the end:

`-- since: MAJOR`: only from this PostgreSQL on. `-- protect: TABLE[.COLUMN]`: data that the capture saves.
`-- alone: [SCHEMA]`: never with other wrecks, which share a database with those that end alike; a schema that is captured instead of `w`.
`-- listed: TABLE`: a child that has left its parent, whose columns are its own as well as its parent's afterwards.
`-- stays: TABLE`: a partition made since the capture, which stays. `-- told: OPTION=VALUE`: what the rollback is told.
`-- moved: TABLE`: this partitioned table has the rows of the wreck, in whichever partitions.
`-- exact:` (the default): definitions and rows are those that were captured; undone, those of the wreck.
`-- rehearsed:`: the same, and the rollback is rehearsed first.
`-- rows: [COLUMN …]`: definitions as captured; values of what the release wrote into captured columns stay, but for those named.
`-- unchanged:`: there is nothing to roll back.
`-- refused: PATTERN`: refused before anything is written, for what rows and others hold, in words that fit.
`-- impossible: PATTERN`: the same, because PostgreSQL cannot get there.
`-- losing: PATTERN`: the same, because data would be lost; nobody tries to allow that.
`-- lossy: PATTERN`: the same unless losing data is allowed, which then can be undone all the same.
`-- lost: PATTERN`: the same where the undo cannot bring it back.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
KEYWORD = re.compile(
    r"^-- (wreck|since|protect|alone|listed|stays|told|release|exact|rehearsed|rows|moved|unchanged|refused|impossible|losing|lossy|lost)"
    r": ?(.*)$"
)
#: Refused, and not carried out; refused until losing data is allowed.
REFUSED, LOSING = ("refused", "impossible", "losing"), ("lossy", "lost")
EXPECTATIONS = ("exact", "rehearsed", "rows", "unchanged", *REFUSED, *LOSING)
#: How many share a database; of those that are refused no more than a refusal names, and some have two reasons.
ROOM, ROOM_IN_A_REFUSAL = 16, 4
#: The schema of a wreck, and the beginning of whatever name it has in the whole database.
SCHEMA = re.compile(r"\bw(?=\b|_)")


class Wreck(NamedTuple):
    """A row of the table."""

    name: str
    before: str
    after: str
    #: One of EXPECTATIONS, and what stands behind it.
    then: str = "exact"
    words: str = ""
    protect: tuple[str, ...] = ()
    schema: str = "w"
    #: Whether no other may be in its database.
    alone: bool = False
    #: A table whose columns are its own as well as its parent's afterwards.
    listed: str = ""
    #: A partition that was made since the capture, and stays.
    stays: str = ""
    #: A partitioned table that has the rows of the wreck in whichever partitions.
    moved: str = ""
    #: Options of the rollback.
    told: tuple[tuple[str, str], ...] = ()
    #: The first major version that knows of it.
    since: int = 0

    @property
    def end(self) -> tuple[str, ...]:
        """The same for those that may share a database: they are told the same, and come to the same end."""
        if self.alone:
            return (self.name,)
        alike = "exact" if self.then == "rows" else self.then
        return (alike, *itertools.chain(*self.told), "with a new partition" if self.stays else "")

    def called(self, schema: str) -> Wreck:
        """The same in another schema, so that several fit into one database."""

        def say(text: str) -> str:
            return SCHEMA.sub(schema, text)

        return self._replace(
            before=say(self.before),
            after=say(self.after),
            words=say(self.words),
            protect=tuple(map(say, self.protect)),
            schema=schema,
            listed=say(self.listed),
            stays=say(self.stays),
            moved=say(self.moved),
        )


def table(major: int) -> list[Wreck]:
    """All rows for a server of this major version, in the order of the files' names."""
    return [wreck for file in sorted(FOLDER.glob("*.sql")) for wreck in _rows(file) if wreck.since <= major]


def groups(wrecks: Iterable[Wreck]) -> Iterator[tuple[str, list[Wreck]]]:
    """All of them, as they share a database; each group with a name."""
    for end, alike in itertools.groupby(sorted(wrecks, key=lambda wreck: wreck.end), key=lambda wreck: wreck.end):
        room = ROOM_IN_A_REFUSAL if end[0] in (*REFUSED, *LOSING) else ROOM
        for number, some in enumerate(itertools.batched(alike, room, strict=False), 1):
            yield " ".join((*filter(None, end), str(number))), list(some)


def together(wrecks: list[Wreck]) -> list[Wreck]:
    """The same for one database: each in a schema of its own, where there are several."""
    return [wreck.called(f"w{number}") for number, wreck in enumerate(wrecks, 1)] if len(wrecks) > 1 else wrecks


def _rows(file: Path) -> Iterator[Wreck]:
    for text in re.split(r"(?m)^(?=-- wreck: )", file.read_text(encoding="utf-8"))[1:]:
        yield _row(text, file.stem)


def _row(text: str, group: str) -> Wreck:
    said: dict[str, str] = {}
    protect: list[str] = []
    parts: dict[str, list[str]] = {"before": [], "after": []}
    where = "before"
    for line in text.splitlines():
        if found := KEYWORD.match(line):
            said[found[1]] = found[2]
            where = "after" if found[1] == "release" else where
            protect += [found[2]] if found[1] == "protect" else []
        else:
            parts[where].append(line)
    then = next((word for word in EXPECTATIONS if word in said), "exact")
    return Wreck(
        f"{group}: {said['wreck']}",
        *("\n".join(lines).strip() for lines in parts.values()),
        then,
        said.get(then, ""),
        tuple(protect),
        said.get("alone") or "w",
        "alone" in said,
        listed=said.get("listed", ""),
        since=int(said.get("since", 0)),
        stays=said.get("stays", ""),
        moved=said.get("moved", ""),
        told=tuple((name, value) for name, _, value in [said["told"].partition("=")]) if "told" in said else (),
    )
