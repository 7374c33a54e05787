# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks a reference Scout, shows the runbook's script fail and the emergency reset succeed, and checks every promise.

`python -m tests.scout.demo` is the demonstration; `python -m tests.scout.demo psql` opens its database afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import persistent, psql
from tests import CHECKOUT
from tests.scout import player
from tests.scout.player import JOBS, Hands, Stage, Story, ended, running
from tests.scout.screen import Screen

DATABASE = "scout_demo"
STATE = Path(".scout") / "demo"
EVENTS = 20_000
BACKLOG = 3_000
POISON = {
    "non_numeric_amount": 'an amount that is "abc"',
    "bad_ts": 'a time that is "half past nine"',
    "missing_store_id": "no store",
}
#: The runbook says ten minutes; nobody wants to watch that.
STUCK_AFTER_SECONDS = 3
STUCK = f"scout_stuck_after_seconds={STUCK_AFTER_SECONDS}"
INGESTION_JOBS = ("bronze-to-silver-etl", "product-linking", "smart-gold-refresh")
DISABLED_JOB = "data-quality-alerts"

IMAGES = "SELECT b.event_id::text, b::text FROM scout.bronze_events b WHERE event_id = ANY (%(poison)s)"

GOOD = """
SELECT array_agg(event_id) FROM scout.bronze_events b
WHERE event_type = 'transaction.v1' AND event_id <> ALL (%(poison)s)
  AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)
"""

ACTIVE_JOBS = "SELECT count(*) FROM cron.job WHERE active AND jobname = ANY (%(jobs)s)"

HOLDERS = """
SELECT array_agg(pid ORDER BY pid) FROM pg_locks
WHERE locktype = 'advisory' AND objid = %(lock)s AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%(pids)s) AND xact_start IS NOT NULL"

LOADED = """
SELECT count(*) FROM scout.bronze_events b
JOIN scout.etl_processed p ON p.event_id = b.event_id
JOIN scout.silver_transactions t ON t.transaction_id = b.event_data ->> 'transaction_id'
WHERE b.event_id = ANY (%(good)s) AND t.total_amount = (b.event_data ->> 'total_amount')::numeric
"""

SALES = """
SELECT (SELECT count(DISTINCT event_data ->> 'transaction_id') FROM scout.bronze_events WHERE event_type = 'transaction.v1'),
       (SELECT count(*) FROM scout.silver_transactions)
"""

KEPT = """
SELECT count(*) FROM scout.bronze_events_dlq d
JOIN jsonb_each_text(%(images)s) AS i ON i.key = d.error_details -> 'event' ->> 'event_id'
CROSS JOIN LATERAL jsonb_populate_record(
    NULL::scout.bronze_events, d.error_details -> 'event' || jsonb_build_object('event_data', d.original_payload)) AS r
WHERE r::text = i.value
  AND NOT EXISTS (SELECT FROM scout.bronze_events b WHERE b.event_id::text = i.key)
"""

GOLD = """
SELECT (SELECT sum(transaction_count) FROM scout.gold_daily_metrics), (SELECT count(*) FROM scout.silver_transactions),
       (SELECT sum(total_sales) FROM scout.gold_daily_metrics) = (SELECT sum(total_amount) FROM scout.silver_transactions)
"""

ROWS = """
SELECT (SELECT count(*) FROM scout.bronze_events), (SELECT count(*) FROM scout.etl_processed),
       (SELECT count(*) FROM scout.silver_transactions), (SELECT count(*) FROM scout.silver_line_items),
       (SELECT count(*) FROM scout.bronze_events_dlq), (SELECT max(created_at) FROM scout.gold_daily_metrics)
"""


@dataclass(frozen=True)
class Broken:
    """What was broken, and how things were before anybody mended them."""

    poison: list[Any]
    images: dict[str, str]
    good: list[Any]
    jobs: dict[str, bool]
    pids: list[int]


def show(stage: Stage) -> None:
    """What breaks, what the runbook's script does about it, and the reset."""
    screen, connection = stage.screen, stage.connection
    with ExitStack() as stack:
        broken = _break(stack, stage)
        hands = Hands(screen, conninfo.make_conninfo(stage.dsn, user=builder.OPERATOR), stage.story.state)
        _assess_broken(screen, hands)
        _try_runbook(screen, connection, broken)
        _reset(screen, hands)
        _check(screen, connection, broken, hands)
        _reset_again(screen, connection, hands)


