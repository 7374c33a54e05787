# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves rows, a row each: how its stage is set, what it moves, where in a batch it can hang, and what stands in its way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import bronze
from tests.integration.modules import Result, call, connect, expire_lease, one, rows
from tests.integration.oracle import silver
from tests.integration.outcomes import dead_letters, ran, scout_tables
from tests.integration.windows import damaged

Sale = tuple[str, UUID]

#: No end: it is frozen when the run begins.
EVERYTHING = {"window_start": "2000-01-01T00:00:00Z", "incident": "INC-9"}

OURS = """
SELECT pid FROM pg_stat_activity
WHERE starts_with(application_name, 'scout-recovery/') AND datname = current_database() AND backend_type = 'client backend'
"""
ASLEEP = f"{OURS} AND wait_event = 'PgSleep'"

HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN coalesce(NEW, OLD); END $$;
CREATE {trigger} EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP FUNCTION public.hang CASCADE"

# --- places in a batch


def _at(when: str, table: str, column: str, value: str) -> str:
    row = "OLD" if "DELETE" in when else "NEW"
    kind, lazily = (
        ("CONSTRAINT TRIGGER", " DEFERRABLE INITIALLY DEFERRED") if when.startswith("AFTER") else ("TRIGGER", "")
    )
    return f"{kind} hang {when} ON scout.{table}{lazily} FOR EACH ROW WHEN ({row}.{column} = '{{{value}}}')"


LETTER = "original_payload ->> 'transaction_id'"
SALE_AWAY = {
    "removing lines": _at("BEFORE DELETE", "silver_line_items", "transaction_id", "sale"),
    "removing a sale": _at("BEFORE DELETE", "silver_transactions", "transaction_id", "sale"),
}
SALE_MADE = {
    "making a sale": _at("BEFORE INSERT", "silver_transactions", "transaction_id", "sale"),
    "making lines": _at("BEFORE INSERT", "silver_line_items", "transaction_id", "sale"),
}
MARK_AWAY = {"removing a mark": _at("BEFORE DELETE", "etl_processed", "event_id", "event")}
MARK_MADE = {"marking": _at("BEFORE INSERT", "etl_processed", "event_id", "event")}
SALE_COMMITTED = {"committing": _at("AFTER INSERT", "silver_transactions", "transaction_id", "sale")}
EVENT_BACK = {"putting an event back": _at("BEFORE INSERT", "bronze_events", "event_id", "event")}
EVENT_COMMITTED = {"committing": _at("AFTER INSERT", "bronze_events", "event_id", "event")}

AWAY = {
    "storing": _at("BEFORE INSERT", "bronze_events_dlq", LETTER, "sale"),
    **SALE_AWAY,
    **MARK_AWAY,
    "removing an event": _at("BEFORE DELETE", "bronze_events", "event_id", "event"),
    "committing": _at("AFTER INSERT", "bronze_events_dlq", LETTER, "sale"),
}
#: Only poison leaves bronze when a window is rebuilt, so whatever leaves first is.
POISON = {
    "storing poison": "TRIGGER hang BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW",
    "removing poison": "TRIGGER hang BEFORE DELETE ON scout.bronze_events FOR EACH ROW",
    "committing poison": "CONSTRAINT TRIGGER hang AFTER INSERT ON scout.bronze_events_dlq DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
}

# --- sales that have not been moved yet, the last ones first

