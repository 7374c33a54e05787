# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator at a time, and a ledger that says who did what."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import bootstrap, schema
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import lease as leases
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from tests.integration.modules import (
    Result,
    call,
    connect,
    expire_lease,
    fingerprint,
    jobs,
    off,
    one,
    operator,
    rows,
)

LEASE = "SELECT owner, token FROM scout_ops.leases"

UNCOMMENTED = """
SELECT c.relname, a.attname
FROM pg_class AS c
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'scout_ops'::regnamespace AND c.relkind = 'r'
  AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)
"""

TOKEN = "SELECT token FROM scout_ops.leases"


def lease(dsn: str, **options: Any) -> Result:
    """The lease, held or released."""
    return call("scout_lease", dsn, **options)


class Colleague:
    """Somebody else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def take(self, dsn: str, **options: Any) -> Result:
        """The lease, held or released by them."""
        with self._monkeypatch.context() as patch:
            patch.setenv("SUDO_USER", "bob")
            return lease(dsn, **options)


@pytest.fixture
def colleague(monkeypatch: pytest.MonkeyPatch) -> Colleague:
    return Colleague(monkeypatch)


def test_a_second_operator_is_refused_with_the_name_of_the_first(scout_db: str, colleague: Colleague) -> None:
    held = colleague.take(scout_db, incident="INC-1")
    assert held["owner"].startswith("bob@")
    assert not held["changed"]
    before = jobs(scout_db)
    for refused in (
        lease(scout_db),
        lease(scout_db, check=True),
        call("scout_ingestion", scout_db, state="paused"),
    ):
        assert refused["error"]["kind"] == "lease_held"
        assert held["owner"] in refused["msg"]
        assert "INC-1" in refused["msg"]
        assert "takeover=true" in refused["msg"]
    assert jobs(scout_db) == before
    assert one(scout_db, "SELECT count(*) FROM scout_ops.runs") == 0
    assert rows(scout_db, LEASE) == [(held["owner"], held["token"])]


@pytest.mark.parametrize("before", ["never taken", "released", "expired"])
def test_who_takes_it_between_the_look_and_the_write_keeps_it(
    scout_db: str, colleague: Colleague, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Both have seen it free; the one that writes second is told so, and has changed nothing."""
    if before != "never taken":
        token = lease(scout_db)["token"]
        lease(scout_db, state="released", lease_token=token)
    if before == "expired":
        colleague.take(scout_db)
        expire_lease(scout_db)
    read, theirs = leases.read, list[Result]()

    def read_then_lose(*arguments: Any) -> Any:
        seen = read(*arguments)
        monkeypatch.setattr(leases, "read", read)
        theirs.append(colleague.take(scout_db))
        return seen

    monkeypatch.setattr(leases, "read", read_then_lose)
    ours = call("scout_ingestion", scout_db, state="paused")
    assert [held["owner"].startswith("bob@") for held in theirs] == [True]
    assert ours["error"]["kind"] == "not_reached", ours
    assert "someone else took it at the same moment" in ours["msg"]
    assert rows(scout_db, LEASE) == [(theirs[0]["owner"], theirs[0]["token"])]
    assert (off(scout_db), one(scout_db, "SELECT count(*) FROM scout_ops.runs")) == (set(), 0)


def test_who_died_keeps_it_until_it_expires(scout_db: str, colleague: Colleague) -> None:
    theirs = colleague.take(scout_db)
    assert one(scout_db, "SELECT extract(epoch FROM expires_at - acquired_at)::int FROM scout_ops.leases") == 50
    assert lease(scout_db, check=True)["error"]["kind"] == "lease_held"
    expire_lease(scout_db)
    assert lease(scout_db, check=True)["summary"] == "the lease is free"
    assert lease(scout_db)["token"] == theirs["token"] + 1


