# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of data, clocks and databases that nobody thought of: recovered all the same, or refused by name with nothing changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import KINDS
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    where,
)
from tests.integration import expectation
from tests.integration.modules import call, connect, one, rows
from tests.integration.moves.engine.test_expected_silver import CHANGES, payload_of
from tests.integration.moves.test_hostile import PAYLOADS
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.outcomes import ran, scout_tables
from tests.integration.windows import Case, damaged, recover

SEED = 90_211
#: A whole day: shops are closed at night, whatever the hour is now.
WINDOW = Window(START - timedelta(hours=25), START - timedelta(hours=1))
#: A day in which the reference has no event.
QUIET = Window(START + timedelta(days=1), START + timedelta(days=2))
sale = payloads_of(SEED)


def test_payloads_of_every_kind(scout_db: str) -> None:
    arrive(scout_db, PAYLOADS.values(), start=QUIET.start)
    case = Case(scout_db, QUIET)
    first = recover(case)
    assert first["poison"] == []
    assert case.wrong() == []
    assert case.pending() == set()
    with connect(scout_db) as connection:
        connection.execute(
            "UPDATE scout.silver_transactions SET basket_size = -1 WHERE transaction_id = ANY (%s)", [[*case.names]]
        )
    second = recover(case, mode="all")
    assert case.wrong() == []
    assert where(scout_db, case.written) == ZERO
    assert second["reconciliation"]["unexplained"] == 0
    assert not recover(case)["changed"]


@settings(
    max_examples=8, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(events=st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=30, max_size=40))
def test_any_events_are_loaded_or_set_aside_as_the_oracle_says(
    scout_db: str, events: list[list[tuple[str, str, Any]]]
) -> None:
    """Forty mutilated events at a time, each of a transaction of its own where it still says which."""
    with connect(scout_db) as connection:
        [[number]] = connection.execute("SELECT count(*) FROM scout.bronze_events").fetchall()
    start = QUIET.start + timedelta(seconds=number)
    payloads = []
    for n, changes in enumerate(events):
        payload = payload_of(changes)
        if isinstance(payload.get("transaction_id"), str) and payload["transaction_id"].startswith("60606-"):
            payload["transaction_id"] = f"any-{number}-{n}"
        payloads.append(payload | {"n": f"{number}-{n}"})
    arrive(scout_db, payloads, start=start, step_seconds=0.001)
    window = Window(start, start + timedelta(seconds=1))
    case = Case(scout_db, window)
    read = expectation.events(scout_db, "event_id = ANY (%(ids)s)", ids=list(case.events))
    meant = expectation.made_of(read)
    letters = case.letters()
    result = recover(case, max_poison=1000, max_poison_share=1.0)
    assert case.wrong() == []
    assert {event for event in case.letters() if event not in letters} == set(meant.poison)
    assert result["reconciliation"]["unexplained"] == 0
    assert not recover(case)["changed"]


