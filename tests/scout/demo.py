# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks a reference Scout, shows the runbook's script fail and the emergency reset succeed, and checks every promise.

`python -m tests.scout.demo` is the demonstration; `python -m tests.scout.demo psql` opens its database afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, persistent, psql
from tests import CHECKOUT

DATABASE = "scout_demo"
STATE = Path(".scout") / "demo"
WIDTH = 79
EVENTS = 20_000
BACKLOG = 3_000
POISON = {
    "non_numeric_amount": 'an amount that is "abc"',
    "bad_ts": 'a time that is "half past nine"',
    "missing_store_id": "no store",
}
#: The runbook says ten minutes; nobody wants to watch that.
STUCK_AFTER_SECONDS = 3
INGESTION_JOBS = ("bronze-to-silver-etl", "product-linking", "smart-gold-refresh")
DISABLED_JOB = "data-quality-alerts"

IMAGES = "SELECT b.event_id::text, b::text FROM scout.bronze_events b WHERE event_id = ANY (%(poison)s)"

GOOD = """
SELECT array_agg(event_id) FROM scout.bronze_events b
WHERE event_type = 'transaction.v1' AND event_id <> ALL (%(poison)s)
  AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)
"""

JOBS = "SELECT jsonb_object_agg(jobname, active ORDER BY jobname) FROM cron.job"

ACTIVE_JOBS = "SELECT count(*) FROM cron.job WHERE active AND jobname = ANY (%(jobs)s)"

HOLDERS = """
SELECT array_agg(pid ORDER BY pid) FROM pg_locks
WHERE locktype = 'advisory' AND objid = %(lock)s AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%(pids)s) AND xact_start IS NOT NULL"

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

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


@dataclass
class Screen:
    """Writes for a terminal of 80 columns; colour only where one looks at it."""

    colour: bool = field(default_factory=lambda: sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    number: int = 0
    broken_promises: int = 0

    def title(self, text: str) -> None:
        """Begins the next screen."""
        self.number += 1
        print(f"\n{self._in('1', f'{self.number}  {text}')}\n", flush=True)

    def say(self, text: str, indent: str = "   ", more: str | None = None) -> None:
        """A paragraph; `more` indents its second and later lines."""
        later = indent if more is None else more
        print(
            textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False),
            flush=True,
        )

    def item(self, text: str) -> None:
        """One line of a list."""
        self.say(text, "   - ", "     ")

    def pair(self, name: str, text: str) -> None:
        """A name and what is to be said of it."""
        self.say(text, f"   {name:<30} ", " " * 34)

    def promise(self, holds: object, text: str) -> None:
        """A fact, which must hold for the demonstration to succeed."""
        if not holds:
            self.broken_promises += 1
        word = self._in("32", "yes") if holds else self._in("1;31", "NO ")
        body = textwrap.wrap(text, WIDTH - 8, break_on_hyphens=False)
        print(f"   {word}  {f'{chr(10)}        '.join(body)}", flush=True)

    def output(self, line: str) -> None:
        """A line of a command's output, folded where it is too long."""
        colours = re.findall(r"\x1b\[[0-9;]*m", line)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        name = plain.rstrip("*")
        if name != plain and len(name) < WIDTH:
            plain = plain[:WIDTH]
        if len(plain) <= WIDTH:
            print(line.rstrip() if self.colour else plain, flush=True)
            return
        start, end = (colours[0], "\x1b[0m") if colours and self.colour else ("", "")
        for part in textwrap.wrap(plain, WIDTH, subsequent_indent="    ", break_on_hyphens=False):
            print(f"{start}{part}{end}", flush=True)

    def command(self, *words: str) -> None:
        """A command as it would be typed."""
        lines = [f"$ {words[0]}"]
        for word in words[1:]:
            if len(lines[-1]) + len(word) + 3 > WIDTH:
                lines[-1] += " \\"
                lines.append(f"    {word}")
            else:
                lines[-1] += f" {word}"
        print(self._in("1", "\n".join(lines)), flush=True)

    def export(self, name: str, value: str) -> None:
        """A variable being set as it would be typed, its password hidden."""
        shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:********@", value)
        text = f"$ export {name}={shown}"
        print(self._in("1", text if len(text) <= WIDTH else f"$ export {name}=\\\n{shown}"), flush=True)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def demonstrate(
    server: Server, screen: Screen, events: int = EVENTS, backlog: int = BACKLOG, variant: str = "faithful"
) -> None:
    """All screens, on a database made for them; the caller looks at screen.broken_promises."""
    began = time.monotonic()
    server.drop_database(DATABASE)
    dsn = server.create_database(DATABASE)
    with ExitStack() as stack, psycopg.connect(dsn, autocommit=True) as connection:
        broken = _break(stack, screen, connection, dsn, events, backlog, variant)
        operating = conninfo.make_conninfo(dsn, user=builder.OPERATOR)
        _assess_broken(screen, operating)
        _try_runbook(screen, connection, broken)
        _reset(screen, operating)
        _check(screen, connection, broken, operating)
        _reset_again(screen, connection, operating)
    _end(screen, server, time.monotonic() - began)