def test_only_its_holder_releases_it(scout_db: str, colleague: Colleague) -> None:
    theirs = colleague.take(scout_db)
    assert lease(scout_db, state="released", lease_token=theirs["token"] + 1)["summary"] == "lease was no longer ours"
    assert lease(scout_db).get("failed")
    before = fingerprint(scout_db)
    for check in (True, False):
        refused = lease(scout_db, state="released", lease_token=theirs["token"], check=check)
        assert (refused["error"]["kind"], "bob@" in refused["msg"]) == ("lease_held", True)
        assert "takeover=true" in refused["error"]["next_step"]
    assert fingerprint(scout_db) == before
    assert colleague.take(scout_db, state="released", lease_token=theirs["token"], check=True)["summary"].startswith(
        "would"
    )
    assert fingerprint(scout_db) == before
    assert colleague.take(scout_db, state="released", lease_token=theirs["token"])["summary"] == "lease released"
    assert lease(scout_db)["token"] == theirs["token"] + 1


def test_what_has_expired_anybody_releases(scout_db: str, colleague: Colleague) -> None:
    theirs = colleague.take(scout_db)
    expire_lease(scout_db)
    assert lease(scout_db, state="released", lease_token=theirs["token"])["summary"] == "lease released"


def test_a_lease_that_was_taken_over_is_not_released_by_who_had_it(scout_db: str, colleague: Colleague) -> None:
    theirs = colleague.take(scout_db)
    ours = lease(scout_db, takeover=True)
    assert (
        colleague.take(scout_db, state="released", lease_token=theirs["token"])["summary"] == "lease was no longer ours"
    )
    assert colleague.take(scout_db, state="released", lease_token=ours["token"])["error"]["kind"] == "lease_held"
    assert lease(scout_db, state="released", lease_token=ours["token"])["summary"] == "lease released"


def test_it_is_not_released_without_a_token(scout_db: str) -> None:
    assert "needs lease_token" in lease(scout_db, state="released")["msg"]


def test_tasks_work_under_the_lease_of_their_playbook(scout_db: str) -> None:
    held = lease(scout_db, incident="INC-1", ttl_seconds=3600)
    assert call("scout_ingestion", scout_db, state="paused", lease_token=held["token"], incident="INC-1")["changed"]
    [(parent, actor)] = rows(scout_db, "SELECT parent_run_id, actor FROM scout_ops.runs")
    assert str(parent) == held["run_id"]
    assert actor == held["owner"]
    assert one(scout_db, "SELECT owner FROM scout_ops.leases") == held["owner"], "it is not the task's to release"
    assert one(scout_db, "SELECT expires_at > clock_timestamp() + interval '59 minutes' FROM scout_ops.leases")


def test_a_task_without_a_token_holds_it_for_itself(scout_db: str) -> None:
    assert call("scout_ingestion", scout_db, state="paused")["changed"]
    assert rows(scout_db, LEASE) == [(None, one(scout_db, TOKEN))]


def test_after_a_takeover_the_first_can_write_no_more(scout_db: str, colleague: Colleague) -> None:
    first = lease(scout_db)
    assert colleague.take(scout_db)["error"]["kind"] == "lease_held"
    second = colleague.take(scout_db, takeover=True)
    assert "takeover was requested" in second["warnings"][0]
    before = fingerprint(scout_db)
    lost = call("scout_ingestion", scout_db, state="paused", lease_token=first["token"])
    assert lost["error"]["kind"] == "lease_lost"
    assert fingerprint(scout_db) == before
    assert lease(scout_db, state="released", lease_token=first["token"])["summary"] == "lease was no longer ours"
    assert rows(scout_db, LEASE) == [(second["owner"], second["token"])]


