# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves rows out of a pipeline at work and takes all of it back, as a person would type it, and proves that nothing got lost.

`make demo-moves`, or `PYTHONPATH=.collections python -m tests.scout.demo_moves --events 4000`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.integration.storm import WRITE, where
from tests.scout import demo, faults, generator, reference
from tests.scout.server import CHECKOUT, Server, persistent
from tests.scout.shop import MINUTE_SECONDS, Connection, Shop, Watch

DATABASE = "scout_moves"
STATE = Path(".scout") / "demo-moves"
PLAN = STATE / "plan.json"
EVENTS = 200_000
RATE = 200.0
LATE_SALES = 3
LATE_SEED = 9_000_001

#: Two loaders at the same time would collide, and the scheduler may be one.
LOAD_ALL = """
LOCK TABLE scout.etl_processed IN SHARE ROW EXCLUSIVE MODE;
SELECT FROM scout.load_silver_from_bronze(NULL)
"""

#: What the scheduler would still do to rows that are there is done before they are looked at.
SETTLE = """
SELECT FROM scout.link_products_to_catalog(NULL);
SELECT FROM scout.refresh_gold_platinum();
ANALYZE
"""

#: Tables of this session only: what was there before the first playbook.
EXISTED = """
CREATE TEMPORARY TABLE existed_events AS SELECT event_id FROM scout.bronze_events;
CREATE TEMPORARY TABLE existed_sales AS SELECT transaction_id FROM scout.silver_transactions;
ANALYZE existed_events, existed_sales
"""

#: Every column of every row, identifiers and clocks too.
FINGERPRINTS = {
    "bronze_events": "scout.bronze_events AS t JOIN existed_events USING (event_id)",
    "etl_processed": "scout.etl_processed AS t JOIN existed_events USING (event_id)",
    "silver_transactions": "scout.silver_transactions AS t JOIN existed_sales USING (transaction_id)",
    "silver_line_items": "scout.silver_line_items AS t JOIN existed_sales USING (transaction_id)",
    "bronze_events_dlq": "scout.bronze_events_dlq AS t",
}
FINGERPRINT = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {}"

