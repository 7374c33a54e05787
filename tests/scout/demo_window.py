# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages two hours of silver, recovers them as a person would type it, and proves that they are as their events say and that
nothing else was touched; with the acceptance gate before and after, and the watch.

`make demo-window`, or `python -m tests.scout.demo_window --events 6000`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Damage, Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import damage
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import (
    MINUTE_SECONDS,
    Connection,
    Shop,
    Watch,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import where
from tests.integration.windows import PRINT, Case
from tests.scout import player
from tests.scout.player import JOBS, OLD_LETTER, Hands, Prints, Ran, Stage, Story, rows, stamp, table, waits
from tests.scout.screen import Screen

DATABASE = "scout_window"
STATE = Path(".scout") / "demo-window"
EVENTS = 300_000
RATE = 100.0
SEED = 8_000_001
WINDOW = timedelta(hours=2)
#: So many minutes of the scheduler are enough for everything that waits.
PATIENCE_MINUTES = 40

#: What of the damage the gate has to see.
SEEN = {"negative_totals", "missing_lines", "lost_events", "blocked_events", "backlog_age", "job_runs"}

#: Each of these is done to so many sales that one event speaks of.
BROKEN_ROWS = ("rows_missing", "rows_and_marks_missing", "totals_wrong", "lines_dropped", "rows_extra")
#: These bring events of their own; the ETL is called for each that counts as loaded.
BROKEN_EVENTS = (
    "corrections_inside", "corrections_beyond_the_end", "corrections_loaded_out_of_turn", "repeats_pending", "poison_pending",
)  # fmt: skip

#: Whole hours that are over, and that the guardrails of the gate still look at.
BUSIEST = """
WITH hours AS (
    SELECT date_trunc('hour', ingested_at) AS hour, count(*) AS events FROM scout.bronze_events
    WHERE ingested_at >= date_trunc('hour', now()) - interval '20 hours' AND ingested_at < date_trunc('hour', now()) - interval '1 hour'
    GROUP BY 1
)
SELECT one.hour, (one.events + two.events)::int AS events FROM hours AS one JOIN hours AS two ON two.hour = one.hour + interval '1 hour'
ORDER BY 2 DESC, 1 LIMIT 1
"""

#: What waits elsewhere.
WAITING = """
SELECT event_id FROM scout.bronze_events AS b
WHERE event_type = 'transaction.v1' AND NOT (ingested_at >= %(start)s AND ingested_at < %(end)s)
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""

STILL_WAITING = """
SELECT count(*) FROM unnest(%(events)s::uuid[]) AS e (event_id)
JOIN scout.bronze_events AS b USING (event_id) LEFT JOIN scout.etl_processed AS p USING (event_id) WHERE p.event_id IS NULL
"""

IN_SILVER = """
SELECT count(*) FROM scout.bronze_events AS b JOIN scout.etl_processed AS p USING (event_id)
JOIN scout.silver_transactions AS t ON t.transaction_id = b.event_data ->> 'transaction_id'
WHERE b.event_id = ANY (%(events)s)
"""

LAST_RUN = """
SELECT d.status, d.return_message FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
WHERE j.jobname = 'bronze-to-silver-etl' ORDER BY d.runid DESC LIMIT 1
"""

OTHERS_LETTERS = PRINT.format("bronze_events_dlq", "error_details ->> 'format' IS DISTINCT FROM 'scout-recovery/1'")


def show(stage: Stage) -> None:
    """Two hours go wrong and are recovered; then the pipeline goes on by itself."""
    screen, dsn, connection = stage.screen, stage.dsn, stage.connection
    watch = Watch(dsn)
    screen.title("A pipeline that works, and two hours of it that went wrong")
    case = _break(connection, dsn, stage.events)
    hands = stage.hands(builder.operator(dsn))
    before, jobs, wrong = _prints(connection, case), rows(connection, JOBS), len(case.wrong())
    _introduce(screen, connection, case, stage.events, stage.seconds)
    hands.begin()
    _refuse(screen, hands)
    with watch.watching():
        recovered, again = _recover(screen, hands, case)
    screen.title("The facts")
    _check_plan(screen, case, recovered)
    _check_window(screen, case, wrong, recovered)
    _check_outside(screen, connection, case, before)
    screen.promise(again.changed == 0, f"changed by the second run: {again.changed}")
    screen.promise(jobs == rows(connection, JOBS), "every job is as it was before")
    shop = Shop(dsn, rate=RATE, corrections_per_second=2.0)
    with shop:
        _go_on(screen, hands, connection, case, shop)
    _figures(screen, hands, watch, case, recovered)


def _break(connection: Connection, dsn: str, events: int) -> Case:
    """A healthy pipeline, of which two hours are damaged while older events wait, and the scheduler tries once more."""
    builder.build(dsn, events=events)
    if builder.has_scheduler(connection):
        raise RuntimeError("pg_cron runs the jobs of this database whenever it likes: choose another --database")
    connection.execute(OLD_LETTER)
    [[start, busy]] = rows(connection, BUSIEST)
    window = Window(start, start + WINDOW)
    parts = [
        damage(connection, window, *BROKEN_EVENTS, seed=SEED),
        damage(connection, window, *BROKEN_ROWS, count=max(2, busy // 40), seed=SEED + 1),
    ]
    age = datetime.now(UTC) - start + timedelta(hours=3)
    library.backlog(dsn, min(1500, events // 200), int(age.total_seconds()), span_seconds=7200)
    Shop(dsn).minute(connection, 1)
    connection.execute("ANALYZE")
    done = _together(parts)
    done.outside = {row[0] for row in rows(connection, WAITING, **vars(window))}
    return Case(dsn, window, done)


def _together(parts: Iterable[Damage]) -> Damage:
    done = Damage()
    for part in parts:
        for name, what in vars(part).items():
            getattr(done, name).update(what)
    return done


def _introduce(screen: Screen, connection: Connection, case: Case, events: int, seconds: float) -> None:
    done, [[status, said]] = case.damage, rows(connection, LAST_RUN)
    each = len(done.extra)
    corrected, repeated = len(done.missing) + len(done.wrong) - 3 * each, len(done.pending) - each
    screen.say(
        f"Scout with {events:,} events, built and damaged in {seconds:.0f} s. The two hours from {stamp(case.window.start)} have "
        f"{len(case.events) + case.others:,} of them. In silver of these hours now:"
    )
    screen.item(f"{each:,} sales are missing, and {each:,} more with their marks in the ETL's ledger")
    screen.item(
        f"{each:,} totals are negative, {each:,} sales have lost a line, {each:,} rows are of sales that nobody made"
    )
    screen.item(
        f"{corrected} corrected sales are not what their events say, and {repeated} events of the same few sales wait"
    )
    screen.item(
        f"{len(done.poison)} events cannot be loaded, each for another reason; one of them comes before all others"
    )
    screen.say(
        f"And {len(done.outside):,} older sales from before these hours wait as well, for the ETL takes the oldest 2,000 in one "
        f"transaction. Its last run {status}: {said.splitlines()[0] if said else ''}"
    )
    screen.say(
        "From here on the shops are closed and the scheduler's clock stands still until the facts are in: whatever "
        "changes, the playbooks did it."
    )


def _refuse(screen: Screen, hands: Hands) -> None:
    screen.title("May it go on? The gate says no")
    ran = hands.types("acceptance_gate", "scout_incident=DEMO-6", fails=True)
    gate = ran.part("gate")
    failing = {check["name"] for check in gate.get("checks", ()) if check["counts"] and check["status"] == "fail"}
    screen.promise(
        ran.exit_code != 0 and gate.get("exit_code") == 43 and failing >= SEEN,
        f"exit code {ran.exit_code}, code {gate.get('exit_code')} of the old script; failing: {', '.join(sorted(failing))}",
    )


def _recover(screen: Screen, hands: Hands, case: Case) -> tuple[Ran, Ran]:
    """The plan and the recovery; then the same once more."""
    screen.title("The two hours are recovered: the plan, the recovery, the same once more")
    window = (
        f"scout_window_start={stamp(case.window.start)}",
        f"scout_window_end={stamp(case.window.end)}",
        "scout_incident=DEMO-6",
    )
    hands.types("window_recovery", "--check", *window)
    recovered = hands.types("window_recovery", *window)
    return recovered, hands.types_again("window_recovery", *window)


def _check_plan(screen: Screen, case: Case, recovered: Ran) -> None:
    """What the plan named is what was damaged."""
    done, plan = case.damage, recovered.part("move").get("plan", {})
    marked = {event: name for event, name in case.events.items() if event not in done.pending | done.poison.keys()}
    meant = {
        "pending": len(done.pending),
        "missing": sum(name in done.missing for name in marked.values()),
        "wrong": sum(name in done.wrong for name in marked.values()),
        "extra": len(done.extra),
        "poison_suspects": len(done.poison),
    }
    found = {name: plan.get(name) for name in meant}
    told = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in meant.items())
    screen.promise(found == meant, f"the plan had found all that was damaged, and nothing else: {told}")


def _check_window(screen: Screen, case: Case, wrong: int, recovered: Ran) -> None:
    """Silver of the window is what its events say, and every event is accounted for."""
    left, pending = case.wrong(), case.pending()
    screen.promise(
        wrong and not left and not pending,
        f"silver of the window, {len(case.names):,} sales with their lines, is what Python computes from bronze alone: "
        f"{wrong:,} differences before, {len(left):,} now; {len(pending):,} events wait",
    )
    told = recovered.part("move").get("reconciliation", {})
    poison = len(case.damage.poison)
    meant = {
        "expected": len(case.events) + case.others,
        "loaded": len(case.events) - poison,
        "quarantined": poison,
        "not_transactional": case.others,
        "unexplained": 0,
    }
    screen.promise(
        {name: told.get(name) for name in meant} == meant,
        "the account agrees with what was counted here: "
        + ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in meant.items()),
    )
    found, letters = where(case.dsn, case.written), case.letters()
    screen.promise(
        letters == case.damage.poison and not (found.lost or found.duplicated or found.unexpected or found.altered),
        f"the {poison} poison events are dead letters with their id and what PostgreSQL said; of {len(case.written):,} events "
        f"{len(found.lost)} lost, {len(found.duplicated)} in both places, {len(found.altered)} altered",
    )


def _check_outside(screen: Screen, connection: Connection, case: Case, before: Prints) -> None:
    waiting = list(case.damage.outside)
    [[still]] = rows(connection, STILL_WAITING, events=waiting)
    screen.promise(still == len(waiting), f"{still:,} of {len(waiting):,} older events elsewhere wait as they did")
    after = _prints(connection, case)
    screen.promise(before == after, "not one row outside the window was touched, not even written again as it was:")
    table(before, after)


def _go_on(screen: Screen, hands: Hands, connection: Connection, case: Case, shop: Shop) -> None:
    """The pipeline goes on by itself; then the gate, and the watch."""
    screen.title("The shops open, the clock goes on, and the gate is asked again")
    screen.say(
        f"{shop.rate:.0f} sales a second arrive, some are corrected, and a stand-in for pg_cron runs the active jobs, each as its "
        f"owner; its minute has {MINUTE_SECONDS:g} seconds."
    )
    waiting, began = list(case.damage.outside), time.monotonic()
    while rows(connection, STILL_WAITING, events=waiting)[0][0] and shop.seconds() < PATIENCE_MINUTES * MINUTE_SECONDS:
        time.sleep(0.2)
    [[loaded]] = rows(connection, IN_SILVER, events=waiting)
    screen.promise(
        loaded == len(waiting),
        f"{loaded:,} of {len(waiting):,} older events were loaded by the pipeline's own job, within {time.monotonic() - began:.0f} s; "
        f"its runs so far: {shop.loads}",
    )
    print()
    gate = hands.types("acceptance_gate", "scout_incident=DEMO-6", "scout_smoke=true").part("gate")
    smoke: dict[str, Any] = gate.get("smoke") or {}
    screen.promise(
        gate.get("ok") and smoke.get("status") == "pass",
        f"the gate's verdict is {gate.get('verdict')}, its smoke test's {smoke.get('status')}",
    )


def _figures(screen: Screen, hands: Hands, watch: Watch, case: Case, recovered: Ran) -> None:
    screen.title("Figures, which are not promises")
    screen.say("Seconds from the command to its end.")
    print()
    for ran in hands.first:
        screen.pair(ran.name, f"{ran.seconds:4.1f} s")
    for ran in hands.again:
        screen.pair(f"{ran.name} again", f"{ran.seconds:4.1f} s")
    made = recovered.part("move").get("loaded", 0)
    screen.pair("events of the window", f"{len(case.events) + case.others:,}, of which {made:,} were loaded again")
    waits(screen, watch)


def _prints(connection: Connection, case: Case) -> Prints:
    """Number and digest of all that a recovery of the window may not touch."""
    return case.untouched() | {"bronze_events_dlq": rows(connection, OTHERS_LETTERS)[0]}


STORY = Story("demo_window", "Damages two hours of a Scout, and recovers them.", DATABASE, STATE, EVENTS, show)

if __name__ == "__main__":
    sys.exit(player.main(STORY))
