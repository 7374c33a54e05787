# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: an event's id, a git tag or any other text that an operator passes on is a template, and the controller runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars
from tests import CHECKOUT
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

PLAYBOOKS = {
    path.stem: CHECKOUT / "drills" / "playbooks" / path.name if path.stem == "drill" else path
    for path in sorted(CHECKOUT.glob("playbooks/*.yml"))
}
#: What has to match a host for anything to begin; it has tests of its own.
RIGHT = {"target"}
#: Read by plugins before the first task.
EARLY = (
    "target",
    "scout_dsn",
    "scout_password",
    "ansible_host",
    "ansible_connection",
    "result_file",
    "scout_serial",
    "scout_max_fail_percentage",
)
EVENT = "00000000-0000-4000-8000-00000000e711"
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


def attack(folder: Path, name: str) -> str:
    """A text that makes a file, if anything ever takes it for a template."""
    return "{{ lookup('ansible.builtin.pipe', 'touch " + str(folder / name) + "') }}"


def variables() -> list[str]:
    """Every variable that a person may set, by whatever name."""
    table = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    public = {name for row in ROW.findall(table) for name in re.findall(r"\w+", row)}
    return sorted((public | extra_vars.known()[1]) - extra_vars.internal() - RIGHT)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Where the attack leaves its traces."""
    folder = tmp_path / "made"
    folder.mkdir()
    return folder


#: Ansible's own keywords; the lookup takes what was typed as data.
BATCHES = {
    "serial": "{{ lookup('scout.recovery.setting', 'scout_serial', default='100%') }}",
    "max_fail_percentage": "{{ lookup('scout.recovery.setting', 'scout_max_fail_percentage', default=100) }}",
}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_takes_what_was_typed_for_data_before_it_reads_any_of_it(playbook: str) -> None:
    for play in yaml.safe_load(PLAYBOOKS[playbook].read_text(encoding="utf-8")):
        assert play["hosts"].startswith("{{ lookup('scout.recovery.targets'"), playbook
        early = {
            key: value for key, value in play.items() if key not in ("hosts", "tasks") and BATCHES.get(key) != value
        }
        assert "{{" not in json.dumps(early), playbook


@pytest.mark.parametrize("how", ["line", "file"])
def test_no_variable_is_a_template_however_it_is_given(how: str, scout_db: str, tmp_path: Path, made: Path) -> None:
    """Each of them is what it was, as a text, in a list and in a dictionary."""
    stage, names = Stage(tmp_path), variables()
    assert len(names) > 300
    given: dict[str, Any] = {name: attack(made, name) for name in names}
    given |= {"stores": [attack(made, "list")], "repairs": {attack(made, "key"): attack(made, "value")}}
    shown = [f"seen {name} {{{{ {name} | to_json }}}}" for name in names]
    tasks = [{"name": "Show", "ansible.builtin.debug": {"msg": shown}}]
    path = tmp_path / "all.yml"
    hosts = "{{ lookup('scout.recovery.targets') }}"
    path.write_text(yaml.safe_dump([{"name": "All", "hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    if how == "file":
        (tmp_path / "given.json").write_text(json.dumps(given))
        played = stage.play(str(path), None, "-e", f"@{tmp_path / 'given.json'}", env={"SCOUT_DSN": scout_db})
    else:
        played = stage.play(str(path), None, env={"SCOUT_DSN": scout_db}, **given)
    assert played.rc == 0, played.text
    assert list(made.iterdir()) == []
    assert re.findall(r"seen (\w+) .*?ansible\.builtin\.pipe", " ".join(played.text.split())) == names


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_no_playbook_runs_what_an_event_says(playbook: str, scout_db: str, tmp_path: Path, made: Path) -> None:
    """All at once of which the options allow any text; the others are refused before that."""
    names = (
        *("transactions", "source_systems", "stores", "event_types", "title", "text", "reason", "root_cause"),
        *("release", "run_id", "window_start", "window_end", "payload_path", "of_incident", "capture_id"),
        *("external_dependencies", "retrospective", "time_zone", "event_ids", "dlq_ids", "error_codes"),
    )
    given: dict[str, Any] = {name: attack(made, name) for name in names}
    played = Stage(tmp_path).play(playbook, scout_db, "--check", **given)
    assert played.rc != 4, played.text
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("name", EARLY)
@pytest.mark.parametrize("hosts", [1, 2])
def test_nothing_that_is_read_before_the_first_task_is_a_template(
    name: str, hosts: int, scout_db: str, tmp_path: Path, made: Path
) -> None:
    stage = Stage(tmp_path)
    inventory = stage.inventory(
        {f"branch{n}": {"scout_dsn": f"{scout_db}_{n}" if n else scout_db} for n in range(hosts)}
    )
    stage.play("assess", None, "-i", inventory, "-e", json.dumps({name: attack(made, name)}), cwd=tmp_path)
    assert list(made.iterdir()) == []


def test_what_an_inventory_makes_of_what_was_typed_is_no_template(scout_db: str, tmp_path: Path, made: Path) -> None:
    """Nor what a play of a team's own makes of it."""
    stage = Stage(tmp_path)
    inventory = stage.inventory(
        {"branch": {"scout_dsn": "host={{ where }} dbname=scout", "ansible_host": "{{ where }}"}}
    )
    stage.play("assess", None, "-i", inventory, where=attack(made, "inventory"))
    play = {"hosts": "{{ lookup('scout.recovery.targets') }}", "gather_facts": False, "tasks": []}
    own = {"target": "{{ where }}", "scout_dsn": "host={{ where }} dbname=scout"}
    (tmp_path / "own.yml").write_text(yaml.safe_dump([{"name": "Own", "vars": own, **play}]))
    stage.play(str(tmp_path / "own.yml"), scout_db, "-i", inventory, where=attack(made, "play"))
    assert list(made.iterdir()) == []