#: What the owner's sessions are set to decides what an event without a time of its own, or without an offset, becomes.
def test_the_time_zone_of_the_pipeline_counts(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("ALTER ROLE loader SET TimeZone = 'Pacific/Kiritimati'")
    try:
        events = [
            sale(1, ts=...), sale(2, ts="2025-08-24T23:30:00"), sale(3, ts="2025-08-24 23:30"), sale(4, ts="2025-08-24T23:30:00Z"),
        ]  # fmt: skip
        arrive(scout_db, events, start=QUIET.start.replace(hour=12, minute=30))
        case = Case(scout_db, Window(QUIET.start - timedelta(days=1), QUIET.end))
        recover(case)
        meant = expectation.expected(scout_db, [event["transaction_id"] for event in events], zone="Pacific/Kiritimati")
        there = expectation.actual(scout_db, [event["transaction_id"] for event in events])
        assert expectation.differences(there, meant) == []
        assert not recover(case)["changed"]
        assert recover(case, mode="all")["reconciliation"]["unexplained"] == 0
        assert expectation.differences(expectation.actual(scout_db, list(meant.transactions)), meant) == []
    finally:
        with connect(scout_db) as connection:
            connection.execute("ALTER ROLE loader RESET TimeZone")


def test_a_deployment_with_more_columns_and_other_types(scout_db: str) -> None:
    """Silver has columns the contract does not know, one generated, one dropped; bronze too."""
    with connect(scout_db) as connection:
        connection.execute(
            """
            ALTER TABLE scout.silver_transactions ADD loyalty jsonb DEFAULT '{"points": 1}', ADD gone int,
                ADD doubled numeric GENERATED ALWAYS AS (total_amount * 2) STORED;
            ALTER TABLE scout.silver_transactions DROP gone;
            ALTER TABLE scout.silver_line_items ADD note text, ADD tags text[] DEFAULT '{a,b}';
            ALTER TABLE scout.bronze_events ADD metadata jsonb;
            ALTER TABLE scout.etl_processed ADD worker text DEFAULT 'w1';
            """
        )
    # A row with a generated column is not copied as easily as this kind of damage does.
    case = damaged(scout_db, WINDOW, *(KINDS.keys() - {"rows_extra"}))
    before = scout_tables(scout_db)
    made = recover(case)
    case.check()
    case.reconciled(made)
    ran("scout_undo", scout_db, run_id=made["run_id"])
    assert scout_tables(scout_db) == before


def test_a_store_that_does_not_exist_is_poison_where_a_foreign_key_says_so(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(
            "ALTER TABLE scout.silver_transactions ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store"
        )
    [bad, _] = arrive(scout_db, [sale(1, store_id="S-NOWHERE"), sale(2)], start=WINDOW.middle)
    case = Case(scout_db, WINDOW)
    result = recover(case)
    assert case.letters() == {bad: "23503"}
    assert [entry["event_id"] for entry in result["poison"]] == [str(bad)]
    case.check(poison={bad: "23503"})


def test_two_events_swap_their_transactions(scout_db: str) -> None:
    """Payloads edited in place: the rows in silver each belong to the other event."""
    ids = arrive(scout_db, [sale(1), sale(2)], start=QUIET.start)
    ran("scout_drain", scout_db)
    with connect(scout_db) as connection:
        for event, other in zip(ids, (sale(2), sale(1)), strict=True):
            connection.execute(
                "UPDATE scout.bronze_events SET event_data = event_data || jsonb_build_object('transaction_id', %s::text) WHERE event_id = %s",  # noqa: E501 one statement
                [other["transaction_id"], event],
            )
    case = Case(scout_db, QUIET)
    assert case.wrong() != []
    recover(case)
    case.check()


def test_an_event_that_was_renamed_leaves_no_row_under_its_old_name(scout_db: str) -> None:
    [event] = arrive(scout_db, [sale(1)], start=QUIET.start)
    ran("scout_drain", scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            'UPDATE scout.bronze_events SET event_data = event_data || \'{"transaction_id": "renamed"}\' WHERE event_id = %s',
            [event],
        )
    case = Case(scout_db, QUIET)
    result = recover(case)
    assert rows(scout_db, "SELECT transaction_id FROM scout.silver_transactions WHERE source_event_id = %s", event) == [
        ("renamed",)
    ]
    case.check()
    assert result["plan"]["extra"] == 1
    ran("scout_undo", scout_db, run_id=result["run_id"])
    assert rows(scout_db, "SELECT transaction_id FROM scout.silver_transactions WHERE source_event_id = %s", event) == [
        (sale(1)["transaction_id"],)
    ]


def test_a_row_of_silver_whose_event_is_of_another_window_is_let_alone(scout_db: str) -> None:
    """Its `ts` says that it belongs here, but no event of the window has made it."""
    [event] = arrive(scout_db, [sale(1, ts=WINDOW.middle.isoformat())], start=QUIET.start)
    ran("scout_drain", scout_db)
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET total_amount = -1 WHERE source_event_id = %s", [event])
    case = Case(scout_db, WINDOW)
    assert not recover(case)["changed"]
    assert one(scout_db, "SELECT total_amount FROM scout.silver_transactions WHERE source_event_id = %s", event) == -1


def test_gold_days_are_those_before_and_after(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "rows_missing")
    name = min(case.names - case.damage.missing)
    with connect(scout_db) as connection:
        [[right]] = connection.execute(
            "SELECT date_key::text FROM scout.silver_transactions WHERE transaction_id = %s", [name]
        ).fetchall()
        connection.execute(
            "UPDATE scout.silver_transactions SET date_key = '2001-02-03' WHERE transaction_id = %s", [name]
        )
    result = recover(case)
    assert {"2001-02-03", right} <= set(result["gold_days"])


def test_silver_that_has_been_cleaned_on_purpose_is_not_made_again(scout_db: str) -> None:
    """A cleanup that kept the event set the bad sale aside: as long as its dead letter is open, its absence is meant."""
    with connect(scout_db) as connection:
        event = generator.insert(connection, sale(1, total_amount=-5, net_amount=-5), ingested_at=WINDOW.middle)
    ran("scout_drain", scout_db)
    ran("scout_cleanup", scout_db, only=["negative_total"], max_share=1.0, source_event="keep")
    gone = "SELECT count(*) FROM scout.silver_transactions WHERE source_event_id = %s"
    assert one(scout_db, gone, event) == 0
    result = call("scout_window_recovery", scout_db, **WINDOW.options)
    assert not result.get("failed"), result["msg"]
    assert one(scout_db, gone, event) == 0
    assert not call("scout_window_recovery", scout_db, **WINDOW.options)["changed"]
