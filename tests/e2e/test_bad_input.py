# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be used is refused in one clear line before anything changes, and secrets are never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import plays
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

#: By playbook what a host has for one of its roles, and what is said of it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "acceptance_gate": ({"period_hours": "day"}, "period_hours 'day' is not a whole number"),
    "assess": ({"assess_budget_seconds": "soon"}, "assess_budget_seconds 'soon' is not a number"),
    "capture_release": ({"max_rows": "many"}, "max_rows 'many' is not a whole number"),
    "drill": ({"drill_budgts": {}}, "'drill_budgts' is not a variable"),
    "dead_letters": ({"dead_letters_limit": "few"}, "dead_letters_limit 'few' is not a whole number"),
    "emergency_reset": ({"evidence_budget_seconds": "short"}, "evidence_budget_seconds 'short' is not a number"),
    "evidence": ({"evidence_sample_rows": "few"}, "evidence_sample_rows 'few' is not a whole number"),
    "incident_report": ({"report_folders": "x"}, "'report_folders' is not a variable"),
    "pause_ingestion": ({"drain_timeout_seconds": "soon"}, "drain_timeout_seconds 'soon' is not a number"),
    "preflight": ({"poison": "kill"}, "value of poison must be one of: quarantine, stop, got: kill"),
    "quality_cleanup": ({"source_event": "burn"}, "value of source_event must be one of: quarantine, keep, got: burn"),
    "quarantine": ({"window_clock": "noon"}, "value of window_clock must be one of: ingested_at, event_ts, got: noon"),
    "redrive": ({"canary_rows": "few"}, "canary_rows 'few' is not a whole number"),
    "refresh_gold": ({"refresh_gold_timeout_seconds": "long"}, "refresh_gold_timeout_seconds 'long' is not a number"),
    "resume_ingestion": ({"ingestion_only_owns": True}, "'ingestion_only_owns' is not a variable"),
    "rollback": ({"period_hours": "day"}, "period_hours 'day' is not a whole number"),
    "runs": ({"runs_limit": "few"}, "runs_limit 'few' is not a whole number"),
    "undo": (
        {"on_conflict": "guess"},
        "value of on_conflict must be one of: refuse, keep_current, restore, got: guess",
    ),
    "terminate_sessions": (
        {"terminate_sessions_max_sessions": "few"},
        "terminate_sessions_max_sessions 'few' is not a whole number",
    ),
    "window_recovery": ({"mode": "most"}, "value of mode must be one of: missing, all, got: most"),
}

DAY = ("-e", "window_start=2026-11-25 22:00")
STRAY = (
    "the words '22:00' are outside the quotes and would be lost",
    "all it understands is window_start='2026-11-25'",
    """-e '{"window_start": "2026-11-25 22:00+00:00"}'""",
)
WINDOW = ("-e", "window_start=2020-01-01T00:00Z", "-e", "window_end='2030-01-01 00:00+00:00'")
#: How playbooks begin: what is typed, what the host has, and what is said. One at least for each module that some begin with.
BEGINS: dict[str, tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]] = {
    "runs": (DAY, {}, STRAY),
    "drill": (DAY, {}, STRAY),
    "quarantine": (
        (*WINDOW, "-e", "source_systems=edge, pos-sync"), {}, ("""-e '{"source_systems": "edge, pos-sync"}'""",),
    ),
    # Ansible would ignore it, and the events of all sources would be set aside.
    "redrive": (
        (*WINDOW, "-e", "source_system=pos-17"), {},
        ("'source_system' is not a variable of this toolkit, and would be ignored", "did you mean source_systems?"),
    ),
    "incident_report": (
        ("-e", '{"time_zone": [" … "]}'), {}, ("time_zone is only a placeholder: \"[' … ']\"",),
    ),
    **{name: ((), WRONG[name][0], (WRONG[name][1],)) for name in ("assess", "pause_ingestion", "acceptance_gate")},
}  # fmt: skip
#: What needs no inventory.
ON_LOCALHOST = {"drill"}


def test_every_kind_of_playbook_refuses_it_before_anything_else(
    healthy: Pipeline, stage: Stage, subtests: pytest.Subtests
) -> None:
    """Not a row is written, and no evidence: how each begins is among these, or that of an emergency reset."""
    assert set(map(plays.begins_with, plays.PLAYBOOKS)) == set(map(plays.begins_with, (*BEGINS, "emergency_reset")))
    before = healthy.fingerprint()
    for playbook, (words, options, says) in BEGINS.items():
        with subtests.test(msg=playbook):
            dsn = {} if playbook in ON_LOCALHOST else {"scout_dsn": healthy.dsn}
            inventory = stage.inventory({"one": {**dsn, **listed(options)}})
            played = stage.play(playbook, None, "-i", inventory, *words)
            # That playbooks of drills are ours is known with the first module of theirs, which does nothing before.
            refused_at_once(played, stage, step="drill" if playbook == "drill" else "options")
            for sentence in says:
                assert as_listed(sentence, options) in played.summary
            assert healthy.fingerprint() == before


