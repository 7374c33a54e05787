# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_watch on a real pipeline that stays well, breaks, is paused, locked or cut off while it is being watched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import Held
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.watch import loop
from tests.integration.modules import (
    Result,
    call,
    connect,
    executed,
    fingerprint,
    jobs,
    one,
    operator,
    rows,
)

WATCH = "scout_watch"
#: Longer than a sample takes while other tests keep the machine busy.
EVERY = 1.5
KEPT = "SELECT number, at, verdict, reason, state, figures, statuses FROM scout_ops.samples WHERE run_id = %s ORDER BY number"
RUN = "SELECT status, parameters, effects, error ->> 'attempted' FROM scout_ops.runs WHERE action = 'watch'"
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'scout-recovery/%/watch' AND datname = current_database()"
LEASES = "SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL"


class Story(Progress):
    """Things that happen as soon as so many samples have been shown."""

    def __init__(self, events: dict[int, Callable[[], Any]] | None = None) -> None:
        self.lines: list[str] = []
        self.events = dict(events or {})
        super().__init__(self._hear)

    @property
    def shown(self) -> list[str]:
        """The lines of samples."""
        return [line for line in self.lines if line[0] in "█░"]

    def _hear(self, line: str) -> None:
        # On a busy machine a silence may be broken.
        if not line.startswith("still working"):
            self.lines.append(line)
        if line[0] in "█░":
            self.events.pop(len(self.shown), lambda: None)()


def watch(
    dsn: str, looks: int = 5, events: dict[int, Callable[[], Any]] | None = None, **options: Any
) -> tuple[Result, Story]:
    """The result of so many looks, a chart only where one is asked for, and what was shown."""
    story = Story(events)
    asked = {"interval_seconds": EVERY, "duration": f"{(looks - 1) * options.get('interval_seconds', EVERY):.3f}"}
    result = call(WATCH, dsn, progress=story, **asked | {"chart": "folder" in options} | options)
    assert not story.events, "not everything happened"
    return result, story


