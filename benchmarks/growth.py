# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each operation costs on the deployed schema in several sizes: the CPU time of the server, which other work on the machine
changes least, and the memory of the controller."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.moves import fresh
from benchmarks.timing import ROOT, environment, inventory

#: Sales. The largest is measured where it was built, and is 25 GB with its indexes.
SIZES = (300_000, 1_000_000, 3_000_000, 10_000_000)
#: The sales of four days, of which all others are copies, each four days older than the one before.
BASE = 100_000
SERVER = {"shared_buffers": "1GB", "maintenance_work_mem": "512MB", "wal_level": "minimal", "max_wal_senders": "0"}
UPDATED_AT = "CREATE INDEX ON scout.silver_transactions (updated_at)"
OF_THE_COPY = "UPDATE cron.job SET database = current_database()"
TICK = os.sysconf("SC_CLK_TCK")

#: What differs in a copy of a row `r` of the base, but for times; `nth` is the number of the copy.
COPIED: dict[str, dict[str, str]] = {
    "bronze_events": {
        "event_id": "md5(nth || r.event_id::text)::uuid",
        "event_data": "CASE WHEN r.event_data ? 'transaction_id' THEN r.event_data || jsonb_build_object("
        "'transaction_id', nth || (r.event_data ->> 'transaction_id'), 'ts', "
        "(left(r.event_data ->> 'ts', 10)::date - nth * 4)::text || substr(r.event_data ->> 'ts', 11)) ELSE r.event_data END",
        "event_hash": "sha256(convert_to(nth || r.event_id::text, 'UTF8'))",
    },
    "etl_processed": {"event_id": "md5(nth || r.event_id::text)::uuid"},
    "silver_transactions": {
        "id": "gen_random_uuid()",
        "transaction_id": "nth || r.transaction_id",
        "source_event_id": "md5(nth || r.source_event_id::text)::uuid",
        "date_key": "r.date_key - nth * 4",
    },
    "silver_line_items": {"line_id": "gen_random_uuid()", "transaction_id": "nth || r.transaction_id"},
}
COLUMNS = """
SELECT attname, atttypid::regtype::text LIKE 'timestamp%%' FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
COPY = """
INSERT INTO scout.{table} ({columns}) SELECT {values}
FROM generate_series({first}, {last}) AS n (nth), LATERAL (SELECT nth * interval '4 days' AS age) AS a, base.{table} AS r
"""
INDEXES_OF = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = ANY(%s::regclass[])"
#: No row is put into an index that is to be made again anyway.
UNMAINTAINED = "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = ANY(%s::regclass[])"
LOAD = "SELECT * FROM scout.load_silver_from_bronze(10)"
HOUR = "SELECT (max(ingested_at) - interval '{} hours')::text FROM scout.bronze_events"
SPOILED = """
UPDATE scout.silver_transactions SET total_amount = total_amount + 1 WHERE id IN (
    SELECT t.id FROM scout.silver_transactions AS t JOIN scout.bronze_events AS b ON b.event_id = t.source_event_id
    WHERE b.ingested_at >= '{window_start}' AND b.ingested_at < '{window_end}' LIMIT 743)
