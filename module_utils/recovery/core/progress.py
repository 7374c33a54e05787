# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows progress while work is under way, never silent for long, and notices when it is to stop."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
import time
import typing as t

from .errors import Stopped
from .text import LONGEST, in_words, visible

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

#: After so long without a line, one says where it stands; with what it takes to notice, nobody waits for five seconds.
SILENCE_SECONDS: t.Final = 4.0
#: Of how long the rate is, and after how long without a step nobody can tell when it will be done.
PACE_SECONDS: t.Final = 10.0
MOVING_SECONDS: t.Final = 3.0


class Pace:
    """How far something is that goes step by step, and how fast it went in the last ten seconds."""

    def __init__(self, verb: str, total: int, noun: str = "event", clock: Callable[[], float] = time.monotonic) -> None:
        self._verb, self._total, self._noun, self._clock = verb, total, noun, clock
        #: When how many were done; the first one is that at the beginning of what the rate is of.
        self._seen = collections.deque([(clock(), 0)])

    def moved(self, done: int) -> None:
        """So many are done by now."""
        if done > self._seen[-1][1]:
            self._seen.append((self._clock(), done))

    def words(self) -> str:
        """`loaded 250 of 1,000 events (25 %), 62/s, about 12 s left`; while nothing moves, for how long, and no guess."""
        now, (last, done) = self._clock(), self._seen[-1]
        while len(self._seen) > 1 and self._seen[1][0] <= now - PACE_SECONDS:
            self._seen.popleft()
        percent = min(100, 100 * done // max(self._total, 1))
        text = f"{self._verb} {done:,} of {self._total:,} {self._noun}s ({percent} %)"
        if now - last >= MOVING_SECONDS:
            return f"{text}, none in the last {in_words(now - last)}"
        since, before = self._seen[0]
        rate = (done - before) / max(now - since, 0.001)
        left = max(0, self._total - done)
        return f"{text}, {rate:,.0f}/s, about {in_words(left / rate)} left" if rate else text


class Progress:
    """Shows live lines, and is where long work asks whether to stop."""

    def __init__(self, say: Callable[[str], None] | None = None, every_seconds: float = 1.0) -> None:
        self._say = say
        self._every = every_seconds
        self._throttled = self._spoken = time.monotonic() - every_seconds
        #: Where it stands, in words, as far as it has said that.
        self._stands: Callable[[], str] = lambda: "still working"
        self._parent = os.getppid()
        self._stop_requested = False
        #: Whether a request to stop waits for the next checkpoint instead of breaking off what runs.
        self.deferring = False

    @contextlib.contextmanager
    def unbroken(self) -> Generator[None]:
        """Within it a request to stop does not interrupt a statement: the batch finishes first."""
        self.deferring = True
        try:
            yield
        finally:
            self.deferring = False

    @contextlib.contextmanager
    def never_silent(self, silence_seconds: float = SILENCE_SECONDS) -> Generator[None]:
        """Within it a silence is broken by a line that says where it stands, and for how long it has been at work."""
        if self._say is None:
            yield
            return
        began = self._spoken = time.monotonic()
        over = threading.Event()

        def speak() -> None:
            while not over.wait(silence_seconds / 20):
                now = time.monotonic()
                if now - self._spoken >= silence_seconds:
                    self.say(f"{self._stands()}; {in_words(now - began)} so far")

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            # Where nobody reads what it says any more, it ends with the process.
            thread.join(1)

    def say(self, line: str) -> None:
        """Shows a line at once: something has happened."""
        self._spoken = time.monotonic()
        if self._say is not None:
            self._say(visible(line, LONGEST))

    def doing(self, line: str) -> None:
        """Shows what is begun now, before it is done."""
        self.stands(line)
        self.say(line)

    def stands(self, line: str) -> None:
        """From now on a silence is broken by this line."""
        self._stands = lambda: line

    def follows(self, pace: Pace) -> None:
        """From now on a silence is broken by how far that is."""
        self._stands = pace.words

    def moved(self, pace: Pace, done: int) -> None:
        """Shows how far it is, unless a line was shown within the last second."""
        pace.moved(done)
        self.say_throttled(pace.words())
        self.follows(pace)

    def say_throttled(self, line: str) -> None:
        """Shows where it stands, unless such a line was shown within the last second."""
        self.stands(line)
        now = time.monotonic()
        if now - self._throttled >= self._every:
            self._throttled = now
            self.say(line)

    def request_stop(self) -> None:
        """Makes the next checkpoint raise."""
        self._stop_requested = True

    def checkpoint(self) -> None:
        """Raises Stopped when asked to stop, or when the process that started us is gone."""
        if self._stop_requested:
            raise Stopped(
                "stopped on request", next_step="run the same command again: it continues from the last commit"
            )
        if os.getppid() != self._parent:
            raise Stopped("stopped: the controller process is gone", next_step="run the same command again")

    def wait(self, seconds: float) -> None:
        """Sleeps in short steps, so that a stop is noticed within a quarter of a second."""
        end = time.monotonic() + seconds
        while True:
            self.checkpoint()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))