def test_a_transaction_with_such_a_name_is_quarantined_by_it(scout_db: str, tmp_path: Path, made: Path) -> None:
    """It is a name like any other."""
    stage, pipeline = Stage(tmp_path), Pipeline(scout_db)
    name = attack(made, "transaction")
    with psycopg.connect(scout_db) as connection:
        connection.execute(
            "INSERT INTO scout.bronze_events (event_id, event_type, event_data) VALUES (%s, 'transaction.v1', %s)",
            [EVENT, json.dumps({"transaction_id": name})],
        )
    played = stage.play("quarantine", scout_db, transactions=[name], pause=False, drain=False, refresh=False)
    assert played.rc in (0, 2), played.text
    assert pipeline.one(f"SELECT count(*) FROM scout.bronze_events WHERE event_id = '{EVENT}'") == 0, played.text
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("name", sorted({"lease_result", "move_role", "drain_require_pause", "assess_result"}))
def test_what_playbooks_tell_their_steps_nobody_can_give(name: str, scout_db: str, tmp_path: Path) -> None:
    """With `lease_result` the lease of somebody else was released."""
    pipeline = Pipeline(scout_db)
    held = Stage(tmp_path).play("pause_ingestion", scout_db)
    assert held.rc in (0, 2), held.text
    pipeline.execute(
        "INSERT INTO scout_ops.leases (name, token, owner, run_id, incident, host_key, ttl_seconds, acquired_at, "
        "expires_at) VALUES ('pipeline', 41, 'somebody@else', gen_random_uuid(), 'INC-1', 'else', 900, now(), "
        "now() + interval '15 min') ON CONFLICT (name) DO UPDATE SET token = 41, owner = 'somebody@else', "
        "host_key = 'else', expires_at = now() + interval '15 min', incident = 'INC-1', run_id = gen_random_uuid()"
    )
    given: dict[str, Any] = {name: {"token": 41} if name.endswith("_result") else "quarantine"}
    played = Stage(tmp_path).play("emergency_reset", scout_db, **given)
    assert f"{name} cannot be set" in played.text, played.text
    assert pipeline.one("SELECT owner FROM scout_ops.leases WHERE token = 41") == "somebody@else"