#: An entry of the plain runbook, which is nobody's business here.
OLD_LETTER = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message)
VALUES ('{"transaction_id": "from-last-year"}', 'QUARANTINE', 'moved by hand')
"""

LOADED = """
SELECT count(*) FROM scout.bronze_events AS b
JOIN scout.etl_processed AS p USING (event_id) JOIN scout.silver_transactions AS t ON t.source_event_id = b.event_id
WHERE b.event_id = ANY (%(events)s)
"""

#: Sales of bronze that silver has not, or with another total; and silver that no event of bronze stands for.
ASTRAY = """
WITH sales AS (
    SELECT event_data ->> 'transaction_id' AS transaction_id, min((event_data ->> 'total_amount')::numeric) AS total_amount
    FROM scout.bronze_events WHERE event_type = 'transaction.v1' GROUP BY 1
)
SELECT count(*) FILTER (WHERE s.total_amount IS DISTINCT FROM t.total_amount), count(*)
FROM sales AS s FULL JOIN scout.silver_transactions AS t USING (transaction_id)
"""

Prints = dict[str, tuple[int, Any]]


@dataclass(frozen=True)
class Ran:
    """One playbook that came to its end."""

    name: str
    changed: int
    seconds: float
    move: dict[str, Any]

    @property
    def run_id(self) -> str:
        """Of the move, for the undo."""
        return str(self.move.get("run_id", ""))


@dataclass
class Hands:
    """The person at the keyboard."""

    screen: demo.Screen
    dsn: str
    first: list[Ran] = field(default_factory=list)
    again: list[Ran] = field(default_factory=list)

    def types(self, name: str, *options: str) -> Ran:
        """A playbook and its summary."""
        ran = self._play(name, options, brief=False)
        if "--check" not in options:
            self.first.append(ran)
        return ran

    def types_again(self, name: str, *options: str) -> None:
        """The very same once more; of the screen only its recap."""
        self.again.append(self._play(name, options, brief=True))

    def _play(self, name: str, options: Sequence[str], *, brief: bool) -> Ran:
        self.screen.command("ansible-playbook", f"playbooks/{name}.yml", *map(" ".join, map(_words, options)))
        result = CHECKOUT / STATE / "result.json"
        result.unlink(missing_ok=True)
        extra = [word for option in (*options, f"result_file={STATE / 'result.json'}") for word in _words(option)]
        began = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), f"playbooks/{name}.yml", *extra],
            cwd=CHECKOUT, env=self._environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.monotonic() - began
        lines = done.stdout.splitlines()
        recap = next((number for number, line in enumerate(lines) if "PLAY RECAP" in line), len(lines))
        changed = re.search(r"changed=(?:\x1b\[[\d;]*m)*(\d+)", "\n".join(lines[recap:]))
        if done.returncode == 0:
            lines = [" ".join(line.split()) for line in lines[recap + 1 : recap + 2]] + lines[recap + 2 :][
                : 0 if brief else None
            ]
        for line in lines:
            # A command is not folded, so that it can be copied.
            (print if "playbooks/undo.yml" in line else self.screen.output)(line)
        print(flush=True)
        if done.returncode:
            self.screen.promise(False, f"playbooks/{name}.yml ends with exit code {done.returncode}")
        return Ran(name, int(changed[1]) if changed else -1, seconds, _moved(result))

    def _environment(self) -> dict[str, str]:
        settings = demo.environment(self.screen, self.dsn) | {"SCOUT_EVIDENCE": str(STATE / "evidence")}
        return {name: value for name, value in settings.items() if name != "PYTHONPATH"}


def demonstrate(server: Server, screen: demo.Screen, database: str = DATABASE, events: int = EVENTS) -> None:
    """All screens, on a database made for them; the caller looks at screen.broken_promises."""
    began = time.monotonic()
    server.drop_database(database)
    dsn = server.create_database(database)
    (CHECKOUT / STATE).mkdir(parents=True, exist_ok=True)
    (CHECKOUT / PLAN).unlink(missing_ok=True)
    screen.title("A pipeline at work")
    with _session(dsn) as connection, _session(dsn, autocommit=False) as slow:
        late, end = _prepare(connection, slow, dsn, events)
        before, jobs = _prints(connection), _rows(connection, demo.JOBS)
        shop = Shop(dsn, rate=RATE, corrections_per_second=5.0, scheduler=reference.has_scheduler(connection))
        watch, hands = Watch(dsn), Hands(screen, dsn)
        shop.existing = before["bronze_events"][0]
        with shop, watch.watching():
            _introduce(screen, shop, before, dsn, time.monotonic() - began)
            _move(screen, hands, shop, end, slow, late)
            _take_back(screen, hands)
            given_back = _scheduler_goes_on(shop)
        connection.execute(LOAD_ALL)
        screen.title("The facts")
        _check(screen, connection, shop, late)
        _compare(screen, before, _prints(connection))
        screen.promise(
            given_back and jobs == _rows(connection, demo.JOBS),
            "every job is as it was" + ("" if shop.scheduler else ", and the ETL's has run since the last undo"),
        )
        again = ", ".join(f"{ran.name} {ran.changed}" for ran in hands.again)
        screen.promise(all(ran.changed == 0 for ran in hands.again), f"changed by the second run of each: {again}")
    _figures(screen, hands, watch)
    _end(screen, server, dsn, time.monotonic() - began)


def _prepare(connection: Connection, slow: Connection, dsn: str, events: int) -> tuple[dict[UUID, str], datetime]:
    """A pipeline at rest with a busy last hour; gives sales that are written and not yet committed, and the end of that hour."""
    hour = events // 100
    reference.build(dsn, events=events - hour)
    faults.backlog(dsn, hour, age_seconds=3500)
    connection.execute(OLD_LETTER)
    connection.execute(LOAD_ALL)
    late: dict[UUID, str] = {}
    for number in range(LATE_SALES):
        sale = generator.transaction(LATE_SEED, number)
        late |= slow.execute(WRITE, {"type": "transaction.v1", "source": "pos-sync", "payload": Jsonb(sale)}).fetchall()
    end = _rows(connection, "SELECT date_trunc('second', clock_timestamp()) + interval '1 second'")[0][0]
    time.sleep(1.1)
    for fault in (faults.negative_totals, faults.empty_baskets, faults.line_mismatch):
        fault(dsn, max(3, events // 5000))
    connection.execute(SETTLE)
    connection.execute(EXISTED)
    return late, end


def _introduce(screen: demo.Screen, shop: Shop, before: Prints, dsn: str, seconds: float) -> None:
    screen.say(
        f"Scout with {before['bronze_events'][0]:,} events, built in {seconds:.0f} s. From here to the end {shop.rate:.0f} sales "
        f"a second arrive; {shop.slow_writers} writers take up to {shop.slow_seconds:g} s for each of their transactions, and "
        "somebody corrects sales of today."
    )
    screen.say(
        "pg_cron runs the jobs." if shop.scheduler else
        f"A stand-in for pg_cron runs the active jobs, each as its owner; its minute has {MINUTE_SECONDS:g} seconds."
    )  # fmt: skip
    screen.say(
        f"One transaction has written {LATE_SALES} sales within the hour that is about to be moved, and has not committed "
        "yet. And silver holds rows that cannot be right: negative totals, empty baskets, lines that do not add up."
    )
    print()
    screen.command(". ./activate")
    screen.export("SCOUT_DSN", dsn)
    screen.export("SCOUT_EVIDENCE", str(STATE / "evidence"))


def _move(
    screen: demo.Screen, hands: Hands, shop: Shop, end: datetime, slow: Connection, late: dict[UUID, str]
) -> None:
    screen.title("Quarantine of the last hour: first the plan, then exactly that")
    window = (f"window_start={_stamp(end - timedelta(hours=1))}", f"window_end={_stamp(end)}")
    plan = f"plan_file={PLAN}"
    hands.types("quarantine", "--check", "incident=DEMO-2", *window, plan)
    hands.types("quarantine", "incident=DEMO-2", plan)
    slow.commit()
    shop.written.update(late)
    hands.types_again("quarantine", "incident=DEMO-2", plan)
    screen.title("What cannot be right leaves silver")
    hands.types("quality_cleanup", "incident=DEMO-3")
    hands.types_again("quality_cleanup", "incident=DEMO-3")
    known = dict(shop.written)
    found = where(shop.dsn, known)
    moved = sum(ran.move.get("moved", {}).get("events", 0) for ran in hands.first)
    screen.promise(
        moved and not (found.lost or found.duplicated or found.altered),
        f"now: of {len(known):,} events {moved:,} are dead letters, the others in bronze; {len(found.lost)} lost, "
        f"{len(found.duplicated)} in both, {len(found.altered)} altered",
    )
    screen.title("The cause is mended: back through the ETL, a few first")
    hands.types("redrive", "incident=DEMO-4", "of_incident=DEMO-2")
    hands.types_again("redrive", "incident=DEMO-4", "of_incident=DEMO-2")


def _take_back(screen: demo.Screen, hands: Hands) -> None:
    screen.title("All of it taken back, the last first")
    for ran in reversed(tuple(hands.first)):
        hands.types("undo", "incident=DEMO-5", f"run_id={ran.run_id}")
        hands.types_again("undo", "incident=DEMO-5", f"run_id={ran.run_id}")


def _scheduler_goes_on(shop: Shop) -> bool:
    """Whether the ETL's job runs once more; a real scheduler is not waited for, its minute is long."""
    before, deadline = shop.loads, time.monotonic() + 20 * MINUTE_SECONDS
    while not shop.scheduler and shop.loads == before and time.monotonic() < deadline:
        time.sleep(0.1)
    return shop.scheduler or shop.loads > before


