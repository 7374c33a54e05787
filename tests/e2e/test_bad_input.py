# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be used is refused in one clear line before anything changes, and secrets are never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage, listed

SECRET = "s3cret/of:the@night%"

#: The option, and what the error says of it.
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "incident_with_sql": ({"incident": "x'; DROP TABLE scout.bronze_events; --"}, "is not usable"),
    "incident_with_escapes": ({"incident": "\x1b[2Jgone\r\n"}, "is not usable"),
    "incident_too_long": ({"incident": "I" * 5000}, "is not usable"),
    "incident_empty": ({"incident": ""}, "is not usable"),
    "incident_no_text": ({"incident": {"a": 1}}, "is not usable"),
    "stuck_after_words": ({"stuck_after_seconds": "abc"}, "stuck_after_seconds 'abc' is not a number"),
    "stuck_after_negative": ({"stuck_after_seconds": -1}, "stuck_after_seconds -1.0 is not usable"),
    "stuck_after_zero": ({"stuck_after_seconds": 0}, "stuck_after_seconds 0.0 is not usable"),
    "stuck_after_nan": ({"stuck_after_seconds": "nan"}, "stuck_after_seconds nan is not usable"),
    "stuck_after_for_ever": ({"stuck_after_seconds": "inf"}, "stuck_after_seconds inf is not usable"),
    "drain_timeout_words": ({"drain_timeout_seconds": "1; DROP"}, "is not a number"),
    "drain_timeout_negative": ({"drain_timeout_seconds": -5}, "drain_timeout_seconds -5.0 is not usable"),
    "max_poison_words": ({"max_poison": "many"}, "max_poison 'many' is not a whole number"),
    "max_poison_negative": ({"max_poison": -1}, "max_poison -1 is not usable"),
    "poison_unknown": ({"poison": "kill"}, "value of scout_poison must be one of: quarantine, stop, got: kill"),
    "resume_maybe": ({"resume": "maybe"}, "resume 'maybe' is not a yes or no"),
    "takeover_perhaps": ({"takeover": "perhaps"}, "takeover 'perhaps' is not a yes or no"),
    "cancel_perhaps": ({"cancel_running": "perhaps"}, "cancel_running 'perhaps' is not a yes or no"),
    "ledger_unknown": ({"ledger": "maybe"}, "value of scout_ledger must be one of: required, auto, off, got: maybe"),
    "job_unknown": ({"ingestion_jobs": ["'; DELETE FROM cron.job; --"]}, "no job is named"),
    "jobs_no_list": ({"ingestion_jobs": {"a": 1}}, "is not a list"),
    "dsn_nonsense": ({"scout_dsn": "this is no dsn"}, "neither a libpq URI"),
    "dsn_half_a_password": ({"scout_dsn": "postgresql://u:p@ss@h/scout"}, "ambiguous"),
    "dsn_unreachable": ({"scout_dsn": "postgresql://u@127.0.0.1:1/scout"}, "Connection refused"),
    "dsn_unknown_name": ({"scout_dsn": "postgresql://u@no-such-host.invalid/scout"}, "could not"),
    "dsn_no_such_database": ({"database": "no_such_database"}, "does not exist"),
    "dsn_not_scout": ({"database": "postgres"}, "this is not a Scout database"),
}