def _break(stack: ExitStack, stage: Stage) -> Broken:
    screen, connection, dsn = stage.screen, stage.connection, stage.dsn
    events, backlog = stage.events, int(stage.given.backlog)
    screen.title("A pipeline that works, and then breaks")
    began = time.monotonic()
    builder.build(dsn, stage.given.variant, events=events)
    builder.operator(dsn)
    owner = builder.pipeline_owner(dsn)
    version = str(_one(connection, "SHOW server_version")).split()[0]
    screen.say(
        f"Scout with {events:,} events on PostgreSQL {version}, built in {time.monotonic() - began:.0f} s: database "
        f"{DATABASE}. The jobs of pg_cron are rows of a stand-in: nothing here ticks by itself. Now it breaks:"
    )
    print()
    held = [
        stack.enter_context(library.stuck_etl(owner, age_seconds=4000)),
        stack.enter_context(library.lock_holder(owner)),
    ]
    since = time.monotonic()
    poison = [event for kind in POISON for event in library.poison_event(dsn, kind)]
    library.backlog(dsn, backlog, age_seconds=3000)
    library.gold_stale(dsn, minutes=90)
    library.job_disabled_on_purpose(dsn, DISABLED_JOB)
    etl, lock = held
    screen.item(f"three poison events arrive: {'; '.join(POISON.values())}")
    screen.item(f"{backlog:,} good events wait behind them")
    screen.item(
        f"the ETL hangs on one more: pid {etl.pids['etl']} waits for a row that pid {etl.pids['blocker']} keeps locked"
    )
    screen.item(f"pid {lock.pids['holder']} took the lock of the gold refresh and sits idle in its transaction")
    screen.item("gold was last refreshed 90 minutes ago")
    screen.item(f"somebody switched the job {DISABLED_JOB} off, on purpose: it must stay off")
    broken = Broken(
        poison=poison,
        images=dict(connection.execute(IMAGES, {"poison": poison}).fetchall()),
        good=_one(connection, GOOD, poison=poison),
        jobs=_one(connection, JOBS),
        pids=[pid for fault in held for pid in fault.pids.values()],
    )
    time.sleep(max(0.0, STUCK_AFTER_SECONDS + 0.2 - (time.monotonic() - since)))
    return broken


def _assess_broken(screen: Screen, hands: Hands) -> None:
    screen.title("What the engineer sees")
    screen.say(f"Here a session counts as stuck after {STUCK_AFTER_SECONDS} s; the runbook says ten minutes.")
    hands.begin()
    result = hands.types_out("assess", STUCK, into="broken.json")
    screen.promise(result.get("verdict_before") == "failing", "the verdict is: failing")


def _try_runbook(screen: Screen, connection: psycopg.Connection[Any], broken: Broken) -> None:
    screen.title("What the runbook's own script does about it")
    screen.say("Script 1, its four statements run for real, each in a session of its own:")
    print()
    jobs = {"jobs": list(INGESTION_JOBS)}
    before, rows = _one(connection, ACTIVE_JOBS, **jobs), _rows(connection)
    said = _alone(connection, "SELECT message FROM scout.control_ingestion('pause')")
    after = _one(connection, ACTIVE_JOBS, **jobs)
    screen.pair("control_ingestion('pause')", f'says "{said}". Active jobs before: {before}, after: {after}.')
    _alone(connection, "SELECT pg_advisory_unlock_all()")
    holders = _one(connection, HOLDERS, lock=library.REFRESH_LOCK)
    screen.pair("pg_advisory_unlock_all()", f"frees nothing: pid {(holders or ['?'])[0]} still holds the lock.")
    error = _alone(connection, "SELECT scout.load_silver_from_bronze(500)")
    screen.pair("load_silver_from_bronze(500)", f"fails: {error}.")
    said = _alone(connection, "SELECT message FROM scout.control_ingestion('resume')")
    screen.pair("control_ingestion('resume')", f'says "{said}", after a failure.')
    screen.pair("echo", 'says "Pipeline reset complete", and the exit code is 0.')
    print()
    screen.promise(
        before == after and holders and rows == _rows(connection) and "invalid input" in error,
        f"nothing was paused, nothing was freed, none of {len(broken.good):,} good events was loaded",
    )


def _reset(screen: Screen, hands: Hands) -> None:
    screen.title("The emergency reset")
    screen.say("More than one thing is wrong, and the order matters. This is its whole output:")
    print()
    result = hands.types_out("emergency_reset", STUCK, "scout_incident=DEMO-1", into="reset.json", whole=True)
    screen.promise(result.get("outcome") == "recovered", f"the outcome is: recovered ({STATE / 'reset.json'})")
    evidence = CHECKOUT / (result.get("evidence") or "none") / "SHA256SUMS"
    screen.promise(evidence.is_file(), f"what it looked like before the first write is kept in {STATE / 'evidence'}")


