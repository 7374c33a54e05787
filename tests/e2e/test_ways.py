# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules in this process and executed elsewhere, and under every keyword a task can have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Played, Stage

ELSEWHERE = {"ansible_connection": "elsewhere"}
PLUGIN = {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection_plugins")}

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}


def test_executed_elsewhere_it_does_the_same(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """A reset whose modules are copied and executed, as on a bastion, ends like one in process; so does its second run."""
    here, there = another_broken(), another_broken()
    hosts = {"here": {"scout_dsn": here.dsn}, "there": {"scout_dsn": there.dsn, **ELSEWHERE}}
    inventory = stage.inventory(hosts)
    played = stage.play("emergency_reset", None, "-i", inventory, env=PLUGIN)
    assert played.rc == 0, played.text
    assert there.contents() == here.contents()
    results = played.results
    assert results["there"]["outcome"] == results["here"]["outcome"] == "recovered"
    assert [step["name"] for step in results["there"]["steps"]] == [step["name"] for step in results["here"]["steps"]]
    # The table of all hosts counts for one of them.
    assert played.recap("there") | {"ok": 0, "skipped": 0} == played.recap("here") | {"ok": 0, "skipped": 0}
    again = stage.play("emergency_reset", None, "-i", inventory, env=PLUGIN)
    assert again.rc == 0, again.text
    assert (again.recap("there")["changed"], again.recap("here")["changed"]) == (0, 0)


def test_executed_elsewhere_it_fails_as_clearly(broken: Pipeline, stage: Stage) -> None:
    """Bad options, a wrong address and a check are answered in the same words."""
    hosts: dict[str, dict[str, Any]] = {
        "bad": {"scout_dsn": broken.dsn, "scout_incident": "a b", **ELSEWHERE},
        "nowhere": {"scout_dsn": "postgresql://u@127.0.0.1:1/scout", **ELSEWHERE},
        "no_number": {"scout_dsn": broken.dsn, "scout_max_poison": "many", **ELSEWHERE},
    }
    before = broken.fingerprint()
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), env=PLUGIN)
    assert played.rc == 2, played.text
    assert broken.fingerprint() == before
    assert played.results["bad"]["error"]["said"] == ""
    assert "is not usable" in played.results["bad"]["error"]["attempted"]
    assert "Connection refused" in played.results["nowhere"]["error"]["said"]
    assert "max_poison" in played.text
    assert "Traceback" not in played.text


def tasks(
    stage: Stage, pipeline: Pipeline | None, *given: dict[str, Any], env: dict[str, str] | None = None, **play: Any
) -> Played:
    """Runs tasks on the host that the test made of this machine, which may know no database."""
    playbook = stage.home / "tasks.yml"
    head = {"hosts": "scout", "gather_facts": False, "connection": "local", **play}
    playbook.write_text(yaml.safe_dump([{**head, "tasks": list(given)}]))
    inventory = stage.inventory({"one": {"scout_dsn": pipeline.dsn} if pipeline else {}})
    return stage.play(str(playbook), None, "-i", inventory, env=env)


def task(module: str, **options: Any) -> dict[str, Any]:
    """A task of the collection on the test's database."""
    return {f"scout.recovery.scout_{module}": {"dsn": "{{ scout_dsn }}", **options}, "register": "done"}


def shown(what: str) -> dict[str, Any]:
    """A task that puts an expression on the screen."""
    return {"ansible.builtin.debug": {"msg": "seen {{ " + what + " }}."}}


