# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every mover promises: a check is the plan, limits hold, nobody is pushed aside, twice is once, and all of it can be undone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import Result, call, expire_lease, fingerprint, once_waited_for
from tests.integration.moves.conftest import Stage
from tests.integration.moves.movers import MOVERS, Mover
from tests.integration.outcomes import ran, scout_tables

EVENTS = 60
#: One of the first that are moved.
FIRST = 35


@pytest.fixture(params=MOVERS)
def stage(request: pytest.FixtureRequest, staged: Callable[[Mover, int], Stage]) -> Stage:
    """One with a few rows to move."""
    return staged(MOVERS[request.param], EVENTS)


def told(result: Result, mover: Mover) -> dict[str, Any]:
    """What a check says as the run does; a table of which nothing moves may be left out."""
    found = {name: result[name] for name in mover.told}
    return {name: {k: v for k, v in it.items() if v} if isinstance(it, dict) else it for name, it in found.items()}


def test_a_check_writes_nothing_and_the_run_does_what_it_said(stage: Stage, subtests: pytest.Subtests) -> None:
    dsn, mover, options = stage.copy(), stage.mover, stage.options
    before = scout_tables(dsn)
    with subtests.test(msg="a check writes nothing"):
        everything = fingerprint(dsn)
        planned = ran(mover.module, dsn, check=True, **options)
        assert planned["changed"]
        assert fingerprint(dsn) == everything
    with subtests.test(msg="more than max_rows is refused before the first write"):
        said = call(mover.module, dsn, check=True, max_rows=0, **options)["msg"]
        [number] = re.findall(rf"refused to move ([0-9,]+) {mover.noun}s: max_rows is 0", said)
        number = int(number.replace(",", ""))
        for check in (True, False):
            result = call(mover.module, dsn, check=check, **options | {"max_rows": number - 1})
            assert (result["failed"], result["error"]["kind"]) == (True, "bad_input")
            assert f"refused to move {number:,} {mover.noun}s: max_rows is {number - 1:,}" in result["msg"]
            assert f"-e scout_max_rows={number}" in result["msg"]
        assert fingerprint(dsn) == everything
    with subtests.test(msg="the run does what the check said"):
        made = ran(mover.module, dsn, **options, max_rows=number)
        assert made["changed"]
        assert told(made, mover) == told(planned, mover)
        assert set(planned) <= set(made) | {"plan", "suspects", "diff", "database"}
        after = scout_tables(dsn)
        assert after != before
    with subtests.test(msg="nothing is lost, doubled or altered"):
        assert where(dsn, stage.written) == ZERO
        if mover.sound:
            assert silver_is_what_bronze_makes(dsn) == {}
    with subtests.test(msg="the same again changes nothing"):
        again = ran(mover.module, dsn, **options)
        assert (again["changed"], again["run_id"], scout_tables(dsn)) == (False, None, after)
    with subtests.test(msg="undo restores every table"):
        undo = ran("scout_undo", dsn, run_id=made["run_id"])
        assert (undo["changed"], scout_tables(dsn)) == (True, before)
        assert not ran("scout_undo", dsn, run_id=made["run_id"])["changed"]
    with subtests.test(msg="an undo is undone to the last byte, and that too"):
        redone = ran("scout_undo", dsn, run_id=undo["run_id"])
        assert scout_tables(dsn) == after
        ran("scout_undo", dsn, run_id=redone["run_id"])
        assert scout_tables(dsn) == before
        assert where(dsn, stage.written) == ZERO


# --- others in the way


def test_beside_the_lease_of_another_it_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn, module = stage.copy(), stage.mover.module
    with monkeypatch.context() as patch:
        patch.setenv("SUDO_USER", "bob")
        held = ran("scout_lease", dsn, incident="INC-1")
    before = fingerprint(dsn)
    result = call(module, dsn, **stage.options)
    assert (result["failed"], result["error"]["kind"]) == (True, "lease_held")
    for said in (held["owner"], "has been working on incident INC-1", "takeover=true"):
        assert said in result["msg"]
    assert fingerprint(dsn) == before
    expire_lease(dsn)
    assert ran(module, dsn, **stage.options)["changed"]


def test_who_keeps_what_it_needs_is_named_and_who_holds_it_for_a_moment_is_waited_for(
    stage: Stage, subtests: pytest.Subtests
) -> None:
    mover = stage.mover
    for what, statement in mover.holds.items():
        dsn = stage.copy()
        sale, event = mover.sale(dsn, FIRST)
        before = scout_tables(dsn)
        with psycopg.connect(dsn, application_name="nightly report") as other:
            with subtests.test(msg=f"{what} is kept"):
                other.execute(statement.format(sale=sale, event=event))  # type: ignore[call-overload]
                options: dict[str, Any] = {"lock_timeout_seconds": 0.2, "statement_timeout_seconds": 5}
                # All of it in the first batch, so that none was moved before.
                whole = {"canary_rows": 1000} if "canary_rows" in stage.options else {}
                result = call(mover.module, dsn, **{**stage.options, **options, **whole})
                assert result.get("failed"), result["summary"]
                assert (result["error"]["kind"], result["error"]["sqlstate"]) == ("database_error", "55P03")
                assert f"locks are held by pid {other.info.backend_pid} (postgres, nightly report" in result["msg"]
                assert result["error"]["next_step"]
            other.rollback()
            assert scout_tables(dsn) == before
            with subtests.test(msg=f"{what} is held for a moment"):
                other.execute(statement.format(sale=sale, event=event))  # type: ignore[call-overload]
                with once_waited_for(dsn, other.rollback, after_seconds=1.2):
                    assert ran(mover.module, dsn, **stage.options, lock_timeout_seconds=1.0)["changed"]
                assert mover.end(dsn) == stage.end
                assert where(dsn, stage.written) == ZERO
