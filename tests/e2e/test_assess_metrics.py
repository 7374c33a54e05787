# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""assess.yml with -e metrics_file=… and -e dashboard=true: whatever happens to the assessment, the file tells the truth."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import dashboard
from tests import promtool
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, PLUGINS, Stage, environment, eventually
from tests.integration.modules import operator
from tests.unit.health.test_prometheus import Samples, names, parsed, value

NOWHERE = "postgresql://u@127.0.0.1:1/scout"
ELSEWHERE = {"ansible_connection": "elsewhere"}
PLUGIN = {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection_plugins")}
DOWN = {"scout_up", "scout_assessment_timestamp_seconds"}


@pytest.fixture
def file(stage: Stage) -> Path:
    """Where metrics go."""
    folder = stage.home / "textfile"
    folder.mkdir()
    return folder / "scout.prom"


def read(file: Path) -> Samples:
    """The samples; beside the file lies nothing else."""
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return parsed(file.read_text())


def test_a_healthy_pipeline(healthy: Pipeline, stage: Stage, file: Path) -> None:
    before = healthy.fingerprint()
    played = stage.play("assess", healthy.dsn, metrics_file=str(file))
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert healthy.fingerprint() == before
    samples = read(file)
    assert value(samples, "scout_up", "local") == 1
    assert value(samples, "scout_verdict", "local", verdict="healthy") == 1
    for indicator in played.result["indicators"]:
        status = {"indicator": indicator["name"], "status": indicator["status"]}
        assert value(samples, "scout_indicator_status", "local", **status) == 1
    steps = {step["name"]: step for step in played.result["steps"]}
    assert steps["metrics"]["summary"] == f"{len(samples)} samples in {file}"
    assert played.summary.endswith("found healthy now ingestion is running, nothing is failing")


def test_promtool_takes_what_a_broken_pipeline_gives(broken: Pipeline, quick: Quick, file: Path) -> None:
    played = quick.play("assess", broken.dsn, metrics_file=str(file))
    assert played.rc == 0, played.text
    samples = read(file)
    assert value(samples, "scout_verdict", "local", verdict="failing") == 1
    assert value(samples, "scout_backlog_events", "local") == broken.pending()
    reasons = value(samples, "scout_reset_reasons", "local")
    assert reasons is not None
    assert reasons >= 1
    try:
        done = promtool.run("check", "metrics", text=file.read_text())
    except promtool.Unavailable:
        return  # the client's own parser has read it above
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_poison_is_told(healthy: Pipeline, quick: Quick, file: Path) -> None:
    library.poison_event(healthy.dsn)
    played = quick.play("assess", healthy.dsn, metrics_file=str(file))
    assert played.rc == 0, played.text
    assert value(read(file), "scout_poison_suspects", "local") == 1


def test_a_failed_assessment_leaves_nothing_of_before(healthy: Pipeline, quick: Quick, file: Path) -> None:
    assert quick.play("assess", healthy.dsn, metrics_file=str(file)).rc == 0
    played = quick.play("assess", NOWHERE, metrics_file=str(file))
    assert played.rc == 2
    assert "Connection refused" in played.summary
    samples = read(file)
    assert names(samples) == DOWN
    assert value(samples, "scout_up", "local") == 0
    assert played.result["error"]["attempted"] == "could not open a session"


def test_a_pause_and_its_end(healthy: Pipeline, quick: Quick, file: Path) -> None:
    assert quick.play("pause_ingestion", healthy.dsn, incident="INC-7").rc == 0
    assert quick.play("assess", healthy.dsn, metrics_file=str(file)).rc == 0
    samples = read(file)
    assert value(samples, "scout_ingestion_state", "local", state="paused") == 1
    assert value(samples, "scout_verdict", "local", verdict="paused") == 1
    paused = value(samples, "scout_paused_seconds", "local")
    assert paused is not None
    assert 0 < paused < 600
    assert value(samples, "scout_job_active", "local", cron_job="bronze-to-silver-etl") == 0
    assert quick.play("resume_ingestion", healthy.dsn, incident="INC-7").rc == 0
    assert quick.play("assess", healthy.dsn, metrics_file=str(file)).rc == 0
    assert value(read(file), "scout_paused_seconds", "local") == 0


def test_several_hosts_share_a_file(
    another_broken: Callable[[], Pipeline], healthy: Pipeline, stage: Stage, file: Path
) -> None:
    """One in process, one whose modules are executed elsewhere, one that cannot be reached."""
    hosts: dict[str, dict[str, Any]] = {
        "shop": {"scout_dsn": healthy.dsn},
        "depot": {"scout_dsn": another_broken().dsn, **ELSEWHERE},
        "gone": {"scout_dsn": NOWHERE},
    }
    played = stage.play(
        "assess", None, "-i", stage.inventory(hosts), env=PLUGIN, metrics_file=str(file), dashboard=True
    )
    assert played.rc == 2
    samples = read(file)
    assert {host: value(samples, "scout_up", host) for host in hosts} == {"shop": 1, "depot": 1, "gone": 0}
    assert value(samples, "scout_verdict", "depot", verdict="failing") == 1
    assert value(samples, "scout_verdict", "shop", verdict="healthy") == 1
    assert {len(made["dashboard"]) for made in played.results.values()} == {6, 0}
    assert played.text.count("\ndashboard of ") == 2


@pytest.mark.parametrize("name", ["scout.txt", "missing/scout.prom"])
def test_a_file_that_cannot_be_written_fails_with_a_summary(healthy: Pipeline, quick: Quick, name: str) -> None:
    played = quick.play("assess", healthy.dsn, metrics_file=str(quick.home / name))
    assert played.rc == 2, played.text
    assert "metrics_file" in played.summary
    assert played.result["outcome"] == "failed"
    assert played.result["verdict_before"] == "healthy"
    assert played.result["error"]["next_step"]


def test_a_check_writes_the_same(healthy: Pipeline, quick: Quick, file: Path) -> None:
    before = healthy.fingerprint()
    played = quick.play("assess", healthy.dsn, "--check", metrics_file=str(file), dashboard=True)
    assert played.rc == 0, played.text
    assert value(read(file), "scout_up", "local") == 1
    assert len(played.result["dashboard"]) == len(dashboard.QUERIES)
    assert healthy.fingerprint() == before


def test_nothing_is_written_unless_asked(healthy: Pipeline, quick: Quick, file: Path) -> None:
    played = quick.play("assess", healthy.dsn)
    assert played.rc == 0, played.text
    assert not list(file.parent.iterdir())
    assert played.result["dashboard"] == []
    assert "dashboard of" not in played.text
    assert {step["name"] for step in played.result["steps"]} == {"assess"}


def test_the_page_stands_above_the_summary(broken: Pipeline, stage: Stage) -> None:
    library.gold_unpopulated(broken.dsn)
    played = stage.play("assess", broken.dsn, dashboard=True)
    assert played.rc == 0, played.text
    page = played.text.partition("\ndashboard of ")[2].partition("\nassess of ")[0]
    assert [line.split()[0] for line in page.splitlines() if line.startswith("  ") and line[2] != " "] == [
        query.name for query in dashboard.QUERIES
    ]
    assert "has not been populated" in " ".join(page.split())
    assert re.search(r"backlog age [\w ]+ \(fail\)", " ".join(page.split()))
    assert max(map(len, page.splitlines())) <= 79
    assert played.lines[-1].startswith("  ")
    assert "found" in played.summary


def test_as_on_a_shell_with_words_for_yes(healthy: Pipeline, stage: Stage, file: Path) -> None:
    """-e name=value gives texts, and the file may be named relative to where one is."""
    command = [str(BIN / "ansible-playbook"), str(CHECKOUT / "playbooks" / "assess.yml"), "-e", "dashboard=true"]
    done = subprocess.run(
        [*command, "-e", f"scout_dsn={healthy.dsn}", "-e", f"metrics_file={file.name}"],
        cwd=file.parent, env=environment(stage.home), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert value(read(file), "scout_up", "local") == 1
    assert "dashboard of" in done.stdout
    done = subprocess.run(
        [*command[:-1], "dashboard=no", "-e", f"scout_dsn={healthy.dsn}"],
        cwd=file.parent, env=environment(stage.home), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "dashboard of" not in done.stdout


def test_a_password_reaches_neither_file(healthy: Pipeline, stage: Stage, file: Path) -> None:
    dsn = make_conninfo(healthy.dsn, password="s3cret-of-a-role")
    played = stage.play("assess", dsn, metrics_file=str(file), dashboard=True)
    assert played.rc == 0, played.text
    for text in (file.read_text(), json.dumps(played.result), played.text):
        assert "s3cret" not in text


def test_the_least_privileged_role_gets_what_it_may_see(healthy: Pipeline, quick: Quick, file: Path) -> None:
    healthy.execute("REVOKE SELECT ON scout.bronze_events_dlq FROM loader")
    with operator(healthy.dsn, without="stats") as dsn:
        played = quick.play("assess", dsn, metrics_file=str(file), dashboard=True)
    # Sessions that it may not see are a check that it could not make.
    assert (played.rc, played.result["outcome"]) == (2, "cannot_tell"), played.text
    samples = read(file)
    unknown = {i["name"] for i in played.result["indicators"] if i["status"] == "unknown"}
    assert unknown
    for name in unknown:
        assert value(samples, "scout_indicator_status", "local", indicator=name, status="unknown") == 1
    assert "scout_stuck_sessions" not in names(samples)
    unread = value(samples, "scout_unread_facts", "local")
    assert unread is not None
    assert unread >= 1


def test_ctrl_c_never_leaves_the_figures_of_before_as_if_they_were_new(
    healthy: Pipeline, stage: Stage, file: Path
) -> None:
    assert stage.play("assess", healthy.dsn, metrics_file=str(file)).rc == 0
    before = file.read_text()
    with psycopg.connect(healthy.dsn) as holder:
        # Every read waits a moment, so that the assessment takes a while.
        holder.execute(
            "LOCK TABLE scout.bronze_events, scout.silver_transactions, scout.etl_processed IN ACCESS EXCLUSIVE MODE"
        )
        with stage.start("assess", healthy.dsn, metrics_file=str(file)) as running:
            eventually(healthy.ours, what="its session")
            os.killpg(running.process.pid, signal.SIGINT)
            played = running.wait(20)
        holder.rollback()
    assert played.rc != 0
    if file.read_text() != before:
        assert names(read(file)) == DOWN
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert healthy.lingering() == []
