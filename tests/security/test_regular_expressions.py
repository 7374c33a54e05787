# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a text of a megabyte that keeps a regular expression busy for minutes, such as `a://a://…` in an event."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import redaction
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.without_values import message, statement
from tests.security import hostile_strings

#: Characters: of every text of a pattern, of those that took longest, and of those for which it may matter.
SMALL: Final = 20_000
MIDDLE: Final = 200_000
LARGE: Final = 1_000_000
#: For five times the text a linear pattern takes five times as long, a quadratic one 25 times.
FACTOR: Final = 12
#: A pattern that takes fewer seconds for the middle text takes less than the limit for the large one, were it quadratic, too.
NEVER_LONG: Final = 0.016
#: What takes less than so many seconds is not measured well.
MEASURABLE: Final = 0.033
#: What seemed too long is measured so often before it counts: a machine that swaps or collects garbage is no pattern.
TRIES: Final = 5
#: Seconds that no pattern may take for a small text, and for any; a quadratic one takes minutes for the large one.
CAP_SMALL: Final = 2.0
CAP: Final = 10.0
#: Characters for all patterns of a message together.
LONG: Final = 100_000
#: So many of the texts of a pattern, those that took longest, are tried in more length.
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
def test_a_text_of_five_times_the_length_takes_five_times_as_long(found: hostile_strings.Found) -> None:
    def look(pump: tuple[str, str, str], size: int) -> Callable[[], object]:
        before, body, after = pump
        text: Any = before + body * (size // len(body)) + after
        text = text if isinstance(found.pattern.pattern, str) else text.encode()
        pattern: Any = found.pattern

        def meet() -> object:
            return (pattern.match(text), pattern.fullmatch(text)) if found.anchored else pattern.sub(text[:0], text)

        return meet

    def took(pump: tuple[str, str, str], size: int, cap: float = CAP) -> float:
        try:
            return seconds(look(pump, size), cap)
        except TooLongError:
            pytest.fail(f"{found.pattern.pattern!r} took more than {cap} s for {size} characters of {pump!r}")

    small = {pump: took(pump, SMALL, CAP_SMALL) for pump in hostile_strings.pumps(found.pattern)}
    for pump in sorted(small, key=lambda each: -small[each])[:WORST]:
        middle = took(pump, MIDDLE)
        if middle < NEVER_LONG:
            continue
        limit = FACTOR * max(middle, MEASURABLE)
        large = [took(pump, LARGE)]
        while min(large) > limit and len(large) < TRIES:
            large.append(took(pump, LARGE))
        assert min(large) <= limit, (pump, middle, large)


def test_every_pattern_is_found() -> None:
    """Among them those that foreign texts meet first."""
    texts = {found.pattern.pattern for found in FOUND}
    assert {pattern.pattern for pattern, _ in redaction.SECRETS} <= texts
    assert len(texts) > 100


@pytest.mark.parametrize(
    "unit",
    [
        "a://",
        "a://a@",
        "Key (",
        ")=(",
        ") already exists",
        "contains (",
        "authorization :\n",
        "password=",
        "'",
        'x "',
        "$$",
        "/*",
        "x" * 9,
    ],
)
def test_a_message_and_a_statement_lose_their_values_in_linear_time(unit: str) -> None:
    text = ("column x password (a)=( contains (JSON data, line 1: " + unit * (LONG // len(unit)))[:LONG]
    for without_values in (message, statement):
        assert seconds(functools.partial(without_values, text), 20.0) < 5.0
