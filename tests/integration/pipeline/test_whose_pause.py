# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pause says who made it and why; whoever finds a colleague's asks first, and nobody is sent to work beside another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import bootstrap, schema
from tests.integration.modules import Result, call, expire_lease, off, one

WHY = "the nightly load moves its table"


@contextmanager
def somebody(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another login on this machine."""
    with monkeypatch.context() as patch:
        patch.setenv("SUDO_USER", name)
        yield


def paused_by_bob(dsn: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Result:
    """Ingestion paused by a colleague."""
    with somebody("bob", monkeypatch):
        return call("scout_ingestion", dsn, state="paused", **options)


def test_a_pause_keeps_its_reason(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = paused_by_bob(scout_db, monkeypatch, reason=f"{WHY}\n\x1b[31m")
    assert made["paused_reason"].startswith(WHY)
    assert "\x1b" not in made["paused_reason"]
    assert one(scout_db, "SELECT reason FROM scout_ops.pauses").startswith(WHY)


def test_a_colleagues_pause_is_named_and_the_advice_is_to_ask(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paused_by_bob(scout_db, monkeypatch, reason=WHY, incident="INC-9")
    seen = call("scout_health_info", scout_db)
    assert (seen["ingestion"]["paused_by"].split("@")[0], seen["ingestion"]["reason"]) == ("bob", WHY)
    first = seen["diagnoses"][0]
    assert first["cause"].startswith("ingestion was paused by bob@")
    assert f"for incident INC-9: {WHY}; it took" in first["evidence"]
    assert " UTC)" in first["evidence"]
    assert first["next_command"].startswith("ask bob@")
    with somebody("bob", monkeypatch):
        own = call("scout_health_info", scout_db)
    assert own["diagnoses"][0]["next_command"] == "ansible-playbook scout.recovery.resume_ingestion"


@pytest.mark.parametrize("check", [True, False])
def test_a_colleagues_pause_is_not_resumed_by_the_way(
    check: bool, scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused_by_bob(scout_db, monkeypatch, reason=WHY, incident="INC-9")
    refused = call("scout_ingestion", scout_db, state="running", incident="INC-9", check=check)
    assert refused["error"]["kind"] == "pause_held"
    assert refused["error"]["said"].startswith("bob@")
    assert refused["error"]["said"].endswith(f"for incident INC-9: {WHY}")
    assert "-e scout_takeover=true" in refused["error"]["next_step"]
    assert (refused["state"], "bronze-to-silver-etl" in off(scout_db)) == ("paused", True)
    done = call("scout_ingestion", scout_db, state="running", takeover=True, check=check)
    assert done["changed"] is True
    assert [text for text in done["warnings"] if text.startswith("took over a pause: bob@") and WHY in text]


def test_an_older_ledger_learns_reasons(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until somebody writes to it, it is read as it is."""
    learning = next(number for number, text in enumerate(schema.VERSIONS) if "ADD COLUMN reason" in text)
    with monkeypatch.context() as older:
        older.setattr(bootstrap, "VERSIONS", schema.VERSIONS[:learning])
        call("scout_lease", scout_db)
    jobs = "[]"
    there = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'scout_ops.pauses'::regclass AND attname = 'reason'"
    one(
        scout_db,
        "INSERT INTO scout_ops.pauses (run_id, incident, actor, jobs, switched)"
        f" VALUES (gen_random_uuid(), 'INC-1', 'maria@laptop', '{jobs}', false) RETURNING 1",
    )
    assert one(scout_db, there) == 0
    seen = call("scout_health_info", scout_db)
    assert (seen["ingestion"]["paused_by"], seen["ingestion"]["reason"]) == ("maria@laptop", None)
    call("scout_lease", scout_db, takeover=True)
    assert one(scout_db, there) == 1


@pytest.fixture
def working(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A colleague who holds the lease."""
    with somebody("bob", monkeypatch):
        held = call("scout_lease", scout_db, incident="INC-9")
        assert not held.get("failed"), held
    one(
        scout_db,
        "INSERT INTO scout_ops.runs (run_id, parent_run_id, action, incident, actor, controller, parameters)"
        f" VALUES (gen_random_uuid(), '{held['run_id']}', 'drain', 'INC-9', 'bob@here', 'here:1', '{{}}') RETURNING 1",
    )
    return scout_db


def test_while_somebody_works_no_second_reset_is_advised(working: str) -> None:
    library.gold_stale(working)
    seen = call("scout_health_info", working)
    first = seen["diagnoses"][0]
    assert first["cause"].startswith("bob@")
    assert "has been at work on incident INC-9 for " in first["cause"]
    assert first["evidence"].startswith("drain for ")
    assert first["next_command"].startswith("let bob@")
    assert seen["needs_reset"]
    assert not [d for d in seen["diagnoses"] if "emergency_reset" in d["next_command"]]


def test_whoever_has_the_lease_is_not_told_to_wait_for_himself(working: str) -> None:
    token = one(working, "SELECT token FROM scout_ops.leases")
    seen = call("scout_health_info", working, lease_token=token)
    assert not [d for d in seen["diagnoses"] if "at work" in d["cause"]]


def test_whose_lease_has_expired_is_not_at_work(working: str) -> None:
    expire_lease(working)
    assert not [d for d in call("scout_health_info", working)["diagnoses"] if "at work" in d["cause"]]


def test_who_was_taken_over_is_told_by_whom(working: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = one(working, "SELECT token FROM scout_ops.leases")
    with somebody("carla", monkeypatch):
        call("scout_lease", working, takeover=True, incident="INC-9")
    lost = call("scout_ingestion", working, state="paused", lease_token=token)
    assert lost["error"]["kind"] == "lease_lost"
    assert lost["error"]["said"].startswith("carla@")
    assert " took over at " in lost["error"]["said"]
    assert lost["error"]["said"].endswith(" for incident INC-9")
