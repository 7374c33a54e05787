# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at the rows of a table: what it asks, and how what it finds is told."""

from __future__ import annotations

import typing as t

from ...core.text import count, cut
from ...postgres.driver import sql
from ...scout.row_images import literal, named
from . import definitions
from .situation import Obstacle

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ...postgres.session import Row, Session
    from .situation import Situation

#: No more rows are counted than these; some are named, in at most so many characters.
MOST: t.Final = 10_000
WIDE: t.Final = 90

#: `sample` is what tells a row from others.
WRONG: t.Final = """
SELECT count(*) AS rows, array_to_string((array_agg(w.sample ORDER BY w.sample COLLATE "C"))[1:3], '; ') AS sample
FROM (SELECT {sample} AS sample FROM {source} WHERE {wrong} LIMIT {most}) AS w
"""


class Read(t.NamedTuple):
    """One look at rows: of which object, in which table, and what makes an obstacle of what is found; a text says why nothing was
    found out."""

    key: str
    table: str
    ask: Callable[[Session], Obstacle | str | None]


def counted(session: Session, sample: sql.Composable, source: sql.Composable, wrong: sql.Composable) -> Row:
    """How many rows are wrong, and some of them."""
    return session.row(sql.SQL(WRONG).format(sample=sample, source=source, wrong=wrong, most=literal(str(MOST))))


def obstacle(row: Row, kind: str, key: str, table: str, what: str, next_step: str) -> Obstacle | None:
    """What was found as an obstacle; None where no row is wrong."""
    if not row["rows"]:
        return None
    sample = cut(row["sample"], WIDE) if row["sample"] else None
    example = f", for example {sample}" if sample else ""
    return Obstacle(kind, key, f"{table}: {what}{example}", next_step, row["rows"], sample)


def number(row: Row, noun: str = "row", several: str | None = None) -> str:
    """`3 rows`, `at least 10,000 rows`."""
    more = "at least " if row["rows"] >= MOST else ""
    return f"{more}{count(row['rows'], noun, several) if several else count(row['rows'], noun)}"


def key_of(found: Situation, table: str) -> list[str]:
    """The columns of a table's primary key, today."""
    now = found.now(f"table:{table}")
    keys = (e for e in found.live.values() if e.kind == "constraint" and e.facts.get("type") == "primary key")
    key = next((e for e in keys if now is not None and e.facts.get("table") == now.name), None)
    unique = definitions.unique(str(key.facts.get("definition", ""))) if key else None
    return unique.columns if unique else []


def sample_of(columns: list[str]) -> sql.Composable:
    """`id 17, line 2`; nothing where rows have no key."""
    pairs = [sql.SQL("{} || left({}::text, 60)").format(literal(f"{each} "), named("r", each)) for each in columns]
    return sql.SQL(" || ', ' || ").join(pairs) if pairs else sql.SQL("NULL::text")