def _check(screen: demo.Screen, connection: Connection, shop: Shop, late: dict[UUID, str]) -> None:
    """Every event ever written is in one place, as it was written, and silver has what bronze says."""
    found = where(shop.dsn, shop.written)
    screen.promise(
        not (found.lost or found.duplicated or found.unexpected or found.altered),
        f"{len(shop.written):,} events written, {shop.arrived:,} of them meanwhile ({shop.corrections:,} corrections): "
        f"{len(found.lost)} lost, {len(found.duplicated)} duplicated, {len(found.unexpected)} unexpected, {len(found.altered)} altered",
    )
    loaded = _rows(connection, LOADED, events=list(late))[0][0]
    screen.promise(
        loaded == len(late),
        f"{loaded} of {len(late)} sales that were committed into the hour after it had been moved are in bronze and silver",
    )
    astray, sales = _rows(connection, ASTRAY)[0]
    screen.promise(
        astray == 0, f"silver has each of {sales:,} sales of bronze once, with its total; {astray} are astray"
    )


def _compare(screen: demo.Screen, before: Prints, after: Prints) -> None:
    screen.promise(before == after, "what was there before the first playbook is there, every column of every row:")
    print(f"\n        {'':<22}{'rows':>9}  {'before':<18}{'now':<18}")
    for name, (number, digest) in before.items():
        print(f"        {name:<22}{number:>9,}  {digest:<18}{after[name][1]:<18}")
    print()
    screen.say(
        "Compared are the events of that moment, their lines in the ETL's ledger, all silver sales of that moment with "
        "their line items (one more or one less would show), and the whole dead letter queue. What the writers "
        "brought since is counted above. Gold is made anew and not compared.",
        "        ",
    )  # fmt: skip
    print()


