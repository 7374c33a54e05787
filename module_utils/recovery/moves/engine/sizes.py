# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows the next batch of a move takes, and how long it may take, by what the last ones took."""

from __future__ import annotations

import typing as t

from ...core.batch_size import Limits, Took, cost, following

#: A batch is cancelled when it takes this much longer than wanted.
OVERTIME: t.Final = 1.5
#: Where each batch has a fixed cost, it may take so many times the time wanted.
STRETCH: t.Final = 10.0
#: How much more time a batch gets where a smaller one would not help.
MORE_TIME: t.Final = 3.0
#: A batch of the usual size is divided into so many parts at most, before it gets more time instead.
PARTS: t.Final = 20.0


class Sizes:
    """The size of the next batch in rows, and after how many seconds it is cancelled."""

    def __init__(self, first_rows: float, least_rows: float, most_rows: float, target_seconds: float) -> None:
        self.rows = first_rows
        self.least_rows = least_rows
        self.most_rows = most_rows
        #: Below it a batch is made smaller only where more time did not help either.
        self.floor = max(least_rows, first_rows / PARTS)
        self.target_seconds = target_seconds
        self.allowed_seconds = target_seconds * OVERTIME
        self.batches: list[Took] = []

    @property
    def most_seconds(self) -> float:
        """What a batch may take at most."""
        return self.target_seconds * OVERTIME * STRETCH

    def cancelled(self, rows: float, tries: int) -> str:
        """Chooses what the batch is tried again with, which held so many rows; says which."""
        size = min(self.rows, rows)
        if size == self.floor and self.allowed_seconds < self.most_seconds:
            self.allowed_seconds = min(self.most_seconds, MORE_TIME * self.allowed_seconds)
            return "continuing with more time for each, as smaller ones would not be faster"
        factor = 0.5 if tries == 1 else 0.25
        smallest = self.floor if size > self.floor else self.least_rows
        self.rows = max(smallest, size * factor)
        return f"continuing at {factor:g} of its size"

    def took(self, rows: float, seconds: float, *, full: bool, waited_for: bool) -> None:
        """Chooses the next size after a batch of so many rows, `full` where it was as large as wanted; a shorter one where
        others waited for it."""
        if not rows:
            return
        self.batches.append(Took(rows, seconds))
        found, target = cost(self.batches), self.target_seconds
        if waited_for:
            self.rows = max(self.least_rows, rows * min(1.0, max(0.3, target / 2 / max(seconds, 0.001))))
        elif full or seconds > target:
            most = target * STRETCH / 2
            # Rows that take long by themselves are worth no floor.
            floor = min(self.floor, max(self.least_rows, (most - found.fixed) / found.per_row))
            size = following(rows, self.batches, Limits(target, most, floor, self.most_rows))
            self.rows = size if full else min(size, max(self.rows, floor))
        expected = 2 * (found.fixed + found.per_row * self.rows)
        self.allowed_seconds = max(target * OVERTIME, min(self.most_seconds, expected))
