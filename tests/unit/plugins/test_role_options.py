# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role specifies of its options is enforced, in words for a person."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.scout.recovery.plugins.plugin_utils import role_options
from ansible_collections.scout.recovery.plugins.plugin_utils.given_options import UNLESS_SET
from tests import CHECKOUT

SPEC: dict[str, role_options.Option] = {
    "gate_hours": {"type": "int"},
    "gate_share": {"type": "float"},
    "gate_smoke": {"type": "bool"},
    "gate_mode": {"type": "str", "choices": ["a", "b"]},
    "gate_jobs": {"type": "list", "elements": "str"},
    "gate_severity": {"type": "dict"},
    "gate_token": {"type": "int", "no_log": True},
}
PERIOD = "{{ lookup('scout.recovery.setting', 'period_hours', default=24) }}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gate_hours": "many"}, "gate_hours 'many' is not a whole number"),
        ({"gate_share": "half"}, "gate_share 'half' is not a number"),
        ({"gate_smoke": "maybe"}, "gate_smoke 'maybe' is not a yes or no"),
        ({"gate_mode": "c"}, "value of gate_mode must be one of: a, b, got: c"),
        ({"gate_jobs": {"a": 1}}, "gate_jobs \"{'a': 1}\" is not a list"),
        ({"gate_severity": [1]}, "gate_severity '[1]' is not a dictionary"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], said: str) -> None:
    assert role_options.wrong(SPEC, values) == [said]


def test_what_can_be_used_is_not_named() -> None:
    right = {"gate_hours": "24", "gate_share": "0.5", "gate_smoke": "no", "gate_mode": "b", "gate_jobs": "a,b"}
    assert role_options.wrong(SPEC, right) == []


def test_a_secret_is_not_shown() -> None:
    (said,) = role_options.wrong(SPEC, {"gate_token": "hush"})
    assert "hush" not in said
    assert "gate_token" in said


@pytest.mark.parametrize(
    ("variables", "set_by", "said"),
    [
        ({}, "period_hours", "period_hours is wrong"),
        ({}, "scout_period_hours", "scout_period_hours is wrong"),
        ({}, None, "gate_hours is wrong"),
        ({"gate_hours": "x"}, None, "gate_hours is wrong"),
        ({"gate_hours": "x"}, "period_hours", "gate_hours is wrong"),
        ({"gate_hours": PERIOD}, "scout_period_hours", "scout_period_hours is wrong"),
    ],
)
def test_the_variable_is_named_that_a_person_set(variables: dict[str, Any], set_by: str | None, said: str) -> None:
    asked: list[str] = []

    def find(name: str) -> str | None:
        asked.append(name)
        return set_by

    assert role_options.by_public_name("gate_hours is wrong", {"gate_hours": PERIOD}, variables, find) == said
    assert asked in ([], ["period_hours"])


def test_the_words_of_a_role_are_those_that_its_defaults_and_variables_read() -> None:
    words = role_options.words(role_options.folder("rollback"))
    assert words >= {"resume", "gate", "drop_column", "application_dir"}
    assert not {"application_rollback_dir", "scout_contract"} & words


def test_a_variable_that_looks_like_an_option_is_found() -> None:
    names = ["gate_hour", "gate_hours", "gate_keeper", "gate_modes", "gates_hours", "gate_smoke_result"]
    known = {"gate_smoke_result"}
    assert role_options.nearly("gate", names, SPEC, known) == {"gate_hour": "gate_hours", "gate_modes": "gate_mode"}


def test_every_role_can_be_checked() -> None:
    roles = sorted(path.name for path in CHECKOUT.glob("roles/*"))
    assert len(roles) > 20
    for role in [*roles, "scout.drills.drill"]:
        spec = role_options.specification(role_options.folder(role))
        assert spec
        assert all(option["type"] for option in spec.values())


def test_what_a_role_has_unless_it_is_set_needs_no_check() -> None:
    """Such a default is not templated before a play begins, so it has to be right as it stands."""
    checked = 0
    for path in sorted(CHECKOUT.glob("roles/*")):
        spec, defaults = role_options.specification(path), role_options.defaults(path)
        plain = {name: UNLESS_SET.fullmatch(str(value)) for name, value in defaults.items() if name in spec}
        given = {
            name: yaml.safe_load(str(defaults[name]).partition(", default=")[2].removesuffix(") }}"))
            for name, found in plain.items()
            if found
        }
        assert role_options.wrong(spec, given) == []
        checked += len(given)
    assert checked > 200