_OF_BRONZE = """
SELECT t.transaction_id, b.event_id FROM scout.silver_transactions AS t
JOIN scout.bronze_events AS b ON event_id = source_event_id JOIN scout.etl_processed AS p USING (event_id)
WHERE EXISTS (SELECT FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id)
  AND NOT EXISTS (SELECT FROM scout.bronze_events AS o WHERE o.event_id <> b.event_id
                    AND o.event_data ->> 'transaction_id' = t.transaction_id)
ORDER BY {} DESC OFFSET {{}} LIMIT 1
"""
_OF_LETTERS = """
SELECT original_payload ->> 'transaction_id', (error_details #>> '{{{{event,event_id}}}}')::uuid FROM scout.bronze_events_dlq AS d
WHERE resolved_at IS NULL AND jsonb_array_length(error_details -> 'lines') > 0
  AND NOT EXISTS (SELECT FROM scout.bronze_events_dlq AS o WHERE o.dlq_id <> d.dlq_id
                    AND o.original_payload ->> 'transaction_id' = d.original_payload ->> 'transaction_id')
ORDER BY failed_at {0}, dlq_id {0} OFFSET {{}} LIMIT 1
"""
_OF_JOURNAL = """
SELECT t.transaction_id, t.source_event_id FROM scout_ops.images AS i JOIN scout.silver_transactions AS t USING (transaction_id)
WHERE i.undone_by IS NULL AND jsonb_array_length(i.removed -> 'transactions') > 0 AND jsonb_array_length(i.removed -> 'lines') > 0
ORDER BY i.item OFFSET {} LIMIT 1
"""

# --- what there is to move


def _everything(dsn: str) -> dict[str, Any]:
    return EVERYTHING


def _negative_totals(dsn: str) -> dict[str, Any]:
    with connect(dsn) as connection:
        connection.execute(
            "UPDATE scout.bronze_events SET event_data = event_data || '{\"total_amount\": -1}'"
            " WHERE event_id IN (SELECT source_event_id FROM scout.silver_transactions)"
        )
        connection.execute("UPDATE scout.silver_transactions SET total_amount = -1")
    return {"only": ["negative_total"], "max_share": 1.0, "incident": "INC-9"}


