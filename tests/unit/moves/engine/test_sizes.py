# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many batches a move takes, and how many of them in vain, by what a batch and a row cost."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine.sizes import Sizes


def moved(rows: int, fixed: float, per_row: float, *, slow: range = range(0)) -> tuple[list[float], int]:
    """The sizes of the batches that so many rows take, and how many were cancelled; those with a number in `slow`, counted
    with the cancelled ones, take ten times as long."""
    sizes, done, cancelled, tries = Sizes(500.0, 1.0, 150_000.0, 0.5), list[float](), 0, 0
    while sum(done) < rows:
        size = float(int(min(sizes.rows, rows - sum(done))))
        seconds = (fixed + per_row * size) * (10 if len(done) + cancelled in slow else 1)
        if seconds > sizes.allowed_seconds and size > 1:
            tries += 1
            cancelled += 1
            sizes.cancelled(size, tries)
            continue
        tries = 0
        sizes.took(size, seconds, full=size == int(sizes.rows), waited_for=False)
        done.append(size)
    return done, cancelled


@pytest.mark.parametrize(
    ("rows", "fixed", "per_row", "batches", "in_vain"),
    [
        (100_000, 0.0, 0.00001, 6, 0),
        (100_000, 0.02, 0.0001, 25, 0),
        (2298, 1.0, 0.0002, 5, 5),  # it came to 4 of 2,298, one a second
        (2298, 2.0, 0.0002, 5, 5),
        (2298, 4.0, 0.0002, 12, 10),
        (100, 0.0, 0.01, 6, 5),
        (20, 0.0, 0.4, 20, 12),  # a row that takes its time has it
    ],
)
def test_batches_and_those_in_vain(rows: int, fixed: float, per_row: float, batches: int, in_vain: int) -> None:
    done, cancelled = moved(rows, fixed, per_row)
    assert (sum(done), len(done) <= batches, cancelled <= in_vain) == (rows, True, True), (done, cancelled)