def run(dsn: str, *statements: str) -> None:
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def eventually(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def verdicts(result: Result) -> str:
    """A letter for each sample."""
    return "".join(sample["verdict"][0] for sample in result["samples"])


def filed(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(result["samples_file"]).read_text().splitlines()]


def closed(server: Server, dsn: str, *, close: bool) -> None:
    """Lets nobody in any more, and sends out who is there; or lets them in again."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(str(name)), sql.Literal(not close))
        )
        if close:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
            )


def test_a_healthy_pipeline_is_watched_to_the_end(scout_db: str, tmp_path: Path) -> None:
    result, story = watch(scout_db, folder=str(tmp_path), incident="INC-7")
    assert (result["verdict"], result["error"], result["changed"], result["state"]) == (
        "healthy",
        None,
        False,
        "running",
    )
    assert (verdicts(result), result["planned"], result["counts"]) == ("hhhhh", 5, {"healthy": 5})
    assert len(story.shown) == 5
    # A busy machine may take longer than was planned.
    assert re.match(r"█{10} \d:\d\d/0:06 healthy   silver ", story.shown[-1]), story.shown[-1]
    assert story.lines[0].startswith("watching until ")
    assert result["seconds"] >= 4 * EVERY
    due = [sample["elapsed_seconds"] for sample in result["samples"]]
    assert due == sorted(due)
    # The same in the result, in the ledger and in the file.
    kept = rows(scout_db, KEPT, result["run_id"])
    lines = filed(result)
    for sample, row, line in zip(result["samples"], kept, lines, strict=True):
        assert row == (
            sample["number"], row[1], sample["verdict"], "", "running", sample["figures"], sample["statuses"]
        )  # fmt: skip
        assert row[1].isoformat(timespec="milliseconds") == sample["at"]
        assert line == sample | {
            "format": "scout-recovery-sample/1", "run_id": result["run_id"], "incident": "INC-7", "database": result["database"]
        }  # fmt: skip
    folder = Path(result["samples_file"]).parent
    assert folder.name.startswith("INC-7-")
    assert sorted(folder.iterdir()) == sorted([folder / "samples.jsonl", *map(Path, result["charts"])])
    assert "5 of 5 samples" in (folder / "chart.svg").read_text()
    asked = {"duration_seconds": 4 * EVERY, "interval_seconds": EVERY, "consecutive": 3}
    assert rows(scout_db, RUN) == [("succeeded", asked, {"samples": 5, "verdict": "healthy"}, None)]
    assert rows(scout_db, OURS) == []


def test_a_sample_has_the_figures_of_an_assessment(scout_db: str) -> None:
    library.backlog(scout_db, count=40, age_seconds=60)
    run(
        scout_db,
        "UPDATE scout.etl_processed SET processed_at = now() - interval '2 hours'",
        "UPDATE scout.etl_processed SET processed_at = now() - interval '1 minute'"
        " WHERE event_id IN (SELECT event_id FROM scout.etl_processed LIMIT 250)",
    )
    assessed = {i["name"]: i for i in call("scout_health_info", scout_db)["indicators"]}
    result, _ = watch(scout_db, 3)
    sample = result["samples"][-1]
    assert sample["statuses"] == {name: i["status"] for name, i in assessed.items()}
    figures = dict(sample["figures"])
    assert figures.pop("loaded_per_minute") == 50
    assert figures.keys() == assessed.keys() - {"ingestion"}
    for name, value in figures.items():
        assert value == pytest.approx(assessed[name]["value"], abs=0.1), name
    assert [i["name"] for i in result["indicators"]] == list(assessed)
    assert result["trends"]["backlog_events"] == {"first": 40, "last": 40, "least": 40, "most": 40, "trend": "steady"}


def test_a_fault_in_the_middle_ends_it_early(scout_db: str, tmp_path: Path) -> None:
    result, story = watch(
        scout_db, 100, {3: lambda: library.negative_totals(scout_db, count=2)}, folder=str(tmp_path), consecutive=2
    )
    assert (result["verdict"], verdicts(result), result["changed"]) == ("failing", "hhhff", False)
    assert result["why"].startswith("2 failing samples in a row: critical_alerts ")
    assert result["error"]["attempted"] == "stopped watching: the pipeline does not recover"
    assert result["error"]["said"] == result["why"]
    assert "quality_cleanup.yml" in result["error"]["next_step"] == result["diagnoses"][0]["next_command"]
    assert "failing  1 of 2  critical_alerts" in story.shown[-2]
    assert "failing  2 of 2  critical_alerts" in story.shown[-1]
    assert "Failing: 5 of 100 samples" in Path(result["charts"][0]).read_text()
    [(status, _, effects, said)] = rows(scout_db, RUN)
    assert (status, effects) == ("failed", {"samples": 5, "verdict": "failing"})
    assert said == "stopped watching: the pipeline does not recover"
    assert len(rows(scout_db, KEPT, result["run_id"])) == len(filed(result)) == 5


def test_what_lies_between_is_a_recovery_and_said(scout_db: str) -> None:
    run(
        scout_db,
        "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message) VALUES ('{}', 'X', 'x')",
    )
    result, story = watch(scout_db, 3)
    assert (result["verdict"], result["why"], result["error"]) == ("degraded", "dlq_unresolved 1", None)
    assert "degraded  dlq_unresolved 1  silver" in story.shown[-1]


def test_other_thresholds_judge_otherwise(scout_db: str) -> None:
    strict = {"bronze_staleness": {"ok": 0, "fail": 0}}
    result, _ = watch(scout_db, 9, thresholds=strict)
    assert (result["verdict"], verdicts(result)) == ("failing", "fff")
    assert result["samples"][0]["reason"].startswith("bronze_staleness ")


def test_a_recovery_after_a_bad_start_is_one(scout_db: str) -> None:
    turn = (
        "UPDATE scout.silver_transactions SET total_amount = -total_amount WHERE transaction_id ="
        " (SELECT transaction_id FROM scout.silver_transactions ORDER BY processed_at DESC, transaction_id LIMIT 1)"
    )
    run(scout_db, turn)
    result, _ = watch(scout_db, 6, {2: lambda: run(scout_db, turn)})
    assert (result["verdict"], verdicts(result)) == ("healthy", "ffhhhh")


def test_paused_from_the_beginning_it_is_refused(scout_db: str, tmp_path: Path) -> None:
    assert call("scout_ingestion", scout_db, state="paused", incident="INC-8")["changed"]
    before = fingerprint(scout_db)
    for check in (False, True):
        result = call(WATCH, scout_db, check=check, folder=str(tmp_path))
        assert result["failed"]
        assert result["error"]["attempted"] == "refused to watch: ingestion is paused"
        assert "INC-8" in result["error"]["said"]
        assert result["error"]["next_step"] == "resume_ingestion.yml when ready, then watch again"
    assert fingerprint(scout_db) == before
    assert list(tmp_path.iterdir()) == []


def test_paused_in_the_middle_by_somebody_else(scout_db: str) -> None:
    """Nobody is kept from pausing while it watches: it holds no lease."""

    def pause() -> None:
        assert rows(scout_db, LEASES) == []
        assert call("scout_ingestion", scout_db, state="paused", incident="INC-8", takeover=False)["changed"]

    result, story = watch(scout_db, 50, {2: pause})
    assert (result["verdict"], verdicts(result), result["state"]) == ("paused", "hhppp", "paused")
    assert "3 samples in a row found it paused: paused since" in result["why"]
    assert result["error"]["attempted"] == "stopped watching: ingestion is paused"
    assert "paused   3 of 3" in story.shown[-1]


def test_no_session_is_open_between_the_looks(scout_db: str) -> None:
    def nobody() -> None:
        """A server process ends a moment after its connection."""
        eventually(lambda: rows(scout_db, OURS) == [], 0.2)

    result, _ = watch(scout_db, 4, {1: nobody, 2: nobody, 3: nobody})
    assert verdicts(result) == "hhhh"


def test_a_lost_connection_is_a_sample_and_not_the_end(scout_db: str, pg_server: Server, tmp_path: Path) -> None:
    events = {2: lambda: closed(pg_server, scout_db, close=True), 4: lambda: closed(pg_server, scout_db, close=False)}
    result, story = watch(scout_db, 8, events, folder=str(tmp_path))
    assert (result["verdict"], verdicts(result)) == ("healthy", "hhiihhhh")
    lost = result["samples"][2]
    assert "is not currently accepting connections" in lost["reason"]
    assert (lost["state"], lost["figures"], lost["statuses"]) == ("unknown", {}, {})
    assert "inconclusive 2 of 3  no session: database" in story.shown[3]
    # What could not be kept then was kept later.
    assert [row[2][0] for row in rows(scout_db, KEPT, result["run_id"])] == list("hhiihhhh")
    assert [line["verdict"][0] for line in filed(result)] == list("hhiihhhh")
    assert "2 inconclusive" in Path(result["charts"][0]).read_text()
    assert result["warnings"] == []


def test_what_was_not_seen_for_long_is_no_success(scout_db: str, pg_server: Server) -> None:
    events = {2: lambda: closed(pg_server, scout_db, close=True), 5: lambda: closed(pg_server, scout_db, close=False)}
    result, story = watch(scout_db, 9, events)
    assert (result["verdict"], verdicts(result)) == ("inconclusive", "hhiiihhhh")
    assert result["why"].startswith("3 samples in a row could not be taken: no session: ")
    assert result["error"]["attempted"] == "could not tell whether the pipeline has recovered"
    assert result["error"]["next_step"].startswith("assess.yml says")
    assert [line for line in story.lines if line.startswith("too many samples were missed to pass")]
    [(status, _, _, said)] = rows(scout_db, RUN)
    assert (status, said) == ("failed", "could not tell whether the pipeline has recovered")


def test_cut_off_at_the_end_it_says_what_the_ledger_lacks(scout_db: str, pg_server: Server, tmp_path: Path) -> None:
    result, _ = watch(scout_db, 5, {3: lambda: closed(pg_server, scout_db, close=True)}, folder=str(tmp_path))
    closed(pg_server, scout_db, close=False)
    assert (result["verdict"], verdicts(result)) == ("inconclusive", "hhhii")
    assert "the last samples were healthy, inconclusive, inconclusive" in result["why"]
    assert [w for w in result["warnings"] if w.startswith("the ledger has 3 of 5 samples: no session: ")]
    assert len(filed(result)) == 5
    assert "5 of 5 samples" in Path(result["charts"][0]).read_text()


@contextlib.contextmanager
def cutting(dsn: str) -> Iterator[None]:
    """Ends every session of a watch as soon as it waits for a lock."""
    over = threading.Event()

    def cut() -> None:
        with connect(dsn) as connection:
            while not over.wait(0.01):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND application_name LIKE 'scout-recovery/%/watch'"
                )

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_session_that_is_ended_in_the_middle_of_a_look(scout_db: str) -> None:
    held, stack = Held(scout_db, "migration"), contextlib.ExitStack()

    def lock() -> None:
        stack.enter_context(held).hold("migration", "LOCK TABLE scout.silver_transactions")
        stack.enter_context(cutting(scout_db))

    with stack:
        result, _ = watch(scout_db, 7, {2: lock, 4: stack.close})
    assert (result["verdict"], verdicts(result)) == ("healthy", "hhiihhh")
    assert "terminating connection due to administrator command" in result["samples"][2]["reason"]


def test_a_server_that_hangs_is_hung_up_on(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped keeps none of its timeouts."""
    monkeypatch.setattr(loop, "PATIENCE_SECONDS", 0.5)
    held, stopped = Held(scout_db, "migration"), list[int]()

    def freeze() -> None:
        held.hold("migration", "LOCK TABLE scout.silver_transactions")
        threading.Thread(target=stop).start()

    def stop() -> None:
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'scout-recovery/%/watch'"
        eventually(lambda: rows(scout_db, waiting), 10)
        stopped.append(rows(scout_db, waiting)[0][0])
        os.kill(stopped[0], signal.SIGSTOP)

    def thaw() -> None:
        if stopped:
            os.kill(stopped.pop(), signal.SIGCONT)
        held.close()

    try:
        result, _ = watch(scout_db, 12, {2: freeze, 3: thaw}, budget_seconds=3.0, lock_timeout_seconds=3.0)
    finally:
        thaw()
    assert verdicts(result).startswith("hhih")
    assert "server closed the connection unexpectedly" in result["samples"][2]["reason"]
    assert (result["verdict"], result["warnings"]) == ("healthy", [])
    assert len(rows(scout_db, KEPT, result["run_id"])) == len(result["samples"])


def test_what_is_locked_cannot_be_judged(scout_db: str) -> None:
    with Held(scout_db, "migration") as held:
        events = {1: lambda: held.hold("migration", "LOCK TABLE scout.silver_transactions, scout.etl_processed")}
        result, _ = watch(scout_db, 4, events, budget_seconds=1.5, interval_seconds=3.0)
    assert (result["verdict"], verdicts(result)) == ("inconclusive", "hiii")
    last = result["samples"][-1]
    assert "silver_staleness unknown: " in last["reason"]
    assert (last["figures"]["silver_staleness"], last["figures"]["loaded_per_minute"]) == (None, None)
    assert last["figures"]["stuck_locks"] == 0
    assert last["took_seconds"] < 3


def test_looks_that_take_longer_than_the_interval_leave_some_out(scout_db: str) -> None:
    def dawdle() -> None:
        time.sleep(3 * EVERY)

    result, _ = watch(scout_db, 6, {2: dawdle})
    assert len(result["samples"]) < result["planned"] == 6
    assert [sample["number"] for sample in result["samples"]] == list(range(1, len(result["samples"]) + 1))
    assert result["seconds"] >= 5 * EVERY


def test_asked_to_stop_it_keeps_what_it_has_seen(scout_db: str, tmp_path: Path) -> None:
    story = Story()
    story.events[3] = story.request_stop
    result = call(WATCH, scout_db, progress=story, duration="60", interval_seconds=EVERY, folder=str(tmp_path))
    assert (result["failed"], result["error"]["kind"]) == (True, "stopped")
    assert (verdicts(result), len(filed(result))) == ("hhh", 3)
    assert "Healthy so far: 3 of 41 samples" in Path(result["charts"][0]).read_text()
    [(status, _, effects, _)] = rows(scout_db, RUN)
    assert (status, effects) == ("stopped", {"samples": 3})
    assert len(rows(scout_db, KEPT, result["run_id"])) == 3


def test_check_mode_looks_once_and_writes_nothing(scout_db: str, tmp_path: Path) -> None:
    before = fingerprint(scout_db)
    began = time.monotonic()
    result = call(WATCH, scout_db, check=True, folder=str(tmp_path), samples_file=str(tmp_path / "samples"))
    assert time.monotonic() - began < 60
    assert result["summary"] == "would watch, 61 samples in 30 min; now it is healthy"
    assert (result["verdict"], result["changed"], result["run_id"], result["charts"], result["samples_file"]) == (
        "healthy", False, None, [], None
    )  # fmt: skip
    assert len(result["samples"]) == 1
    assert fingerprint(scout_db) == before
    assert list(tmp_path.iterdir()) == []
    done, _ = watch(scout_db, 3)
    assert done.keys() == result.keys()


def test_a_second_watch_adds_to_the_file_and_changes_nothing(scout_db: str, tmp_path: Path) -> None:
    options = {
        "samples_file": str(tmp_path / "deep" / "samples.jsonl"),
        "chart_file": str(tmp_path / "chart.png"),
        "chart": True,
    }
    first, _ = watch(scout_db, 3, **options)
    before = jobs(scout_db)
    second, _ = watch(scout_db, 3, **options)
    assert (second["changed"], jobs(scout_db)) == (False, before)
    assert second["charts"] == [str(tmp_path / "chart.svg"), str(tmp_path / "chart.png")]
    lines = [json.loads(line) for line in Path(options["samples_file"]).read_text().splitlines()]
    assert [line["run_id"] for line in lines] == [first["run_id"]] * 3 + [second["run_id"]] * 3
    assert Path(options["samples_file"]).stat().st_mode & 0o777 == 0o600


def test_without_a_ledger_it_watches_all_the_same(scout_db: str, tmp_path: Path) -> None:
    result, _ = watch(scout_db, 3, ledger="off", folder=str(tmp_path))
    assert (result["verdict"], result["run_id"], result["warnings"]) == ("healthy", None, [])
    assert len(filed(result)) == 3
    assert one(scout_db, "SELECT to_regnamespace('scout_ops')") is None


def test_a_ledger_that_vanishes_is_missed_and_no_more(scout_db: str, tmp_path: Path) -> None:
    result, _ = watch(scout_db, 4, {2: lambda: run(scout_db, "DROP SCHEMA scout_ops CASCADE")}, folder=str(tmp_path))
    assert (result["verdict"], verdicts(result)) == ("healthy", "hhhh")
    assert [w for w in result["warnings"] if w.startswith("the ledger has 2 of 4 samples: ")]
    assert len(filed(result)) == 4


def test_an_operator_needs_no_more_than_an_assessment(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        result, _ = watch(dsn, 3)
        assert (result["verdict"], result["warnings"]) == ("healthy", [])
        assert len(rows(scout_db, KEPT, result["run_id"])) == 3
        run(scout_db, "DROP SCHEMA scout_ops CASCADE")
    with operator(scout_db, without="create") as dsn:
        result, _ = watch(dsn, 3)
        assert (result["verdict"], result["run_id"]) == ("healthy", None)
        assert "working without the ledger" in result["warnings"][0]
        refused, _ = watch(dsn, 3, ledger="required")
        assert refused["error"]["kind"] == "missing_privilege"
    with operator(scout_db, without="stats") as dsn:
        result, _ = watch(dsn, 3)
        assert (result["verdict"], "stuck_sessions unknown: role" in result["why"]) == ("inconclusive", True)


def test_executed_on_a_target_it_does_the_same(scout_db: str, tmp_path: Path) -> None:
    options = {"duration": str(2 * EVERY), "interval_seconds": EVERY}
    result = executed(WATCH, scout_db, folder=str(tmp_path), **options)
    assert (result["verdict"], verdicts(result), result["error"]) == ("healthy", "hhh", None)
    assert len(rows(scout_db, KEPT, result["run_id"])) == len(filed(result)) == 3
    assert result["charts"]
    assert [path for path in result["charts"] if not Path(path).exists()] == []


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no duration": ({"duration": "half an hour"}, "duration 'half an hour' is not usable"),
    "nothing": ({"duration": "0"}, "duration '0' is not usable"),
    "negative": ({"duration": "-30m"}, "duration '-30m' is not usable"),
    "shorter than the interval": ({"duration": "10s"}, "duration 10s is shorter than interval_seconds 30"),
    "interval of nothing": ({"interval_seconds": 0}, "interval_seconds 0.0 is not usable"),
    "negative interval": ({"interval_seconds": -1}, "interval_seconds -1.0 is not usable"),
    "no number": ({"interval_seconds": "nan"}, "interval_seconds nan is not usable"),
    "no row": ({"consecutive": 0}, "consecutive 0 is not usable"),
    "a row too long": ({"duration": "60", "consecutive": 9}, "consecutive 9 can never be reached"),
    "unknown threshold": ({"thresholds": {"speed": {"ok": 1}}}, "threshold 'speed' is unknown"),
    "NUL": ({"samples_file": "a\0b"}, "samples_file 'a\\x00b' holds a character"),
    "a folder": ({"samples_file": "/"}, "could not write samples_file /: Is a directory"),
    "nowhere": ({"folder": "/proc/nowhere", "chart": False}, "could not write samples_file /proc/nowhere/"),
    "no chart": ({"chart_file": "/proc/nowhere/chart"}, "could not write chart_file /proc/nowhere/chart"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused_before_it_begins(name: str, scout_db: str) -> None:
    options, says = BAD[name]
    before = fingerprint(scout_db)
    story = Story()
    result = call(WATCH, scout_db, progress=story, **options)
    assert result["failed"]
    assert says in result["msg"]
    assert result["error"]["next_step"]
    assert (story.lines, fingerprint(scout_db)) == ([], before)


def test_without_matplotlib_it_is_refused_before_it_begins(
    scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(scout_db)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for check in (False, True):
        result = call(WATCH, scout_db, check=check, folder=str(tmp_path))
        assert "this Python has no matplotlib that works" in result["msg"]
        assert "python -m pip install matplotlib" in result["error"]["next_step"]
    assert fingerprint(scout_db) == before
    assert watch(scout_db, 3, folder=str(tmp_path), chart=False)[0]["verdict"] == "healthy"


def test_a_file_that_can_no_longer_be_written_is_missed_and_no_more(scout_db: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"

    def replace() -> None:
        path.unlink()
        path.mkdir()

    result, _ = watch(scout_db, 4, {2: replace}, samples_file=str(path))
    assert (result["verdict"], verdicts(result)) == ("healthy", "hhhh")
    assert result["warnings"] == [
        f"could not write samples_file {path}: Is a directory. Next: give a path that can be written"
    ]


def test_a_server_that_is_not_there_is_an_error(pg_server: Server) -> None:
    result = call(WATCH, "postgresql://u@127.0.0.1:1/scout")
    assert result["error"]["kind"] == "connection_failed"
    assert call(WATCH, pg_server.dsn("postgres"))["error"]["kind"] == "wrong_database"
