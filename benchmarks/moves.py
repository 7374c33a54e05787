# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of many events against statements written by hand, each on a fresh copy, while somebody else keeps inserting."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.rivals import ALL_COLUMNS, BY_HAND, RUNBOOK
from benchmarks.timing import ROOT, environment

#: Inserts a second of the live writer, and how long it is watched before anything moves.
RATE = 200
CALM_SECONDS = 3.0
SAMPLE_SECONDS = 0.02

WRITE = """
INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash)
SELECT 'transaction.v1', 'edge', d, scout.canonical_event_hash(d) FROM (SELECT %s::jsonb AS d) AS given
"""

#: What the sessions of a contender are at: how long a transaction has been going on that has written something, or nothing.
SESSIONS = """
SELECT pid, CASE WHEN backend_xid IS NULL THEN 0 ELSE extract(epoch FROM clock_timestamp() - xact_start) END::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'bystander'
"""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One move: its rows and seconds, and what it cost others."""

    rows: int
    seconds: float
    longest_seconds: float
    cpu_seconds: float
    wal_bytes: int
    memory_bytes: int
    retries: int
    lost: int
    #: The live writer's median and 99th percentile before and during the move, in seconds.
    calm: tuple[float, float]
    under_load: tuple[float, float]

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


@dataclasses.dataclass(frozen=True)
class Contender:
    """A way to move events: its name for the table, and how the process that does it is called."""

    name: str
    action: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])


PLAIN = (
    Contender("the runbook's two statements (payload only; loses what arrives in between)", "runbook"),
    Contender("the same with all columns kept", "all_columns"),
    Contender("scout_quarantine, proved by count", "quarantine", {"compare_by": "count"}),
    Contender("scout_quarantine, proved by count and digest", "quarantine"),
)

WITH_CLOSURE = (
    Contender("by hand: large statements in one transaction, nothing proved", "by_hand"),
    Contender("scout_quarantine, proved by count", "quarantine", {"compare_by": "count"}),
    Contender("scout_quarantine, proved by count and digest", "quarantine"),
)

HEADER = (
    "what", "rows", "rows/s", "ratio to the first", "lowest to highest", "longest writing transaction",
    "server's CPU a row", "WAL a row", "writer's p50, p99 before", "during", "memory", "retries", "lost",
)  # fmt: skip

UNDO = Contender("scout_undo of the last", "undo")


def quarantine(server: Server, rounds: int, events: int) -> str:
    """Half of the events, none of them loaded."""
    dsn = builder.build(server.create_database("plain_source"), events=0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        generator.copy(connection, generator.events(7, generator.clock(events, datetime.now(UTC))))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return table(compare(server, dsn, PLAIN, rounds))


def closure(server: Server, rounds: int, events: int) -> str:
    """Half of the events, all loaded, with silver and line items; then all of it back."""
    dsn = builder.build(server.create_database("loaded_source"), events=events)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return table(compare(server, dsn, WITH_CLOSURE, rounds, UNDO))


def compare(
    server: Server, source: str, contenders: Sequence[Contender], rounds: int, last: Contender | None = None
) -> dict[str, list[Measured]]:
    """Every contender in turn, round after round, each on a copy of its own; `last` goes on where the last one ended."""
    template = str(conninfo_to_dict(source)["dbname"])
    with psycopg.connect(source) as connection:
        row = connection.execute(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ingested_at)::text FROM scout.bronze_events"
        ).fetchone()
    assert row
    made: dict[str, list[Measured]] = {each.name: [] for each in (*contenders, *([last] if last else []))}
    for _ in range(rounds):
        for contender in contenders:
            copy = fresh(server, template)
            made[contender.name].append(measure(copy, contender, start=row[0]))
        if last:
            made[last.name].append(measure(server.dsn("moved"), last))
    server.drop_database("moved")
    return made


def fresh(server: Server, template: str) -> str:
    """A copy that was not written through the log, as old as the checkpoint before it."""
    server.drop_database("moved")
    statement = "CREATE DATABASE moved TEMPLATE {} STRATEGY file_copy"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(template)))
        connection.execute("CHECKPOINT")
    return server.dsn("moved")


def measure(dsn: str, contender: Contender, **options: Any) -> Measured:
    """Lets one contender work while a writer goes on, and says what both of them saw."""
    with bystander(dsn) as connection, writing(dsn) as latencies, sampling(dsn) as seen:
        time.sleep(CALM_SECONDS)
        lsn = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        before = connection.execute(lsn).fetchone()
        command = [sys.executable, "-m", "benchmarks.moves", contender.action, dsn]
        options = {**contender.options, **options}
        done = subprocess.run(
            [*command, json.dumps(options)], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{contender.name}: {done.stderr[-3000:]}")
        after = connection.execute(lsn).fetchone()
    assert before
    assert after
    said = json.loads(done.stdout.splitlines()[-1])
    began, ended = said.pop("began"), said.pop("ended")
    during = [seconds for due, seconds in latencies if began <= due < ended]
    calm = [seconds for due, seconds in latencies if began - CALM_SECONDS <= due < began]
    return Measured(
        **said,
        seconds=ended - began,
        longest_seconds=seen.longest_seconds,
        cpu_seconds=sum(seen.cpu.values()) / os.sysconf("SC_CLK_TCK"),
        wal_bytes=int(after[0] - before[0]),
        calm=(statistics.median(calm), percentile(calm)),
        under_load=(statistics.median(during), percentile(during)),
    )


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@contextmanager
def writing(dsn: str) -> Iterator[list[tuple[float, float]]]:
    """A writer in a process of its own; when the block is over, when each insert was due and how long after that it was done."""
    command = [sys.executable, "-m", "benchmarks.moves", "write", dsn]
    latencies: list[tuple[float, float]] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield latencies
        finally:
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            latencies += [(due, seconds) for due, seconds in json.loads(process.stdout.read())]


def bystander(dsn: str) -> psycopg.Connection[Any]:
    """A session that does not count as the contender's."""
    return psycopg.connect(dsn, autocommit=True, application_name="bystander")


