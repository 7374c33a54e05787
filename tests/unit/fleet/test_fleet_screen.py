# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of many: worst first, within its width, each counted once, and commands that a shell takes."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.fleet import row, screen
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import failure
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import command, render
from tests.unit.summary.test_summary import DATABASE, ENDS, assessed, diagnosis

AGAIN = "ansible-playbook playbooks/emergency_reset.yml"


def one(host: str, steps: dict[str, Any], operation: str = "emergency_reset", **fields: Any) -> row.Row:
    made = render.Story(operation, host, "adhoc", fields.pop("check", False), True, steps, **fields)
    return row.of(command.document(made))


def broken(host: str, error: errors.RecoveryError, operation: str = "emergency_reset") -> row.Row:
    return one(host, {"preflight": failure(error)}, operation)


ROWS = [
    one("good", ENDS["recovered"][0]),
    broken("bad", errors.DatabaseError("could not load", said="column is missing")),
    broken("away", errors.ConnectionFailed("could not open a session", said="Connection refused")),
    broken("other", errors.WrongDatabase("refused: this is not a Scout database", said="missing scout.bronze_events")),
    broken("standby", errors.WrongDatabase("refused to work on a standby")),
    one("paused", ENDS["left paused"][0]),
    broken("later", errors.NotBegun("nothing was done: the run ended before its turn", next_step="run it again")),
    broken("broken-off", errors.Stopped("interrupted")),
    one("fine", {"assess": assessed("healthy")}),
]


def test_worst_first() -> None:
    assert [each["host"] for each in screen.ordered(ROWS)] == [
        *("bad", "paused", "broken-off", "away", "other", "standby", "later", "good", "fine"),
    ]
    assert screen.left(ROWS) == ["bad", "paused", "broken-off", "away", "other", "standby", "later"]


def test_each_is_counted_once() -> None:
    assert screen.counted(ROWS, "emergency_reset") == (
        "9 databases: 2 recovered or healthy, 1 failed, 1 left paused, 1 interrupted, 1 unreachable, "
        "1 without Scout, 1 wrong database, 1 not begun"
    )
    assert screen.counted(ROWS[1:2], "emergency_reset") == "1 database: 0 recovered or healthy, 1 failed"


@pytest.mark.parametrize(
    ("verdict", "standing"),
    [("healthy", "healthy"), ("failing", "failing"), ("degraded", "degraded"), ("inconclusive", "cannot tell")],
)
def test_an_assessment_is_as_bad_as_its_verdict(verdict: str, standing: str) -> None:
    found = one("db1", {"assess": assessed(verdict)}, "assess")
    assert found["standing"] == standing
    assert found["in_full"] is (standing in ("failing", "cannot tell"))


def test_an_assessment_is_the_same_in_check_mode() -> None:
    assert one("db1", {"assess": assessed("failing")}, "assess", check=True)["standing"] == "failing"


def test_what_is_planned_is_neither_good_nor_bad() -> None:
    assert one("db1", {"assess": assessed("failing", needs_reset=[])}, check=True)["standing"] == "planned"


def test_a_plan_says_what_would_be_done_and_not_what_is_wrong() -> None:
    failing = [{"name": "backlog_age", "status": "fail", "value": 1, "unit": "s", "text": "1 h"}]
    steps = {
        "assess": assessed("failing", needs_reset=["backlog_age"], indicators=failing),
        "pause": {"changed": True, "summary": "would pause 3 jobs"},
        "refresh_gold": {"changed": True, "summary": "would refresh 2 gold views"},
    }
    planned = one("db1", steps, check=True)
    assert planned["did"] == "pause 3 jobs; refresh 2 gold views"
    assert one("db2", {"assess": assessed("healthy")}, check=True)["did"] == "nothing"
    heading, line = screen.table([planned], 79)
    assert "  would  " in heading
    assert "pause 3 jobs; refresh 2 gold views" in line
    assert list(screen.ending([planned], [], 79))[1].strip().startswith("next   run it without --check")


@pytest.mark.parametrize("width", [79, 99, 119, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    hostile = {"host": "a" * 80, "did": "two\nlines \x1b[31mred " + "x" * 400, "database": DATABASE}
    lines = screen.table([*ROWS, {**ROWS[0], **hostile}], width)  # type: ignore[typeddict-item]
    assert len(lines) == len(ROWS) + 2
    assert max(map(len, lines)) <= width
    assert ("where" in lines[0]) is (width >= screen.WIDE)
    assert all("\x1b" not in line and "\n" not in line for line in lines)
    assert any(line.endswith("…") or "…  " in line for line in lines)


def test_a_command_is_for_all_that_need_it_and_the_rest_is_repeated() -> None:
    steps = {
        "assess": assessed(
            "failing", diagnoses=[diagnosis("gold is stale", "ansible-playbook playbooks/refresh_gold.yml")]
        )
    }
    stale = [one(host, steps, "assess") for host in ("luzon", "cebu city")]
    for each in stale:
        each["command"] = each["command"].replace(".yml", f".yml -e target={shlex.quote(each['host'])}")
    assert screen.following([*stale, ROWS[2], ROWS[0]], AGAIN) == [
        "ansible-playbook playbooks/refresh_gold.yml --limit 'luzon,cebu city'",
        f"{AGAIN} --limit away",
    ]
    assert screen.following(stale, AGAIN, "asia") == [
        "ansible-playbook playbooks/refresh_gold.yml -e target=asia --limit 'luzon,cebu city'"
    ]


@pytest.mark.parametrize("standing", ["failing", "still failing", "not passed"])
def test_what_no_command_can_put_right_is_not_run_again(standing: str) -> None:
    """Its block says what a person has to do: the same command would find the same."""
    by_hand: row.Row = {
        **ROWS[0],
        "host": "cebu",
        "standing": standing,
        "verdict": standing,
        "command": "",
        "in_full": True,
    }
    assert screen.table([by_hand, ROWS[2]], 79)[1].endswith("see below")
    assert screen.following([by_hand, ROWS[2]], AGAIN) == [f"{AGAIN} --limit away"]
    assert screen.following([by_hand], AGAIN) == []


def test_more_than_can_be_typed_are_named_by_a_file() -> None:
    many = [{**ROWS[2], "host": f"db{at}"} for at in range(12)]
    assert screen.following(many, AGAIN, retry_file="out.retry") == [f"{AGAIN} --limit @out.retry"]  # type: ignore[arg-type]
    assert "db11" in screen.following(many, AGAIN)[0]  # type: ignore[arg-type]
    assert screen.following(many[:2], AGAIN, retry_file="out.retry") == [f"{AGAIN} --limit db0,db1"]  # type: ignore[arg-type]


def test_where_all_is_well_nothing_is_to_be_typed() -> None:
    assert list(screen.ending([ROWS[0], ROWS[8]], screen.following([ROWS[0], ROWS[8]], AGAIN), 79)) == [
        "2 databases: 2 recovered or healthy"
    ]
