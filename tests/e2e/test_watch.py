# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a recovery from the command line: to a good end, to a bad one that pauses again, and broken off."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Running, Stage, eventually, listed
from tests.integration.modules import call, operator

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
#: A second at a time, and three equal samples in a row.
QUICK = {"duration": "4s", "interval_seconds": 2}
LONG = {"duration": "10m", "interval_seconds": 0.3}
SAMPLES = "SELECT verdict FROM scout_ops.samples WHERE run_id = %s ORDER BY number"
WATCHES = "SELECT status, effects ->> 'verdict' FROM scout_ops.runs WHERE action = 'watch' ORDER BY started_at"


def shown(text: str) -> list[str]:
    """The live lines of samples."""
    return [line for line in text.splitlines() if line.startswith(("[local] █", "[local] ░"))]


def watching(running: Running, samples: int = 2) -> None:
    """Returns when so many samples have been shown."""
    eventually(lambda: len(shown(running.text)) >= samples, 40, "the watch")


def test_a_recovery_that_lasts(healthy: Pipeline, stage: Stage) -> None:
    jobs = healthy.active_jobs()
    played = stage.play("watch_recovery", healthy.dsn, incident="INC-7", **QUICK)
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert len(shown(played.text)) == 3
    made = played.result
    assert (made["outcome"], made["ok"], made["changed"], made["ingestion"]) == ("assessed", True, False, "running")
    seen = made["watch"]
    assert (seen["verdict"], seen["counts"], seen["planned"]) == ("healthy", {"healthy": 3}, 3)
    assert healthy.rows(SAMPLES, seen["run_id"]) == [("healthy",)] * 3
    assert len(Path(seen["samples_file"]).read_text().splitlines()) == 3
    assert Path(seen["samples_file"]).is_relative_to(stage.evidence)
    assert all(Path(path).stat().st_size > 10_000 for path in seen["charts"])
    assert re.search(r"saw healthy after \d\.\d s: 3 healthy", played.summary)
    assert seen["charts"][0] in played.text
    assert "now ingestion is running, nothing is failing" in played.summary
    assert healthy.active_jobs() == jobs
    again = stage.play("watch_recovery", healthy.dsn, incident="INC-7", **QUICK)
    assert (again.rc, again.recap()["changed"]) == (0, 0)
    assert healthy.rows(WATCHES) == [("succeeded", "healthy")] * 2


def test_a_fault_in_the_middle_pauses_again(healthy: Pipeline, stage: Stage) -> None:
    with stage.start("watch_recovery", healthy.dsn, incident="INC-7", repause=True, **LONG) as running:
        watching(running)
        assert healthy.lease_owner() is None
        library.negative_totals(healthy.dsn)
        played = running.wait()
    assert played.rc == 2, played.text
    made = played.result
    assert (made["outcome"], made["ok"], made["changed"], made["ingestion"]) == ("failed", False, True, "paused")
    assert made["watch"]["verdict"] == made["verdict_after"] == "failing"
    assert made["watch"]["why"].startswith("3 failing samples in a row: critical_alerts")
    assert made["error"]["kind"] == "not_reached"
    assert [step["name"] for step in made["steps"]] == ["preflight", "watch", "pause"]
    assert healthy.active_jobs().isdisjoint(JOBS)
    assert healthy.one("SELECT incident FROM scout_ops.pauses WHERE resumed_at IS NULL") == "INC-7"
    for words in (
        "did paused 3 jobs", "now ingestion is paused", "failed stopped watching: the pipeline does not recover",
        "undo ansible-playbook playbooks/resume_ingestion.yml re-enables the jobs", "next ansible-playbook playbooks/quality_cleanup.yml",
    ):  # fmt: skip
        assert words in played.summary, played.summary
    # The task that watched does not pour its samples over the screen.
    assert len(played.lines) - len(shown(played.text)) < 60
    assert healthy.rows(WATCHES) == [("failed", "failing")]
    refused = stage.play("watch_recovery", healthy.dsn, **QUICK)
    assert refused.rc == 2
    assert "refused to watch: ingestion is paused" in refused.summary
    assert "by" in refused.result["error"]["said"]


def test_unless_told_it_does_not_pause(healthy: Pipeline, quick: Quick) -> None:
    library.negative_totals(healthy.dsn)
    played = quick.play("watch_recovery", healthy.dsn, **LONG)
    assert played.rc == 2, played.text
    assert (played.result["ingestion"], played.result["changed"]) == ("running", False)
    assert played.result["watch"]["counts"] == {"failing": 3}
    assert healthy.active_jobs() >= JOBS
    assert "now ingestion is running, still failing: critical_alerts" in played.summary


def test_a_pause_that_is_refused_is_said_first(healthy: Pipeline, quick: Quick) -> None:
    library.negative_totals(healthy.dsn)
    held = call("scout_lease", healthy.dsn, state="held", incident="INC-9")
    played = quick.play("watch_recovery", healthy.dsn, repause=True, **LONG)
    assert played.rc == 2, played.text
    assert healthy.active_jobs() >= JOBS
    assert "refused to start while another run is active" in played.summary
    assert played.result["next"][0] == "ansible-playbook playbooks/pause_ingestion.yml"
    assert healthy.lease_owner()
    call("scout_lease", healthy.dsn, state="released", lease_token=held["token"])


