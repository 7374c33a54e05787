# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` leaves to `make test-all` comes within five days, and is there."""

from __future__ import annotations

import pytest

from tests import CHECKOUT
from tests.conftest import SAMPLED, TENTHS, is_todays


@pytest.mark.parametrize("day", [1, 170, 362])
def test_each_comes_once_in_ten_days(day: int) -> None:
    for number in range(200):
        days = [is_todays(f"tests/e2e/test_x.py::test_y[{number}]", day + after) for after in range(TENTHS)]
        assert days.count(True) == 1


def test_each_day_takes_some() -> None:
    names = [f"tests/e2e/test_x.py::test_y[{number}]" for number in range(1000)]
    assert all(50 < sum(is_todays(name, day) for name in names) < 150 for day in range(TENTHS))


@pytest.mark.parametrize("place", SAMPLED)
def test_what_is_sampled_is_there_and_says_why(place: str) -> None:
    assert list(CHECKOUT.glob(f"{place}*"))
    assert SAMPLED[place]
