# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an assessment, a reset and the quarantine of an hour take in pipelines of several sizes, and how much memory."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks import rivals
from benchmarks.moves import fresh
from benchmarks.timing import ROOT, environment
from benchmarks.window import LOSE, build

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)

INDEX = "CREATE INDEX ON scout.bronze_events (ingested_at)"
COUNT = "SELECT count(*), max(ingested_at) FROM scout.bronze_events"
OF_THE_COPY = "UPDATE cron.job SET database = current_database()"
DRAINED = "SELECT extract(epoch FROM finished_at - started_at)::float8 FROM scout_ops.runs WHERE action = 'drain'"
LATEST_HOUR = "SELECT (max(ingested_at) - interval '1 hour')::text FROM scout.bronze_events"


@dataclasses.dataclass(frozen=True)
class Took:
    """One command: its seconds, the most memory that one of its processes had, in bytes, and its result."""

    seconds: float
    memory_bytes: int
    result: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Size:
    """Everything that was measured at one size; seconds, medians of the rounds."""

    events: int
    empty: float
    count: float
    assess: float
    reset_beside_drain: float
    hour: float
    hour_indexed: float
    rows_of_hour: int
    memory_bytes: int


HEADER = (
    "events in bronze",
    "an empty play",
    "bronze read once",
    "assess.yml",
    "in empty plays",
    "emergency_reset.yml, its drain of an hour left out",
    "an hour quarantined",
    "with the index",
    "its events",
    "most memory of a process",
)


def compare(server: Server, folder: Path, rounds: int, sizes: Sequence[int] = SIZES) -> str:
    """A line for each size; scripts/docs draws the picture from them."""
    measured = [_size(server, folder, rounds, size) for size in sizes]
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---:|" * len(HEADER)]
    return "\n".join([*lines, *map(_line, measured)])


def _size(server: Server, folder: Path, rounds: int, events: int) -> Size:
    dsn, _ = build(server, "grown", events)
    plays = _Plays(folder)
    took: dict[str, list[float]] = {}
    memory, rows = 0, 0
    for _ in range(rounds):
        found = {
            "empty": plays.empty(dsn),
            "count": _counted(dsn),
            "assess": plays.ours("assess", dsn, budget_seconds=60),
            "hour": plays.hour(fresh(server, "grown"), index=False),
            "hour_indexed": plays.hour(fresh(server, "grown"), index=True),
            "reset_beside_drain": plays.reset(fresh(server, "grown")),
        }
        for name, each in found.items():
            took.setdefault(name, []).append(each.seconds)
        memory = max(memory, *(each.memory_bytes for each in found.values()))
        rows = found["hour"].result["move"]["moved"]["events"]
    server.drop_database("moved")
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    print(medians, flush=True)
    return Size(events=events, rows_of_hour=rows, memory_bytes=memory, **medians)


def _counted(dsn: str) -> Took:
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        connection.execute(COUNT)
        return Took(time.monotonic() - began, 0, {})


class _Plays:
    """Runs playbooks of ours, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def empty(self, dsn: str) -> Took:
        return self._run(dsn, rivals.empty(self.folder))

    def ours(self, name: str, dsn: str, **options: Any) -> Took:
        file = self.folder / "result.json"
        took = self._run(dsn, str(ROOT / "playbooks" / f"{name}.yml"), {"result_file": str(file), **options})
        return dataclasses.replace(took, result=json.loads(file.read_text())["results"][0])

    def hour(self, dsn: str, *, index: bool) -> Took:
        """The latest hour, moved with its closure."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(OF_THE_COPY)
            if index:
                connection.execute(INDEX)
            row = connection.execute(LATEST_HOUR).fetchone()
            assert row
        options = {"window_start": row[0], "incident": "BENCH", "max_rows": 10**9}
        return self.ours("quarantine", dsn, proof=False, **options)

    def reset(self, dsn: str) -> Took:
        """A reset of a pipeline whose latest hour is pending, less what its drain took."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(OF_THE_COPY)
            row = connection.execute(LATEST_HOUR).fetchone()
            assert row
            connection.execute(LOSE, {"start": row[0]})
        took = self.ours("emergency_reset", dsn, proof=False)
        with psycopg.connect(dsn) as connection:
            [drained] = connection.execute(DRAINED).fetchall()
        return dataclasses.replace(took, seconds=took.seconds - drained[0])

    def _run(self, dsn: str, playbook: str, options: dict[str, Any] | None = None) -> Took:
        command = ["ansible-playbook", "-i", rivals.hosts(self.folder, [dsn]), playbook]
        command += ["-e", json.dumps(options or {})]
        with (self.folder / "screen").open("w") as screen:
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=screen, stderr=screen, env=environment(), cwd=ROOT)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError((self.folder / "screen").read_text()[-3000:])
        return Took(time.monotonic() - began, used.ru_maxrss * 1024, {})


def _line(size: Size) -> str:
    cells = (
        f"{size.events:,}",
        f"{size.empty:.1f} s",
        f"{size.count:.2f} s",
        f"{size.assess:.1f} s",
        f"{size.assess / size.empty:.1f}",
        f"{size.reset_beside_drain:.1f} s",
        f"{size.hour:.1f} s",
        f"{size.hour_indexed:.1f} s",
        f"{size.rows_of_hour:,}",
        f"{size.memory_bytes / 1e6:.0f} MB",
    )
    return "| " + " | ".join(cells) + " |"
