# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The team's own checks as people write them: every mistake is named, with the value."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import own_checks
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import verdict
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.own_checks import OwnCheck

OWN = {"name": "unknown_store", "table": "silver_transactions", "predicate": " t.store_id IS NULL "}


def test_a_check_says_little_and_passes_only_where_nothing_is_found_unless_told_otherwise() -> None:
    assert own_checks.parse(None) == own_checks.parse([]) == ()
    assert own_checks.parse([OWN]) == (OwnCheck("unknown_store", "t.store_id IS NULL", "scout.silver_transactions"),)
    [check] = own_checks.parse(
        [{"name": "a", "predicate": "true", "ok": 3, "severity": "warn", "message": " so  it is "}]
    )
    assert check == OwnCheck("a", "true", None, 3.0, 3.0, "warn", "so it is")


def test_its_severity_is_that_of_the_gate_and_can_be_changed_by_its_name() -> None:
    own = own_checks.parse([OWN])
    chosen = verdict.options({}, {"unknown_store": "info"}, warn_passes=False, paused_passes=False, own=own)
    assert chosen.severities["unknown_store"] == "info"
    with pytest.raises(BadInput, match="no check has this name"):
        verdict.options({}, {"unknown_store": "info"}, warn_passes=False, paused_passes=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("true", "the checks 'true' is not usable: they must be a list"),
        (["true"], "a check 'true' is not usable"),
        ([{"predicate": "true"}], "a check's name None"),
        ([{**OWN, "name": "Unknown"}], "a check's name 'Unknown'"),
        ([{**OWN, "name": "lost_events"}], "check lost_events 'lost_events' is not usable: a built-in check has this name"),
        ([{**OWN, "name": "smoke_test"}], "a built-in check has this name"),
        ([OWN, OWN], "two checks have this name"),
        ([{**OWN, "most": 3}], "check unknown_store 'most' is not usable: this key is unknown"),
        ([{"name": "a"}], "its predicate is missing"),
        ([{"name": "a", "predicate": 3}], "predicate of check a 3 is not usable: it must be text"),
        ([{"name": "a", "predicate": "true) OR (true"}], ") closes nothing"),
        ([{"name": "a", "predicate": "true; DROP TABLE scout.alerts"}], "without ;"),
        ([{**OWN, "table": "scout.dim_store"}], "table of check unknown_store 'scout.dim_store'"),
        ([{**OWN, "severity": "critical"}], "severity of check unknown_store 'critical'"),
        ([{**OWN, "fail": "many"}], "fail of check unknown_store 'many' is not usable: it must be a number"),
        ([{**OWN, "ok": -1}], "ok of check unknown_store -1"),
        ([{**OWN, "ok": True}], "ok of check unknown_store True"),
        ([{**OWN, "ok": 5, "fail": 2}], "it is above fail, which is 2"),
        ([{**OWN, "message": "a\u202eb"}], "message of check unknown_store"),
        ([{"name": f"a{n}", "predicate": "true"} for n in range(51)], "51 checks are too many"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(given: Any, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        own_checks.parse(given)
    assert "gate_checks" in caught.value.next_step