def test_hostile_options(healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    """Every one in a host of its own; each fails with its line, and the database stays as it is to the last byte."""
    healthy.execute("UPDATE cron.job SET active = false WHERE jobname = 'smart-gold-refresh'")
    before = healthy.fingerprint()
    hosts: dict[str, dict[str, Any]] = {}
    for name, (options, _) in HOSTILE.items():
        dsn = pg_server.dsn(options["database"]) if "database" in options else healthy.dsn
        hosts[name] = {"scout_dsn": dsn, **listed(options)}
    inventory = stage.inventory(hosts)
    played = stage.play("emergency_reset", None, "-i", inventory, "--forks", "4", allow_shared_database=True)
    assert played.rc == 2, played.text
    assert healthy.fingerprint() == before
    assert not stage.evidence.exists()
    for name, (_, says) in HOSTILE.items():
        made = played.results[name]
        assert made["outcome"] == "failed", name
        line = " ".join(part for part in (made["error"]["attempted"], made["error"]["said"]) if part)
        assert says in line, (name, line)
        assert "\n" not in line
        assert made["next"], name
    assert_no_ansible_trouble(played)


def test_hostile_result_file_and_evidence_folder(healthy: Pipeline, stage: Stage) -> None:
    """A summary that cannot be written is still shown; a name is never anything but a name."""
    for path in ("/proc/nowhere/x.json", str(stage.home), "$(touch hit)/\x00.json"):
        played = stage.play("emergency_reset", healthy.dsn, result_file=path)
        assert played.rc == 2, played.text
        assert "could not write result_file" in played.summary
        assert "ingestion is running" in played.summary
        assert_no_ansible_trouble(played)
    odd = stage.home / "out; $(touch hit) `touch hit`.json"
    assert stage.play("emergency_reset", healthy.dsn, cwd=stage.home, result_file=str(odd)).rc in (0, 2)
    assert not (stage.home / "hit").exists()


@pytest.mark.parametrize("target", ["nobody", "all:!all", "{{ 7 }}", "\x1b[31mred", "a;b"])
def test_a_target_that_matches_nothing(target: str, healthy: Pipeline, stage: Stage) -> None:
    """Ansible itself would skip it and report success."""
    played = stage.play("emergency_reset", healthy.dsn, target=target)
    assert played.rc not in (0, 2), played.text
    assert "no host matches target" in played.text
    assert "name one of all, scout, local" in played.text
    assert "\x1b[31mred" not in played.text


def test_an_inventory_without_the_group(healthy: Pipeline, stage: Stage) -> None:
    """Without any host the playbook works on the database it was given; with others it will not guess."""
    played = stage.play("emergency_reset", healthy.dsn, "-i", "localhost,")
    assert played.rc == 0, played.text
    assert played.recap("localhost")["changed"] == 0
    played = stage.play("emergency_reset", healthy.dsn, "-i", "db1,db2,")
    assert played.rc not in (0, 2), played.text
    assert "the inventory has no host in group scout" in played.text
    assert stage.play("emergency_reset", healthy.dsn, "-i", "db1,db2,", target="db2").rc == 0


@pytest.mark.parametrize("how", ["dsn", "scout_password", "PGPASSWORD"])
def test_a_wrong_password_is_never_shown(how: str, healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    name = healthy.dsn.rpartition("/")[2]
    dsn = pg_server.tcp_dsn(name, password=SECRET if how == "dsn" else "")
    options = {"scout_password": SECRET} if how == "scout_password" else {}
    env = {"PGPASSWORD": SECRET} if how == "PGPASSWORD" else {}
    played = stage.play("emergency_reset", dsn, "-vvv", env=env, **options)
    assert played.rc == 2, played.text
    assert "password authentication failed" in played.summary
    assert "check scout_password, PGPASSWORD or .pgpass" in played.summary
    for spelling in (SECRET, quote(SECRET, safe=""), quote(SECRET)):
        assert spelling not in played.text
        assert spelling not in (stage.home / "result.json").read_text()


def test_databases_that_cannot_be_operated(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """A read-only one, one without pg_cron, one whose ETL ledger is missing: refused, and untouched."""
    pipelines = {name: another_broken() for name in ("read_only", "no_cron", "half")}
    name = pipelines["read_only"].dsn.rpartition("/")[2]
    pipelines["no_cron"].execute("DROP SCHEMA cron CASCADE")
    pipelines["half"].execute("ALTER TABLE scout.etl_processed RENAME TO processed")
    pipelines["read_only"].execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    before = {name: pipeline.fingerprint() for name, pipeline in pipelines.items()}
    hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts))
    assert played.rc == 2, played.text
    says = {name: str(made["error"]) for name, made in played.results.items()}
    assert "read-only by default" in says["read_only"]
    again = " ".join(played.results["read_only"]["next"])
    assert again.startswith("if the primary is elsewhere, point scout_dsn at it; else ALTER DATABASE ")
    assert again.endswith(f'"{name}" RESET default_transaction_read_only')
    assert "pg_cron is not installed in this database" in says["no_cron"]
    assert "etl_processed" in says["half"]
    after = {name: pipeline.fingerprint() for name, pipeline in pipelines.items()}
    for name, tables in before.items():
        assert {table: after[name][table] for table in tables} == tables, name
    assert_no_ansible_trouble(played)


def test_an_unknown_option_of_a_module(healthy: Pipeline, stage: Stage) -> None:
    playbook = stage.home / "typo.yml"
    playbook.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - scout.recovery.scout_drain: {dsn: '{{ scout_dsn }}', batch_row: 5, targetseconds: 1}\n"
    )
    played = stage.play(str(playbook), healthy.dsn)
    assert played.rc == 2, played.text
    screen = " ".join(played.text.split())
    assert (
        "unknown options for scout_drain: batch_row, targetseconds. Next: scout_drain knows allow_superuser, batch_rows,"
        in screen
    )


def assert_no_ansible_trouble(played: Played) -> None:
    """Nothing on the screen comes from Python or from Ansible's own plumbing."""
    for word in ("Traceback", "unexpected", "Unexpected", "[DEPRECATION", "argument spec", "_AnsibleTagged"):
        assert word not in played.text, played.text


def test_a_mistyped_variable_is_refused_before_anything_is_selected(healthy: Pipeline, stage: Stage) -> None:
    """Ansible would ignore it, and the events of all sources would be set aside."""
    before = healthy.fingerprint()
    window: dict[str, Any] = {"window_start": "2020-01-01T00:00Z", "window_end": "2030-01-01T00:00Z"}
    played = stage.play("quarantine", healthy.dsn, source_system="pos-17", **window)
    assert (played.rc, played.result["outcome"]) == (2, "failed")
    assert "'source_system' is not a variable of this toolkit, and would be ignored" in played.summary
    assert "did you mean source_systems?" in played.summary
    assert healthy.fingerprint() == before
    assert_no_ansible_trouble(played)


def test_a_failure_is_said_in_a_sentence_and_in_full_with_v(stage: Stage) -> None:
    """No wall of YAML stands above the answer at 3 a.m.; whoever wants it adds -v."""
    dsn = "postgresql://nobody@127.0.0.1:1/scout"
    short, full = stage.play("pause_ingestion", dsn), stage.play("pause_ingestion", dsn, "-v")
    assert (short.rc, full.rc) == (2, 2)
    assert "Origin:" not in short.text
    assert "attempted:" not in short.text
    assert "fatal: [local]: FAILED! =>" in short.text
    # Names of tasks and the recap are Ansible's; what is ours fits.
    begin = next(at for at, line in enumerate(short.lines) if line.startswith("fatal: [local]: FAILED! =>"))
    assert max(len(line) for line in short.lines[begin : begin + 5]) <= 79
    assert "attempted: could not open a session" in full.text
