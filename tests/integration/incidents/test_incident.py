# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of an incident: opened, joined, told, adopted and closed, once and twice, by two at once and with few privileges."""

from __future__ import annotations

import concurrent.futures
import datetime
import multiprocessing
import threading
import uuid
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import bootstrap, open_incident
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.schema import TABLES, VERSIONS
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import Result, ad_hoc, call, connect, executed, fingerprint, one, operator, rows

MODULE = "scout_incident"
INFO = "scout_incident_info"
GOLD: dict[str, Any] = {"title": "gold is stale", "severity": "critical"}
ENTRIES = "SELECT kind, text FROM scout_ops.incident_entries ORDER BY entry"


def keep(dsn: str, state: str, **options: Any) -> Result:
    """What comes to its end."""
    result = call(MODULE, dsn, state=state, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(dsn: str, state: str, **options: Any) -> str:
    """The whole message of what does not; nothing was written."""
    before = fingerprint(dsn)
    result = call(MODULE, dsn, state=state, **options)
    assert result.get("failed"), result
    after = fingerprint(dsn)
    for either in (before, after):
        # The lease's token has grown where it was taken.
        either.pop("scout_ops.leases", None)
    assert after == before
    return result["msg"]


def opened(dsn: str, **options: Any) -> Result:
    return keep(dsn, "opened", **{**GOLD, **options})


def story(dsn: str, **options: Any) -> Result:
    result = call(INFO, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def day() -> str:
    """Today in UTC, as an incident is named after it; a test may run over midnight."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")


def test_from_opening_to_the_second_close(scout_db: str) -> None:
    eve = day()
    planned = call(MODULE, scout_db, check=True, **GOLD)
    assert (planned["changed"], planned["state"]) == (True, "open")
    assert planned["incident"] in {f"INC-{date}-1" for date in (eve, day())}
    assert planned["summary"].startswith(f"would open {planned['incident']}, critical: gold is stale")
    assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")
    eve = day()
    first = opened(scout_db)
    name = first["incident"]
    assert name in {f"INC-{date}-1" for date in (eve, day())}
    assert (first["changed"], first["severity"]) == (True, "critical")
    assert first["missing"] == ["root_cause", "external_dependencies", "retrospective"]
    assert first["escalation"] == ["incident commander", "engineering team", "stakeholders"]
    assert set(planned) == set(first)
    before = fingerprint(scout_db)
    assert opened(scout_db)["changed"] is False
    assert opened(scout_db, incident=name)["changed"] is False
    assert call(MODULE, scout_db, check=True, state="closed")["state"] == "closed"
    assert fingerprint(scout_db) == before
    noted = keep(scout_db, "noted", text="a reader holds the lock", root_cause="it forgot to commit")
    assert [entry["kind"] for entry in noted["entries"]] == ["opened", "note", "note"]
    assert (noted["missing"], noted["root_cause"]) == (
        ["external_dependencies", "retrospective"],
        "it forgot to commit",
    )
    assert keep(scout_db, "noted", text="a reader holds the lock", root_cause="it forgot to commit")["changed"] is False
    closed = keep(scout_db, "closed")
    assert (closed["changed"], closed["state"], closed["incident_open"]) == (True, "closed", False)
    assert "still to be noted: external dependencies, retrospective" in closed["summary"]
    before = fingerprint(scout_db)
    for options in ({}, {"incident": name}):
        again = keep(scout_db, "closed", **options)
        assert (again["changed"], again["incident"]) == (False, name)
    assert fingerprint(scout_db) == before
    late = keep(scout_db, "noted", incident=name, retrospective="Friday")
    assert late["missing"] == ["external_dependencies"]
    another = opened(scout_db, title="another")["incident"]
    # The second of its day, or the first of the next one.
    assert another in {name.removesuffix("1") + "2", f"INC-{day()}-1"} - {name}


def test_what_is_refused_says_what_to_do(scout_db: str) -> None:
    for state in ("noted", "updated", "closed"):
        message = call(MODULE, scout_db, state=state, text="x")["msg"]
        assert "no incident is open" in message
        assert "incident_open.yml" in message
    assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")
    opened(scout_db, incident="INC-1")
    assert "INC-1 is open since" in refused(scout_db, "opened", title="something else", severity="high")
    assert "incident_note.yml adds to it" in refused(scout_db, "opened", incident="INC-2", **GOLD)
    assert "another title or severity" in refused(scout_db, "opened", incident="INC-1", title="x", severity="high")
    assert "INC-2 was never opened" in refused(scout_db, "noted", incident="INC-2", text="x")
    assert "give one of critical, high, medium" in refused(scout_db, "opened", title="x", severity="bad")
    assert "an incident needs a title" in refused(scout_db, "opened", severity="high", title=" \n ")
    assert "an incident needs a severity" in refused(scout_db, "opened", title="x")
    assert "nothing to note" in refused(scout_db, "noted", text="")
    assert "nothing to update" in refused(scout_db, "updated")
    assert "is not a checklist item" in refused(scout_db, "noted", text="x", settles="nonsense")
    assert "without a text" in refused(scout_db, "noted", root_cause="x", settles="root_cause")
    assert "'is stale' are outside the quotes" in refused(
        scout_db, "opened", title="gold", severity="high", stray_words="is stale"
    )
    assert "next_update_minutes 0 is not usable" in refused(scout_db, "updated", next_update_minutes=0)
    assert "next_update_minutes nan is not usable" in refused(scout_db, "updated", next_update_minutes="nan")
    assert "is not usable" in refused(scout_db, "opened", incident="INC 2; DROP", **GOLD)
    assert "would be read as no incident" in refused(scout_db, "opened", incident="AdHoc", **GOLD)
    assert "ledger is off" in refused(scout_db, "opened", ledger="off", **GOLD)
    keep(scout_db, "closed")
    assert "INC-1 was closed" in refused(scout_db, "opened", incident="INC-1", **GOLD)
    assert "INC-1 was closed" in refused(scout_db, "updated", incident="INC-1", severity="high")


HOSTILE = [
    'it\'s "down"; DROP TABLE scout_ops.incidents; --',
    "line one\nline two\r\n\tthree",
    "\u91d1 stale \U0001f469\u200d\U0001f692 %s %(incident)s {} {{ 7 * 7 }} \\x00",
    "x" * 200,
]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_come_back_as_they_were_but_for_line_breaks(scout_db: str, title: str) -> None:
    made = opened(scout_db, title=title)
    assert made["title"] == " ".join(title.split())
    assert opened(scout_db, title=title)["changed"] is False
    note = title * 50
    assert keep(scout_db, "noted", text=note)["entries"][-1]["text"] == note.replace("\r\n", "\n").strip()
    assert story(scout_db)["timeline"][-1]["effect"] == note.replace("\r\n", "\n").strip()


def test_a_title_of_ten_thousand_characters_is_refused(scout_db: str) -> None:
    opened(scout_db)
    assert "title has 10,240 characters" in refused(scout_db, "updated", title="x" * 10_240)
    assert "NUL" in refused(scout_db, "updated", title="a\0b")


def test_everything_done_meanwhile_is_done_for_it(scout_db: str) -> None:
    before = call("scout_ingestion", scout_db, state="paused")
    assert (before["incident"], before["incident_open"]) == ("adhoc", False)
    call("scout_ingestion", scout_db, state="running")
    opened(scout_db, incident="INC-1")
    for options in ({}, {"incident": "adhoc"}, {"incident": "INC-1"}):
        paused = call("scout_ingestion", scout_db, state="paused", **options)
        assert (paused["incident"], paused["incident_open"]) == ("INC-1", True)
        call("scout_ingestion", scout_db, state="running", **options)
    other = call("scout_refresh_gold", scout_db, incident="INC-9", force=True)
    assert (other["incident"], other["incident_open"]) == ("INC-9", False)
    off = call("scout_health_info", scout_db, ledger="off")
    assert (off["incident"], off["incident_open"]) == ("adhoc", False)
    held = call("scout_lease", scout_db)
    assert one(scout_db, "SELECT incident FROM scout_ops.leases") == "INC-1"
    call("scout_lease", scout_db, state="released", lease_token=held["token"])
    assert one(scout_db, "SELECT count(*) FROM scout_ops.runs WHERE incident = 'INC-1'") == 6
    failed = call("scout_runs_info", scout_db, limit=0)
    assert (failed["failed"], failed["incident"]) == (True, "INC-1")
    keep(scout_db, "closed")
    assert call("scout_health_info", scout_db)["incident"] == "adhoc"


def test_the_session_carries_the_name_of_the_incident(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    with open_session(Settings(scout_db, action="terminate_sessions")) as session:
        joined = open_incident.join(session, readable=True)
        assert (joined.incident, joined.is_open) == ("INC-1", True)
        name = session.row("SELECT current_setting('application_name') AS name")["name"]
        assert (name, session.settings.incident) == ("scout-recovery/INC-1/terminate_sessions", "INC-1")


def test_a_record_that_is_locked_stops_nothing(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    with connect(scout_db) as connection, connection.transaction():
        connection.execute("LOCK TABLE scout_ops.incidents IN ACCESS EXCLUSIVE MODE")
        result = call("scout_ingestion", scout_db, state="paused", lock_timeout_seconds=0.2)
    assert (result["changed"], result["incident"]) == (True, "adhoc")
    assert any("the open incident could not be read" in text for text in result["warnings"])


def test_adopting_what_was_done_before(scout_db: str) -> None:
    paused = call("scout_ingestion", scout_db, state="paused")
    refreshed = call("scout_refresh_gold", scout_db, force=True)
    foreign = call("scout_refresh_gold", scout_db, incident="INC-7", force=True)
    opened(scout_db, incident="INC-1")
    assert story(scout_db)["record"]["phases"][1]["items"][0]["done"] is False
    assert "has no run" in refused(scout_db, "updated", adopt=[str(uuid.uuid4())])
    assert "'x'" in refused(scout_db, "updated", adopt=["x"])
    assert "it was done for INC-7" in refused(scout_db, "updated", adopt=[paused["run_id"], foreign["run_id"]])
    assert "has no offset" in refused(scout_db, "updated", adopt_since="2026-11-25T01:00")
    before = fingerprint(scout_db)
    assert call(MODULE, scout_db, state="updated", adopt=[paused["run_id"]], check=True)["changed"]
    assert fingerprint(scout_db) == before
    adopted = keep(scout_db, "updated", adopt=[paused["run_id"]])
    assert adopted["entries"][-1]["details"] == {"runs": [paused["run_id"]]}
    assert adopted["phases"][1]["items"][0]["through"] == "pause"
    assert one(scout_db, "SELECT incident FROM scout_ops.pauses") == "INC-1"
    since = keep(scout_db, "updated", adopt_since="2020-01-01T00:00", time_zone="Asia/Manila")
    assert since["entries"][-1]["details"] == {"runs": [refreshed["run_id"]]}
    assert rows(scout_db, "SELECT DISTINCT incident FROM scout_ops.runs ORDER BY 1") == [("INC-1",), ("INC-7",)]
    before = fingerprint(scout_db)
    assert keep(scout_db, "updated", adopt=[paused["run_id"]])["changed"] is False
    assert keep(scout_db, "updated", adopt_since="2020-01-01T00:00Z")["changed"] is False
    assert fingerprint(scout_db) == before
    assert "ingestion is still paused for INC-1" in refused(scout_db, "closed")


def test_a_playbooks_runs_are_adopted_together_and_once_it_is_closed(scout_db: str) -> None:
    lease = call("scout_lease", scout_db)
    for state in ("paused", "running"):
        call("scout_ingestion", scout_db, state=state, lease_token=lease["token"])
    call("scout_lease", scout_db, state="released", lease_token=lease["token"])
    opened(scout_db, incident="INC-1")
    keep(scout_db, "closed")
    adopted = keep(scout_db, "updated", incident="INC-1", adopt=[lease["run_id"]])
    assert adopted["summary"] == "updated INC-1: adopted 2 runs"
    assert one(scout_db, "SELECT count(*) FROM scout_ops.runs WHERE incident = 'INC-1'") == 2


def test_telling_and_promising(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    raised = keep(scout_db, "updated", severity="high", title="gold is two hours behind")
    assert (raised["severity"], raised["title"]) == ("high", "gold is two hours behind")
    assert raised["escalation"] == ["on-call engineer", "team lead"]
    assert "severity high, was critical" in raised["summary"]
    assert opened(scout_db)["changed"] is False, "the command that opened it, typed again"
    assert keep(scout_db, "updated", severity="high")["changed"] is False
    promised = keep(scout_db, "updated", text="draining", next_update_minutes=30)
    at = datetime.datetime.fromisoformat(promised["next_update_at"])
    assert 1700 < (at - datetime.datetime.now(datetime.UTC)).total_seconds() < 1801
    before = fingerprint(scout_db)
    assert keep(scout_db, "updated", text="draining", next_update_minutes=30)["changed"] is False
    assert fingerprint(scout_db) == before
    assert keep(scout_db, "updated", next_update_minutes=60)["next_update_at"] > promised["next_update_at"]
    assert keep(scout_db, "updated", text="done")["next_update_at"] is None
    kinds = [entry["kind"] for entry in story(scout_db)["record"]["entries"]]
    assert kinds == ["opened", *["update"] * 4]


def test_a_team_has_severities_of_its_own(scout_db: str) -> None:
    own = {"sev1": {"response_minutes": 1, "escalation": ["everybody"]}}
    assert "give one of sev1" in call(MODULE, scout_db, **GOLD, severities=own)["msg"]
    assert opened(scout_db, severity="sev1", severities=own)["escalation"] == ["everybody"]


def test_what_is_overdue_is_in_every_result(scout_db: str) -> None:
    opened(scout_db, incident="INC-1", next_update_minutes=30)
    with connect(scout_db) as connection:
        connection.execute(
            "UPDATE scout_ops.incidents SET opened_at = opened_at - interval '1 hour', next_update_at = now() - interval '1 min'"
        )
    late = story(scout_db)["record"]["overdue"]
    assert [each["what"] for each in late] == ["response", "update"]
    assert 3290 < late[0]["seconds"] < 3400
    warned = call("scout_ingestion", scout_db, state="paused")
    assert any("the update of INC-1 promised for" in text for text in warned["warnings"])
    assert [each["what"] for each in story(scout_db)["record"]["overdue"]] == ["update"], "somebody is at work"
    again = keep(scout_db, "updated", next_update_minutes=30)
    assert (again["changed"], again["overdue"], again["warnings"]) == (True, [], [])
    assert "promised" not in str(call("scout_health_info", scout_db)["warnings"])


def test_closing_waits_for_the_gate(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    failing = {"verdict": "fail", "ok": False, "summary": "fail: of 26 checks 1 fails"}
    assert "the gate does not pass (fail: of 26 checks 1 fails)" in refused(scout_db, "closed", gate=failing)
    kept = keep_seen(scout_db, "gate", failing)
    assert kept["run_id"]
    assert "the gate does not pass" in refused(scout_db, "closed"), "the one that was asked last counts"
    assert "the gate says paused" in refused(scout_db, "closed", gate={"verdict": "paused"})
    keep_seen(scout_db, "gate", {"verdict": "warn", "ok": False, "summary": "warn"})
    forced = call(MODULE, scout_db, state="closed", check=True, gate=failing, force=True)
    assert forced["warnings"] == ["closed although the gate does not pass (fail: of 26 checks 1 fails)"]
    closed = keep(scout_db, "closed")
    assert (closed["changed"], closed["entries"][-1]["details"]["verdict"]) == (True, "warn")


def test_forced_to_close_while_paused(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    call("scout_ingestion", scout_db, state="paused")
    message = refused(scout_db, "closed")
    assert "ingestion is still paused for INC-1" in message
    assert "resume_ingestion.yml" in message
    closed = keep(scout_db, "closed", force=True, text="we go on by hand")
    assert closed["entries"][-1]["text"] == "we go on by hand"
    assert closed["entries"][-1]["details"]["forced"] is True


def test_closing_tells_what_has_not_come_to_its_end(scout_db: str) -> None:
    opened(scout_db, incident="INC-1")
    call("scout_ingestion", scout_db, state="paused")
    call("scout_ingestion", scout_db, state="running")
    assert keep(scout_db, "closed", check=True)["warnings"] == []
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout_ops.runs SET status = 'running', finished_at = NULL WHERE action = 'pause'")
    told = keep(scout_db, "closed")["warnings"]
    assert [text.partition(" (")[0].partition(" of ")[0] for text in told] == ["not finished: pause"], told
    assert "runs.yml lists what was done" in told[0]


def keep_seen(dsn: str, looked: str, found: dict[str, Any], **options: Any) -> Result:
    result = call(MODULE, dsn, state="seen", looked=looked, found=found, **options)
    assert not result.get("failed"), result["msg"]
    assert result["changed"] is False
    return result


def test_looks_are_kept_only_while_an_incident_is_open(scout_db: str) -> None:
    healthy = call("scout_health_info", scout_db)
    assert keep_seen(scout_db, "assess", healthy)["run_id"] is None
    assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")
    opened(scout_db, incident="INC-1")
    before = fingerprint(scout_db)
    assert keep_seen(scout_db, "assess", healthy, check=True)["run_id"] is None
    assert keep_seen(scout_db, "assess", healthy, incident="INC-2")["run_id"] is None
    assert keep_seen(scout_db, "gate", {})["run_id"] is None
    assert fingerprint(scout_db) == before
    assert keep_seen(scout_db, "assess", healthy)["run_id"]
    keep_seen(scout_db, "evidence", {"folder": "evidence/x", "summary": "1 file"})
    told = story(scout_db)
    assert [event["what"] for event in told["timeline"]] == ["opened", "assess", "evidence"]
    assert told["timeline"][1]["effect"].startswith(healthy["verdict"])
    done = {item["item"] for phase in told["record"]["phases"] for item in phase["items"] if item["done"]}
    assert done == {"alert_received", "health_check", "document_symptoms", "preserve_evidence", "analyze_logs"}


def test_the_story_of_real_runs_in_two_zones(scout_db: str) -> None:
    assert story(scout_db)["summary"] == "no incident is open"
    opened(scout_db, incident="INC-1")
    for state in ("paused", "running"):
        call("scout_ingestion", scout_db, state=state)
    keep_seen(scout_db, "gate", call("scout_gate_info", scout_db))
    keep(scout_db, "noted", text="watched")
    told = story(scout_db, time_zone="Asia/Manila")
    assert [event["what"] for event in told["timeline"]] == ["opened", "pause", "resume", "gate", "noted"]
    assert [event["at"] for event in told["timeline"]] == sorted(event["at"] for event in told["timeline"])
    for event in told["timeline"]:
        assert event["at"].endswith("+00:00")
        assert event["local"].endswith("+08:00")
        assert datetime.datetime.fromisoformat(event["at"]) == datetime.datetime.fromisoformat(event["local"])
    assert told["timeline"][1]["effect"].startswith("3 jobs off: ")
    assert "is not known" in call(INFO, scout_db, time_zone="Nowhere/At_all")["msg"]
    keep(scout_db, "closed")
    assert story(scout_db)["incident"] is None
    assert story(scout_db, latest=True)["record"]["state"] == "closed"
    assert story(scout_db, incident="INC-1")["record"]["state"] == "closed"
    assert story(scout_db, incident="INC-5")["summary"] == "INC-5 was never opened"


def test_opening_and_closing_need_the_lease_and_telling_does_not(scout_db: str) -> None:
    held = executed("scout_lease", scout_db)
    assert held["token"], "by a process that cannot be looked up, so it counts as alive"
    for check in (False, True):
        assert "has been working on incident" in call(MODULE, scout_db, check=check, **GOLD)["msg"]
    assert opened(scout_db, incident="INC-1", lease_token=held["token"])["changed"]
    assert keep(scout_db, "noted", text="they are at work")["changed"]
    assert keep(scout_db, "updated", severity="high")["changed"]
    assert "has been working on incident" in refused(scout_db, "closed")
    assert opened(scout_db, incident="INC-1")["changed"] is False, "nothing to do needs no lease"
    assert keep(scout_db, "closed", takeover=True)["warnings"][0].startswith("reclaimed the lease of")
    assert one(scout_db, "SELECT owner FROM scout_ops.leases") is None


def test_two_open_one_at_the_same_moment(scout_db: str) -> None:
    """In processes of their own, as operators are: a process that finds a lease of its own takes it for one it lost."""
    with concurrent.futures.ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        # Every one of them has loaded all that it needs before the first begins.
        assert len([pool.submit(call, "scout_runs_info", scout_db) for _ in range(4)]) == 4
        opening = [pool.submit(call, MODULE, scout_db, title=f"title {n}", severity="high") for n in range(4)]
        results: list[Result] = [each.result(timeout=60) for each in opening]
    assert sum(bool(result["changed"]) for result in results) == 1, results
    [(name, title, by)] = rows(scout_db, "SELECT incident, title, opened_by FROM scout_ops.incidents")
    refusals = [result["msg"] for result in results if result.get("failed")]
    assert len(refusals) == 3
    for refusal in refusals:
        assert "refused to open a second incident" in refusal
        assert f"{name} is open since" in refusal
        assert f"by {by}: {title}" in refusal
    assert one(scout_db, "SELECT owner FROM scout_ops.leases") is None


def test_notes_of_two_at_once_are_both_kept(scout_db: str) -> None:
    opened(scout_db)
    threads = [
        threading.Thread(target=lambda n=number: keep(scout_db, "noted", text=f"note {n}")) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notes = {text for kind, text in rows(scout_db, ENTRIES) if kind == "note"}
    assert notes == {f"note {number}" for number in range(6)}


def test_the_ledger_of_an_older_version(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(bootstrap, "VERSIONS", VERSIONS[:6])
        older.setattr(bootstrap, "TABLES", TABLES[:-2])
        call("scout_ingestion", scout_db, state="paused", incident="INC-1")
    assert one(scout_db, "SELECT max(version) FROM scout_ops.versions") == 6
    before = fingerprint(scout_db)
    assert call("scout_health_info", scout_db)["incident"] == "adhoc"
    assert story(scout_db)["incident"] is None
    assert "no incident is open" in call(MODULE, scout_db, state="noted", text="x", check=True)["msg"]
    assert call(MODULE, scout_db, incident="INC-1", check=True, **GOLD)["incident"] == "INC-1"
    assert fingerprint(scout_db) == before
    opened(scout_db, incident="INC-1")
    assert one(scout_db, "SELECT max(version) FROM scout_ops.versions") == len(VERSIONS)
    # What a run of that version left is in tests/integration/ledger/test_upgrade.py: today's code cannot write it.
    assert [event["what"] for event in story(scout_db)["timeline"]] == ["opened"]


def test_least_privileged_operators(scout_db: str) -> None:
    with operator(scout_db) as first, operator(scout_db, without="create") as second:
        assert "GRANT" in call(MODULE, second, **GOLD)["msg"], "nobody may make the ledger"
        assert opened(first, incident="INC-1")["changed"]
        # Who may not read the ledger works on, for nothing in particular.
        assert call("scout_health_info", second)["incident"] == "adhoc"
        assert "SCHEMA scout_ops belongs to operator_" in call(MODULE, second, state="noted", text="x")["msg"]
        with connect(scout_db) as connection:
            owner, member = (dsn.partition("user=")[2].split()[0] for dsn in (first, second))
            connection.execute(f"GRANT {owner} TO {member}".encode())
        assert keep(second, "noted", text="by another role")["changed"]
        assert call("scout_health_info", second)["incident"] == "INC-1"
        assert keep(second, "closed")["changed"]


def test_executed_and_by_the_command(scout_db: str) -> None:
    made = executed(MODULE, scout_db, incident="INC-1", **GOLD)
    assert (made["changed"], made["incident"]) == (True, "INC-1")
    assert executed(MODULE, scout_db, state="noted", text="x", check=True)["changed"]
    result, output = ad_hoc(MODULE, dsn=scout_db, state="noted", text="from the command")
    assert result["changed"], output
    assert [text for _, text in rows(scout_db, ENTRIES)] == ["gold is stale", "from the command"]
    assert executed(INFO, scout_db)["record"]["title"] == "gold is stale"
    assert "missing" in executed(MODULE, scout_db, state="seen")["msg"]
