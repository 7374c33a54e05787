# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollback.yml through ansible-runner, from a private data directory: by its command line and from Python."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import uri
from tests.e2e.deploying import BAD, differing
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, Stage, environment

PLAYBOOK = "playbooks/rollback.yml"
PASSWORD = "n0t-for-the-artifacts"


class Private:
    """A private data directory whose project is this checkout."""

    def __init__(self, home: Path, dsn: str) -> None:
        self.path = home / "private data"
        self.home = home
        for folder in ("inventory", "env"):
            (self.path / folder).mkdir(parents=True)
        (self.path / "project").symlink_to(CHECKOUT)
        inventory = {
            "scout": {
                "hosts": {
                    "production": {
                        "ansible_connection": "local",
                        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    }
                }
            }
        }
        self.write("inventory/hosts.yml", yaml.safe_dump(inventory))
        self.write(
            "env/extravars", yaml.safe_dump({"scout_release": "v5.2.1", "scout_result_file": str(self.result_path)})
        )
        self.write("env/envvars", yaml.safe_dump({"SCOUT_DSN": dsn, "SCOUT_EVIDENCE": str(home / "evidence")}))

    @property
    def result_path(self) -> Path:
        return self.home / "result.json"

    @property
    def result(self) -> dict[str, Any]:
        """The document of the only database."""
        [made] = json.loads(self.result_path.read_text())["results"]
        return made

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def run(self, ident: str, *words: str, playbook: str = PLAYBOOK) -> subprocess.CompletedProcess[str]:
        """The command of the documentation, from another folder."""
        self.result_path.unlink(missing_ok=True)
        return subprocess.run(
            [str(BIN / "ansible-runner"), "run", str(self.path), "-p", playbook, "-i", ident, *words],
            env=shell(self.home), cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def artifact(self, ident: str, name: str) -> str:
        return (self.path / "artifacts" / ident / name).read_text()

    def events(self, ident: str) -> list[dict[str, Any]]:
        """All job events, in order."""
        paths = (self.path / "artifacts" / ident / "job_events").glob("*-*.json")
        return sorted((json.loads(path.read_text()) for path in paths), key=lambda event: event["counter"])

    def changed(self, ident: str) -> int:
        """By the statistics, which are the last event of a playbook."""
        return self.stats(ident)["changed"].get("production", 0)

    def stats(self, ident: str) -> dict[str, Any]:
        """What the last event of a playbook says."""
        [stats] = [event for event in self.events(ident) if event["event"] == "playbook_on_stats"]
        return stats["event_data"]


def shell(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a scheduler of automation has: the tools on its path and nothing of ours."""
    made = environment(home, more)
    for name in ("ANSIBLE_CONFIG", "SCOUT_EVIDENCE"):
        made.pop(name)
    return made


class Released:
    """A pipeline that was captured, and then got a bad release."""

    def __init__(self, pipeline: Pipeline, stage: Stage) -> None:
        self.pipeline = pipeline
        captured = stage.play("capture_release", pipeline.dsn, release="v5.2.1")
        assert captured.rc == 0, captured.text
        self.before = self.look()
        pipeline.execute(BAD)
        assert self.look()[0] != self.before[0]
        assert self.look()[1] != self.before[1]

    def look(self) -> list[Any]:
        schema = dump(self.pipeline.dsn, "--schema-only", "--exclude-schema=scout_ops")
        return [schema, self.pipeline.rows("SELECT jobname, schedule, command, active FROM cron.job ORDER BY 1")]

    def assert_back(self) -> None:
        """Schema by pg_dump, and jobs."""
        schema, jobs = self.look()
        assert not (lines := differing(self.before[0], schema)), "\n".join(lines)
        assert jobs == self.before[1]


@pytest.fixture
def released(healthy: Pipeline, stage: Stage) -> Released:
    return Released(healthy, stage)


def test_the_command_line_from_check_to_the_second_run(released: Released, stage: Stage) -> None:
    private = Private(stage.home, released.pipeline.dsn)
    whole = released.pipeline.fingerprint()
    # Without the second option ansible-runner keeps the first in env/cmdline, and every later run is a check as well.
    planned = private.run("planned", "--cmdline", "--check --diff", "--omit-env-files")
    assert planned.returncode == 0, planned.stdout
    assert not (private.path / "env" / "cmdline").exists()
    # A check writes nothing, but hands on what it found.
    assert not private.result_path.exists()
    made = private.stats("planned")["artifact_data"]["scout_results"]["production"]
    assert (made["outcome"], made["check_mode"]) == ("planned", True)
    assert "loyalty_tier" in planned.stdout
    assert private.changed("planned") > 0
    assert released.pipeline.fingerprint() == whole

    done = private.run("done")
    assert done.returncode == 0, done.stdout
    assert (private.artifact("done", "rc"), private.artifact("done", "status")) == ("0", "successful")
    assert "rollback of " in private.artifact("done", "stdout")
    assert (private.result["host"], private.result["ok"], private.result["ingestion"]) == (
        "production",
        True,
        "running",
    )
    assert private.stats("done")["artifact_data"] == {"scout_results": {"production": private.result}}
    released.assert_back()
    tasks = [event["event_data"]["task"] for event in private.events("done") if event["event"] == "runner_on_ok"]
    assert any("Roll back the schema" in task for task in tasks)
    assert private.changed("done") > 0
    assert (stage.home / "evidence").is_dir()

    whole = released.pipeline.fingerprint()
    again = private.run("again")
    assert (again.returncode, private.changed("again")) == (0, 0), again.stdout
    assert released.pipeline.rewritten(whole) == set()


def test_a_failure_is_passed_on_and_the_next_run_finishes(released: Released, stage: Stage) -> None:
    private = Private(stage.home, released.pipeline.dsn)
    private.write("env/extravars", yaml.safe_dump({
        "scout_release": "v5.2.1", "scout_result_file": str(private.result_path), "scout_patience_seconds": 1,
    }))  # fmt: skip
    with psycopg.connect(released.pipeline.dsn) as reader:
        reader.execute("SELECT count(*) FROM scout.silver_transactions")
        failed = private.run("failed")
        assert failed.returncode == 2, failed.stdout
        assert (private.artifact("failed", "rc"), private.artifact("failed", "status")) == ("2", "failed")
        assert (private.result["outcome"], private.result["ingestion"]) == ("failed", "running")
        assert "others hold locks" in private.result["error"]["attempted"]
        assert any(event["event"] == "runner_on_failed" for event in private.events("failed"))
    done = private.run("done")
    assert (done.returncode, private.result["ingestion"]) == (0, "running"), done.stdout
    released.assert_back()


def test_a_password_in_a_file_is_in_no_artifact(released: Released, stage: Stage) -> None:
    """One in the environment is: ansible-runner writes the whole environment to artifacts/IDENT/command."""
    private = Private(stage.home, released.pipeline.dsn)
    target = conninfo_to_dict(released.pipeline.dsn)
    passfile = stage.home / "pgpass"
    passfile.write_text(f"*:*:*:{target['user']}:{PASSWORD}\n")
    passfile.chmod(0o600)
    variables = yaml.safe_load((private.path / "env" / "envvars").read_text())
    private.write("env/envvars", yaml.safe_dump({**variables, "PGPASSFILE": str(passfile)}))
    assert private.run("kept").returncode == 0
    kept = [path for path in private.path.rglob("*") if path.is_file()]
    assert len(kept) > 20
    assert not any(PASSWORD in path.read_text(errors="replace") for path in [*kept, private.result_path])

    dsn = uri({**target, "password": PASSWORD})
    private.write("env/envvars", yaml.safe_dump({**variables, "SCOUT_DSN": dsn}))
    assert private.run("shown").returncode == 0
    showing = [path for path in (private.path / "artifacts" / "shown").rglob("*") if path.is_file()
               and PASSWORD in path.read_text(errors="replace")]  # fmt: skip
    assert [path.name for path in showing] == ["command"]


def test_a_worker_brings_evidence_and_results_back(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """Through receptor a job is `transmit | worker | process`; here the three are processes of one machine."""
    pipeline = another_broken()
    private = Private(stage.home, pipeline.dsn)
    private.write("env/envvars", yaml.safe_dump({"SCOUT_DSN": pipeline.dsn, "SCOUT_ALLOW_SUPERUSER": "1"}))
    travels = "{{ lookup('ansible.builtin.env', 'AWX_ISOLATED_DATA_DIR') }}"
    private.write("env/extravars", yaml.safe_dump({
        "scout_incident": "INC-7", "awx_user_name": "maria",
        "scout_evidence_dir": f"{travels}/evidence", "scout_result_file": f"{travels}/result.json",
    }))  # fmt: skip
    runner = shlex.quote(str(BIN / "ansible-runner"))
    back, there = stage.home / "back", stage.home / "worker"
    for folder in (back, there):
        folder.mkdir()
    # The project is installed on the node, and does not travel.
    (private.path / "project").unlink()
    (private.path / "project").mkdir()
    words = "-p scout.recovery.emergency_reset -i job"
    done = subprocess.run(
        f"{runner} transmit {shlex.quote(str(private.path))} {words}"
        f" | {runner} worker --private-data-dir {shlex.quote(str(there))} --delete"
        f" | {runner} process {shlex.quote(str(back))} -i job",
        shell=True,
        env=shell(stage.home, {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}),
        cwd=stage.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not there.exists(), "the worker keeps nothing"
    artifacts = back / "artifacts" / "job"
    [made] = json.loads((artifacts / "result.json").read_text())["results"]
    assert (made["outcome"], made["incident"]) == ("recovered", "INC-7")
    [evidence] = (artifacts / "evidence").glob("INC-7-*")
    assert (evidence / "SHA256SUMS").is_file()
    login = pipeline.one("SELECT session_user")
    assert pipeline.rows("SELECT DISTINCT actor FROM scout_ops.runs") == [(f"maria (told by controller) as {login}",)]
