# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and tasks in somebody's own play work on the database of their host, without a word about it in the play."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Played, Stage, eventually
from tests.integration.modules import call

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
NOWHERE = {"SCOUT_DSN": "postgresql://nobody@127.0.0.1:1/scout"}
PAUSE: dict[str, Any] = {"ansible.builtin.import_role": {"name": "scout.recovery.ingestion", "tasks_from": "pause.yml"}}
HEALTH: dict[str, Any] = {"scout.recovery.scout_health_info": {}, "register": "health"}
SHOWN: dict[str, Any] = {
    "ansible.builtin.debug": {"msg": "{{ inventory_hostname }} is {{ health.ingestion.state | default(health.msg) }}."}
}


def own(
    stage: Stage,
    hosts: dict[str, dict[str, Any]],
    *tasks: dict[str, Any],
    arguments: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
    **play: Any,
) -> Played:
    """Plays tasks of one's own, with an environment that names another database, and a plugin that executes elsewhere for who asks."""
    playbook = stage.home / "own.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, **play, "tasks": list(tasks)}]))
    shared = {"ansible_connection": "local"}
    inventory = stage.inventory({name: shared | variables for name, variables in hosts.items()})
    elsewhere = any(variables.get("ansible_connection") == "elsewhere" for variables in hosts.values())
    plugins = {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection_plugins")} if elsewhere else {}
    return stage.play(str(playbook), None, "-i", inventory, *arguments, env=NOWHERE | plugins, **(options or {}))


def paused(pipeline: Pipeline) -> bool:
    return not pipeline.active_jobs() & JOBS


def test_a_role_works_on_the_database_of_its_host(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """Each host's own, however its variable is written; the environment's is nobody's."""
    one, two, other = (another_broken() for _ in range(3))
    folder, _, name = two.dsn.rpartition("/")
    hosts = {"one": {"scout_dsn": one.dsn}, "two": {"server": folder, "scout_dsn": "{{ server }}/" + name}}
    played = own(stage, hosts, PAUSE)
    assert played.rc == 0, played.text
    assert (paused(one), paused(two), paused(other)) == (True, True, False)


@pytest.mark.parametrize("how", ["import_role", "include_role"])
def test_a_mistyped_option_of_a_role_is_refused(how: str, healthy: Pipeline, stage: Stage) -> None:
    """Ansible would ignore it; what is nobody's option, and looks like none, is the team's affair."""
    role = {f"ansible.builtin.{how}": {"name": "scout.recovery.ingestion", "tasks_from": "pause.yml"}}
    given = {"ingestion_drain_timeout_secconds": 5}
    wrong = own(stage, {"one": {"scout_dsn": healthy.dsn}}, {**role, "vars": given})
    assert wrong.rc == 2, wrong.text
    said = " ".join(wrong.text.split())
    assert "'ingestion_drain_timeout_secconds' is not a variable of role ingestion, and would be ignored" in said
    assert "perhaps ingestion_drain_timeout_seconds is meant" in said
    assert not paused(healthy)
    right = own(stage, {"one": {"scout_dsn": healthy.dsn}}, {**role, "vars": {"ingestion_owner": "us"}})
    assert right.rc == 0, right.text
    assert paused(healthy)


def test_what_is_typed_goes_before_the_inventory(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    typed, listed = another_broken(), another_broken()
    played = own(stage, {"one": {"scout_dsn": listed.dsn}}, PAUSE, options={"scout_dsn": typed.dsn})
    assert played.rc == 0, played.text
    assert (paused(typed), paused(listed)) == (True, False)


@pytest.mark.parametrize("how", ["option", "default of the group", "omitted"])
def test_an_option_of_the_task_goes_before_the_variable(how: str, healthy: Pipeline, stage: Stage) -> None:
    """Left out, it is the variable's again; an omitted variable leaves the environment's."""
    given = {"option": {"dsn": healthy.dsn}}.get(how, {})
    group = {"group/scout.recovery.all": {"dsn": healthy.dsn}} if how == "default of the group" else {}
    variables = {"scout_dsn": "{{ omit }}" if how == "omitted" else "postgresql://nobody@127.0.0.1:2/scout"}
    task = {"scout.recovery.scout_health_info": given, "register": "health", "ignore_errors": True}
    played = own(stage, {"one": variables}, task, SHOWN, module_defaults=group)
    assert played.rc == 0, played.text
    assert ("one is running." in played.text) == (how != "omitted")
    assert ("127.0.0.1:1 as nobody" in played.text) == (how == "omitted")


@pytest.mark.parametrize(
    "how", [{"ansible_connection": "elsewhere"}, {"async": 30, "poll": 1}], ids=["elsewhere", "async"]
)
def test_an_executed_module_is_given_the_same(how: dict[str, Any], healthy: Pipeline, stage: Stage) -> None:
    variables = {"scout_dsn": healthy.dsn, **{name: how[name] for name in how if name.startswith("ansible_")}}
    task = HEALTH | {name: how[name] for name in how if not name.startswith("ansible_")}
    played = own(stage, {"one": variables}, task, SHOWN)
    assert played.rc == 0, played.text
    assert "one is running." in played.text


def test_a_whole_reset_and_a_task_after_it(broken: Pipeline, stage: Stage) -> None:
    """The role takes its lease for all that it does, and what comes after is not done under a lease that was released."""
    role = {"ansible.builtin.import_role": {"name": "scout.recovery.emergency_reset"}}
    after = {"scout.recovery.scout_ingestion": {"state": "paused"}}
    played = own(stage, {"one": {"scout_dsn": broken.dsn}}, role, after)
    assert played.rc == 0, played.text
    assert played.result["outcome"] == "recovered"
    assert paused(broken)
    assert broken.lease_owner() is None
    # Every run of the reset stands under that of its lease; the pause after it stands alone.
    parents = broken.rows(
        "SELECT parent_run_id IS NOT NULL FROM scout_ops.runs WHERE action <> 'lease' ORDER BY started_at"
    )
    assert len(parents) > 2
    assert [under for (under,) in parents] == [*[True] * (len(parents) - 1), False]


def test_ledger_and_takeover_come_from_the_host_too(healthy: Pipeline, stage: Stage) -> None:
    variables = {"scout_dsn": healthy.dsn, "scout_ledger": "off", "scout_incident": "INC-7"}
    played = own(stage, {"one": variables}, PAUSE)
    assert played.rc == 0, played.text
    assert healthy.rows("SELECT to_regclass('scout_ops.runs')") == [(None,)]
    refused = own(stage, {"one": {**variables, "scout_takeover": "perhaps"}}, PAUSE)
    assert refused.rc == 2, refused.text
    assert "takeover 'perhaps' is not a yes or no" in " ".join(refused.text.split())


def test_the_lease_of_a_play_is_kept_between_its_tasks_and_free_soon_after_it_is_killed(
    healthy: Pipeline, stage: Stage
) -> None:
    """Where its process cannot be looked up, as in a container of its own."""
    lease: dict[str, Any] = {"scout.recovery.scout_lease": {"dsn": healthy.dsn, "ttl_seconds": 3}}
    playbook = stage.home / "long.yml"
    tasks = [lease, {"ansible.builtin.pause": {"seconds": 120}}]
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}])
    )
    kept = "SELECT kept_at, session_pid FROM scout_ops.leases WHERE kept_at > acquired_at + interval '4 s'"
    with stage.start(str(playbook), None) as running:
        [(_, pid)] = eventually(
            lambda: healthy.one("SELECT to_regclass('scout_ops.leases')") and healthy.rows(kept), 60
        )
        healthy.execute("UPDATE scout_ops.leases SET host_key = 'node-7'")
        refused = call("scout_lease", healthy.dsn)
        assert refused["error"]["kind"] == "lease_held", refused
        assert "after their process or its machine is gone" in refused["msg"]
        os.killpg(running.process.pid, signal.SIGKILL)
        eventually(lambda: not call("scout_lease", healthy.dsn, check=True).get("failed"), 30)
    eventually(lambda: not healthy.rows(f"SELECT FROM pg_stat_activity WHERE pid = {pid}"))