"""


class Cost(NamedTuple):
    """The CPU of the server in seconds, the most memory of the controller in bytes, and the exit code."""

    cpu: float
    memory: int = 0
    code: int = 0


def measure(server: Server, folder: Path, sizes: Sequence[int] = SIZES) -> str:
    """Return a Markdown table with a line for each operation and a column for each size."""
    dsn, unit, made = server.create_database("grown"), min(BASE, *sizes), 1
    builder.build(dsn, events=unit, variant="deployed")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA base")
        for name in COPIED:
            connection.execute(f"CREATE TABLE base.{name} AS SELECT * FROM scout.{name}")  # type: ignore[call-overload]
    costs: dict[int, dict[str, Cost]] = {}
    for size in sizes:
        grow(dsn, made, size // unit)
        made = size // unit
        costs[size] = costs_of(folder, dsn if size == sizes[-1] else fresh(server, dsn, "copied"))
    lines = [f"| | {' | '.join(f'{size:,}' for size in costs)} |", "|---|" + "---:|" * len(costs)]
    for name in costs[min(costs)]:
        found = [of[name] for of in costs.values()]
        cells = [f"{cost.cpu:.1f} s{f', {cost.code}' if cost.code else ''}" for cost in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    most = [f"{max(cost.memory for cost in of.values()) / 1e6:.0f} MB" for of in costs.values()]
    return "\n".join([*lines, f"| most memory of the controller | {' | '.join(most)} |"])


def grow(dsn: str, first: int, last: int) -> None:
    """Adds copies of the base, from number `first` up to `last`, which is not made."""
    tables = [f"scout.{name}" for name in COPIED]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        indexes = [row[0] for row in connection.execute(INDEXES_OF, [tables])]
        connection.execute(UNMAINTAINED, [tables])
        for name in COPIED:
            connection.execute(_copies(connection, name, first, last - 1))
        for index in indexes:
            connection.execute(f"REINDEX INDEX {index}")  # type: ignore[call-overload]
        connection.execute("VACUUM ANALYZE")
        connection.execute("SELECT FROM scout.refresh_gold_platinum()")
        connection.execute("CHECKPOINT")


def _copies(connection: psycopg.Connection, name: str, first: int, last: int) -> sql.Composed:
    columns = connection.execute(COLUMNS, [f"scout.{name}"]).fetchall()
    values = [COPIED[name].get(column, f'r."{column}"' + " - age" * timed) for column, timed in columns]
    return sql.SQL(COPY).format(
        table=sql.SQL(name), columns=sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns),
        values=sql.SQL(", ".join(values)), first=sql.Literal(first), last=sql.Literal(last),  # type: ignore[arg-type]
    )  # fmt: skip


#: Those of docs/sizing.md.
INDEXES = (
    "CREATE INDEX ON scout.bronze_events USING brin (ingested_at)",
    "CREATE INDEX ON scout.silver_transactions (source_event_id)",
    """CREATE INDEX ON scout.bronze_events ((CASE WHEN event_type = 'transaction.v1' AND jsonb_typeof(event_data) = 'object'
       THEN event_data ->> 'transaction_id' END))""",
    """CREATE INDEX ON scout.silver_transactions (processed_at)
       WHERE total_amount < 0 OR item_count <= 0 OR item_count IS NULL""",
)


def costs_of(folder: Path, dsn: str) -> dict[str, Cost]:
    """What each operation costs in this database, which is another one after it."""
    watched = Watched(folder, dsn)
    window = {f"window_{end}": watched.value(HOUR.format(hours)) for end, hours in (("start", 25), ("end", 24))}
    window["max_rows"] = 10**9
    watched.value(OF_THE_COPY)

    def indexed(*statements: str) -> None:
        for statement in (*statements, "ANALYZE"):
            watched.value(statement)

    def loaded() -> None:
        library.backlog(dsn, count=5, age_seconds=20)
        watched.value(LOAD)

    def behind() -> None:
        library.backlog(dsn, count=20_000, age_seconds=1200)
        library.poison_event(dsn, count=3, age_seconds=1200)

    steps: dict[str, tuple[Callable[[], Any] | None, str, dict[str, Any]]] = {
        "assess.yml": (None, "assess", {}),
        "the same with the indexes": (lambda: indexed(*INDEXES), "assess", {}),
        "the same with that on updated_at as well": (lambda: indexed(UPDATED_AT), "assess", {}),
        "pause_ingestion.yml": (None, "pause_ingestion", {}),
        "resume_ingestion.yml, with its proof": (None, "resume_ingestion", {}),
        "acceptance_gate.yml with its test sale": (loaded, "acceptance_gate", {"smoke": True}),
        "quarantine.yml of an hour": (None, "quarantine", window),
        "its undo": (None, "undo", {"run_id": "last"}),
        "window_recovery.yml, 743 sales wrong": (lambda: watched.value(SPOILED.format(**window)), "window_recovery", window),
        "emergency_reset.yml, 20,000 pending": (behind, "emergency_reset", {}),
        "capture_release.yml": (None, "capture_release", {"release": "v1"}),
        "rollback.yml of a column": (
            lambda: watched.value("ALTER TABLE scout.alerts ADD COLUMN team text"), "rollback", {"release": "v1"},
        ),
    }  # fmt: skip
    costs = {
        "gold refreshed by hand": watched.cost(lambda: watched.value("SELECT FROM scout.refresh_gold_platinum()")),
        "one call of the ETL": watched.cost(loaded),
    }
    for line, (prepare, playbook, options) in steps.items():
        if prepare:
            prepare()
        library.backlog(dsn, count=5, age_seconds=20)
        costs[line] = watched.playbook(playbook, incident="BENCH", **options)
        print(line, costs[line], flush=True)
    return costs


class Watched:
    """Runs what is measured in a database, and reads the CPU time of its server."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.dsn, self.folder = dsn, folder
        self.parent = Path(self.value("SHOW data_directory"), "postmaster.pid").read_text().split()[0]

    def value(self, statement: str) -> Any:
        """Execute a statement, and return its first value."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def playbook(self, name: str, **options: Any) -> Cost:
        """Measure a playbook."""
        options |= {"evidence_dir": str(self.folder / "evidence")}
        path = str(ROOT / "playbooks" / f"{name}.yml")
        variables = json.dumps({f"scout_{name}": value for name, value in options.items()})
        words = ["ansible-playbook", "-i", inventory(self.folder, self.dsn), path, "-e", variables]
        found: list[Any] = []
        with (self.folder / "screen").open("w") as screen:
            process = subprocess.Popen(words, stdout=screen, stderr=screen, env=environment(), cwd=ROOT)
            cost = self.cost(lambda: found.extend(os.wait4(process.pid, 0)))
        process.returncode = os.waitstatus_to_exitcode(found[1])
        if process.returncode:
            print((self.folder / "screen").read_text()[-3000:], flush=True)
        return Cost(cost.cpu, found[2].ru_maxrss * 1024, process.returncode)

    def cost(self, run: Callable[[], Any]) -> Cost:
        """Measure what the server spends while this runs."""
        before = self._cpu()
        run()
        # The time of a session is added to its parent's once the session has ended.
        time.sleep(0.5)
        return Cost(self._cpu() - before)

    def _cpu(self) -> float:
        ticks = sum(map(int, _stat(self.parent)[11:15]))
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (found := _stat(process.name))[1] == self.parent:
                    ticks += sum(map(int, found[11:13]))
        return ticks / TICK


def _stat(pid: str) -> list[str]:
    """Return what the kernel says about a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