def _check(screen: Screen, connection: psycopg.Connection[Any], broken: Broken, hands: Hands) -> None:
    screen.title("The pipeline now, by assess and by plain SQL")
    hands.types_out("assess", into="recovered.json")
    promise = screen.promise
    pending, good, poison = _one(connection, library.PENDING), len(broken.good), len(broken.poison)
    promise(pending == 0, f"{pending} events wait for the ETL")
    loaded = _one(connection, LOADED, good=broken.good)
    promise(loaded == good, f"{loaded:,} of {good:,} good events that waited are in silver, with their totals")
    sales, silver = connection.execute(SALES).fetchone() or (0, -1)
    promise(sales == silver, f"silver holds each sale of bronze once: {sales:,} sales, {silver:,} rows")
    kept = _one(connection, KEPT, images=json.dumps(broken.images))
    promise(
        kept == poison, f"{kept} of {poison} poison events are in the dead letter queue, image equal to the row it was"
    )
    transactions, silver, equal = connection.execute(GOLD).fetchone() or (0, -1, False)
    promise(
        transactions == silver and equal, f"gold is up to date with silver: {transactions:,} sales, the same amount"
    )
    jobs = _one(connection, JOBS)
    promise(jobs == broken.jobs and not jobs[DISABLED_JOB], f"every job is as before, and {DISABLED_JOB} is still off")
    at_work = _one(connection, AT_WORK, pids=broken.pids)
    holders = _one(connection, HOLDERS, lock=library.REFRESH_LOCK)
    promise(at_work == 0 and not holders, "no session hangs, and nobody holds the lock of the gold refresh")


def _reset_again(screen: Screen, connection: psycopg.Connection[Any], hands: Hands) -> None:
    screen.title("The same command once more: nothing is left to do")
    before = _rows(connection)
    result = hands.types_out("emergency_reset", STUCK, into="again.json")
    promised = result.get("changed") is False and result.get("outcome") == "nothing_to_do"
    screen.promise(promised and before == _rows(connection), "changed=0, and every table is as it was")


def _last(stage: Stage) -> None:
    stage.screen.pair("make psql", "a shell on this database, which stays on disk until make clean")
    if not stage.server.external:
        stage.screen.pair(
            "make reference EVENTS=20000", "another database, on a server that stays; it prints its SCOUT_DSN"
        )
    stage.screen.pair("docs/install.md", "how to point the playbooks at your own database")


def _one(connection: psycopg.Connection[Any], query: Any, **values: Any) -> Any:
    row = connection.execute(query, values or None).fetchone()
    return row[0] if row else None


def _rows(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute(ROWS).fetchone()


def _alone(connection: psycopg.Connection[Any], statement: Any) -> str:
    """What a statement says in a session of its own, as `psql -c` would run it; an error's text where it fails."""
    with psycopg.connect(
        connection.info.dsn,
        password=connection.info.password or None,
        autocommit=True,
        options="-c statement_timeout=20s",
    ) as session:
        try:
            row = session.execute(statement).fetchone()
        except psycopg.Error as error:
            return error.diag.message_primary or str(error)
        return str(row[0]) if row else ""


def shell(arguments: list[str]) -> int:
    """psql on the demonstration's database, with a server only for as long as it is open."""
    with running(persistent()) as server:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            if not _one(connection, "SELECT count(*) FROM pg_database WHERE datname = %(name)s", name=DATABASE):
                raise RuntimeError("there is no database of the demonstration yet; make it with: make demo")
        # Ctrl-C is for psql; ours would end it.
        signal.signal(signal.SIGINT, lambda *_: None)
        return subprocess.run([psql(), "-d", server.dsn(DATABASE), *arguments]).returncode


STORY = Story(
    "demo", "Breaks a Scout and recovers it.", DATABASE, STATE, EVENTS, show, ends="Every promise held", last=_last,
    options={
        "backlog": {"type": int, "default": BACKLOG, "help": "good events pending behind the poison"},
        "variant": {
            "choices": builder.VARIANTS, "default": os.environ.get("VARIANT", "faithful"), "help": "of the reference pipeline",
        },
    },
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 only when every promise held."""
    words = sys.argv[1:] if arguments is None else arguments
    return ended(lambda _: shell(words[1:])) if words[:1] == ["psql"] else player.main(STORY, words)


if __name__ == "__main__":
    sys.exit(main())
