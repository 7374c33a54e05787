# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules as people write them: every mistake named, and no predicate that could leave its parentheses."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.cleanup import findings, rules
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.cleanup.rules import Rule
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import predicates

OWN = {"name": "huge", "table": "silver_transactions", "predicate": "t.total_amount > 10000"}


def named(chosen: tuple[Rule, ...]) -> dict[str, Rule]:
    return {rule.name: rule for rule in chosen}


def test_the_built_in_rules_are_usable_and_only_the_orphans_stay_where_they_are() -> None:
    chosen = rules.choose()
    assert [rule.name for rule in chosen] == [
        "negative_total", "empty_basket", "invalid_amounts", "lines_do_not_add_up", "invalid_line", "orphan_source_event",
    ]  # fmt: skip
    assert [rule.name for rule in chosen if not rule.moves] == ["orphan_source_event"]
    assert {rule.name for rule in chosen if rule.error_code == "INVALID_AMOUNTS"} == {
        "negative_total", "empty_basket", "invalid_amounts",
    }  # fmt: skip
    assert rules.choose([rule.as_dict() for rule in chosen]) == chosen


def test_a_rule_of_ones_own_says_little_and_only_reports_unless_told_otherwise() -> None:
    rule = named(rules.choose([OWN]))["huge"]
    assert rule == Rule(
        "huge",
        "scout.silver_transactions",
        "t.total_amount > 10000",
        "warning",
        "report",
        "HUGE",
        "violates the rule huge",
    )
    assert len(rules.choose([OWN])) == len(rules.built_in()) + 1
    assert rules.choose([{**OWN, "error_code": None, "message": "", "severity": None}], ["huge"]) == (rule,)


def test_a_rule_with_a_built_in_name_replaces_it_and_keeps_what_it_does_not_give() -> None:
    chosen = named(rules.choose([{"name": "empty_basket", "action": "report"}]))
    built_in = named(rules.built_in())["empty_basket"]
    assert len(chosen) == len(rules.built_in())
    assert chosen["empty_basket"].action == "report"
    assert chosen["empty_basket"].predicate == built_in.predicate
    other = {"name": "invalid_line", "table": "scout.bronze_events", "predicate": "b.event_ts > now()"}
    replaced = named(rules.choose([other]))["invalid_line"]
    assert (replaced.table, replaced.alias, replaced.predicate) == ("scout.bronze_events", "b", "b.event_ts > now()")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("total < 0", ("'total < 0'", "list of dictionaries")),
        ({"name": "x"}, ("list of dictionaries",)),
        (["total < 0"], ("a rule 'total < 0'", "dictionary")),
        ([None], ("a rule None",)),
        ([{}], ("name None",)),
        ([{**OWN, "name": "Huge"}], ("name 'Huge'",)),
        ([{**OWN, "name": "1st"}], ("name '1st'",)),
        ([{**OWN, "name": "a-b"}], ("name 'a-b'",)),
        ([{**OWN, "name": "a\n"}], (r"name 'a\n'",)),
        ([{**OWN, "name": "a" * 42}], ("at most 40",)),
        ([{**OWN, "name": 7}], ("name 7",)),
        ([{**OWN, "where": "x"}], ("rule huge 'where'", "unknown", "predicate")),
        ([{**OWN, 3: "x"}], ("rule huge '3'",)),
        ([{**OWN, "table": "silver"}], ("table of rule huge 'silver'", "silver_line_items")),
        ([{**OWN, "table": "scout.etl_processed"}], ("'scout.etl_processed'",)),
        ([{**OWN, "table": ["silver_transactions"]}], ("table of rule huge",)),
        ([{"name": "huge", "predicate": "true"}], ("table of rule huge None",)),
        ([{"name": "huge", "table": "bronze_events"}], ("rule huge None", "predicate is missing")),
        ([{**OWN, "predicate": " \n"}], ("rule huge", "predicate is missing")),
        ([{**OWN, "predicate": True}], ("predicate of rule huge True", "text")),
        ([{**OWN, "predicate": "a" * 10001}], ("predicate of rule huge", "10000")),
        ([{**OWN, "severity": "fatal"}], ("severity of rule huge 'fatal'", "critical")),
        ([{**OWN, "severity": ["info"]}], ("severity of rule huge",)),
        ([{**OWN, "action": "delete"}], ("action of rule huge 'delete'", "quarantine or report")),
        ([{**OWN, "error_code": "a b"}], ("error_code of rule huge 'a b'",)),
        ([{**OWN, "error_code": 12}], ("error_code of rule huge 12",)),
        ([{**OWN, "message": "x" * 301}], ("message of rule huge", "300")),
        ([{**OWN, "message": {"a": 1}}], ("message of rule huge",)),
        ([OWN, OWN], ("rule huge", "two rules")),
    ],
)
def test_mistakes_are_named_with_their_value(given: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as caught:
        rules.choose(given)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.next_step
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "predicate",
    [
        "total_amount<0", "t.customer_id LIKE '%x%'", "t.item_count % 2 = 1", "t.item_count %(2) = 1", "note = ''';--/*'",
        "t.store_id ~ '^S\\d+$'", "t.store_id = E'it\\'s (;'", "t.store_id = E'\\\\'", "\"total_amount\" < (0)",
        'b."odd ) "" name" IS NULL', "b.event_data @> '{\"a\": [1, {\"b\": \")\"}]}'", "b.event_data -> 'items' -> 0 ? 'qty'",
        "b.event_data['items'][0] IS NULL", "t.ts > timestamptz '2026-01-01 00:00+08'", "t.ts::date = date'2026-01-01'",
        "NOT EXISTS (SELECT FROM scout.dim_store AS s WHERE s.store_id = t.store_id)", "t.total_amount > 1.5e-3 AND .5 < 1",
        "t.store_id IN ('%(a)s', 'größe', '\u3000')", "t.city = 'Parañaque' AND größe IS NULL", "t.item_count = - -1",
        "b.event_hash = X'00ff'::bytea", "t.store_id = U&'\\00e4'", "t.store_id = '$1 $$ $x$'", "t.city = 'a\n--b'",
        "(a[1:2])[1] = 3\n\tOR false", "t.ts > now() - interval '1 day'", "a #>> '{b,c}' IS NULL",
    ],
)  # fmt: skip
def test_what_is_one_expression_is_taken_as_it_is(predicate: str) -> None:
    assert predicates.defect(predicate) is None
    [rule] = rules.choose([{**OWN, "predicate": f"  {predicate}\n"}], ["huge"])
    assert rule.predicate == predicate