def test_several_wrong_values_are_told_together(healthy: Pipeline, stage: Stage) -> None:
    """Each by the variable that was set, once, however many roles take it; nobody corrects one at a time."""
    before = healthy.fingerprint()
    wrong = {"poison": "kill", "max_poison": "many", "refresh_gold_views": {"a": 1}, "lease_ttl_seconds": "long"}
    inventory = stage.inventory({"one": {"scout_dsn": healthy.dsn, **listed(wrong)}})
    played = stage.play("emergency_reset", None, "-i", inventory)
    refused_at_once(played, stage)
    told = played.result["error"]["attempted"]
    assert told.count("value of scout_poison must be one of: quarantine, stop, got: kill") == 1
    assert told.count("max_poison 'many' is not a whole number") == 1
    assert "refresh_gold_views" in told
    assert "lease_ttl_seconds 'long' is not a whole number" in told
    assert healthy.fingerprint() == before


def test_a_wrong_value_for_any_role_of_a_playbook_is_refused(stage: Stage, subtests: pytest.Subtests) -> None:
    """By the roles that each names where it begins; the others begin in the same way."""
    assert WRONG.keys() == plays.PLAYBOOKS.keys()
    hosts: dict[str, dict[str, Any]] = {}
    for name, (options, _) in WRONG.items():
        [roles] = plays.checked(name)
        hosts[name] = {"ansible_connection": "local", "move_role": name, "named": roles, **listed(options)}
    task = {"scout.recovery.scout_options": {"roles": "{{ named }}"}}
    play = {"hosts": "all", "gather_facts": False, "tasks": [task]}
    (stage.home / "options.yml").write_text(yaml.safe_dump([play]))
    played = stage.play(str(stage.home / "options.yml"), None, "-i", stage.inventory(hosts))
    assert played.rc == 2, played.text
    for name, (options, says) in WRONG.items():
        with subtests.test(msg=name):
            assert as_listed(says, options) in played.failures(name)
    assert_no_ansible_trouble(played)


def refused_at_once(played: Played, stage: Stage, step: str = "options") -> None:
    """By the check of the options, in a summary without a word of Ansible's."""
    assert played.rc == 2, played.text
    assert played.result["outcome"] == "failed"
    assert [step["name"] for step in played.result["steps"]] == [step]
    assert played.recap()["failed"] == 1
    assert not stage.evidence.exists()
    assert_no_ansible_trouble(played)


def as_listed(sentence: str, options: dict[str, Any]) -> str:
    """With each option by its name in an inventory."""
    for name, known_as in zip(options, listed(options), strict=True):
        sentence = sentence.replace(f"{name} ", f"{known_as} ")
    return sentence


def test_a_quoted_space_is_fine(healthy: Pipeline, stage: Stage) -> None:
    words = (*WINDOW, "-e", '{"source_systems": "edge, pos-sync"}', "--check")
    both = stage.play("quarantine", healthy.dsn, *words)
    assert both.rc == 0, both.text
    assert "source_systems edge, pos-sync" in " ".join(both.text.split())
    assert both.result["move"]["window"]["end"] == "2030-01-01T00:00:00+00:00"


def test_hostile_options(healthy: Pipeline, pg_server: Server, stage: Stage, subtests: pytest.Subtests) -> None:
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
        with subtests.test(msg=name):
            made = played.results[name]
            assert made["outcome"] == "failed"
            line = " ".join(part for part in (made["error"]["attempted"], made["error"]["said"]) if part)
            assert says in line
            assert "\n" not in line
            assert made["next"]
    assert_no_ansible_trouble(played)


@pytest.mark.parametrize(
    "path", ["/proc/nowhere/x.json", "", "$(touch hit)/\x00.json"], ids=["proc", "folder", "shell"]
)
def test_a_summary_that_cannot_be_written_is_still_shown(path: str, healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("resume_ingestion", healthy.dsn, result_file=path or str(stage.home))
    assert played.rc == 2, played.text
    assert "could not write result_file" in played.summary
    assert "ingestion is running" in played.summary
    assert_no_ansible_trouble(played)


def test_a_result_file_is_never_anything_but_a_name(healthy: Pipeline, stage: Stage) -> None:
    odd = stage.home / "out; $(touch hit) `touch hit`.json"
    assert stage.play("resume_ingestion", healthy.dsn, cwd=stage.home, result_file=str(odd)).rc == 0
    assert odd.is_file()
    assert not (stage.home / "hit").exists()


def test_a_target_that_matches_nothing(healthy: Pipeline, stage: Stage) -> None:
    """Ansible itself would skip it and report success."""
    played = stage.play("emergency_reset", healthy.dsn, target="\x1b[31mred")
    assert played.rc not in (0, 2), played.text
    assert "no host matches target" in played.text
    assert "name one of all, scout, local" in played.text
    assert "\x1b[31mred" not in played.text


@pytest.mark.parametrize(("inventory", "host"), [("localhost,", "localhost"), ("db1,db2,", "db2")])
def test_an_inventory_without_the_group(inventory: str, host: str, healthy: Pipeline, stage: Stage) -> None:
    """Without any host the playbook works on the database it was given; with others one has to be named."""
    named = {"target": host} if host != "localhost" else {}
    played = stage.play("pause_ingestion", healthy.dsn, "-i", inventory, **named)
    assert played.rc == 0, played.text
    assert played.recap(host)["changed"] == 1
    assert "bronze-to-silver-etl" not in healthy.active_jobs()


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
    listed = stage.play("emergency_reset", None, "-i", inventory, "-vvv", env=env, allow_shared_database=True)
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


def assert_no_ansible_trouble(played: Played) -> None:
    """Nothing on the screen comes from Python or from Ansible's own plumbing."""
    for word in ("Traceback", "unexpected", "Unexpected", "[DEPRECATION", "argument spec", "_AnsibleTagged"):
        assert word not in played.text, played.text
