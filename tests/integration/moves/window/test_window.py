# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A window of any damage is recovered: silver is what an independent computation says, and nothing else was touched."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import KINDS
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import comparison, recovery
from tests.integration import expectation
from tests.integration.modules import call, connect, fingerprint, one, rows
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.outcomes import ran, scout_tables
from tests.integration.windows import Case, damaged, recover

SEED = 77_077
#: A whole day: shops are closed at night, whatever the hour is now.
WINDOW = Window(START - timedelta(hours=25), START - timedelta(hours=1))

#: Silver, by transaction, as it is down to clocks and generated ids.
ROWS = "SELECT transaction_id, t.xmin::text || t::text FROM scout.silver_transactions AS t"


sale = payloads_of(SEED)


# --- every kind of damage, alone and together


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_fixed_and_comes_back_as_it_was(scout_db: str, kind: str) -> None:
    case = damaged(scout_db, WINDOW, kind)
    before = scout_tables(scout_db)
    result = recover(case)
    case.check()
    case.reconciled(result)
    done = case.damage
    assert result["changed"] == bool(done.missing | done.wrong | done.extra | done.pending | done.poison.keys())
    after = scout_tables(scout_db)
    again = recover(case)
    assert (again["changed"], scout_tables(scout_db)) == (False, after)
    if result["changed"]:
        ran("scout_undo", scout_db, run_id=result["run_id"])
    assert scout_tables(scout_db) == before


@pytest.mark.parametrize("mode", ["missing", "all"])
def test_all_damage_at_once_is_fixed(scout_db: str, mode: str) -> None:
    case = damaged(scout_db, WINDOW)
    result = recover(case, mode=mode)
    case.check()
    case.reconciled(result)
    assert (result["changed"], result["mode"], result["resumed"]) == (True, mode, False)
    after = scout_tables(scout_db)
    again = recover(case, mode="missing")
    assert (again["changed"], scout_tables(scout_db)) == (False, after)
    assert again["reconciliation"]["unexplained"] == 0


def test_what_is_too_much_to_be_carried_along_is_looked_for_again(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "CARRIED", 3)
    case = damaged(scout_db, WINDOW)
    case.reconciled(recover(case))
    case.check()


def test_what_is_right_is_not_rewritten(scout_db: str) -> None:
    """Only what is damaged or unmarked is made again; `all` makes everything again."""
    case = damaged(scout_db, WINDOW)
    before = dict(rows(scout_db, ROWS))
    done = case.damage
    touched = done.missing | done.wrong | done.extra | {str(case.events[event]) for event in done.pending}
    recover(case)
    after = dict(rows(scout_db, ROWS))
    assert {name for name, row in after.items() if before.get(name) != row} <= touched
    recover(case, mode="all")
    rebuilt = dict(rows(scout_db, ROWS))
    assert {name for name, row in rebuilt.items() if after.get(name) != row} == {
        name for name in case.names if name in rebuilt
    }
    case.check()