def _damage(dsn: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    few = one(dsn, "SELECT count(*) < 100 FROM scout.bronze_events")
    kinds = ("rows_missing", "totals_wrong", "rows_and_marks_missing", "poison_pending") if few else ()
    case = damaged(dsn, Window(now - timedelta(days=3.5), now + timedelta(minutes=1)), *kinds, count=1)
    return {"mode": "all", "max_poison_share": 1.0, "incident": "INC-9", **case.window.options}


# --- who holds what it needs

_TABLES = {
    "the ETL's ledger": "INSERT INTO scout.etl_processed (event_id) VALUES (gen_random_uuid())",
    "bronze": "LOCK TABLE scout.bronze_events",
}
_QUEUE = {"the queue": "LOCK TABLE scout.bronze_events_dlq"}
_LETTER = {
    "a dead letter": "SELECT FROM scout.bronze_events_dlq WHERE original_payload ->> 'transaction_id' = '{sale}' FOR UPDATE"
}
_SILVER = {
    "a sale": "SELECT FROM scout.silver_transactions WHERE transaction_id = '{sale}' FOR UPDATE",
    "a line": "SELECT FROM scout.silver_line_items WHERE transaction_id = '{sale}' FOR UPDATE",
}
_EVENT = {"an event": "SELECT FROM scout.bronze_events WHERE event_id = '{event}' FOR UPDATE"}


def letters(dsn: str) -> list[Any]:
    """The dead letters without what differs from run to run."""
    found = dead_letters(dsn)
    for _, _, details, *_ in found:
        (details or {}).pop("detail", None)
    return sorted(found, key=str)


@dataclass(frozen=True)
class Mover:
    """A module that moves rows, with all that the suite has to know of it."""

    module: str
    #: Makes something that can be moved; returns the options that do.
    spoil: Callable[[str], dict[str, Any]]
    #: What max_rows counts.
    noun: str
    #: The query of a sale with its event that have not been moved yet; takes how many come after it.
    sales: str
    places: dict[str, str]
    holds: dict[str, str]
    #: What a check says as the run does.
    told: tuple[str, ...]
    #: The module whose run it is about.
    of: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    #: The rows it makes have ids and clocks of their own; the others are compared to the last byte.
    anew: bool = False
    #: Afterwards silver is what bronze makes.
    sound: bool = True

    def stage(self, dsn: str, options: dict[str, Any]) -> dict[str, Any]:
        """The options of the move, after the run that it is about."""
        return {**self.more, **({"run_id": ran(self.of, dsn, **options)["run_id"]} if self.of else options)}

    def sale(self, dsn: str, behind: int) -> Sale:
        """One that has not been moved yet, so many before the last."""
        [sale] = rows(dsn, self.sales.format(behind))
        return sale

    def end(self, dsn: str) -> Any:
        """Everything in the pipeline's tables that does not depend on when a move was made."""
        if self.anew:
            return silver(dsn), bronze(dsn), letters(dsn)
        tables = scout_tables(dsn)
        tables.pop("scout.bronze_events_dlq")
        return tables, letters(dsn)


_BACK = {"putting a sale back": SALE_MADE["making a sale"], "putting lines back": SALE_MADE["making lines"]}

MOVERS = {
    "quarantine": Mover(
        "scout_quarantine", _everything, "event", _OF_BRONZE.format("b.ctid"), AWAY,
        holds={**_EVENT, **_SILVER, **_TABLES, **_QUEUE}, told=("moved", "requeued", "gold_days"),
    ),
    "cleanup": Mover(
        "scout_cleanup", _negative_totals, "transaction", _OF_BRONZE.format("hashtextextended(t.transaction_id, 0)"), AWAY,
        holds={**_EVENT, **_SILVER, **_TABLES, **_QUEUE}, told=("moved", "requeued", "gold_days"),
    ),
    "redrive": Mover(
        "scout_redrive", _everything, "dead letter", _OF_LETTERS.format("DESC"),
        {**EVENT_BACK, **SALE_MADE, **MARK_MADE, "resolving": _at("BEFORE UPDATE", "bronze_events_dlq", LETTER, "sale"), **EVENT_COMMITTED},
        holds={**_LETTER, **_TABLES, **_QUEUE}, told=("redriven", "already_there", "gold_days"),
        of="scout_quarantine", more={"canary_rows": 20, "rate_per_second": 100_000}, anew=True,
    ),
    "undo": Mover(
        "scout_undo", _everything, "item", _OF_LETTERS.format("ASC"),
        {
            **EVENT_BACK, **_BACK, "putting a mark back": MARK_MADE["marking"],
            "clearing the queue": _at("BEFORE DELETE", "bronze_events_dlq", LETTER, "sale"), **EVENT_COMMITTED,
        },
        holds={**_LETTER, **_TABLES, **_QUEUE}, told=("put_back", "taken"), of="scout_quarantine",
    ),
    "undo of a rebuilt window": Mover(
        "scout_undo", _damage, "item", _OF_JOURNAL, {**SALE_AWAY, **_BACK, **SALE_COMMITTED},
        holds={**_SILVER, **_TABLES}, told=("put_back", "taken"), of="scout_window_recovery", sound=False,
    ),
    "window recovery": Mover(
        "scout_window_recovery", _damage, "event", _OF_BRONZE.format("b.ingested_at"),
        {**SALE_AWAY, **MARK_AWAY, **SALE_MADE, **MARK_MADE, **SALE_COMMITTED, **POISON},
        holds={**_EVENT, **_SILVER, "the ETL's ledger": _TABLES["the ETL's ledger"]}, told=("gold_days",),
        anew=True, sound=False,
    ),
}  # fmt: skip


# --- a move that hangs


def hang(dsn: str, trigger: str, sale: Sale) -> None:
    """From now on a move does not get past this place."""
    with connect(dsn) as connection:
        connection.execute(HANG.format(seconds=60, trigger=trigger.format(sale=sale[0], event=sale[1])))  # type: ignore[call-overload]


def unhang(dsn: str) -> None:
    """It does again."""
    with connect(dsn) as connection:
        connection.execute(UNHANG)


@contextmanager
def ended_asleep(dsn: str, end: Callable[[int], Any]) -> Iterator[None]:
    """Ends the session that hangs, as soon as one does."""
    over = threading.Event()

    def finish() -> None:
        with connect(dsn) as connection:
            while not over.wait(0.02):
                if asleep := connection.execute(ASLEEP).fetchall():
                    end(asleep[0][0])
                    return

    watcher = threading.Thread(target=finish)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def broken_off(dsn: str, module: str, **options: Any) -> Result:
    """The result of a module whose session is terminated while it hangs."""
    with ended_asleep(dsn, lambda pid: rows(dsn, "SELECT pg_terminate_backend(%s, 5000)", pid)):
        result = call(module, dsn, **options)
    expire_lease(dsn)
    return result
