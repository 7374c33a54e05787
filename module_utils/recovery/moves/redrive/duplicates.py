# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead letters whose event is somewhere else as well: in bronze, or in another dead letter. None of them is put back twice.

An entry that holds a payload and nothing more has lost the id and the hash of its event, which bronze may hold with a hash made
otherwise, or with none. So it is compared by its payload, once for all entries of a run.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...scout import contract
from .letters import PLAIN, WHOLE, Letter

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...postgres.driver import sql
    from ...postgres.session import Session

#: Of entries that hold a payload alone: an event in bronze with that payload, and an unresolved entry that has such an event whole.
#: One that was tried before names its own event, which is no other.
SAME = """
WITH plain AS MATERIALIZED (
    SELECT d.dlq_id, d.original_payload AS payload FROM {dead_letters} AS d WHERE {condition} AND {plain}
), events AS (
    SELECT p.dlq_id, min(b.event_id::text) AS event_id
    FROM plain AS p JOIN {bronze} AS b ON b.event_data = p.payload GROUP BY 1
), letters AS (
    SELECT DISTINCT ON (p.dlq_id) p.dlq_id, d.dlq_id::text AS letter, d.error_details #>> '{{event,event_id}}' AS letter_event
    FROM plain AS p JOIN {dead_letters} AS d ON d.original_payload = p.payload
    WHERE d.resolved_at IS NULL AND d.dlq_id <> p.dlq_id AND NOT {plain} AND {whole}
    ORDER BY p.dlq_id, d.failed_at, d.dlq_id
)
SELECT p.dlq_id::text AS dlq_id, e.event_id, l.letter, l.letter_event
FROM plain AS p LEFT JOIN events AS e USING (dlq_id) LEFT JOIN letters AS l USING (dlq_id)
WHERE e.event_id IS NOT NULL OR l.letter IS NOT NULL
"""

NOW = """
SELECT ARRAY(SELECT b.event_id::text FROM {bronze} AS b WHERE b.event_id = ANY(%(events)s::uuid[])) AS events,
       ARRAY(SELECT d.dlq_id::text FROM {dead_letters} AS d WHERE d.dlq_id = ANY(%(letters)s::uuid[]) AND d.resolved_at IS NULL) AS letters
"""


@dataclasses.dataclass(frozen=True)
class Same:
    """Where else the event of an entry is."""

    event_id: str | None
    letter: str | None
    letter_event: str | None


@dataclasses.dataclass(frozen=True)
class Sorted:
    """Entries by what becomes of them: put back, there already as an event, sharing another one's fate, left alone."""

    fresh: list[Letter]
    there: list[tuple[Letter, str]]
    doubled: list[tuple[Letter, Letter]]
    conflicts: list[dict[str, str]]


def find(session: Session, condition: sql.Composable, values: Mapping[str, t.Any]) -> dict[str, Same]:
    """Where else the events of entries that hold a payload alone are, by dlq_id; reads bronze once where there are any."""
    query = contract.compose(SAME, condition=condition, plain=PLAIN, whole=WHOLE)
    return {row.pop("dlq_id"): Same(**row) for row in session.rows(query, **values)}


def sort(session: Session, letters: Sequence[Letter], same: Mapping[str, Same]) -> Sorted:
    """What becomes of the entries of a batch, as things are now."""
    meant = [same[letter.dlq_id] for letter in letters if letter.dlq_id in same]
    events, unresolved = _now(session, meant)
    of_batch = {letter.dlq_id: letter for letter in letters}
    made = Sorted([], [], [], [])
    plain: list[Letter] = []
    for letter in letters:
        found = same.get(letter.dlq_id)
        event = next((e for e in (found.event_id, found.letter_event) if e in events), None) if found else None
        other = of_batch.get(found.letter or "") if found else None
        if letter.twin:
            made.there.append((letter, letter.twin))
        elif event is not None and letter.patches:
            made.conflicts.append(
                _conflict(letter, f"is still in bronze as event {event}: quarantine it, and redrive that")
            )
        elif event is not None:
            made.there.append((letter, event))
        elif other is not None and other.patches == letter.patches:
            made.doubled.append((letter, other))
        elif found is not None and found.letter in unresolved:
            made.conflicts.append(_conflict(letter, f"is dead letter {found.letter} as well: redrive that one first"))
        else:
            plain.append(letter)
    _without_repeats(plain, made)
    return made


def _now(session: Session, meant: Iterable[Same]) -> tuple[set[str], set[str]]:
    found = list(meant)
    if not found:
        return set(), set()
    events = [event for one in found for event in (one.event_id, one.letter_event) if event]
    row = session.row(contract.compose(NOW), events=events, letters=[one.letter for one in found if one.letter])
    return set(row["events"]), set(row["letters"])


def _conflict(letter: Letter, why: str) -> dict[str, str]:
    return {"dlq_id": letter.dlq_id, "why": f"its event {why}"}


def _without_repeats(letters: Iterable[Letter], made: Sorted) -> None:
    """Divides entries into those that come first, and those that are an earlier one of them once more."""
    first: dict[str, Letter] = {}
    for letter in letters:
        earlier = first.get(letter.event_id) or (first.get(letter.hash) if letter.hash else None)
        if earlier is not None:
            made.doubled.append((letter, earlier))
            continue
        made.fresh.append(letter)
        first |= {letter.event_id: letter, **({letter.hash: letter} if letter.hash else {})}
