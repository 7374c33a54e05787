# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan touches, and what stands against it; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.entries import table_of
from .definitions import parts

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..catalog.entries import Entry


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """One thing that PostgreSQL would refuse; `kind` is one of KINDS."""

    kind: str
    #: Of the object it is about, by its name in the capture.
    key: str
    said: str
    #: A statement, or words; a statement stands between backticks.
    next_step: str
    #: Rows, as far as they were counted, and one of them; None where it is not about rows.
    count: int | None = None
    sample: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {**dataclasses.asdict(self), "next_step": self.next_step.replace("`", "")}


KINDS: t.Final = (
    *("labels", "no_value", "duplicates", "orphans", "cast", "violation", "row_security"),
    *("dependent", "detach", "publication", "privilege", "owner"),
)


@dataclasses.dataclass(frozen=True)
class Situation:
    """What there is, what shall be, and what the plan does: pairs of a word (drop, create, alter, settle …) and a key."""

    live: Mapping[str, Entry]
    wanted: Mapping[str, Entry]
    steps: frozenset[tuple[str, str]]
    #: Keys of today by the keys of the capture, where they differ.
    was: Mapping[str, str]
    #: Columns and tables that come back with data that was kept.
    filled: frozenset[str] = frozenset()
    #: The tables with a migration history.
    histories: tuple[str, ...] = ()

    def now(self, key: str) -> Entry | None:
        """What is there now of an object of the capture, whatever it is called."""
        return self.live.get(self.was.get(key, key))

    @property
    def keys(self) -> frozenset[str]:
        """All that is touched."""
        return frozenset(key for _, key in self.steps)

    def is_remade(self, key: str) -> bool:
        """Whether a column is dropped and comes back, while its table stands: then no value of today goes into it."""
        return ("create", key) in self.steps and ("create", table_of(key)) not in self.steps

    def standing(self, table: str, columns: list[str]) -> list[str] | None:
        """The columns of a table of the capture as they are called today; None unless all of them hold their values of today
        afterwards."""
        if self.now(f"table:{table}") is None:
            return None
        found: list[str] = []
        for column in columns:
            key = self._column(table, column)
            there = self.now(key) if key else None
            if key is None or there is None or key in self.filled or self.is_remade(key):
                return None
            found.append(parts(there.name)[-1])
        return found

    def _column(self, table: str, column: str) -> str | None:
        own = (e for e in self.columns_of(table) if parts(e.name)[-1] == column)
        return next((e.key for e in own), None)

    def columns_of(self, table: str) -> Iterator[Entry]:
        """The columns that a table of the capture has there."""
        return (e for e in self.wanted.values() if e.kind == "column" and parts(e.name)[:-1] == parts(table))

    def place(self, table: str) -> tuple[str, str]:
        """Schema and name of a table of the capture as it is today."""
        there = self.now(f"table:{table}")
        schema, name = parts(there.name if there else table)
        return schema, name