def test_environment_of_a_task_and_of_a_play(healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    """The address and the password may come from there; a task's own do not reach the next task."""
    name = healthy.dsn.rpartition("/")[2]
    without = pg_server.tcp_dsn(name, password="")
    password = pg_server.tcp_dsn(name).split("@")[0].rpartition(":")[2]
    played = tasks(
        stage,
        None,
        {"scout.recovery.scout_health_info": {}, "environment": {"SCOUT_DSN": healthy.dsn}, "register": "done"},
        shown("done.verdict"),
        {"scout.recovery.scout_health_info": {}, "environment": {"PGPASSWORD": password}, "register": "done"},
        shown("done.verdict"),
        {"scout.recovery.scout_health_info": {}, "register": "done", "ignore_errors": True},
        shown("done is failed"),
        environment={"SCOUT_DSN": without},
    )
    assert played.rc == 0, played.text
    assert played.text.count("seen healthy.") == 2
    assert "seen True." in played.text
    assert password not in played.text


def test_timeout_of_a_task(broken: Pipeline, stage: Stage) -> None:
    """Ansible's own limit ends the batch in flight; it is rolled back and its session gone."""
    broken.execute(
        "CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'",
        "CREATE TRIGGER hang BEFORE INSERT ON scout.silver_line_items EXECUTE FUNCTION public.hang()",
    )
    pending = broken.pending()
    played = tasks(stage, broken, {**task("drain"), "timeout": 5})
    assert played.rc == 2, played.text
    assert "stopped by the task's timeout" in played.text
    assert "Next: run the same command again" in " ".join(played.text.split())
    assert broken.pending() == pending
    assert broken.lingering() == []
    assert broken.rows("SELECT status FROM scout_ops.runs") == [("stopped",)]
    assert broken.lease_owner() is None


def test_check_mode_of_a_task(broken: Pipeline, stage: Stage) -> None:
    before = broken.fingerprint()
    played = tasks(
        stage,
        broken,
        {**task("ingestion", state="paused"), "check_mode": True, "diff": True},
        shown("done is changed"),
        {**task("drain"), "check_mode": True},
        shown("done.suspects | length"),
        {**task("refresh_gold", force=True), "check_mode": True},
    )
    assert played.rc == 0, played.text
    assert broken.fingerprint() == before
    assert "seen True." in played.text
    assert "seen 3." in played.text
    assert "smart-gold-refresh: inactive" in played.text


def test_loops_and_delegation(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """One task over several databases; delegated to this machine it works in process whatever the host's connection."""
    first, second = another_broken(), another_broken()
    pause = task("ingestion", dsn="{{ item }}", state="paused")
    played = tasks(
        stage,
        first,
        {**pause, "loop": [first.dsn, second.dsn], "loop_control": {"label": "a database"}},
        shown("done.results | map(attribute='changed') | list"),
        {**task("health_info", dsn=second.dsn), "delegate_to": "localhost", "run_once": True},
        shown("done.ingestion.state"),
        vars={"ansible_connection": "elsewhere"},
        env=PLUGIN,
    )
    assert played.rc == 0, played.text
    assert "seen [True, True]." in played.text
    assert "seen paused." in played.text
    assert not (first.active_jobs() | second.active_jobs()) & JOBS


def test_no_log(broken: Pipeline, stage: Stage) -> None:
    """Neither the result nor the lines shown while it works."""
    played = tasks(stage, broken, {**task("drain"), "no_log": True}, shown("done.loaded > 0"))
    assert played.rc == 0, played.text
    assert "seen True." in played.text
    assert "poison event" not in played.text
    assert "invalid input syntax" not in played.text


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("su"), reason="becomes root from root")
def test_become(healthy: Pipeline, stage: Stage) -> None:
    """As another user, so executed as a module."""
    played = tasks(
        stage, healthy, {**task("health_info"), "become": True, "become_method": "su"}, shown("done.verdict")
    )
    assert played.rc == 0, played.text
    assert "seen healthy." in played.text


def test_a_retried_task(healthy: Pipeline, stage: Stage) -> None:
    """until and retries see each failure as a failure."""
    holder = library.lock_holder(healthy.dsn)
    with holder:
        attempt = {**task("refresh_gold", force=True, lock_timeout_seconds=0.3, attempts=1), "retries": 1, "delay": 0}
        played = tasks(stage, healthy, {**attempt, "until": "done is succeeded"})
    assert played.rc == 2, played.text
    assert "94752052 is held by pid" in played.text
    assert "Traceback" not in played.text