def test_who_may_not_pause_learns_it_before(healthy: Pipeline, quick: Quick) -> None:
    with operator(healthy.dsn, without="member") as dsn:
        played = quick.play("watch_recovery", dsn, repause=True, **QUICK)
        assert played.rc == 2, played.text
        assert shown(played.text) == []
        assert played.result["error"]["kind"] == "missing_privilege"
    with operator(healthy.dsn) as dsn:
        library.negative_totals(healthy.dsn)
        played = quick.play("watch_recovery", dsn, repause=True, **LONG)
        assert (played.rc, played.result["ingestion"]) == (2, "paused"), played.text
        assert call("scout_ingestion", dsn, state="running")["changed"]


def test_check_mode_looks_once(healthy: Pipeline, quick: Quick) -> None:
    before = healthy.fingerprint()
    played = quick.play("watch_recovery", healthy.dsn, "--check", repause=True)
    assert played.rc == 0, played.text
    assert played.result["outcome"] == "planned"
    assert "saw would watch, 61 samples in 30 min; now it is healthy" in played.summary
    assert healthy.fingerprint() == before
    assert not quick.evidence.exists()
    library.negative_totals(healthy.dsn)
    before = healthy.fingerprint()
    played = quick.play("watch_recovery", healthy.dsn, "--check", repause=True)
    assert (played.rc, healthy.fingerprint()) == (0, before)
    assert "now it is failing" in played.summary


def interrupt(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGINT)


def terminate(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGTERM)


def kill_controller(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGKILL)


def hang_up(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGHUP)


@pytest.mark.parametrize("end", [interrupt, terminate, kill_controller, hang_up])
def test_broken_off_it_keeps_what_it_has_seen(end: Callable[[Running], None], healthy: Pipeline, stage: Stage) -> None:
    with stage.start("watch_recovery", healthy.dsn, repause=True, **LONG) as running:
        watching(running, 3)
        workers = running.workers()
        end(running)
        assert running.wait().rc != 0
        eventually(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers), 20, "the end of its workers")
    assert healthy.lingering() == []
    assert healthy.active_jobs() >= JOBS
    [folder] = stage.evidence.iterdir()
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert len(lines) >= 3
    # What ends it by force may do so between a sample and the chart that shows it.
    shown = re.search(r"so far: (\d+) of 2,001 samples", (folder / "chart.svg").read_text())
    assert shown
    assert int(shown[1]) in (len(lines), len(lines) - 1)
    assert sorted(path.name for path in folder.iterdir()) == ["chart.png", "chart.svg", "samples.jsonl"]
    assert healthy.rows(WATCHES) == [("stopped", None)]
    assert len(healthy.rows(SAMPLES, lines[0]["run_id"])) == len(lines)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "duration_words": ({"duration": "soon"}, "duration 'soon' is not usable"),
    "duration_zero": ({"duration": 0}, "duration '0' is not usable"),
    "duration_negative": ({"duration": "-1h"}, "duration '-1h' is not usable"),
    "duration_short": ({"duration": 5, "interval_seconds": 10}, "duration 5 is shorter than interval_seconds 10"),
    "interval_zero": ({"interval_seconds": 0}, "interval_seconds 0.0 is not usable"),
    "interval_words": ({"interval_seconds": "often"}, "interval_seconds 'often' is not a number"),
    "consecutive_zero": ({"consecutive": 0}, "consecutive 0 is not usable"),
    "consecutive_never": ({"duration": "1m", "consecutive": 5}, "consecutive 5 can never be reached"),
    "repause_maybe": ({"repause": "maybe"}, "repause 'maybe' is not a yes or no"),
    "samples_nowhere": ({"samples_file": "/proc/nowhere/x"}, "could not write samples_file /proc/nowhere/x"),
    "chart_nowhere": ({"chart_file": "/proc/nowhere/x"}, "could not write chart_file /proc/nowhere/x"),
}


def test_hostile_options(healthy: Pipeline, stage: Stage) -> None:
    before = healthy.fingerprint()
    hosts = {name: {"scout_dsn": healthy.dsn, **listed(options)} for name, (options, _) in HOSTILE.items()}
    played = stage.play(
        "watch_recovery", None, "-i", stage.inventory(hosts), "--forks", "4", allow_shared_database=True
    )
    assert played.rc == 2, played.text
    for name, (_, says) in HOSTILE.items():
        made = played.results[name]
        assert made["outcome"] == "failed", name
        assert says in f"{made['error']['attempted']} {made['error']['said']}", name
        assert made["next"], name
    assert healthy.fingerprint() == before
    assert "Traceback" not in played.text


def test_without_matplotlib_it_says_what_to_install(healthy: Pipeline, stage: Stage) -> None:
    broken = stage.home / "broken" / "matplotlib"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libstdc++.so.6: cannot open shared object file')\n")
    env = {"PYTHONPATH": str(broken.parent)}
    played = stage.play("watch_recovery", healthy.dsn, env=env, **QUICK)
    assert played.rc == 2, played.text
    assert "cannot draw the chart: this Python has no matplotlib that works: libstdc++.so.6" in played.summary
    assert "python -m pip install matplotlib" in played.summary
    assert shown(played.text) == []
    assert stage.play("watch_recovery", healthy.dsn, env=env, watch_chart=False, **QUICK).rc == 0


def test_several_pipelines_at_once(healthy: Pipeline, stage: Stage) -> None:
    hosts = {name: {"scout_dsn": healthy.dsn} for name in ("one", "two")}
    file = stage.home / "samples.jsonl"
    played = stage.play(
        "watch_recovery",
        None,
        "-i",
        stage.inventory(hosts),
        samples_file=str(file),
        allow_shared_database=True,
        **QUICK,
    )
    assert played.rc == 0, played.text
    runs = [json.loads(line)["run_id"] for line in file.read_text().splitlines()]
    assert {run: runs.count(run) for run in runs} == {made["watch"]["run_id"]: 3 for made in played.results.values()}
