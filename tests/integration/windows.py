# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of a window that has been recovered, and of everything that is not in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Damage, Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import damage
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import ZERO, Written, bronze, where
from tests.integration import expectation
from tests.integration.modules import Result, connect, rows
from tests.integration.outcomes import ran

IN_WINDOW = """
SELECT event_id, CASE WHEN jsonb_typeof(event_data) = 'object' THEN event_data ->> 'transaction_id' END
FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1' AND {clock} >= %(start)s AND {clock} < %(end)s
"""

#: Events of other types, which the window has as well.
OTHERS = "SELECT count(*) FROM scout.bronze_events WHERE event_type <> 'transaction.v1' AND {clock} >= %(start)s AND {clock} < %(end)s"

#: Rows of silver made of these events under whatever name.
MADE_OF = "SELECT transaction_id FROM scout.silver_transactions WHERE source_event_id = ANY (%(events)s)"

RELATED = """
SELECT event_id FROM scout.bronze_events
WHERE event_type = 'transaction.v1' AND jsonb_typeof(event_data) = 'object' AND event_data ->> 'transaction_id' = ANY (%(names)s)
"""

#: What a recovery may not touch, with the condition for rows that are not of the window.
OUTSIDE = {
    "bronze_events": "event_id <> ALL (%(events)s)",
    "etl_processed": "event_id <> ALL (%(events)s) AND event_id <> ALL (%(kin)s)",
    "silver_transactions": "transaction_id <> ALL (%(names)s)",
    "silver_line_items": "transaction_id <> ALL (%(names)s)",
    "alerts": "true",
    "ingestion_watermarks": "true",
}
#: `xmin` makes even a rewrite of the same values show.
PRINT = "SELECT count(*), coalesce(sum(hashtextextended(xmin::text || t::text, 0)), 0) FROM scout.{} AS t WHERE {}"

MARKED = "SELECT event_id FROM scout.etl_processed WHERE event_id = ANY (%s)"
LETTERS = """
SELECT (error_details -> 'event' ->> 'event_id')::uuid, dlq_id, error_details ->> 'sqlstate', error_details ->> 'run_id'
FROM scout.bronze_events_dlq WHERE error_details ->> 'format' = 'scout-recovery/1' AND resolved_at IS NULL
"""


@dataclass
class Case:
    """A database with a damaged window, as it was before the recovery."""

    dsn: str
    window: Window
    damage: Damage = field(default_factory=Damage)
    #: Every transaction event of the window with its transaction, if it speaks of one.
    events: dict[UUID, str | None] = field(default_factory=dict)
    others: int = 0
    #: The transactions that may be touched.
    names: set[str] = field(default_factory=set)
    related: set[UUID] = field(default_factory=set)
    written: Written = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with connect(self.dsn) as connection:
            query = IN_WINDOW.format(clock=self.window.clock)
            self.events = dict(connection.execute(query, vars(self.window)).fetchall())  # type: ignore[call-overload]
            [(self.others,)] = connection.execute(OTHERS.format(clock=self.window.clock), vars(self.window)).fetchall()  # type: ignore[call-overload]
            made = connection.execute(MADE_OF, {"events": list(self.events)}).fetchall()
            self.names = {name for name in self.events.values() if name is not None} | {row[0] for row in made}
            self.related = {row[0] for row in connection.execute(RELATED, {"names": list(self.names)})}
        self.written = bronze(self.dsn)
        self.outside = self.untouched()

    def untouched(self) -> dict[str, Any]:
        """Number and digest of the rows that a recovery of the window may not touch."""
        values = {"events": list(self.events), "names": list(self.names), "kin": list(self.related)}
        with connect(self.dsn, options="-c TimeZone=UTC -c DateStyle=ISO") as connection:
            return {
                name: connection.execute(PRINT.format(name, condition), values).fetchone()  # type: ignore[call-overload]
                for name, condition in OUTSIDE.items()
            }

    def wrong(self) -> list[str]:
        """Where silver of the window differs from what its events and the other loaded ones of its transactions say."""
        return expectation.differences(
            expectation.actual(self.dsn, self.names), expectation.expected(self.dsn, self.names)
        )

    def pending(self) -> set[UUID]:
        """Events of the window that are in bronze without a mark."""
        still = set(bronze(self.dsn)) & self.events.keys()
        return still - {row[0] for row in rows(self.dsn, MARKED, list(still))}

    def letters(self) -> dict[UUID, str | None]:
        """Events in the dead letter queue with their SQLSTATE."""
        return {row[0]: row[2] for row in rows(self.dsn, LETTERS)}

    def check(self, *, poison: dict[UUID, str] | None = None) -> None:
        """Raises where the window is not recovered, or anything else was touched."""
        poison = self.damage.poison if poison is None else poison
        assert self.wrong() == []
        assert self.pending() == set()
        assert self.letters() == poison
        assert where(self.dsn, self.written) == ZERO
        assert self.untouched() == self.outside
        kept = self.damage.outside
        assert {row[0] for row in rows(self.dsn, MARKED, list(kept))} == set()
        assert kept <= bronze(self.dsn).keys()

    def reconciled(self, result: Result) -> None:
        """Raises where the reconciliation in a result does not tell what became of each event of the window."""
        told = result["reconciliation"]
        assert (told["unexplained"], told["unexplained_events"]) == (0, [])
        poison, swallowed = len(self.damage.poison), len(self.damage.swallowed & self.events.keys()) + self.others
        assert {name: told[name] for name in ("expected", "loaded", "quarantined", "not_transactional")} == {
            "expected": len(self.events) + self.others,
            "loaded": len(self.events) + self.others - poison - swallowed,
            "quarantined": poison,
            "not_transactional": swallowed,
        }


def damaged(dsn: str, window: Window, *kinds: str, **options: Any) -> Case:
    """A case with these kinds of damage."""
    with connect(dsn) as connection:
        done = damage(connection, window, *kinds, **options)
    return Case(dsn, window, done)


def recover(case: Case, **options: Any) -> Result:
    """The result of a recovery that must come to a good end; of a small window much may be poison."""
    return ran("scout_window_recovery", case.dsn, **{"max_poison_share": 1.0, **case.window.options, **options})