@pytest.mark.parametrize(
    ("predicate", "why"),
    [
        ("true) OR (true", ") closes nothing"), (")(", ") closes nothing"), ("(true", "( is not closed"),
        ("a[1", "[ is not closed"), ("(a[1)]", ") closes nothing"), ("]", "] closes nothing"), ("((a)", "( is not closed"),
        ("true; DROP TABLE scout.alerts", "without ;"), (";", "without ;"),
        ("true -- and", "comments"), ("true --", "comments"), ("1--1 = 2", "comments"), ("/* x */ true", "comments"),
        ("true /*", "comments"), ("true */ x", "comments"), ("a */**/ b", "comments"), ("a<--1", "comments"),
        ("a = 'x", "quote"), ('a = "x', "quote"), ("a = 'it''s", "quote"), ("a = ''''''' OR true", "quote"),
        ("a = E'x\\'", "quote"), ("a = e'\\'')--'", ") closes nothing"), ("a = E'\\", "quote"), ("'", "quote"), ('"', "quote"),
        ("a = B'", "quote"), ("a = U&'x", "quote"), ('U&"!0070g_sleep" (1) IS NULL', "without U&"),
        ("a = $1", "$ is not allowed"), ("a = $$x$$", "$ is not allowed"), ("a = $q$) OR ($q$", "$ is not allowed"),
        ("foo$bar = 1", "$ is not allowed"), ("a = %(start)s", "parameters"), ("a %(x)b", "parameters"),
        ("\\! ls", "backslash"), ("a = 'b'\n'c'", "two strings"), ("a = E'b'\n'c\\' OR true) --'", "two strings"),
        ("a = 'b' 'c'", "two strings"), ("a = 'b'E'c'", "two strings"), ("a = 1E'\\' OR 1=1) --'", "a number runs into"),
        ("a = 1x", "a number runs into"), ("a = 0x1F", "a number runs into"), ("a = 1.2.3", "a number runs into"),
        ("a = 1'x'", "a number runs into"), ("a\u00a0= 1", "not allowed outside"), ("a\u200b = 1", "not allowed outside"),
        ("\u202ea = 1", "not allowed outside"), ("a \x01 b", "not allowed outside"), ("{a}", "not allowed outside"),
        ('"a\u202e" = 1', "not allowed outside"), ("a = '\0'", "cannot store"), ("a = '\ud800'", "cannot store"),
    ],
)  # fmt: skip
def test_what_could_end_its_parentheses_or_be_read_in_two_ways_is_refused(predicate: str, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        rules.choose([{**OWN, "predicate": predicate}])
    assert why in str(caught.value)
    assert "predicate of rule huge" in str(caught.value)


@pytest.mark.parametrize(
    ("violations", "scanned", "max_share", "expected"),
    [
        (0, 0, 0.05, False), (0, 0, 0.0, False), (0, 100, 0.0, False), (1, 100, 0.0, True), (1, 1, 0.05, False),
        (1, 3, 0.05, False), (2, 3, 0.05, True), (3, 3, 0.05, True), (2, 4, 0.05, False), (4, 50, 0.05, False),
        (5, 50, 0.05, True), (5, 100, 0.05, False), (6, 100, 0.05, True), (5000, 100_000, 0.05, False),
        (5001, 100_000, 0.05, True), (100, 100, 1.0, False), (51, 100, 0.5, True), (3, 3, 0.999, True),
    ],
)  # fmt: skip
def test_a_few_rows_are_not_systemic_unless_they_are_most(
    violations: int, scanned: int, max_share: float, expected: bool
) -> None:
    assert findings.is_systemic(violations, scanned, max_share) is expected
