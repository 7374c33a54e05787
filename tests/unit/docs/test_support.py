# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/support.md claims of servers, Ansible and Python what scripts/matrix found, and nothing else."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest

from tests import CHECKOUT


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    """The names that the script defines."""
    return runpy.run_path(str(CHECKOUT / "scripts" / "matrix"))


def test_the_page_shows_what_was_found(matrix: dict[str, Any]) -> None:
    found = json.loads((CHECKOUT / "docs" / "support.json").read_text(encoding="utf-8"))
    (shown,) = matrix["BETWEEN"].findall((CHECKOUT / "docs" / "support.md").read_text(encoding="utf-8"))
    assert shown == matrix["rendered"](found)


def test_the_table_has_a_line_for_all_that_can_be_tried(matrix: dict[str, Any]) -> None:
    found = json.loads((CHECKOUT / "docs" / "support.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in found] == [line.name for line in matrix["lines"]()]


def test_nothing_that_is_claimed_has_failed() -> None:
    found = json.loads((CHECKOUT / "docs" / "support.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in found if not each.get("passed", True)] == []


def test_chosen_tests_exist(matrix: dict[str, Any]) -> None:
    for test in (*matrix["PLAYBOOKS"], *matrix["MODULES"]):
        file, _, name = test.partition("::")
        assert (CHECKOUT / file).is_file()
        assert f"def {name.partition('[')[0]}" in (CHECKOUT / file).read_text(encoding="utf-8")
