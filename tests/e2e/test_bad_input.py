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
from tests import CHECKOUT
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
    "stuck_after_words": ({"stuck_after_seconds": "abc"}, "stuck_after_seconds"),
    "stuck_after_negative": ({"stuck_after_seconds": -1}, "stuck_after_seconds -1.0 is not usable"),
    "stuck_after_zero": ({"stuck_after_seconds": 0}, "stuck_after_seconds 0.0 is not usable"),
    "stuck_after_nan": ({"stuck_after_seconds": "nan"}, "stuck_after_seconds nan is not usable"),
    "stuck_after_for_ever": ({"stuck_after_seconds": "inf"}, "stuck_after_seconds inf is not usable"),
    "drain_timeout_words": ({"drain_timeout_seconds": "1; DROP"}, "drain_timeout_seconds"),
    "drain_timeout_negative": ({"drain_timeout_seconds": -5}, "drain_timeout_seconds -5.0 is not usable"),
    "max_poison_words": ({"max_poison": "many"}, "many"),
    "max_poison_negative": ({"max_poison": -1}, "max_poison -1 is not usable"),
    "poison_unknown": ({"poison": "kill"}, "kill"),
    "resume_maybe": ({"resume": "maybe"}, "maybe"),
    "takeover_perhaps": ({"takeover": "perhaps"}, "perhaps"),
    "cancel_perhaps": ({"cancel_running": "perhaps"}, "perhaps"),
    "ledger_unknown": ({"ledger": "maybe"}, "maybe"),
    "job_unknown": ({"ingestion_jobs": ["'; DELETE FROM cron.job; --"]}, "no job is named"),
    "jobs_no_list": ({"ingestion_jobs": {"a": 1}}, "list"),
    "dsn_nonsense": ({"scout_dsn": "this is no dsn"}, "neither a libpq URI"),
    "dsn_half_a_password": ({"scout_dsn": "postgresql://u:p@ss@h/scout"}, "ambiguous"),
    "dsn_unreachable": ({"scout_dsn": "postgresql://u@127.0.0.1:1/scout"}, "Connection refused"),
    "dsn_unknown_name": ({"scout_dsn": "postgresql://u@no-such-host.invalid/scout"}, "could not"),
    "dsn_no_such_database": ({"database": "no_such_database"}, "does not exist"),
    "dsn_not_scout": ({"database": "postgres"}, "this is not a Scout database"),
}

#: By playbook, an option that it cannot use, and the value of which the refusal speaks.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "acceptance_gate": ({"period_hours": "day"}, "day"),
    "assess": ({"budget_seconds": "soon"}, "budget_seconds"),
    "capture_release": ({"release": "v1", "max_rows": "many"}, "many"),
    "dead_letters": ({"limit": "few"}, "few"),
    "emergency_reset": ({"max_poison": "many"}, "many"),
    "incident_report": ({"window_start": "tea time"}, "tea time"),
    "pause_ingestion": ({"drain_timeout_seconds": "soon"}, "drain_timeout_seconds"),
    "preflight": ({"max_poison": "many"}, "many"),
    "quality_cleanup": ({"source_event": "burn"}, "burn"),
    "quarantine": ({"window_clock": "noon"}, "noon"),
    "redrive": ({"canary_rows": "few"}, "few"),
    "refresh_gold": ({"refresh_timeout_seconds": "long"}, "refresh_timeout_seconds"),
    "resume_ingestion": ({"incident": "no incident; really"}, "no incident; really"),
    "rollback": ({"period_hours": "day"}, "day"),
    "runs": ({"limit": "few"}, "few"),
    "undo": ({"on_conflict": "guess"}, "guess"),
    "terminate_sessions": ({"max_sessions": "few"}, "few"),
    "window_recovery": ({"mode": "most"}, "most"),
}