def _break(
    stack: ExitStack,
    screen: Screen,
    connection: psycopg.Connection[Any],
    dsn: str,
    events: int,
    backlog: int,
    variant: str,
) -> Broken:
    screen.title("A pipeline that works, and then breaks")
    began = time.monotonic()
    builder.build(dsn, variant, events=events)
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


def _assess_broken(screen: Screen, dsn: str) -> None:
    screen.title("What the engineer sees")
    screen.say(f"Here a session counts as stuck after {STUCK_AFTER_SECONDS} s; the runbook says ten minutes.")
    print()
    screen.command(". ./activate")
    screen.export("SCOUT_DSN", dsn)
    screen.export("SCOUT_EVIDENCE", str(STATE / "evidence"))
    result = _playbook(screen, dsn, "assess", "broken.json", f"stuck_after_seconds={STUCK_AFTER_SECONDS}")
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


def _reset(screen: Screen, dsn: str) -> None:
    screen.title("The emergency reset")
    screen.say("More than one thing is wrong, and the order matters. This is its whole output:")
    print()
    options = (f"stuck_after_seconds={STUCK_AFTER_SECONDS}", "incident=DEMO-1")
    result = _playbook(screen, dsn, "emergency_reset", "reset.json", *options, whole=True)
    screen.promise(result.get("outcome") == "recovered", f"the outcome is: recovered ({STATE / 'reset.json'})")
    evidence = CHECKOUT / (result.get("evidence") or "none") / "manifest.json"
    screen.promise(evidence.is_file(), f"what it looked like before the first write is kept in {STATE / 'evidence'}")


def _check(screen: Screen, connection: psycopg.Connection[Any], broken: Broken, dsn: str) -> None:
    screen.title("The pipeline now, by assess and by plain SQL")
    _playbook(screen, dsn, "assess", "recovered.json")
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


def _reset_again(screen: Screen, connection: psycopg.Connection[Any], dsn: str) -> None:
    screen.title("The same command once more: nothing is left to do")
    before = _rows(connection)
    result = _playbook(screen, dsn, "emergency_reset", "again.json", f"stuck_after_seconds={STUCK_AFTER_SECONDS}")
    promised = result.get("changed") is False and result.get("outcome") == "nothing_to_do"
    screen.promise(promised and before == _rows(connection), "changed=0, and every table is as it was")


def _end(screen: Screen, server: Server, seconds: float) -> None:
    if screen.broken_promises:
        screen.title(f"Not as promised: {screen.broken_promises} of the facts above, marked NO, do not hold")
        return
    screen.title(f"Every promise held, in {seconds:.0f} s. What to try next")
    screen.pair("make psql", "a shell on this database, which stays on disk until make clean")
    if not server.external:
        screen.pair("make reference EVENTS=20000", "another database, on a server that stays; it prints its SCOUT_DSN")
    screen.pair("docs/install.md", "how to point the playbooks at your own database")
    print(f"\n   What this run wrote is in {STATE}. The database is\n   {server.dsn(DATABASE)}", flush=True)