def _figures(screen: demo.Screen, hands: Hands, watch: Watch) -> None:
    screen.title("Figures, which are not promises")
    screen.say("Rows of all tables together; seconds from the command to its end, on a pipeline that goes on.")
    print()
    for ran in hands.first:
        rows = sum(sum(ran.move.get(name, {}).values()) for name in ("moved", "put_back"))
        screen.pair(ran.name, f"{rows:>7,} rows in {ran.seconds:4.1f} s")
    second = [ran.seconds for ran in hands.again]
    screen.pair("second runs", f"{min(second, default=0):.1f} to {max(second, default=0):.1f} s each")
    screen.pair("longest transaction", f"{watch.moving_seconds:.2f} s of those that keep the ETL waiting")
    screen.pair("longest of all", f"{watch.other_seconds:.2f} s ({watch.other_action}), which keeps nobody waiting")


def _end(screen: demo.Screen, server: Server, dsn: str, seconds: float) -> None:
    if screen.broken_promises:
        screen.title(f"Not as promised: {screen.broken_promises} of the facts above, marked NO, do not hold")
    else:
        screen.title(f"Every fact holds, in {seconds:.0f} s")
    print(f"\n   What this run wrote is in {STATE}. The database is\n   {dsn}", flush=True)


def _words(option: str) -> list[str]:
    return [option] if option.startswith("--") else ["-e", option]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _session(dsn: str, *, autocommit: bool = True) -> Connection:
    """Writes values as the oracle does, whatever the server is set to."""
    return psycopg.connect(
        dsn, autocommit=autocommit, application_name="demo", options="-c TimeZone=UTC -c DateStyle=ISO"
    )


def _rows(connection: Connection, query: Any, **values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query, values or None).fetchall()


def _prints(connection: Connection) -> Prints:
    """Number and digest of the rows of each table that the first playbook found there."""
    found = {name: _rows(connection, FINGERPRINT.format(rows))[0] for name, rows in FINGERPRINTS.items()}
    return {name: (number, f"{int(digest) % 2**64:016x}") for name, (number, digest) in found.items()}


def _moved(result: Path) -> dict[str, Any]:
    """What the result file says of the move; empty where there is none."""
    try:
        found = json.loads(result.read_text(encoding="utf-8"))["results"][0]["move"]
    except (OSError, ValueError, LookupError):
        return {}
    return found or {}


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 only when every fact holds."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.scout.demo_moves", description="Moves rows of a Scout at work, and takes them back."
    )
    parser.add_argument("--events", type=int, default=EVENTS, help="events before the first playbook")
    parser.add_argument(
        "--database", default=DATABASE, help="made anew; with the name pg_cron lives in, that runs the jobs"
    )
    parser.add_argument("--throwaway", action="store_true", help="on a server that is gone afterwards")
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    screen = demo.Screen()
    try:
        with Server() if given.throwaway else demo.running(persistent()) as server:
            demonstrate(server, screen, given.database, given.events)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (AssertionError, RuntimeError, OSError, psycopg.Error) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 1 if screen.broken_promises else 0


if __name__ == "__main__":
    sys.exit(main())
