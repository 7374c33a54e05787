# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The team's own checks on a real pipeline: counted with the others in gate and assessment, and never a pass where one fails to run."""

from __future__ import annotations

from typing import Any

from tests.integration.gates import checks, ended, judge, run, wrong
from tests.integration.modules import call, executed, fingerprint, one, operator

BAD = "t.store_id IS NULL OR t.store_id = 'nowhere'"


def own(name: str = "unknown_store", **more: Any) -> dict[str, Any]:
    return {"name": name, "table": "silver_transactions", "predicate": BAD, "message": "nobody knows the store", **more}


def test_a_check_of_ones_own_counts_as_the_others_do(scout_db: str) -> None:
    before = fingerprint(scout_db)
    lines = own("odd_line", table="silver_line_items", predicate="l.quantity % 100000 = 99999")
    events = own("odd_event", table="bronze_events", predicate="b.event_data ->> 'note' LIKE '%odd%'")
    whole = own("no_store", table=None, predicate="(SELECT count(*) FROM scout.dim_store) = 0")
    all_kinds = [own(), lines, events, whole]
    result = judge(scout_db, own_checks=all_kinds)
    assert ended(result) == ("pass", 0)
    assert [checks(result)[each["name"]]["value"] for each in all_kinds] == [0, 0, 0, 0]
    assert result["own_checks"] == []
    assert fingerprint(scout_db) == before
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET store_id = 'nowhere', updated_at = now() WHERE transaction_id IN "
        "(SELECT transaction_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT 3)",
    )
    given = [
        own(),
        own("up_to", ok=3),
        own("between", fail=3),
        own("at_most_warns", severity="warn"),
        own("tells", severity="info"),
        own("otherwise", table=None, predicate="(SELECT count(*) FROM scout.dim_store) > 0"),
    ]
    result = judge(scout_db, own_checks=given)
    assert ended(result) == ("fail", 46)
    names = {each["name"] for each in given}
    bad = {"unknown_store": "fail", "between": "warn", "at_most_warns": "warn", "otherwise": "fail"}
    assert {name: status for name, status in wrong(result).items() if name in names} == bad
    check = checks(result)["unknown_store"]
    assert (check["value"], check["threshold"]) == (3, {"ok": 0, "fail": 0})
    sample = one(scout_db, "SELECT min(transaction_id) FROM scout.silver_transactions WHERE store_id = 'nowhere'")
    assert check["reason"].startswith("nobody knows the store; for example ")
    assert sample in check["reason"]
    assert result["own_checks"][0] == f"unknown_store: fail, 3 rows; {check['reason']}"
    # Read a second way, and of the last hour.
    assessed = executed("scout_health_info", scout_db, own_checks=given)
    assert (assessed["verdict"], {"unknown_store", "otherwise"} <= set(assessed["failing"])) == ("failing", True)
    statuses = {each["name"]: each["status"] for each in assessed["indicators"] if each["name"] in names}
    assert statuses == {"up_to": "ok", "tells": "ok"} | bad
    assert "unknown_store" not in assessed["blockers"] + assessed["needs_reset"]
    run(scout_db, "UPDATE scout.silver_transactions SET processed_at = now() - interval '3 days', updated_at = now() - "
        "interval '3 days' WHERE store_id = 'nowhere'")  # fmt: skip
    assert checks(judge(scout_db, own_checks=[own()]))["unknown_store"]["value"] == 0


CANNOT_TELL = {
    "no_such_column": ("t.colour = 'red'", "column t.colour does not exist"),
    "fails_on_a_row": ("1 / (t.item_count - t.item_count) = 1", "division by zero"),
    "not_a_condition": ("t.item_count", "must be type boolean"),
    "an_aggregate": ("count(*) > 3", "aggregate functions are not allowed"),
    "is_volatile": ("random() > 2", "pg_catalog.random is volatile"),
    "writes": ("set_config('a.b', 'c', false) = 'c'", "is volatile"),
    "slow": ("(SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000) AS b) < 0", "time budget"),
    "may_not_read_it": ("EXISTS (SELECT FROM public.till)", "permission denied for table till"),
}  # fmt: skip


def test_one_that_cannot_be_evaluated_is_unknown_and_never_a_pass(scout_db: str) -> None:
    run(scout_db, "CREATE TABLE public.till AS SELECT 1 AS n", "REVOKE ALL ON public.till FROM PUBLIC")
    before = fingerprint(scout_db)
    given = [own(name, predicate=predicate) for name, (predicate, _) in CANNOT_TELL.items()]
    with operator(scout_db) as dsn:
        # One that is fine gets its answer beside them.
        result = judge(dsn, own_checks=[*given, own("fine", predicate="t.item_count < 0")], budget_seconds=4)
        found = checks(result)
        for name, (_, said) in CANNOT_TELL.items():
            assert (found[name]["status"], found[name]["value"]) == ("inconclusive", None), found[name]
            assert said in found[name]["reason"]
        assert found["fine"]["status"] == "pass"
        assert (ended(result), result["ok"]) == (("inconclusive", 47), False)
        lesser = own("lesser", predicate="random() > 2", severity="warn")
        assessed = call("scout_health_info", dsn, own_checks=[own(predicate="random() > 2"), lesser])
        assert assessed["verdict"] == "inconclusive"
        [told] = assessed["cannot_tell"]
        assert told.startswith("unknown_store: ")
        failed = call("scout_gate_info", dsn, own_checks=[own(predicate="true) OR (true")])
        assert failed["error"]["kind"] == "bad_input"
        assert "predicate of check unknown_store 'true) OR (true'" in failed["msg"]
    assert fingerprint(scout_db) == before