def test_of_a_window_the_events_of_some_files(scout_db: str) -> None:
    """What another file brought stays as it is, wrong or missing; without a window the file alone says what is meant."""
    files = {"source_files": ["a.zip"]}
    before = fingerprint(scout_db)
    refused = call("scout_window_recovery", scout_db, last="2d", **files)
    assert (refused["error"]["kind"], fingerprint(scout_db)) == ("bad_input", before)
    assert "has no column source_file" in refused["msg"]
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.bronze_events ADD COLUMN source_file text")
        mine, theirs = (
            [generator.insert(connection, sale(n), ingested_at=START) for n in some] for some in ((1, 2), (3, 4))
        )
        for ids, name in ((mine, "a.zip"), (theirs, "b.zip")):
            connection.execute("UPDATE scout.bronze_events SET source_file = %s WHERE event_id = ANY(%s)", (name, ids))
    ran("scout_drain", scout_db)
    with connect(scout_db) as connection:
        damaged_ = "DELETE FROM scout.silver_transactions WHERE source_event_id = ANY(%s)"
        connection.execute(damaged_, ([*mine, *theirs],))
    broken = scout_tables(scout_db)
    unknown = call("scout_window_recovery", scout_db, last="2d", source_files=["c.zip"])
    assert unknown["error"]["next_step"] == "there are b.zip, a.zip", "the most alike first"
    looked = ran("scout_window_recovery", scout_db, check=True, **files)
    assert (looked["plan"]["events"], looked["plan"]["missing"], looked["narrowed"]) == (2, 2, files)
    assert scout_tables(scout_db) == broken
    done = ran("scout_window_recovery", scout_db, window_start="2020-01-01T00:00+00:00", mode="all", **files)
    assert (done["loaded"], done["reconciliation"]["unexplained"]) == (2, 0)
    made = "SELECT array_agg(source_event_id) FROM scout.silver_transactions WHERE source_event_id = ANY(%s)"
    assert set(one(scout_db, made, [*mine, *theirs])) == set(mine)
    again = {"window_start": done["window"]["start"], "window_end": done["window"]["end"], "mode": "all"}
    assert not ran("scout_window_recovery", scout_db, **again, **files)["changed"], "the same files are rebuilt once"
    others = ran("scout_window_recovery", scout_db, check=True, **again, source_files=["b.zip"])
    assert others["plan"]["to_rebuild"] == 2, "another file is not rebuilt by that"
    ran("scout_undo", scout_db, run_id=done["run_id"])
    assert scout_tables(scout_db) == broken


def test_the_plan_says_what_there_is_and_writes_nothing(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW)
    before = fingerprint(scout_db)
    planned = ran("scout_window_recovery", scout_db, check=True, **WINDOW.options)
    assert fingerprint(scout_db) == before
    plan, done = planned["plan"], case.damage
    assert planned["changed"]
    bounds = [datetime.fromisoformat(planned["window"][name]) for name in ("start", "end")]
    assert (planned["window"]["clock"], bounds) == ("ingested_at", [WINDOW.start, WINDOW.end])
    assert plan["events"] == len(case.events) + case.others
    assert plan["pending"] == len(case.pending() - done.poison.keys())
    assert plan["missing"] >= len(done.missing)
    assert plan["wrong"] >= len(done.wrong)
    assert plan["extra"] == len(done.extra)
    # Those that wait count as pending until they are marked.
    assert plan["not_transactional"] == len(done.swallowed) - 3 + case.others
    assert plan["poison_suspects"] == len(done.poison)
    assert plan["estimated_seconds"] > 0
    account = planned["reconciliation"]
    unexplained = sum(plan[name] for name in ("pending", "missing", "wrong", "poison_suspects"))
    assert (account["unexplained"], account["balanced"], account["expected"]) == (unexplained, False, plan["events"])
    days = {
        str(row[0])
        for row in rows(
            scout_db,
            "SELECT DISTINCT date_key FROM scout.silver_transactions WHERE transaction_id = ANY (%s)",
            [*done.wrong],
        )
    }
    assert days <= set(plan["gold_days"])
    result = recover(case)
    assert set(planned) <= set(result) | {"diff"}
    assert days <= set(result["gold_days"])


def test_a_window_without_damage_changes_nothing(scout_db: str) -> None:
    case = Case(scout_db, WINDOW)
    before = scout_tables(scout_db)
    result = recover(case)
    assert (result["changed"], scout_tables(scout_db)) == (False, before)
    case.reconciled(result)
    assert not one(scout_db, "SELECT to_regclass('scout_ops.runs') IS NOT NULL"), "there is not even a ledger"


# --- windows


def test_a_window_on_the_other_clock(scout_db: str) -> None:
    """By the time of the event: late arrivals belong to it, and what merely arrived in it does not."""
    window = Window(WINDOW.start, WINDOW.end, "event_ts")
    case = damaged(scout_db, window, "rows_missing", "totals_wrong", "rows_and_marks_missing", count=20)
    with connect(scout_db) as connection:
        for clock, other in (("event_ts", "ingested_at"), ("ingested_at", "event_ts")):
            inside = generator.insert(connection, sale(len(clock)), ingested_at=WINDOW.middle)
            connection.execute(
                f"UPDATE scout.bronze_events SET {other} = %s WHERE event_id = %s",  # type: ignore[call-overload]
                [WINDOW.end + timedelta(minutes=5), inside],
            )
            (case.damage.pending if clock == "event_ts" else case.damage.outside).add(inside)
    case = Case(scout_db, window, case.damage)
    result = recover(case)
    case.check()
    case.reconciled(result)


