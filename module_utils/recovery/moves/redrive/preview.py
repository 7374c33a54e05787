# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preview of a redrive, without writing: how many entries would be tried, and why others would not."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres import without_values
from ...postgres.driver import sql
from ...scout import contract
from . import duplicates
from . import letters as redrive_letters
from .letters import EVENT_ID

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...core.progress import Progress
    from ...postgres.session import Session
    from ...scout.poison_probe import Suspect
    from .letters import DeadLetterSelection, Letter
    from .merge_patch import Repairs

#: How many entries that cannot be rebuilt, that are rebuilt with gaps, or that look like poison a result names.
NAMED: t.Final = 200
CHUNK_ROWS: t.Final = 500
#: So many of the entries are looked at for suspects.
PROBED: t.Final = 20_000
#: Entries a second that were measured, where the rate allows more.
RATE: t.Final = 1500

#: Why is told once for each entry: it reads a document that may be large.
EXTENT = """
SELECT count(*) FILTER (WHERE tried) AS entries,
       to_jsonb(min(failed_at) FILTER (WHERE tried)) #>> '{{}}' AS first, to_jsonb(max(failed_at) FILTER (WHERE tried)) #>> '{{}}' AS last,
       count(*) FILTER (WHERE why IS NULL AND NOT tried) AS parked, max(retries) FILTER (WHERE why IS NULL) AS most_retries,
       count(why) AS not_rebuildable
FROM (
    SELECT failed_at, retries, why, why IS NULL AND retries < %(max_replays)s AS tried
    FROM (
        SELECT d.failed_at, coalesce(d.retry_count, 0) AS retries, {why} AS why
        FROM {dead_letters} AS d WHERE {condition} OFFSET 0
    ) AS each
) AS known
"""

NOT_REBUILDABLE = """
SELECT dlq_id::text AS dlq_id, error_code, why
FROM (SELECT d.dlq_id, d.error_code, d.failed_at, {why} AS why FROM {dead_letters} AS d WHERE {condition} OFFSET 0) AS each
WHERE why IS NOT NULL ORDER BY failed_at, dlq_id LIMIT %(named)s
"""

PARKED = """
SELECT d.dlq_id::text AS dlq_id, {event_id} AS event_id, d.retry_count, d.error_message AS error
FROM {dead_letters} AS d
WHERE {condition} AND coalesce(d.retry_count, 0) >= %(max_replays)s AND ({why}) IS NULL ORDER BY d.failed_at, d.dlq_id LIMIT %(named)s
"""


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much a selection is: entries to try, and those that would be left alone."""

    entries: int
    parked: int
    most_retries: int | None
    not_rebuildable: int
    first: str | None
    last: str | None

    @property
    def range(self) -> dict[str, str | None]:
        """When the first and the last of them failed, as text."""
        return {"first": self.first, "last": self.last}


@dataclasses.dataclass
class Preview:
    """The same entry by entry, on one snapshot."""

    extent: Extent
    rate: float
    already_there: int = 0
    conflicts: list[dict[str, str]] = dataclasses.field(default_factory=list[dict[str, str]])
    looked_at: int = 0
    days: set[str] = dataclasses.field(default_factory=set[str])
    suspects: list[dict[str, t.Any]] = dataclasses.field(default_factory=list[dict[str, t.Any]])
    rebuilt: list[dict[str, t.Any]] = dataclasses.field(default_factory=list[dict[str, t.Any]])

    @property
    def counts(self) -> dict[str, int]:
        """Entries that would be tried or found to be there already."""
        return {"entries": self.extent.entries, "already_there": self.already_there}

    @property
    def gold_days(self) -> list[str]:
        """Days of silver that would change."""
        return sorted(self.days)

    @property
    def range(self) -> dict[str, str | None]:
        """When the entries failed."""
        return self.extent.range

    @property
    def estimated_seconds(self) -> float:
        """How long it would take, by the rate that is asked for or was measured."""
        return round(self.extent.entries / min(self.rate, RATE) + 0.2, 1)


def extent(session: Session, selection: DeadLetterSelection, values: Mapping[str, t.Any]) -> Extent:
    """How much a selection is; inside the caller's transaction."""
    query = contract.compose(EXTENT, why=selection.why, condition=selection.condition())
    return Extent(**session.row(query, **values))


class Progressed(t.TypedDict):
    """How far a redrive came."""

    redriven: int
    already_there: int
    failures: list[dict[str, t.Any]]
    conflicts: list[dict[str, str]]
    conflicting: int


class LeftAlone(t.TypedDict):
    """Entries that are not tried."""

    not_rebuildable: list[dict[str, t.Any]]
    parked_entries: list[dict[str, t.Any]]


def left_alone(
    session: Session, selection: DeadLetterSelection, values: Mapping[str, t.Any], found: Extent
) -> LeftAlone:
    """The first entries that cannot be rebuilt, each with the reason, and the first ones that are parked."""

    def first(statement: t.LiteralString, number: int) -> list[dict[str, t.Any]]:
        query = contract.compose(statement, why=selection.why, condition=selection.condition(), event_id=EVENT_ID)
        return session.rows(query, **values, named=NAMED) if number else []

    parked = first(PARKED, found.parked)
    return {
        "not_rebuildable": first(NOT_REBUILDABLE, found.not_rebuildable),
        "parked_entries": [{**row, "error": without_values.message(row["error"] or "")} for row in parked],
    }


def foresee(
    session: Session,
    selection: DeadLetterSelection,
    values: dict[str, t.Any],
    repairs: Repairs,
    found: Extent,
    progress: Progress,
    *,
    rate: float,
) -> Preview:
    """The preview entry by entry; inside the caller's transaction."""
    condition = selection.to_try()
    made = Preview(found, rate)
    path = redrive_letters.Path(session, selection, values)
    same = duplicates.find(session, condition, values)
    cursor: t.Any = None
    while (span := path.span(session, cursor, CHUNK_ROWS)) is not None:
        progress.checkpoint()
        cursor = span.after
        where = sql.SQL("{} AND {}").format(condition, span.where)
        letters = redrive_letters.read(session, where, {**values, **span.values}, repairs, lock=False)
        _count(session, made, letters, same)
        progress.say_throttled(f"looked at {made.looked_at:,} of {found.entries:,} dead letters")
    return made


def _count(session: Session, made: Preview, letters: list[Letter], same: Mapping[str, duplicates.Same]) -> None:
    made.looked_at += len(letters)
    kinds = duplicates.sort(session, letters, same)
    fresh = kinds.fresh
    made.already_there += len(kinds.there) + len(kinds.doubled)
    made.conflicts += kinds.conflicts
    made.days |= {letter.day for letter in fresh if letter.day}
    made.rebuilt += _gaps(fresh)[: NAMED - len(made.rebuilt)]
    if len(made.suspects) < NAMED and made.looked_at <= PROBED:
        by_id = {letter.dlq_id: letter for letter in fresh}
        found: list[Suspect] = redrive_letters.suspicious(session, fresh, NAMED - len(made.suspects))
        made.suspects += [
            {
                "dlq_id": suspect.event_id,
                "event_id": by_id[suspect.event_id].event_id,
                "reason": suspect.reason,
                "sqlstate": suspect.sqlstate,
            }
            for suspect in found
        ]


def _gaps(letters: list[Letter]) -> list[dict[str, t.Any]]:
    """Which entries are rebuilt, and what of each event was not kept."""
    return [
        {"dlq_id": letter.dlq_id, "event_id": letter.event_id, "missing": list(letter.missing)}
        for letter in letters
        if letter.missing
    ]
