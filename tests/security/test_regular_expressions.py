# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a text of a megabyte that keeps a regular expression busy for minutes, such as `a://a://…` in an event."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import redaction
from tests.security import hostile_strings

SMALL: Final = 100_000
LARGE: Final = 1_000_000
#: A linear pattern takes ten times as long for ten times the text; what takes less than so many seconds is not measured well.
FACTOR: Final = 20
MEASURABLE: Final = 0.02
#: What seemed too long is measured so often before it counts: a machine that swaps or collects garbage is no pattern.
TRIES: Final = 3
#: Seconds that no pattern may take for the small text, and for the large one; a quadratic one takes minutes for the latter.
CAP_SMALL: Final = 2.0
CAP_LARGE: Final = 10.0
#: The texts that took longest of those of a pattern are tried in full length.
WORST: Final = 2

FOUND: Final = hostile_strings.patterns()


class TooLongError(Exception):
    pass


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Breaks off what takes more CPU time."""

    def stop(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds(work: Callable[[], object], cap: float) -> float:
    """CPU seconds that it takes; fails the test beyond the cap."""
    began = time.thread_time()
    with within(cap):
        work()
    return time.thread_time() - began


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.where)
def test_a_text_of_ten_times_the_length_takes_ten_times_as_long(found: hostile_strings.Found) -> None:
    def look(pump: tuple[str, str, str], size: int) -> Callable[[], object]:
        before, body, after = pump
        text: Any = before + body * (size // len(body)) + after
        text = text if isinstance(found.pattern.pattern, str) else text.encode()
        pattern: Any = found.pattern

        def meet() -> object:
            return (pattern.match(text), pattern.fullmatch(text)) if found.anchored else pattern.sub(text[:0], text)

        return meet

    def took(pump: tuple[str, str, str], size: int, cap: float) -> float:
        try:
            return seconds(look(pump, size), cap)
        except TooLongError:
            pytest.fail(f"{found.pattern.pattern!r} took more than {cap} s for {size} characters of {pump!r}")

    small = {pump: took(pump, SMALL, CAP_SMALL) for pump in hostile_strings.pumps(found.pattern)}
    for pump in sorted(small, key=lambda each: -small[each])[:WORST]:
        limit = FACTOR * max(small[pump], MEASURABLE)
        large = [took(pump, LARGE, CAP_LARGE)]
        while min(large) > limit and len(large) < TRIES:
            large.append(took(pump, LARGE, CAP_LARGE))
        assert min(large) <= limit, (pump, small[pump], large)


def test_every_pattern_is_found() -> None:
    """Among them those that foreign texts meet first."""
    texts = {found.pattern.pattern for found in FOUND}
    assert {pattern.pattern for pattern, _ in redaction.SECRETS} <= texts
    assert len(texts) > 150


@pytest.mark.parametrize(
    "unit", ["a://", "a://a@", "Key (", "authorization :\n", "password=", "'", "$$", "{", '\\"', "email", "x" * 9]
)
def test_all_patterns_of_a_redactor_together_are_linear(unit: str) -> None:
    """On a text that each of them is tried on."""
    text = ("customer_id = 'x' password row contains (copy: " + unit * (SMALL // len(unit)))[:SMALL]
    assert seconds(lambda: redaction.Redactor().text(text), 20.0) < 5.0
