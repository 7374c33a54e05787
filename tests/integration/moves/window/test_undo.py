# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery can be taken back, and that too: every row as it was, down to generated ids and clocks. And who may do it."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import KINDS
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    silver_is_what_bronze_makes,
    where,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from tests import CHECKOUT
from tests.integration.modules import call, connect, one, rows
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.outcomes import ran, scout_tables
from tests.integration.windows import Case, damaged, recover

SEED = 62_062
#: A whole day: shops are closed at night, whatever the hour is now.
WINDOW = Window(START - timedelta(hours=25), START - timedelta(hours=1))
sale = payloads_of(SEED)


def test_what_was_corrected_since_is_a_conflict_and_not_overwritten(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "totals_wrong", "rows_missing", count=4)
    made = recover(case)
    name = min(case.damage.wrong)
    [(payload,)] = rows(
        scout_db, "SELECT event_data FROM scout.bronze_events WHERE event_data ->> 'transaction_id' = %s", name
    )
    arrive(scout_db, [payload | {"net_amount": 3.5}])
    ran("scout_drain", scout_db)
    before = scout_tables(scout_db)
    refused = call("scout_undo", scout_db, run_id=made["run_id"])
    assert refused["failed"], refused["summary"]
    assert refused["conflicts"]
    assert scout_tables(scout_db) == before
    ran("scout_undo", scout_db, run_id=made["run_id"], on_conflict="keep_current")
    assert one(scout_db, "SELECT net_amount FROM scout.silver_transactions WHERE transaction_id = %s", name) == 3.5
    recover(case)
    assert silver_is_what_bronze_makes(scout_db) == {}


def test_poison_it_set_aside_can_be_redriven_once_it_is_fixed(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "poison_pending")
    made = recover(case)
    back = ran("scout_redrive", scout_db, run_id=made["run_id"], max_failures=100)
    assert back["redriven"] + len(back["failures"]) + back["parked"] >= len(case.damage.poison)
    assert where(scout_db, case.written).lost == set()


# --- who may


