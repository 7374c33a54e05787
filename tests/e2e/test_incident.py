# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An incident from its first command to its last, as people type them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Played, Stage, environment
from tests.integration.modules import executed

GOLD = {"title": "gold is an hour behind", "severity": "high"}
DONE = "SELECT action FROM scout_ops.runs WHERE incident = 'INC-2041' AND action <> 'lease' ORDER BY started_at"


def typed(stage: Stage, playbook: str, dsn: str, *words: str) -> Played:
    """A playbook with its variables as a person types them, one -e for each."""
    command = [*stage.command(playbook, dsn, {}), *(part for word in words for part in ("-e", word))]
    done = subprocess.run(
        command, env=environment(stage.home), cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return Played(done.returncode, done.stdout + done.stderr, stage.results())


def test_an_incident_from_open_to_close(broken: Pipeline, quick: Quick) -> None:
    planned = quick.play("incident_open", broken.dsn, "--check", incident="INC-2041", **GOLD)
    assert (planned.rc, planned.result["outcome"], planned.result["changed"]) == (0, "planned", True), planned.text
    assert "would open INC-2041, high: gold is an hour behind; notify on-call engineer, team lead" in planned.summary
    assert not broken.one("SELECT to_regnamespace('scout_ops') IS NOT NULL")

    opened = quick.play("incident_open", broken.dsn, incident="INC-2041", **GOLD)
    assert (opened.rc, opened.result["outcome"], opened.result["incident"]) == (0, "done", "INC-2041"), opened.text
    assert opened.result["record"]["state"] == "open"
    assert "now INC-2041 is open, high, since" in opened.summary
    before = broken.fingerprint()
    again = quick.play("incident_open", broken.dsn, incident="INC-2041", **GOLD)
    assert (again.rc, again.result["outcome"], again.recap()["changed"]) == (0, "unchanged", 0)
    second = quick.play("incident_open", broken.dsn, title="another", severity="high")
    assert (second.rc, second.result["outcome"]) == (2, "failed")
    assert "INC-2041 is open since" in second.summary
    assert "now ingestion is running" in second.summary
    assert broken.fingerprint() == before

    reset = quick.play("emergency_reset", broken.dsn)
    assert (reset.rc, reset.result["incident"]) == (0, "INC-2041"), reset.text
    broken.link_and_wait()
    assert "incident INC-2041" in reset.summary
    assert [row[0] for row in broken.rows(DONE)] == ["assess", "evidence", "pause", "drain", "refresh_gold", "resume"]
    passed = quick.play("acceptance_gate", broken.dsn, warn_passes=True)
    assert (passed.rc, passed.result["incident"]) == (0, "INC-2041"), passed.text

    noted = quick.play("incident_note", broken.dsn, root_cause="a form lets anything into the amount")
    assert (noted.rc, noted.result["outcome"]) == (0, "done"), noted.text
    assert (
        quick.play("incident_note", broken.dsn, root_cause="a form lets anything into the amount").recap()["changed"]
        == 0
    )
    told = quick.play("incident_update", broken.dsn, text="it runs again", next_update_minutes=30)
    assert "next update by" in told.summary, told.text

    closed = quick.play("incident_close", broken.dsn)
    assert (closed.rc, closed.result["outcome"], closed.result["record"]["state"]) == (0, "done", "closed"), closed.text
    assert "still to be noted: external dependencies, retrospective" in closed.summary
    assert closed.result["record"]["missing"] == ["external_dependencies", "retrospective"]
    settled = {i["item"] for phase in closed.result["record"]["phases"] for i in phase["items"] if i["done"]}
    assert settled >= {
        "health_check",
        "stop_ingestion",
        "quarantine",
        "preserve_evidence",
        "acceptance_gate",
        "root_cause",
    }
    before = broken.fingerprint()
    once_more = quick.play("incident_close", broken.dsn)
    assert (once_more.rc, once_more.result["outcome"], once_more.recap()["changed"]) == (0, "unchanged", 0), (
        once_more.text
    )
    after = quick.play("assess", broken.dsn)
    assert (after.result["incident"], after.result["record"]) == ("adhoc", None)
    assert broken.fingerprint() == before


def test_closing_waits_for_the_resume_and_for_the_gate(healthy: Pipeline, quick: Quick) -> None:
    quick.play("incident_open", healthy.dsn, incident="INC-1", **GOLD)
    quick.play("pause_ingestion", healthy.dsn)
    before = healthy.contents()
    refused = quick.play("incident_close", healthy.dsn)
    assert (refused.rc, refused.result["outcome"]) == (2, "failed")
    assert "ingestion is still paused for INC-1" in refused.summary
    assert "ansible-playbook playbooks/resume_ingestion.yml" in refused.summary
    quick.play("resume_ingestion", healthy.dsn)
    library.negative_totals(healthy.dsn)
    refused = quick.play("incident_close", healthy.dsn)
    assert (refused.rc, refused.result["record"]) == (2, None), refused.text
    assert "the gate does not pass" in refused.summary
    forced = quick.play("incident_close", healthy.dsn, force=True, text="we mend it tomorrow")
    assert (forced.rc, forced.result["record"]["state"]) == (0, "closed"), forced.text
    assert "closed although the gate does not pass" in forced.summary
    assert healthy.contents()["jobs"] != before["jobs"], "resumed"


def test_an_assessment_shows_what_is_overdue(healthy: Pipeline, quick: Quick) -> None:
    quick.play(
        "incident_open", healthy.dsn, incident="INC-1", title="slow", severity="critical", next_update_minutes=30
    )
    healthy.execute(
        "UPDATE scout_ops.incidents SET opened_at = opened_at - interval '10 min', next_update_at = now() - interval '61 s'"
    )
    before = healthy.fingerprint()
    checked = quick.play("assess", healthy.dsn, "--check")
    assert "a first response is 5 min" in checked.summary
    assert healthy.fingerprint() == before
    assessed = quick.play("assess", healthy.dsn)
    assert (assessed.rc, assessed.result["outcome"], assessed.recap()["changed"]) == (0, "assessed", 0), assessed.text
    assert "for INC-1, critical: slow" in assessed.summary
    assert "the promised update is 1 min" in assessed.summary
    assert [each["what"] for each in assessed.result["record"]["overdue"]] == ["response", "update"]
    assert any("promised for" in text for text in assessed.result["warnings"])
    screen = assessed.text[assessed.text.rindex("\nassess of") :].splitlines()
    assert max(map(len, screen)) <= 80
    noted = quick.play("incident_note", healthy.dsn, text="on it")
    assert [each["what"] for each in noted.result["record"]["overdue"]] == ["update"], "somebody is at work now"
    assert "late the promised update is 1 min" in noted.summary
    quick.play("incident_update", healthy.dsn, text="looking", next_update_minutes=30)
    assert quick.play("assess", healthy.dsn).result["record"]["overdue"] == []


def test_words_outside_of_quotes_are_not_lost(healthy: Pipeline, stage: Stage) -> None:
    lost = typed(stage, "incident_open", healthy.dsn, "title=gold is stale", "severity=high")
    assert lost.rc == 2
    assert "the words 'is stale' are outside the quotes" in lost.summary
    assert not healthy.one("SELECT to_regnamespace('scout_ops') IS NOT NULL")
    kept = typed(stage, "incident_open", healthy.dsn, "title='gold is stale'", "severity=high")
    assert (kept.rc, kept.result["record"]["title"]) == (0, "gold is stale"), kept.text
    noted = typed(stage, "incident_note", healthy.dsn, "text='two words'", "settles=update_monitoring")
    assert noted.rc == 0, noted.text
    assert (
        healthy.one("SELECT details ->> 'item' FROM scout_ops.incident_entries WHERE kind = 'note'")
        == "update_monitoring"
    )


def test_hostile_words_on_the_screen(healthy: Pipeline, stage: Stage) -> None:
    title = 'it\'s "down";\nDROP TABLE x; \x1b[31m \U0001f692 \u91d1'
    opened = stage.play("incident_open", healthy.dsn, title=title, severity="high")
    assert opened.rc == 0, opened.text
    assert opened.result["record"]["title"] == 'it\'s "down"; DROP TABLE x; [31m \U0001f692 \u91d1'
    assert "\x1b" not in opened.text
    refused = stage.play("incident_update", healthy.dsn, title="x" * 10_240)
    assert refused.rc == 2
    assert "title has 10,240 characters" in refused.summary
    assert len(refused.lines[-15:]) <= 15


def test_what_was_typed_is_no_template(healthy: Pipeline, stage: Stage) -> None:
    """Braces are braces, also such as would fail, or would run a program."""
    title = "{{ 7 * 7 }} {% raw %} {# x #} <script>"
    text = "{{ lookup('pipe', 'touch ran') }} and {{ ref('gold') }}"
    opened = stage.play("incident_open", healthy.dsn, title=title, severity="high")
    assert (opened.rc, opened.result["record"]["title"]) == (0, title), opened.text
    noted = stage.play("incident_note", healthy.dsn, text=text, root_cause="{{ nobody_knows }}")
    assert noted.rc == 0, noted.text
    notes = "SELECT string_agg(text, ' | ' ORDER BY entry) FROM scout_ops.incident_entries WHERE kind = 'note'"
    assert healthy.one(notes) == f"{text} | {{{{ nobody_knows }}}}"
    lost = typed(stage, "incident_note", healthy.dsn, "text=see {{ x }}")
    assert (lost.rc, "the words '{{ x }}' are outside the quotes" in lost.summary) == (2, True), lost.text


def test_a_secret_in_a_note_is_not_kept(healthy: Pipeline, quick: Quick) -> None:
    quick.play("incident_open", healthy.dsn, title="login with password=hush1 fails", severity="high")
    noted = quick.play(
        "incident_note",
        healthy.dsn,
        text="it said postgresql://u:hush2@db1/scout",
        root_cause="PGPASSWORD=hush3 was old",
    )
    assert noted.rc == 0, noted.text
    assert "what looks like a secret is left out of root_cause, text" in " ".join(noted.summary.split())
    kept = "SELECT string_agg(i::text, '') || string_agg(e::text, '') FROM scout_ops.incidents AS i, scout_ops.incident_entries AS e"
    assert "hush" not in healthy.one(kept)
    again = quick.play(
        "incident_note",
        healthy.dsn,
        text="it said postgresql://u:hush2@db1/scout",
        root_cause="PGPASSWORD=hush3 was old",
    )
    assert "has this note already" in again.summary


def test_adopting_by_the_playbook(healthy: Pipeline, stage: Stage, quick: Quick) -> None:
    quick.play("pause_ingestion", healthy.dsn)
    quick.play("resume_ingestion", healthy.dsn)
    quick.play("incident_open", healthy.dsn, incident="INC-2041", **GOLD)
    ids = [
        str(row[0])
        for row in healthy.rows("SELECT run_id FROM scout_ops.runs WHERE action <> 'lease' ORDER BY started_at")
    ]
    adopted = typed(stage, "incident_update", healthy.dsn, f"adopt={','.join(ids)}")
    assert adopted.rc == 0, adopted.text
    assert "adopted 2 runs" in adopted.summary
    assert [row[0] for row in healthy.rows(DONE)] == ["pause", "resume"]
    since = quick.play("incident_update", healthy.dsn, adopt_since="2020-01-01T00:00", time_zone="Asia/Manila")
    assert (since.rc, since.result["outcome"]) == (0, "unchanged"), since.text


def test_two_operators_at_once(healthy: Pipeline, stage: Stage, tmp_path: Path) -> None:
    other = Stage(tmp_path / "other")
    other.home.mkdir()
    with (
        stage.start("incident_open", healthy.dsn, **GOLD) as one,
        other.start("incident_open", healthy.dsn, title="b", severity="high") as two,
    ):
        ends = [one.wait(), two.wait()]
    assert sorted(end.rc for end in ends) == [0, 2], [end.text for end in ends]
    assert healthy.one("SELECT count(*) FROM scout_ops.incidents") == 1
    with (
        stage.start("incident_note", healthy.dsn, text="first") as one,
        other.start("incident_note", healthy.dsn, text="second") as two,
    ):
        ends = [one.wait(), two.wait()]
    assert [end.rc for end in ends] == [0, 0], [end.text for end in ends]
    assert healthy.one("SELECT count(*) FROM scout_ops.incident_entries WHERE kind = 'note'") == 2


def test_the_documented_role_keeps_the_record(healthy: Pipeline, quick: Quick, pg_server: Server) -> None:
    role = "keeper"
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    subprocess.run(
        [psql(), "-Xq", "-d", healthy.dsn, "-v", f"role={role}", "-f", script], check=True, stdout=subprocess.DEVNULL
    )
    try:
        dsn = make_conninfo(healthy.dsn, user=role)
        for playbook, options in (
            ("incident_open", GOLD),
            ("pause_ingestion", {}),
            ("resume_ingestion", {}),
            ("incident_note", {"retrospective": "Friday"}),
            ("incident_update", {"severity": "medium"}),
            ("incident_close", {}),
        ):
            played = quick.play(playbook, dsn, ledger="required", **options)
            assert (played.rc, played.result["warnings"]) == (0, []), played.text
            assert played.result["incident"].startswith("INC-")
        assert healthy.one("SELECT count(*) FROM scout_ops.incidents WHERE closed_at IS NOT NULL") == 1
    finally:
        healthy.execute(f"DROP OWNED BY {role} CASCADE")
        with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}".encode())


def test_through_ansible_runner(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play_through_runner("incident_open", healthy.dsn, **GOLD)
    assert (played.rc, played.result["outcome"]) == (0, "done"), played.text


def test_a_record_that_is_not_written_says_how_ingestion_is(broken: Pipeline, quick: Quick) -> None:
    """Whoever is refused asks first whether data is lost meanwhile."""
    assert quick.play("pause_ingestion", broken.dsn, incident="INC-7").rc == 0
    executed("scout_lease", broken.dsn, incident="INC-9")
    for playbook, options in {"incident_open": GOLD, "incident_close": {}, "incident_note": {"text": "x"}}.items():
        refused = quick.play(playbook, broken.dsn, **options)
        assert (refused.rc, refused.result["ingestion"]) == (2, "paused"), refused.text
        assert "now ingestion is paused (by " in refused.summary, refused.text
    assert quick.play("incident_open", broken.dsn, takeover=True, incident="INC-7", **GOLD).rc == 0
    refused = quick.play("incident_close", broken.dsn)
    assert refused.rc == 2, refused.text
    assert "ingestion is paused" in refused.summary.partition("failed ")[0], refused.text
