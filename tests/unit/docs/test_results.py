# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result of a module that is not as it is declared is found, whichever test made it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.results import misfits

RESULT: dict[str, Any] = {"changed": False, "runs": [], "summary": "no runs"}
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"runs": None}, ["runs of RunsResult is None"]),
    ({"more": 1}, ["RunsResult has no more"]),
    ({"runs": [1]}, ["runs of RunsResult is [1]"]),
    ({"summary": True}, ["summary of RunsResult is True"]),
    ({}, []),
]


def test_a_result_that_is_not_as_declared_is_found(subtests: pytest.Subtests) -> None:
    for change, said in CHANGES:
        with subtests.test(msg=said[0] if said else "as declared"):
            assert misfits("scout_runs_info", {**RESULT, **change}) == said
    with subtests.test(msg="a key that is missing"):
        assert misfits("scout_runs_info", {"changed": False, "runs": []}) == ["summary of RunsResult is missing"]
