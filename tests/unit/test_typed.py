# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is typed after -e: mistyped names and switches are refused, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import typed

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "variables.md").read_text(encoding="utf-8")
DOCUMENTED = {
    name for cell in re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("relase", "release"),
        ("aplication_push", "application_push"),
        ("schema_rollback_enable", "schema_rollback_enabled"),
        ("drop_colum", "drop_column"),
        ("scout_dns", "scout_dsn"),
        ("application_comit", "application_commit"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"no variable is named {name}, and {meant} is nearly the same") as refused:
        typed.refuse({}, {name: "secret"})
    assert f"-e {meant}=" in str(refused.value.next_step)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["app_version", "ansible_python_interpreter", "my_release_train", "vault_token"])
def test_variables_of_the_team_are_their_own(name: str) -> None:
    typed.refuse({}, {name: "x"})
    typed.refuse({name: "x"}, {})


def test_every_documented_variable_is_known() -> None:
    assert len(DOCUMENTED) > 80
    assert not DOCUMENTED - typed.KNOWN
    typed.refuse({}, dict.fromkeys(DOCUMENTED, "x"))


@pytest.mark.parametrize("value", ["ture", "flase", "2", "", "nope", None])
@pytest.mark.parametrize("name", ["pause", "gate", "smoke", "schema_rollback_enabled", "application_rollback_enabled"])
def test_a_switch_that_is_neither_yes_nor_no_is_refused(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{name} '{value}' is not a yes or no"):
        typed.refuse({name: value}, {})


@pytest.mark.parametrize("value", [True, False, "true", "False", "yes", "no", "on", "0", 1, "{{ other }}"])
def test_a_switch_may_be_spelt_as_ansible_takes_it(value: Any) -> None:
    typed.refuse({"pause": value}, {"pause": value})
