# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and modules in somebody's own play work on the database of their host."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Played, Stage, eventually
from tests.integration.modules import call

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
NOWHERE = {"SCOUT_DSN": "postgresql://nobody@127.0.0.1:1/scout"}
#: As the playbooks of the collection say it.
DEFAULTS = {"group/scout.recovery.all": {"dsn": "{{ scout_dsn | default(omit) }}"}}
PAUSE: dict[str, Any] = {"scout.recovery.scout_ingestion": {"state": "paused"}}
RESET: dict[str, Any] = {"ansible.builtin.import_role": {"name": "scout.recovery.emergency_reset"}}
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
    played = own(stage, hosts, RESET | {"vars": {"emergency_reset_resume": False}})
    assert played.rc == 0, played.text
    assert (paused(one), paused(two), paused(other)) == (True, True, False)


def test_what_is_typed_goes_before_the_inventory(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    typed, listed = another_broken(), another_broken()
    options = {"scout_dsn": typed.dsn}
    played = own(stage, {"one": {"scout_dsn": listed.dsn}}, PAUSE, options=options, module_defaults=DEFAULTS)
    assert played.rc == 0, played.text
    assert (paused(typed), paused(listed)) == (True, False)


@pytest.mark.parametrize("how", ["option", "default of the group", "neither"])
def test_an_option_of_the_task_goes_before_the_default_and_that_before_the_environment(
    how: str, healthy: Pipeline, stage: Stage
) -> None:
    nowhere = {"group/scout.recovery.all": {"dsn": "postgresql://nobody@127.0.0.1:2/scout"}}
    given = {"dsn": healthy.dsn} if how == "option" else {}
    group = {"option": nowhere, "default of the group": DEFAULTS}.get(how, {})
    task = {"scout.recovery.scout_health_info": given, "register": "health", "ignore_errors": True}
    played = own(stage, {"one": {"scout_dsn": healthy.dsn}}, task, SHOWN, module_defaults=group)
    assert played.rc == 0, played.text
    assert ("one is running." in played.text) == (how != "neither")
    assert ("127.0.0.1:1 as nobody" in played.text) == (how == "neither")


@pytest.mark.parametrize(
    "how", [{"ansible_connection": "elsewhere"}, {"async": 30, "poll": 1}], ids=["elsewhere", "async"]
)
def test_an_executed_module_is_given_the_same(how: dict[str, Any], healthy: Pipeline, stage: Stage) -> None:
    variables = {"scout_dsn": healthy.dsn, **{name: how[name] for name in how if name.startswith("ansible_")}}
    task = HEALTH | {name: how[name] for name in how if not name.startswith("ansible_")}
    played = own(stage, {"one": variables}, task, SHOWN, module_defaults=DEFAULTS)
    assert played.rc == 0, played.text
    assert "one is running." in played.text


def test_a_whole_reset_and_a_task_after_it(broken: Pipeline, stage: Stage) -> None:
    """The role takes its lease for all that it does, and what comes after is not done under a lease that was released."""
    played = own(stage, {"one": {"scout_dsn": broken.dsn}}, RESET, PAUSE, module_defaults=DEFAULTS)
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


def test_the_lease_of_a_play_is_renewed_while_a_task_works_and_free_soon_after_it_is_killed(
    healthy: Pipeline, stage: Stage
) -> None:
    lease: dict[str, Any] = {"scout.recovery.scout_lease": {"dsn": healthy.dsn, "ttl_seconds": 3}, "register": "lease"}
    pause = {"dsn": healthy.dsn, "state": "paused", "lease_token": "{{ lease.token }}", "drain_timeout_seconds": 120}
    playbook = stage.home / "long.yml"
    tasks = [lease, {"scout.recovery.scout_ingestion": pause}]
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}])
    )
    renewed = "SELECT FROM scout_ops.leases WHERE expires_at > acquired_at + interval '8 s'"
    with (
        library.stuck_etl(healthy.dsn, "idle_in_transaction"),
        stage.start(str(playbook), None) as running,
    ):
        eventually(lambda: healthy.one("SELECT to_regclass('scout_ops.leases')") and healthy.rows(renewed), 60)
        refused = call("scout_lease", healthy.dsn)
        assert refused["error"]["kind"] == "lease_held", refused
        os.killpg(running.process.pid, signal.SIGKILL)
        eventually(lambda: not call("scout_lease", healthy.dsn, check=True).get("failed"), 30)
    assert healthy.lingering() == []