@dataclasses.dataclass
class Seen:
    """What can be seen of a contender from outside: its longest writing transaction, and clock ticks by server process."""

    longest_seconds: float = 0.0
    cpu: dict[int, int] = dataclasses.field(default_factory=dict[int, int])


@contextmanager
def sampling(dsn: str) -> Iterator[Seen]:
    """Looks at the contender's sessions every few milliseconds; the server is on this machine."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        with bystander(dsn) as connection:
            while not over.wait(SAMPLE_SECONDS):
                for pid, seconds in connection.execute(SESSIONS):
                    seen.longest_seconds = max(seen.longest_seconds, seconds)
                    with contextlib.suppress(OSError):
                        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                        seen.cpu[pid] = int(fields[11]) + int(fields[12])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def table(made: Mapping[str, Sequence[Measured]]) -> str:
    """Markdown; medians, ratios by round to the first row."""
    base = next(iter(made.values()))
    rows = [f"| {' | '.join(HEADER)} |", f"|---{'|---:' * (len(HEADER) - 1)}|"]
    for name, measured in made.items():
        ratios = [one.rate / first.rate for one, first in zip(measured, base, strict=True)]
        cells = [
            name,
            f"{median(measured, lambda m: m.rows):,.0f}",
            f"{median(measured, lambda m: m.rate):,.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{max(m.longest_seconds for m in measured):.2f} s",
            f"{median(measured, lambda m: m.cpu_seconds / m.rows) * 1e6:,.1f} µs",
            f"{median(measured, lambda m: m.wal_bytes / m.rows):,.0f} B",
            latency(measured, lambda m: m.calm),
            latency(measured, lambda m: m.under_load),
            f"{max(m.memory_bytes for m in measured) / 1e6:,.0f} MB",
            f"{sum(m.retries for m in measured)}",
            f"{sum(m.lost for m in measured)}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def median(measured: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    """The median of one figure."""
    return statistics.median(of(one) for one in measured)


def latency(measured: Sequence[Measured], of: Callable[[Measured], tuple[float, float]]) -> str:
    """Both percentiles in milliseconds, each the median over the rounds."""
    return ", ".join(f"{median(measured, lambda m, n=n: of(m)[n]) * 1000:.1f}" for n in (0, 1)) + " ms"


# --- what the processes do


def write(dsn: str) -> None:
    """Inserts at a steady rate until standard input ends; a late insert counts from when it was due."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    latencies: list[tuple[float, float]] = []
    with bystander(dsn) as connection:
        began, number = time.monotonic(), 0
        while not over.is_set():
            due = began + number / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            text = generator.sale(900_000 + int(began) % 1000, number, datetime.now(UTC))
            connection.execute(WRITE, [text])
            latencies.append((due, time.monotonic() - due))
            number += 1
    print(json.dumps(latencies))


def by_statements(dsn: str, statements: Sequence[str], *, together: bool, start: str) -> dict[str, Any]:
    """Runs these, each by itself or all in one transaction; the first INSERT and the last DELETE are about bronze."""
    counts: dict[str, int] = {}
    with psycopg.connect(dsn, autocommit=not together) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ if together else None
        for statement in statements:
            done = connection.execute(statement, {"start": start})  # type: ignore[call-overload]
            counts[statement.split()[0]] = done.rowcount
    return {"rows": counts["INSERT"], "retries": 0, "lost": counts["DELETE"] - counts["INSERT"]}


def modules() -> Any:
    """How tests run a module in their own process."""
    return importlib.import_module("tests.integration.modules")


def by_module(name: str, dsn: str, **options: Any) -> dict[str, Any]:
    """Runs a module of ours in this process."""
    result = modules().call(name, dsn, max_rows=10**9, **options)
    if result.get("failed"):
        raise RuntimeError(json.dumps(result, default=str))
    return {"rows": result["batches"]["rows"], "retries": result["batches"]["retries"], "lost": 0}


def last_run(dsn: str) -> str:
    """The last quarantine of a database."""
    query = "SELECT run_id::text FROM scout_ops.runs WHERE action = 'quarantine' ORDER BY started_at DESC LIMIT 1"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row
    return row[0]


def peak_memory() -> int:
    """The most this program has had in memory; getrusage would count what its parent had when it started it."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main(action: str, dsn: str, options: str = "{}") -> None:
    """What `measure` and `writing` start; the last line says how it went."""
    if action == "write":
        write(dsn)
        return
    given: dict[str, Any] = json.loads(options)
    if action in {"quarantine", "undo"}:
        modules()
    began = time.monotonic()
    if action == "quarantine":
        done = by_module("scout_quarantine", dsn, window_start=given.pop("start"), time_zone="UTC", **given)
    elif action == "undo":
        done = by_module("scout_undo", dsn, run_id=last_run(dsn))
    else:
        statements = {"runbook": RUNBOOK, "all_columns": ALL_COLUMNS, "by_hand": BY_HAND}[action]
        done = by_statements(dsn, statements, together=action == "by_hand", **given)
    ended = time.monotonic()
    print(json.dumps({**done, "began": began, "ended": ended, "memory_bytes": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