def _playbook(screen: Screen, dsn: str, name: str, result: str, *options: str, whole: bool = False) -> dict[str, Any]:
    """Run a playbook as a person would, show its output or the end of it, and return what it wrote for a machine."""
    file = STATE / result
    (CHECKOUT / file).unlink(missing_ok=True)
    extra = [word for option in (*options, f"result_file={file}") for word in ("-e", option)]
    shown = [f"-e {option}" for option in (*options, f"result_file={file}")]
    screen.command("ansible-playbook", f"playbooks/{name}.yml", *shown)
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ansible-playbook")), f"playbooks/{name}.yml", *extra],
        cwd=CHECKOUT, env=environment(screen, dsn), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with process:
        assert process.stdout
        for line in process.stdout if whole else _ending(process.stdout):
            screen.output(line)
    print()
    if process.returncode:
        screen.promise(False, f"ansible-playbook playbooks/{name}.yml ends with exit code {process.returncode}")
    try:
        found: dict[str, Any] = json.loads((CHECKOUT / file).read_text(encoding="utf-8"))["results"][0]
    except (OSError, ValueError, LookupError):
        return {}
    return found


def _ending(output: Iterable[str]) -> Iterator[str]:
    """The lines from the recap on; all of them where there is none, for then something went wrong."""
    lines = list(output)
    start = next((number for number, line in enumerate(lines) if "PLAY RECAP" in line), 0)
    if start:
        yield "(the tasks are left out here)\n"
    yield from lines[start:]


def environment(screen: Screen, dsn: str) -> dict[str, str]:
    """What `. ./activate` and the exports shown would give, whatever the caller's own settings are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "PG", "SCOUT_")) and name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    }
    colour = {"ANSIBLE_FORCE_COLOR": "1"} if screen.colour else {"ANSIBLE_NOCOLOR": "1"}
    return (
        kept
        | colour
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "SCOUT_DSN": dsn,
            "SCOUT_EVIDENCE": str(STATE / "evidence"),
        }
    )


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


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server accepting connections; stopped again unless it ran before or somebody else came to use it."""
    ran = server.running()
    server.start()
    try:
        yield server
    finally:
        if not ran and _unused(server):
            server.stop()


def _unused(server: Server) -> bool:
    """Whether no session is left; ours may take a moment to end."""
    for _ in range(20):
        try:
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
                if not _one(connection, OTHERS):
                    return True
        except psycopg.OperationalError:
            return True
        time.sleep(0.1)
    return False


def shell(arguments: list[str]) -> int:
    """psql on the demonstration's database, with a server only for as long as it is open."""
    with running(persistent()) as server:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            if not _one(connection, "SELECT count(*) FROM pg_database WHERE datname = %(name)s", name=DATABASE):
                raise RuntimeError("there is no database of the demonstration yet; make it with: make demo")
        # Ctrl-C is for psql; ours would end it.
        signal.signal(signal.SIGINT, lambda *_: None)
        return subprocess.run([psql(), "-d", server.dsn(DATABASE), *arguments]).returncode


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 only when every promise held."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m tests.scout.demo", description="Breaks a Scout and recovers it.")
    parser.add_argument("--events", type=int, default=EVENTS, help="events of the healthy pipeline")
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="good events pending behind the poison")
    variant = os.environ.get("VARIANT", "faithful")
    parser.add_argument("--variant", choices=builder.VARIANTS, default=variant, help="of the reference pipeline")
    parser.add_argument("--throwaway", action="store_true", help="on a server that is gone afterwards")
    if words[:1] == ["psql"]:
        return ended(lambda _: shell(words[1:]))
    given = parser.parse_args(words)

    def show(screen: Screen) -> None:
        with Server() if given.throwaway else running(persistent()) as server:
            demonstrate(server, screen, given.events, given.backlog, given.variant)

    return ended(show)


def ended(show: Callable[[Screen], int | None]) -> int:
    """The exit code of what is shown: its own, or 0 only when every promise held."""
    screen = Screen()
    try:
        own = show(screen)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (AssertionError, RuntimeError, OSError, psycopg.Error) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return own or int(screen.broken_promises > 0)


if __name__ == "__main__":
    sys.exit(main())