@pytest.fixture
def night_shift(scout_db: str) -> Iterator[str]:
    """The dsn of a role with docs/operator_role.sql and nothing else."""
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    done = subprocess.run(
        [psql(), "-X", "-q", "-d", scout_db, "-v", "role=window_shift", "-f", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield make_conninfo(scout_db, user="window_shift")
    with connect(scout_db) as connection:
        connection.execute("DROP OWNED BY window_shift CASCADE")
        connection.execute("DROP ROLE window_shift")


def test_the_documented_role_can_do_all_of_it(scout_db: str, night_shift: str) -> None:
    case = damaged(scout_db, WINDOW)
    before = scout_tables(scout_db)
    planned = ran("scout_window_recovery", night_shift, check=True, **WINDOW.options)
    assert planned["changed"]
    # At night much of it is poison.
    made = ran("scout_window_recovery", night_shift, mode="all", max_poison_share=1.0, **WINDOW.options)
    case.check()
    case.reconciled(made)
    assert not ran("scout_window_recovery", night_shift, **WINDOW.options)["changed"]
    ran("scout_undo", night_shift, run_id=made["run_id"])
    assert scout_tables(scout_db) == before


TAKEN = (
    "SELECT ON scout.bronze_events", "UPDATE ON scout.bronze_events", "DELETE ON scout.bronze_events",
    "INSERT ON scout.bronze_events_dlq", "INSERT ON scout.etl_processed", "DELETE ON scout.etl_processed",
    "SELECT ON scout.silver_transactions", "DELETE ON scout.silver_transactions", "SELECT ON scout.silver_line_items",
    "DELETE ON scout.silver_line_items",
)  # fmt: skip


def test_a_right_that_is_missing_is_named_and_nothing_is_changed(
    scout_db: str, night_shift: str, subtests: pytest.Subtests
) -> None:
    damaged(scout_db, WINDOW)
    before = scout_tables(scout_db)
    with connect(scout_db) as connection:
        for right in TAKEN:
            with subtests.test(msg=right):
                connection.execute(f"REVOKE {right} FROM window_shift")  # type: ignore[call-overload]
                result = call("scout_window_recovery", night_shift, mode="all", **WINDOW.options)
                connection.execute(f"GRANT {right} TO window_shift")  # type: ignore[call-overload]
                assert result["failed"]
                assert "preflight.yml names each missing GRANT" in result["error"]["next_step"]
                assert not result["changed"]
                assert scout_tables(scout_db) == before


# --- any damage, any order

_numbers = itertools.count(1)

#: Hours before START: windows and moves are parts of the last day and a half.
HOURS = st.integers(0, 36)
STEPS = st.one_of(
    st.tuples(
        st.just("recover"),
        HOURS,
        HOURS,
        st.sampled_from(["missing", "all"]),
        st.sampled_from(["ingested_at", "event_ts"]),
    ),
    st.tuples(st.just("recover"), HOURS, HOURS, st.just("missing"), st.just("ingested_at")),
    st.tuples(st.just("quarantine"), HOURS, HOURS),
    st.tuples(st.just("redrive"), st.integers(0, 3)),
    st.tuples(st.just("undo"), st.integers(0, 3)),
    st.tuples(st.just("drain")),
    st.tuples(st.just("arrival"), HOURS),
)

RUNS = """
SELECT run_id::text FROM scout_ops.runs WHERE action IN ('window_recovery', 'quarantine', 'redrive', 'drain', 'undo') AND effects <> '{}'
ORDER BY started_at
"""


@pytest.fixture(scope="module")
def base(pg_server: Server) -> Iterator[str]:
    """The name of a small reference, the ledger in it."""
    name = "window_base"
    dsn = builder.build(pg_server.create_database(name), events=200)
    arrive(dsn, [sale(1)])
    ran("scout_drain", dsn)
    yield name
    pg_server.drop_database(name)


def step(dsn: str, what: str, *arguments: Any) -> None:
    """One step; what may be refused for good reasons changes nothing then."""
    made = [row[0] for row in rows(dsn, RUNS)]
    match what:
        case "recover":
            first, last, mode, clock = arguments
            start, end = (START - timedelta(hours=max(first, last)), START - timedelta(hours=min(first, last)))
            result = ran(
                "scout_window_recovery",
                dsn,
                mode=mode,
                max_poison=100,
                max_poison_share=1.0,
                **Window(start, end, clock).options,
            )
            assert result["reconciliation"]["unexplained"] == 0
            again = ran(
                "scout_window_recovery", dsn, max_poison=100, max_poison_share=1.0, **Window(start, end, clock).options
            )
            assert not again["changed"]
        case "quarantine":
            start, end = (START - timedelta(hours=hours) for hours in (max(arguments), min(arguments)))
            ran("scout_quarantine", dsn, window_start=start.isoformat(), window_end=end.isoformat())
        case "redrive" | "undo" if made:
            before = scout_tables(dsn)
            name = {"redrive": "scout_redrive", "undo": "scout_undo"}[what]
            result = call(name, dsn, run_id=made[arguments[0] % len(made)])
            if result.get("failed") and what == "undo":
                assert scout_tables(dsn) == before, result["msg"]
        case "drain":
            ran("scout_drain", dsn, max_poison=100, max_poison_share=1.0)
        case "arrival":
            arrive(dsn, [sale(next(_numbers) + 1000)], start=START - timedelta(hours=arguments[0]))
        case _:
            pass


@settings(
    max_examples=15, derandomize=True, database=None, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    kinds=st.sets(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5), steps=st.lists(STEPS, min_size=1, max_size=5)
)
def test_any_damage_and_any_order_end_in_silver_that_is_right(
    pg_server: Server, base: str, kinds: set[str], steps: list[tuple[Any, ...]]
) -> None:
    """In the end everything is recovered: nothing lost, and silver is what bronze makes; taken back, it is as before that."""
    copy = f"{base}_{next(_numbers)}"
    dsn = pg_server.create_database(copy, base)
    try:
        damaged(dsn, Window(START - timedelta(hours=30), START - timedelta(hours=4)), *sorted(kinds), count=1)
        for what, *arguments in steps:
            step(dsn, what, *arguments)
        before = scout_tables(dsn)
        case = Case(dsn, Window(START - timedelta(days=20), START + timedelta(days=2)))
        made = recover(case, max_poison=100, max_poison_share=1.0)
        assert case.wrong() == []
        found = where(dsn, case.written)
        assert (found.lost, found.duplicated, found.altered) == (set(), set(), set())
        assert silver_is_what_bronze_makes(dsn) == {}
        if made["changed"]:
            ran("scout_undo", dsn, run_id=made["run_id"])
        assert scout_tables(dsn) == before
    finally:
        pg_server.drop_database(copy)
