# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the next batch should be, from what the last ones cost: a fixed part for each, and a part for each row."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

#: How many of the last batches say what a batch costs now: few, so that one that was slow is soon forgotten.
RECENT: t.Final = 6
#: How many of them are compared with each other, to tell the fixed part from the rest.
COMPARED: t.Final = 12
#: A batch is made so large that its rows cost at least so many times its fixed part.
ROWS_SHARE: t.Final = 4.0
#: Where the fixed part alone exceeds what a batch may take, the rows still get this share of that.
OVER_SHARE: t.Final = 0.25
#: How much the size may change from one batch to the next, and how much it does to find out what a larger one costs.
GROWTH: t.Final = 4.0
SHRINKAGE: t.Final = 0.3
TRIAL: t.Final = 2.0
#: Two batches tell the fixed part from the rest only where their sizes differ by so much.
APART: t.Final = 1.2
#: A row is never taken for cheaper than this share of what it cost in the cheapest batch.
LEAST_SHARE: t.Final = 0.02


@dataclasses.dataclass(frozen=True)
class Took:
    """One batch: rows, and seconds."""

    rows: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a batch costs: seconds for each, and seconds for each row; `known` where sizes differed enough to tell."""

    fixed: float
    per_row: float
    known: bool = True


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a batch should take, what it may take, in seconds; and between how many rows it stays."""

    target_seconds: float
    most_seconds: float
    least_rows: float
    most_rows: float


def cost(batches: Sequence[Took]) -> Cost:
    """The cost that fits the last batches best; one outlier among several changes little.

    As long as all were of about one size, everything is put down to their rows.
    """
    compared = [Took(max(1.0, took.rows), max(1e-6, took.seconds)) for took in batches[-COMPARED:]]
    recent = compared[-RECENT:]
    cheapest = min(took.seconds / took.rows for took in recent)
    slopes = [
        (more.seconds - less.seconds) / (more.rows - less.rows)
        for less in compared
        for more in compared
        if more.rows > APART * less.rows
    ]
    if not slopes:
        return Cost(0.0, cheapest, known=False)
    per_row = min(cheapest, max(LEAST_SHARE * cheapest, statistics.median(slopes)))
    return Cost(max(0.0, statistics.median(took.seconds - per_row * took.rows for took in recent)), per_row)


def following(size: float, batches: Sequence[Took], limits: Limits) -> float:
    """The size of the batch after one of `size` rows: one that takes the target time or, where that would be spent on the
    fixed part, one whose fixed part is small, as far as the limits allow."""
    if not batches:
        return size
    found = cost(batches)
    wanted = max(limits.target_seconds - found.fixed, ROWS_SHARE * found.fixed) / found.per_row
    allowed = max(limits.most_seconds - found.fixed, OVER_SHARE * limits.most_seconds) / found.per_row
    least = min(limits.least_rows, limits.most_rows)
    if not found.known and size <= least and wanted < size:
        # At the floor one size alone would be seen for ever, and never that it is not the rows that cost so much.
        wanted = TRIAL * size
    step = max(SHRINKAGE * size, min(GROWTH * size, wanted, allowed))
    return max(least, min(limits.most_rows, step))