def test_a_takeover_in_the_middle_stops_the_next_write(
    scout_db: str, colleague: Colleague, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the start of the run and its first change of a job."""
    held = lease(scout_db)
    stop = pause_resume._stop  # the first write of a pause

    def later(*arguments: Any, **options: Any) -> Any:
        colleague.take(scout_db, takeover=True)
        return stop(*arguments, **options)

    monkeypatch.setattr(pause_resume, "_stop", later)
    lost = call("scout_ingestion", scout_db, state="paused", lease_token=held["token"])
    assert lost["error"]["kind"] == "lease_lost"
    assert off(scout_db) == set()
    [(status, error)] = rows(scout_db, "SELECT status, error FROM scout_ops.runs")
    assert status == "failed"
    assert error["kind"] == "lease_lost"


def test_every_table_and_column_is_documented(scout_db: str) -> None:
    lease(scout_db)
    assert rows(scout_db, UNCOMMENTED) == []
    assert one(scout_db, "SELECT obj_description('scout_ops'::regnamespace)")
    assert rows(scout_db, "SELECT version FROM scout_ops.versions") == [
        (number + 1,) for number in range(len(schema.VERSIONS))
    ]


def test_an_older_ledger_gets_the_names_of_its_actions(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    renaming = next(number for number, text in enumerate(schema.VERSIONS) if "'restore', 'rollback'" in text)
    with monkeypatch.context() as older:
        older.setattr(bootstrap, "VERSIONS", schema.VERSIONS[:renaming])
        lease(scout_db)
    former = ("clear", "drain", "refresh", "window", "restore")
    with connect(scout_db) as connection:
        for action in former:
            connection.execute(
                "INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller, effects)"
                " VALUES (gen_random_uuid(), %s, 'adhoc', 'maria@laptop', 'laptop', '{\"cleared\": [7], \"left\": 1}')",
                [action],
            )
    lease(scout_db, takeover=True)
    named = {row[0] for row in rows(scout_db, "SELECT action FROM scout_ops.runs WHERE actor = 'maria@laptop'")}
    ended = one(scout_db, "SELECT effects FROM scout_ops.runs WHERE action = 'terminate_sessions'")
    assert ended == {"ended": [7], "left": 1}
    assert named == {"terminate_sessions", "drain", "refresh_gold", "window_recovery", "rollback"}
    assert one(scout_db, "SELECT count(*) FROM scout_ops.versions") == len(schema.VERSIONS)


def test_two_first_uses_at_once(scout_db: str) -> None:
    results: list[Result] = []
    threads = [threading.Thread(target=lambda: results.append(lease(scout_db))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not result.get("failed") for result in results) == 1, results
    assert {result["error"]["kind"] for result in results if result.get("failed")} <= {"lease_held", "not_reached"}
    assert one(scout_db, "SELECT count(*) FROM scout_ops.versions") == len(schema.VERSIONS)


def test_without_a_ledger_and_without_the_right_to_make_one(scout_db: str) -> None:
    with operator(scout_db, without="create") as dsn:
        assert lease(dsn, ledger="required", check=True)["failed"]
        held = lease(dsn)
        assert not held.get("failed"), held
        assert held["token"] is None
        assert "GRANT" in held["warnings"][0]
        assert "GRANT" in lease(dsn, ledger="required")["msg"]


def test_the_ledger_of_one_operator_is_opened_to_another_by_membership(scout_db: str) -> None:
    with operator(scout_db) as first, operator(scout_db, without="create") as second:
        token = lease(first)["token"]
        lease(first, state="released", lease_token=token)
        refused = lease(second, ledger="required")
        assert refused["error"]["kind"] == "foreign_ledger"
        grant = re.search(r"GRANT \S+ TO \"operator_\w+\"", refused["error"]["next_step"])
        assert grant, refused
        with connect(scout_db) as connection:
            connection.execute(grant[0].encode())
        assert lease(second, ledger="required")["token"] == token + 1
        assert call("scout_ingestion", second, state="paused", lease_token=token + 1, ledger="required")["changed"]


def test_a_ledger_that_may_not_be_read_is_not_taken_for_an_empty_one(scout_db: str) -> None:
    """Who asks what was done must not hear that nothing was."""
    with operator(scout_db) as first, operator(scout_db, without="create") as second:
        assert call("scout_runs_info", second)["runs"] == []
        call("scout_ingestion", first, state="paused")
        assert len(call("scout_runs_info", first)["runs"]) == 1
        for refused in (call("scout_runs_info", second), call("scout_report_info", second, incident="INC-1")):
            assert refused["error"]["kind"] == "foreign_ledger"
        assert call("scout_runs_info", second, ledger="off")["runs"] == []


def test_without_a_ledger_there_is_no_lease(scout_db: str) -> None:
    before = fingerprint(scout_db)
    held = lease(scout_db, ledger="off")
    assert (held["token"], held["summary"]) == (None, "no ledger, so no lease")
    assert fingerprint(scout_db) == before


def test_check_mode_takes_nothing(scout_db: str) -> None:
    before = fingerprint(scout_db)
    assert lease(scout_db, check=True)["token"] is None
    assert fingerprint(scout_db) == before
    assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")
