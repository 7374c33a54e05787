# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate from the command line and through the script that stands where Scout's own stood: exit codes, files, and no secrets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, uri
from tests.door import Door
from tests.e2e.deploying import script_behind
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Running, Stage, environment, eventually
from tests.e2e.test_ways import ELSEWHERE, PLUGIN

SCRIPT = CHECKOUT / "scripts" / "ci" / "accept_streaming_gate.sh"
PASSWORD = "n0t-for-the-process-list"


@pytest.fixture(scope="module")
def behind(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script with playbooks that are forked, for what follows from what they end with."""
    return script_behind(door, tmp_path_factory.mktemp("checkout")).with_name(SCRIPT.name)


def gate(stage: Stage, dsn: str | None, *words: str, script: Path = SCRIPT, env: Mapping[str, str] | None = None,
         cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """The script, as a deploy pipeline calls it: from somewhere, and with nobody at the keyboard."""
    made = environment(stage.home, {"PGURI": dsn} if dsn else {}) | (env or {})
    return subprocess.run(
        [str(script), *words], env=made, cwd=cwd, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60
    )


def test_a_healthy_pipeline_passes_and_is_left_as_it_is(healthy: Pipeline, stage: Stage) -> None:
    before = healthy.fingerprint()
    played = stage.play("acceptance_gate", healthy.dsn, smoke=True, incident="DEPLOY-7")
    assert (played.rc, played.recap()["changed"]) == (0, 0), played.text
    assert healthy.fingerprint() == before
    made = played.result
    assert (made["outcome"], made["ok"], made["ingestion"]) == ("passed", True, "running")
    assert (made["gate"]["verdict"], made["gate"]["exit_code"], made["gate"]["smoke"]["status"]) == ("pass", 0, "pass")
    assert "loaded again as before; rolled back, and nothing remains" in played.summary
    assert healthy.lingering() == []


def test_a_broken_pipeline_fails_for_what_is_broken_and_passes_once_it_is_reset(broken: Pipeline, stage: Stage) -> None:
    played = stage.play("acceptance_gate", broken.dsn)
    assert (played.rc, played.result["outcome"], played.result["ok"]) == (2, "not_passed", False), played.text
    wrong = {c["name"] for c in played.result["gate"]["checks"] if c["counts"] and c["status"] == "fail"}
    assert {"backlog_age", "blocked_events", "silver_staleness"} <= wrong
    assert "found fail: of " in played.summary
    assert (
        "next ansible-playbook scout.recovery.emergency_reset ansible-playbook scout.recovery.acceptance_gate"
        in played.summary
    )
    assert "Traceback" not in played.text
    assert stage.play("emergency_reset", broken.dsn).rc == 0
    # Bronze has grown older meanwhile: nobody sells anything here.
    aged = {"bronze_staleness": {"ok": 60, "fail": 90}}
    played = stage.play("acceptance_gate", broken.dsn, smoke=True, gate_thresholds=aged)
    # All lines were loaded just now, so that none tells whether linking works.
    assert (played.rc, played.result["gate"]["exit_code"]) == (2, 47), played.text
    unknown = [c["name"] for c in played.result["gate"]["checks"] if c["counts"] and c["status"] != "pass"]
    assert unknown == ["linking_coverage"]
    broken.link_and_wait()
    played = stage.play("acceptance_gate", broken.dsn, smoke=True, gate_thresholds=aged)
    assert (played.rc, played.result["outcome"]) == (0, "passed"), played.text


def test_several_databases_are_judged_each_by_itself(
    another_broken: Callable[[], Pipeline], healthy: Pipeline, stage: Stage
) -> None:
    hosts: dict[str, dict[str, Any]] = {
        "good": {"scout_dsn": healthy.dsn}, "bad": {"scout_dsn": another_broken().dsn},
        "gone": {"scout_dsn": "postgresql://u@127.0.0.1:1/scout"}, "there": {"scout_dsn": healthy.dsn, **ELSEWHERE},
    }  # fmt: skip
    inventory = stage.inventory(hosts, scout_smoke=True)
    played = stage.play("acceptance_gate", None, "-i", inventory, env=PLUGIN)
    assert played.rc == 2
    assert {host: made["outcome"] for host, made in played.results.items()} == {
        "good": "passed", "bad": "not_passed", "gone": "failed", "there": "passed",
    }  # fmt: skip


# What is done to a healthy pipeline, and what the script then exits with.
BREAK = {
    42: "UPDATE scout.silver_line_items SET product_key = NULL",
    43: "UPDATE scout.silver_transactions SET total_amount = -1, updated_at = now() WHERE id = "
        "(SELECT max(id::text)::uuid FROM scout.silver_transactions)",
    45: "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 hour'",
    46: "INSERT INTO scout.alerts (alert_type, severity) VALUES ('X', 'critical')",
    47: "DELETE FROM cron.job_run_details USING cron.job WHERE job.jobid = job_run_details.jobid AND jobname = 'product-linking'",
    48: "UPDATE cron.job SET active = false",
}  # fmt: skip


@pytest.mark.parametrize("code", [0, *BREAK])
def test_the_script_exits_as_the_old_one_and_can_return_0(
    healthy: Pipeline, stage: Stage, behind: Path, code: int
) -> None:
    if code:
        healthy.execute(BREAK[code])
    done = gate(stage, healthy.dsn, script=behind)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    assert ("  next   " in done.stdout) == (code != 0)


def test_the_script_finds_a_stuck_lock_that_the_old_one_never_could(
    healthy: Pipeline, stage: Stage, behind: Path
) -> None:
    with library.lock_holder(healthy.dsn) as held:
        time.sleep(1.1)
        words = [
            "-e",
            json.dumps({"scout_stuck_after_seconds": 1, "scout_thresholds": {"stuck_locks": {"ok": 0.5, "fail": 1}}}),
        ]
        done = gate(stage, healthy.dsn, *words, script=behind)
        assert done.returncode == 44, done.stdout
        assert f"pid {held.pids['holder']} " in done.stdout


def test_the_script_from_anywhere_with_any_shell_settings(healthy: Pipeline, stage: Stage) -> None:
    """Through a link, from another folder, with settings that would lead elsewhere, and with words of its own."""
    link = stage.home / "bin" / "gate"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(SCRIPT, link.parent))
    kept = stage.home / "kept.json"
    hostile = {
        "SCOUT_DSN": "postgresql://u@127.0.0.1:1/elsewhere", "ANSIBLE_INVENTORY": "/nowhere", "ANSIBLE_CONFIG": "/nowhere/ansible.cfg",
        "ANSIBLE_COLLECTIONS_PATH": "/nowhere", "PYTHONPATH": "/nowhere", "TMPDIR": str(stage.home), "CDPATH": "/tmp",
        "SCOUT_GATE_RESULT": "kept.json", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    words = ["-e", "scout_smoke=true", "-e", "scout_result_file=/nowhere/x.json"]
    done = gate(stage, healthy.dsn, *words, script=link, env=hostile, cwd=stage.home)
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = json.loads(kept.read_text())["results"]
    assert made["gate"]["smoke"]["status"] == "pass"
    assert sorted(path.name for path in stage.home.iterdir()) == ["bin", "documents.json", "kept.json"]


def test_the_script_says_when_it_could_not_judge(
    healthy: Pipeline, pg_server: Server, stage: Stage, behind: Path
) -> None:
    for dsn, words, said in (
        (None, [], "PGURI is not set"),
        ("postgresql://u@127.0.0.1:1/scout", [], "Connection refused"),
        (pg_server.dsn("postgres"), [], "this is not a Scout database"),
        ("no dsn at all", [], "neither a libpq URI"),
        (healthy.dsn, ["-e", "scout_consecutive=0"], "consecutive 0 is not usable"),
        (healthy.dsn, ["--no-such-option"], "no-such-option"),
        (healthy.dsn, ["--tags", "nothing"], "the gate reached no verdict"),
    ):
        done = gate(stage, dsn, *words, script=behind)
        assert done.returncode == 49, done.stdout + done.stderr
        assert said in " ".join((done.stdout + done.stderr).split())


def copy_of_the_checkout(stage: Stage, *, venv: bool) -> Path:
    """The script with the playbooks beside it, in another place, perhaps with an environment that does not run."""
    root = stage.home / "copy of the checkout"
    (root / "scripts" / "ci").mkdir(parents=True)
    (root / "playbooks").mkdir()
    shutil.copy(SCRIPT, root / "scripts" / "ci")
    shutil.copy(CHECKOUT / "playbooks" / "acceptance_gate.yml", root / "playbooks")
    if venv:
        (root / ".venv" / "bin").mkdir(parents=True)
        (root / ".venv" / "bin" / "python3").symlink_to("/nowhere/python3")
        shutil.copy(shutil.which("true") or "/bin/true", root / ".venv" / "bin" / "ansible-playbook")
    return root / "scripts" / "ci" / SCRIPT.name


@pytest.mark.parametrize("venv", [False, True])
def test_the_script_fails_where_nothing_is_set_up(healthy: Pipeline, stage: Stage, venv: bool) -> None:
    script = copy_of_the_checkout(stage, venv=venv)
    tools = stage.home / "tools"
    tools.mkdir()
    for name in ("env", "bash", "dirname", "readlink", "mktemp", "rm"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = gate(stage, healthy.dsn, script=script, env={"PATH": str(tools)})
    assert done.returncode == 50, done.stdout + done.stderr
    assert "run scripts/setup in " in done.stderr


def test_a_stray_success_is_not_believed(healthy: Pipeline, stage: Stage) -> None:
    """An ansible-playbook that does nothing and succeeds, and a result of yesterday."""
    script = copy_of_the_checkout(stage, venv=False)
    tools = stage.home / "tools"
    tools.mkdir()
    (tools / "ansible-playbook").symlink_to(shutil.which("true") or "/bin/true")
    kept = stage.home / "kept.json"
    kept.write_text(json.dumps({"results": [{"ok": True, "error": None, "gate": {"ok": True, "exit_code": 0}}]}))
    path = f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin"
    done = gate(stage, healthy.dsn, script=script, env={"PATH": path, "SCOUT_GATE_RESULT": str(kept)})
    assert done.returncode == 49, done.stdout + done.stderr
    assert "the gate reached no verdict" in done.stderr


def test_a_password_is_in_no_list_of_processes_and_on_no_screen(healthy: Pipeline, stage: Stage) -> None:
    made = environment(stage.home, {"PGURI": uri(conninfo_to_dict(healthy.dsn) | {"password": PASSWORD})})
    process = subprocess.Popen([str(SCRIPT), "-e", "scout_consecutive=2", "-e", "scout_interval_seconds=1"], env=made, cwd="/",
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    seen: set[str] = set()
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        time.sleep(0.02)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert any("ansible-playbook" in line and "acceptance_gate" in line for line in seen)
    assert not any(PASSWORD in line for line in seen)
    assert PASSWORD not in output
    assert healthy.one("SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s", f"%{PASSWORD}%") == 0


#: A look a second.
EACH_SECOND = {"interval_seconds": 1}


def looked(running: Running) -> None:
    """Returns when a look was not the last."""
    eventually(lambda: "RETRYING: [local]" in running.text, 60, "a look")


def test_a_gate_that_does_not_pass_is_waited_for(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute("CREATE TABLE public.was AS SELECT * FROM cron.job", "UPDATE cron.job SET active = false")
    with stage.start("acceptance_gate", healthy.dsn, wait_minutes=2, **EACH_SECOND) as running:
        looked(running)
        healthy.execute("UPDATE cron.job AS j SET active = was.active FROM public.was WHERE j.jobid = was.jobid")
        played = running.wait()
    assert (played.rc, played.result["outcome"]) == (0, "passed"), played.text


def test_a_gate_that_is_waited_for_in_vain_does_not_pass(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute("UPDATE cron.job SET active = false")
    played = stage.play("acceptance_gate", healthy.dsn, wait_minutes=0.05, **EACH_SECOND)
    assert (played.rc, played.result["outcome"]) == (2, "not_passed"), played.text
    assert "Traceback" not in played.text


def test_a_gate_that_has_to_hold_passes_only_at_the_end(healthy: Pipeline, stage: Stage) -> None:
    began = time.monotonic()
    played = stage.play("acceptance_gate", healthy.dsn, hold_minutes=0.05, **EACH_SECOND)
    assert (played.rc, played.result["outcome"]) == (0, "passed"), played.text
    assert time.monotonic() - began > 3


def test_a_gate_that_has_to_hold_ends_at_the_first_look_that_does_not_pass(healthy: Pipeline, stage: Stage) -> None:
    with stage.start("acceptance_gate", healthy.dsn, hold_minutes=5, **EACH_SECOND) as running:
        looked(running)
        library.negative_totals(healthy.dsn)
        played = running.wait()
    assert (played.rc, played.result["outcome"], played.result["gate"]["verdict"]) == (2, "not_passed", "fail")
    assert "negative_totals" in played.summary
