# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` leaves to `make test-all` comes within two weeks, and is there; and what a run makes once is made once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests import CHECKOUT
from tests.conftest import SHARES, todays


def test_each_comes_once_in_two_weeks_and_a_file_costs_each_day_the_same() -> None:
    units = {
        name: name for name in (f"tests/e2e/test_{file}.py::test_y[{at}]" for file in range(9) for at in range(23))
    }
    days = [todays(units, 360 + day) for day in range(SHARES)]
    assert Counter(name for day in days for name in day) == dict.fromkeys(units, 1)
    for file in range(9):
        assert {sum(f"test_{file}.py" in name for name in day) for day in days} == {1, 2}


def test_what_a_run_makes_once_is_imported_by_nobody() -> None:
    """pytest takes an imported fixture for another one: of one worker, the second finds the first's database."""
    once = r'^@pytest\.fixture\(scope="session".*\)\ndef (\w+)'
    texts = {path: path.read_text(encoding="utf-8") for path in (CHECKOUT / "tests").rglob("*.py")}
    fixtures = {path.relative_to(CHECKOUT): {*re.findall(once, text, re.MULTILINE)} for path, text in texts.items()}
    assert "broken_template" in fixtures[Path("tests/e2e/fixtures.py")]
    for path, text in texts.items():
        for module, names in re.findall(r"^from (tests\.\S+) import (\([^)]*\)|.*)$", text, re.MULTILINE):
            made = fixtures.get(Path(*module.split(".")).with_suffix(".py"), set())
            assert not made & {*re.findall(r"\w+", names)}, path