def test_the_last_hour_ends_now(scout_db: str) -> None:
    now = datetime.now(UTC)
    window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
    inside, outside = arrive(scout_db, [sale(1), sale(2)], start=now - timedelta(minutes=61), step_seconds=1800)[::-1]
    case = Case(scout_db, window)
    result = ran("scout_window_recovery", scout_db, last="1h")
    start, end = (datetime.fromisoformat(result["window"][name]) for name in ("start", "end"))
    assert end - start == timedelta(hours=1)
    assert abs(start - now + timedelta(hours=1)) < timedelta(seconds=30)
    assert case.wrong() == []
    pending = set(expectation.expected(scout_db, also=[outside]).transactions) - set(
        expectation.actual(scout_db).transactions
    )
    assert pending == {sale(1)["transaction_id"]}
    assert rows(scout_db, "SELECT count(*) FROM scout.etl_processed WHERE event_id = %s", inside) == [(1,)]


def test_how_long_ago(scout_db: str, subtests: pytest.Subtests) -> None:
    for last, seconds in (("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800)):
        with subtests.test(msg=last):
            window = ran("scout_window_recovery", scout_db, check=True, last=last)["window"]
            start, end = (datetime.fromisoformat(window[name]) for name in ("start", "end"))
            assert end - start == timedelta(seconds=seconds)


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({}, "window"),
    ({"window_start": "2026-11-25T02:00Z", "window_end": "2026-11-25T01:00Z"}, "the window ends before it starts"),
    ({"last": "1h", "window_start": "2026-11-25T01:00Z"}, "last"),
    ({"last": "an hour"}, "last"),
    ({"last": "0h"}, "last"),
    ({"last": "-1h"}, "last"),
    ({"last": "999999999999d"}, "last"),
    ({"last": "2d", "ledger": "off"}, "ledger"),
    ({"last": "2d", "max_rows": -1}, "max_rows -1 is not usable"),
    ({"last": "9d", "max_rows": 5}, "max_rows is 5"),
    ({"last": "2d", "max_poison": -1}, "max_poison"),
    ({"last": "2d", "target_seconds": 0}, "target_seconds"),
]  # fmt: skip


def test_what_cannot_be_used_is_named_and_changes_nothing(scout_db: str, subtests: pytest.Subtests) -> None:
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET total_amount = total_amount + 1")
    before = fingerprint(scout_db)
    for (options, said), check in itertools.product(UNUSABLE, (True, False)):
        with subtests.test(msg=f"{options}{' --check' * check}"):
            refused = call("scout_window_recovery", scout_db, check=check, **options)
            assert refused.get("failed"), refused
            assert said in refused["msg"]
            assert refused["error"]["next_step"]
            assert fingerprint(scout_db) == before


# --- poison


def test_told_to_stop_at_poison_it_stops_and_goes_on_when_told_otherwise(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW)
    stopped = call("scout_window_recovery", scout_db, poison="stop", **WINDOW.options)
    assert stopped["failed"]
    assert case.letters() == {}
    assert "docs/emergency-reset.md" in stopped["error"]["next_step"]
    assert "poison=" not in stopped["error"]["next_step"], "what throws data aside is no way out"
    result = recover(case, poison="quarantine")
    case.check()
    case.reconciled(result)


def test_too_much_poison_is_a_systemic_failure(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "poison_pending", "poison_marked")
    stopped = call("scout_window_recovery", scout_db, max_poison=3, max_poison_share=1.0, **WINDOW.options)
    assert (stopped["failed"], stopped["error"]["kind"]) == (True, "systemic")
    assert len(case.letters()) <= 3
    assert "max_poison" in stopped["msg"]
    recover(case, max_poison=50, max_poison_share=0.5)
    case.check()


def test_a_changed_format_is_not_taken_for_bad_events(scout_db: str) -> None:
    """Every event of the window is poison: the share says that it is not the events."""
    window = Window(START + timedelta(days=1), START + timedelta(days=1, hours=1))
    bad = [poison_payloads.KINDS["bad_ts"].spoil(sale(number)) for number in range(60)]
    arrive(scout_db, bad, start=window.start)
    stopped = call("scout_window_recovery", scout_db, **window.options)
    assert (stopped["failed"], stopped["error"]["kind"]) == (True, "systemic")
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") <= 20


def test_where_the_etl_refuses_a_sound_sale_nothing_is_set_aside(scout_db: str) -> None:
    """A deployment has broken it: what it says of the window it says of everything."""
    case = damaged(scout_db, WINDOW, "rows_missing")
    with connect(scout_db) as connection:
        connection.execute(
            "CREATE FUNCTION scout.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no tier''; END';"
            "CREATE TRIGGER refuse BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.refuse()"
        )
    tables = scout_tables(scout_db)
    for _ in range(2):
        stopped = call("scout_window_recovery", scout_db, **WINDOW.options)
        assert (stopped["failed"], stopped["error"]["kind"], case.letters()) == (True, "systemic", {})
        assert stopped["msg"].startswith("the recovery stopped: the ETL rejects a known-good test sale too")
        assert scout_tables(scout_db) == tables
    with connect(scout_db) as connection:
        connection.execute("DROP TRIGGER refuse ON scout.silver_transactions; DROP FUNCTION scout.refuse()")
    recover(case)
    case.check()


def test_poison_is_quarantined_batch_by_batch(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little time a batch has, it sets one event aside; the others have their turn in the next ones."""
    monkeypatch.setattr(recovery, "SHARE_OF_FIRST", 1e-9)
    monkeypatch.setattr(recovery, "GUESSED_RATE", 0.0)
    case = damaged(scout_db, WINDOW, "rows_missing", "poison_pending", "poison_marked")
    result = recover(case, target_seconds=0.001)
    case.check()
    case.reconciled(result)
    assert result["batches"]["batches"] > len(case.damage.poison) > 10


def test_poison_outside_the_window_stands_in_nobodys_way(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "older_pending", "newer_pending", "rows_and_marks_missing")
    result = recover(case)
    assert result["poison"] == []
    case.check()


# --- what came of it


def test_the_reconciliation_tells_hours_and_amounts(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "totals_wrong", "rows_missing", "rows_extra", count=5)
    query = """
        SELECT count(*), coalesce(sum(total_amount), 0), coalesce(sum(net_amount), 0) FROM scout.silver_transactions
        WHERE transaction_id = ANY (%s)
    """
    [before] = rows(scout_db, query, list(case.names))
    told = recover(case)["reconciliation"]
    [after] = rows(scout_db, query, list(case.names))
    for when, counted in (("before", before), ("after", after)):
        said = [hour[when] for hour in told["hours"]]
        assert sum(entry["transactions"] for entry in said) == counted[0]
        assert abs(sum(float(entry["total"]) for entry in said) - float(counted[1])) < 0.01
        assert abs(sum(float(entry["net"]) for entry in said) - float(counted[2])) < 0.01
    assert told["table"]


#: A trigger of the deployment's own that the contract knows nothing of.
MEDDLE = """
CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.transaction_id = '{name}' THEN RETURN NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION public.meddle()
"""


def test_what_cannot_be_explained_fails_the_run_with_its_ids(scout_db: str) -> None:
    case = damaged(scout_db, WINDOW, "rows_missing")
    # Without lines, for which the row that is not there would be missed.
    event = arrive(scout_db, [sale(5, items=[])], start=WINDOW.middle)[0]
    name = sale(5)["transaction_id"]
    case = Case(scout_db, WINDOW, case.damage)
    with connect(scout_db) as connection:
        connection.execute(MEDDLE.format(name=name))  # type: ignore[call-overload]
    result = call("scout_window_recovery", scout_db, **WINDOW.options)
    assert result["failed"]
    assert str(event) in result["msg"]
    unexplained = result["reconciliation"]["unexplained_events"]
    assert [(entry["event_id"], entry["transaction_id"]) for entry in unexplained] == [(str(event), name)]
    assert unexplained[0]["why"]
    with connect(scout_db) as connection:
        connection.execute("DROP FUNCTION public.meddle CASCADE")
    again = recover(case)
    assert again["reconciliation"]["unexplained"] == 0
    case.check()