@pytest.mark.parametrize("playbook", WRONG)
def test_a_wrong_value_is_refused_by_its_name_before_anything_else(
    playbook: str, healthy: Pipeline, stage: Stage
) -> None:
    before, (options, value) = healthy.fingerprint(), WRONG[playbook]
    played = stage.play(playbook, healthy.dsn, **options)
    assert played.rc == 2, played.text
    assert value in played.failures("local")
    assert healthy.fingerprint() == before
    assert not stage.evidence.exists()


def test_every_playbook_has_a_wrong_value() -> None:
    assert WRONG.keys() == {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}


def test_hostile_options(healthy: Pipeline, pg_server: Server, stage: Stage, subtests: pytest.Subtests) -> None:
    """Every one in a host of its own; each fails with its line, and the database stays as it is to the last byte."""
    healthy.execute("UPDATE cron.job SET active = false WHERE jobname = 'smart-gold-refresh'")
    before = healthy.fingerprint()
    hosts: dict[str, dict[str, Any]] = {}
    for name, (options, _) in HOSTILE.items():
        dsn = pg_server.dsn(options["database"]) if "database" in options else healthy.dsn
        hosts[name] = {"scout_dsn": dsn, **listed(options)}
    inventory = stage.inventory(hosts)
    played = stage.play("emergency_reset", None, "-i", inventory, "--forks", "4")
    assert played.rc == 2, played.text
    assert healthy.fingerprint() == before
    assert not stage.evidence.exists()
    for name, (_, says) in HOSTILE.items():
        with subtests.test(msg=name):
            assert says in played.failures(name)


def test_a_summary_that_cannot_be_written_is_still_shown(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("resume_ingestion", healthy.dsn, result_file="/proc/nowhere/x.json")
    assert played.rc == 2, played.text
    assert "/proc/nowhere" in played.text
    assert "ingestion is running" in played.summary


def test_a_result_file_is_never_anything_but_a_name(healthy: Pipeline, stage: Stage) -> None:
    odd = stage.home / "out; $(touch hit) `touch hit`.json"
    assert stage.play("resume_ingestion", healthy.dsn, cwd=stage.home, result_file=str(odd)).rc == 0
    assert odd.is_file()
    assert not (stage.home / "hit").exists()


def test_a_limit_that_matches_nothing(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", healthy.dsn, "--limit", "nowhere")
    assert played.rc not in (0, 2), played.text


def test_a_wrong_password_is_never_shown(
    healthy: Pipeline, pg_server: Server, stage: Stage, subtests: pytest.Subtests
) -> None:
    """In whichever way it is given."""
    name = healthy.dsn.rpartition("/")[2]
    within, without = (pg_server.tcp_dsn(name, password=password) for password in (SECRET, ""))
    hosts = {
        "dsn": {"scout_dsn": within},
        "scout_password": {"scout_dsn": without, "scout_password": SECRET},
        "PGPASSWORD": {"scout_dsn": without},
    }
    env = {"PGPASSWORD": SECRET}
    inventory = stage.inventory(hosts)
    listed = stage.play("emergency_reset", None, "-i", inventory, "-vvv", env=env)
    said = {host: str(made) for host, made in listed.results.items()}
    never_shown(listed, stage)
    for host in hosts:
        with subtests.test(msg=host):
            assert "password authentication failed" in said[host]
            assert "check scout_password, PGPASSWORD or .pgpass" in said[host]
    with subtests.test(msg="typed"):
        typed = stage.play("emergency_reset", within, "-vvv", env=env, scout_password=SECRET)
        assert "password authentication failed" in typed.summary
        assert "check scout_password, PGPASSWORD or .pgpass" in typed.summary
        never_shown(typed, stage)


def never_shown(played: Played, stage: Stage) -> None:
    """Neither on the screen nor in the result file."""
    assert played.rc == 2, played.text
    for spelling in (SECRET, quote(SECRET, safe=""), quote(SECRET)):
        assert spelling not in played.text
        assert all(spelling not in path.read_text() for path in stage.home.glob("*.json"))


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
