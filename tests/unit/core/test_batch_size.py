# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches grow where each has a fixed cost, shrink where rows are expensive, and forget a slow spell at once."""

from __future__ import annotations

import random

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.batch_size import (
    Cost,
    Limits,
    Took,
    cost,
    following,
)

LIMITS = Limits(target_seconds=3.0, most_seconds=30.0, least_rows=2000, most_rows=100_000)


def took(*batches: tuple[float, float]) -> list[Took]:
    return [Took(rows, seconds) for rows, seconds in batches]


@pytest.mark.parametrize(
    ("batches", "fixed", "per_row"),
    [
        ([(2000, 1.0)], 0.0, 0.0005),
        ([(2000, 1.0), (2000, 4.0)], 0.0, 0.0005),  # one size: the cheapest says what a row costs
        ([(2000, 2.0), (6000, 3.0)], 1.5, 0.00025),
        ([(6000, 3.0), (2000, 2.0)], 1.5, 0.00025),
        ([(100, 1.1), (1000, 2.0), (1000, 9.0), (4000, 5.0), (8000, 9.0)], 1.0, 0.001),  # an outlier
        ([(2000, 5.0), (1000, 5.0)], 4.925, 0.00005),  # the size makes no difference
        ([(2000, 1.0), (1000, 5.0)], 2.985, 0.00001),  # a spell in which everything was slow
        ([(1, 0.5), (2000, 1.0), (2000, 1.0)], 0.5, 0.00025),
        ([(0, 0.0)], 0.0, 0.000001),
    ],
)
def test_what_a_batch_costs(batches: list[tuple[float, float]], fixed: float, per_row: float) -> None:
    found = cost(took(*batches))
    assert (found.fixed, found.per_row) == (pytest.approx(fixed, abs=0.02), pytest.approx(per_row, rel=0.02))


def test_only_the_last_batches_count() -> None:
    assert cost(took((1000, 100.0), *[(1000, 1.0), (2000, 2.0)] * 3)) == Cost(0.0, pytest.approx(0.001))


@pytest.mark.parametrize(
    ("size", "batches", "limits", "expected"),
    [
        (2000, [], LIMITS, 2000),
        (2000, [(2000, 0.1)], LIMITS, 8000),  # not more than fourfold at once
        (8000, [(2000, 0.1), (8000, 0.4)], LIMITS, 32_000),
        (50_000, [(50_000, 1.0)], LIMITS, 100_000),  # the most there may be
        (20_000, [(20_000, 6.0)], LIMITS, 10_000),
        (20_000, [(20_000, 60.0)], LIMITS, 6000),  # not less than a third at once
        (2500, [(2500, 60.0)], LIMITS, 2000),  # and never below the floor
        (2000, [(2000, 2.0), (6000, 3.0)], LIMITS, 8000),
        (20_000, [(6000, 3.0), (20_000, 6.5)], LIMITS, 24_000),  # 1.5 s fixed: rows for 6 s
        (6000, [(2000, 15.0), (6000, 18.0)], LIMITS, 22_000),  # 13.5 s fixed: as far as 30 s allow
        (6000, [(2000, 45.0), (6000, 48.0)], LIMITS, 10_000),  # 43.5 s fixed: rows for a quarter of the limit
        (2000, [(2000, 4.0)], LIMITS, 4000),  # the floor is too slow: is it the rows?
        (2000, [(2000, 4.0), (4000, 8.0)], LIMITS, 2000),  # it is
        (2000, [(2000, 40.0)], LIMITS, 2000),  # no trial beyond what a batch may take
        (19, [(60, 2.0), (19, 2.0)], LIMITS, 2000),
        (19, [(60, 2.0), (19, 2.0)], Limits(3.0, 30.0, 1, 100_000), 76),
        (500, [(500, 0.1)], Limits(3.0, 30.0, 2000, 300), 300),
    ],
)
def test_the_size_of_the_next_batch(
    size: float, batches: list[tuple[float, float]], limits: Limits, expected: float
) -> None:
    assert following(size, took(*batches), limits) == pytest.approx(expected, rel=0.01)


def batches_for(rows: int, fixed: float, per_row: float, slower: list[float]) -> list[float]:
    """The sizes of the batches that so many rows take, each slower than on a quiet machine by one of these factors."""
    size, sizes, recent = 2000.0, list[float](), list[Took]()
    while sum(sizes) < rows:
        seconds = (fixed + per_row * size) * slower[len(sizes) % len(slower)]
        sizes.append(size)
        recent.append(Took(size, seconds))
        size = following(size, recent, LIMITS)
    return sizes


@pytest.mark.parametrize("seed", range(20))
def test_a_fixed_cost_on_a_busy_machine_takes_few_batches(seed: int) -> None:
    """264,000 events, of which each call sorts all that are pending: it came down to 19 events a call."""
    dice = random.Random(seed)
    sizes = batches_for(264_000, 3.0, 0.0003, [dice.choice([1.0, 1.0, 2.0, 4.0]) for _ in range(50)])
    assert len(sizes) < 25


def test_after_one_slow_batch_it_is_as_large_as_before_within_two() -> None:
    sizes = batches_for(300_000, 0.05, 0.0002, [1.0] * 6 + [10.0] + [1.0] * 20)
    assert min(sizes[8:10]) > 0.7 * sizes[6]
