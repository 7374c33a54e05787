# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried as the newest is the newest, and what cannot be had fails."""

from __future__ import annotations

import pytest

from tests import CHECKOUT
from tests.programs import script

MATRIX = script("matrix")


@pytest.mark.parametrize(
    ("results", "code"),
    [([{"passed": True, "tests": 2}], 0), ([{"passed": False, "tests": 2}], 1), ([{"not_tried": "no npm"}], 1)],
)
def test_it_fails_where_one_failed_or_could_not_be_tried(
    results: list[dict[str, object]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = iter([{"name": "first", "passed": True, "tests": 1}, *({"name": "last"} | each for each in results)])
    monkeypatch.setattr(MATRIX, "tried", lambda _: next(tried))
    assert MATRIX.main(["--newest"]) == code


@pytest.mark.parametrize("test", [*MATRIX.PLAYBOOKS, *MATRIX.MODULES])
def test_each_test_that_is_run_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}" in (CHECKOUT / file).read_text(encoding="utf-8")
