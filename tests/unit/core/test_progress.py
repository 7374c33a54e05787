# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast something goes now, and that nobody waits for long without a word."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Pace, Progress


def test_the_rate_is_of_the_last_ten_seconds() -> None:
    clock = SimpleNamespace(now=100.0)
    pace = Pace("loaded", 10_000, clock=lambda: clock.now)
    assert pace.words() == "loaded 0 of 10,000 events (0 %)"
    for second in range(1, 31):
        clock.now += 1
        pace.moved(second * 10 if second <= 20 else 200 + 100 * (second - 20))
    assert pace.words() == "loaded 1,200 of 10,000 events (12 %), 100/s, about 1 min 28 s left"


def test_no_guess_while_nothing_moves() -> None:
    clock = SimpleNamespace(now=100.0)
    pace = Pace("moved", 1000, "item", clock=lambda: clock.now)
    clock.now += 2
    pace.moved(100)
    assert pace.words() == "moved 100 of 1,000 items (10 %), 50/s, about 18 s left"
    clock.now += 5
    pace.moved(100)
    assert pace.words() == "moved 100 of 1,000 items (10 %), none in the last 5.0 s"
    clock.now += 60
    pace.moved(200)
    assert "about" in pace.words()
    fresh = Pace("moved", 1000, clock=lambda: clock.now)
    clock.now += 4
    assert fresh.words() == "moved 0 of 1,000 events (0 %), none in the last 4.0 s"


def test_a_silence_is_broken_by_where_it_stands() -> None:
    lines: list[tuple[float, str]] = []
    began = time.monotonic()
    progress = Progress(lambda line: lines.append((time.monotonic() - began, line)))
    with progress.never_silent(0.2):
        time.sleep(0.5)
        progress.doing("refreshing gold")
        time.sleep(0.3)
    said = [line for _, line in lines]
    assert [line.partition(";")[0] for line in said] == [
        "still working",
        "still working",
        "refreshing gold",
        "refreshing gold",
    ]
    assert said[0].endswith(" s so far")
    moments = [0.0, *(moment for moment, _ in lines)]
    assert max(after - before for before, after in itertools.pairwise(moments)) < 0.3
    time.sleep(0.3)
    assert len(lines) == len(said), "and by nobody once it is over"


def test_what_is_suppressed_is_where_it_stands() -> None:
    lines: list[str] = []
    progress = Progress(lines.append)
    with progress.never_silent(0.2):
        progress.say_throttled("looked at 1 of 9")
        progress.say_throttled("looked at 2 of 9")
        time.sleep(0.3)
    assert lines[0] == "looked at 1 of 9"
    assert lines[1].startswith("looked at 2 of 9; 0.2 s so far")
