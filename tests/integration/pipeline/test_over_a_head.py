# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is loaded, refreshed or moved in a colleague's pause unless it is taken over; a pause that its dead operation left
behind is nobody's."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from tests.e2e.play import eventually
from tests.integration.modules import call, connect, expire_lease, fingerprint, off, one, rows
from tests.integration.moves.test_require_pause import MOVES
from tests.integration.outcomes import ran
from tests.integration.pipeline.test_whose_pause import WHY, paused_by_bob, somebody
from tests.scout.fixtures import small

scout_template = small(60)


@pytest.fixture(autouse=True)
def no_scheduler_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in starts nothing, so there is no tick to wait out."""
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.05)


def stale(dsn: str) -> dict[str, Any]:
    library.gold_stale(dsn)
    return {}


WORK = {**MOVES, "scout_refresh_gold": stale}


@pytest.mark.parametrize("module", WORK)
def test_nothing_is_done_over_a_colleagues_head(
    scout_db: str, module: str, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    options = WORK[module](scout_db)
    paused_by_bob(scout_db, monkeypatch, reason=WHY, incident="INC-9")
    before, refused = fingerprint(scout_db), dict[str, Any]()
    for check in (True, False):
        with subtests.test(msg=f"it is refused, check={check}"):
            refused = call(module, scout_db, check=check, **options)
            assert refused["error"]["kind"] == "pause_held", refused
            assert refused["error"]["said"].startswith("bob@")
            assert refused["error"]["said"].endswith(f"for incident INC-9: {WHY}")
            assert refused["error"]["next_step"].startswith("ask bob@")
            assert "-e scout_takeover=true" in refused["error"]["next_step"]
            assert refused["ingestion"]["state"] == "paused"
            assert fingerprint(scout_db) == before
    with subtests.test(msg="bob himself goes on, from another machine too"), somebody("bob", monkeypatch):
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        assert not call(module, scout_db, check=True, **options).get("failed")
    with subtests.test(msg="so does who works on the same incident"):
        assert not call(module, scout_db, check=True, incident="INC-9", **options).get("failed")
    with subtests.test(msg="and who takes it over"):
        done = call(module, scout_db, takeover=True, **options)
        assert not done.get("failed"), done
        assert done["changed"]
        assert "bronze-to-silver-etl" in off(scout_db)


@pytest.mark.parametrize("check", [True, False])
def test_no_operation_makes_it_its_own(scout_db: str, check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback would roll back the application next, and find out later."""
    paused_by_bob(scout_db, monkeypatch, reason=WHY)
    step = {"state": "paused", "operation": "rollback", "check": check}
    assert call("scout_ingestion", scout_db, **step)["error"]["kind"] == "pause_held"
    taken = ran("scout_ingestion", scout_db, **step, takeover=True)
    assert [text for text in taken["warnings"] if text.startswith("took over a pause: bob@")]
    # Whoever only wants it paused finds it so.
    assert ran("scout_ingestion", scout_db, state="paused", check=check)["state"] == "paused"


def test_a_pause_that_somebody_ended_by_hand_keeps_nobody_out(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on record still, yet its jobs work."""
    options = stale(scout_db)
    paused_by_bob(scout_db, monkeypatch, reason=WHY)
    one(scout_db, "WITH on_again AS (UPDATE cron.job SET active = true RETURNING 1) SELECT count(*) FROM on_again")
    assert ran("scout_refresh_gold", scout_db, **options)["changed"]


def begun_by_bob(dsn: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    """The token of an operation of Bob's that has paused ingestion."""
    with somebody("bob", monkeypatch):
        begun = ran("scout_lease", dsn, state="held", incident="INC-9")
        ran("scout_ingestion", dsn, state="paused", incident="INC-9", lease_token=begun["token"], **options)
    return int(begun["token"])


def test_what_a_dead_operation_left_paused_the_next_reset_resumes(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.backlog(scout_db, 3)
    begun_by_bob(scout_db, monkeypatch)
    expire_lease(scout_db)
    seen = call("scout_health_info", scout_db)
    cause = next(each for each in seen["diagnoses"] if each["cause"].startswith("ingestion was paused by bob@"))
    assert "emergency_reset" in cause["next_command"]
    assert "died" in cause["evidence"]
    begun = ran("scout_lease", scout_db, state="held")
    # Its lease is another one by now.
    assert ran("scout_drain", scout_db, lease_token=begun["token"])["loaded"] == 3
    done = ran("scout_ingestion", scout_db, state="running", only_own=True, lease_token=begun["token"])
    assert (done["state"], done["changed"], done["paused_by_another"]) == ("running", True, False)
    [said] = [text for text in done["warnings"] if text.startswith("resumed what was left paused: bob@")]
    assert "died" in said
    assert "bronze-to-silver-etl" not in off(scout_db)


def test_what_an_operation_left_paused_on_purpose_is_its_own(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came to its end and released its lease: somebody looks into it."""
    library.backlog(scout_db, 1)
    token = begun_by_bob(scout_db, monkeypatch)
    with somebody("bob", monkeypatch):
        ran("scout_lease", scout_db, state="released", lease_token=token)
    assert call("scout_drain", scout_db)["error"]["kind"] == "pause_held"
    assert call("scout_ingestion", scout_db, state="running", only_own=True)["paused_by_another"] is True


def test_a_deliberate_pause_outlasts_whoever_made_it(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is at work any more, and that is how it is meant."""
    library.backlog(scout_db, 1)
    paused_by_bob(scout_db, monkeypatch, reason=WHY)
    ran("scout_lease", scout_db)
    expire_lease(scout_db)
    assert call("scout_drain", scout_db)["error"]["kind"] == "pause_held"


WORKS = """
UPDATE scout_ops.runs SET backend_pid = a.pid, backend_start = a.backend_start
FROM pg_stat_activity AS a WHERE a.application_name = 'at work' AND a.state = 'active' AND action = 'pause' RETURNING 1
"""


def test_while_a_session_of_it_works_an_operation_is_alive(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease may expire beside a refresh that takes an hour; a session that only hangs there has lost its controller."""
    library.backlog(scout_db, 1)
    begun_by_bob(scout_db, monkeypatch)
    expire_lease(scout_db)
    with connect(scout_db, application_name="at work") as session:

        def work() -> None:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                session.execute("SELECT pg_sleep(60)")

        working = threading.Thread(target=work)
        working.start()
        try:
            eventually(lambda: rows(scout_db, WORKS), 10, "the session at work")
            assert call("scout_drain", scout_db, check=True)["error"]["kind"] == "pause_held"
            assert call("scout_lease", scout_db)["error"]["kind"] == "lease_held"
            assert call("scout_drain", scout_db, check=True)["error"]["kind"] == "pause_held"
        finally:
            session.cancel()
            working.join()


def test_a_reset_that_takes_over_resumes(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paused_by_bob(scout_db, monkeypatch, reason=WHY)
    theirs = ran("scout_ingestion", scout_db, state="running", only_own=True)
    assert (theirs["changed"], theirs["paused_by_another"]) == (False, True)
    taken = ran("scout_ingestion", scout_db, state="running", only_own=True, takeover=True)
    assert (taken["state"], taken["changed"]) == ("running", True)
    assert [text for text in taken["warnings"] if text.startswith("took over a pause: bob@") and WHY in text]
