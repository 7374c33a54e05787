# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backlog should become: the pipeline's own ETL, event by event, on a copy; and whether any event got lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import SILVER
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import connect, rows

START = datetime.now(UTC).replace(microsecond=123456) - timedelta(hours=2)

WHEREABOUTS = """
SELECT (SELECT array_agg(event_id) FROM scout.bronze_events),
       (SELECT array_agg(event_id) FROM scout.etl_processed),
       (SELECT array_agg((error_details -> 'event' ->> 'event_id')::uuid) FROM scout.bronze_events_dlq)
"""


def arrive(dsn: str, payloads: Iterable[object], *, step_seconds: float = 1.0, start: datetime = START) -> list[UUID]:
    """Events with these payloads, arriving one after another that far apart (0: all at the same time)."""
    with psycopg.connect(dsn) as connection:
        return [
            generator.insert(connection, payload, ingested_at=start + timedelta(seconds=step_seconds * number))
            for number, payload in enumerate(payloads)
        ]


def payloads_of(seed: int) -> Callable[..., dict[str, Any]]:
    """What gives the payload of a sale nobody made before, by its number and what is otherwise about it."""

    def sale(number: int, **fields: Any) -> dict[str, Any]:
        return generator.transaction(seed, number, sold_at=START, **fields)

    return sale


def silver(dsn: str) -> dict[str, list[Any]]:
    """Everything the ETL writes that does not depend on when and under which generated ids."""
    with connect(dsn, options="-c TimeZone=UTC") as connection:
        return {name: [row[0] for row in connection.execute(query)] for name, query in SILVER.items()}  # type: ignore[call-overload]


def loaded_one_by_one(
    server: Server, dsn: str, without: Sequence[UUID] = (), settings: str = "SET TimeZone = 'UTC'"
) -> dict[str, list[Any]]:
    """What silver would be if the pipeline's ETL took the pending events but these, one in a transaction, in order."""
    name = f"{conninfo_to_dict(dsn)['dbname']}_oracle"
    copy = server.create_database(name, str(conninfo_to_dict(dsn)["dbname"]))
    try:
        with connect(copy) as connection:
            connection.execute(settings)  # type: ignore[call-overload]
            connection.execute("DELETE FROM scout.bronze_events WHERE event_id = ANY (%s)", [list(without)])
            while connection.execute("SELECT events_processed FROM scout.load_silver_from_bronze(1)").fetchone() != (
                0,
            ):
                pass
        return silver(copy)
    finally:
        server.drop_database(name)


@dataclass(frozen=True)
class Losses:
    """Events that are nowhere, in two places, or where they do not belong."""

    lost: set[UUID]
    duplicated: set[UUID]
    unexpected: set[UUID]


NONE = Losses(set(), set(), set())


def losses(dsn: str, written: Iterable[UUID], poison: Iterable[UUID]) -> Losses:
    """Compares with every event ever written: the good ones belong in bronze and the ETL's ledger, poison in the DLQ."""
    written, poison = set(written), set(poison)
    [found] = rows(dsn, WHEREABOUTS)
    bronze, processed, dead = (Counter(ids or []) for ids in found)
    at_home = set(bronze) & set(processed)
    return Losses(
        lost=written - at_home - set(dead),
        duplicated={event for event in written if bronze[event] + dead[event] > 1 or processed[event] > 1},
        unexpected=(set(dead) ^ poison) | (set(processed) - set(bronze)),
    )


def every_event(dsn: str) -> set[UUID]:
    """Ids of the transaction events in bronze."""
    return {row[0] for row in rows(dsn, "SELECT event_id FROM scout.bronze_events WHERE event_type = 'transaction.v1'")}
