# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows progress while work is under way, and notices when it is to stop."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .errors import Stopped
from .text import LONGEST, visible

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Progress:
    """Shows live lines, and is where long work asks whether to stop."""

    def __init__(self, say: Callable[[str], None] | None = None, every_seconds: float = 1.0) -> None:
        self._say = say
        self._every = every_seconds
        self._last = 0.0
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

    def say(self, line: str) -> None:
        """Shows a line at once."""
        if self._say is not None:
            self._say(visible(line, LONGEST))

    def say_throttled(self, line: str) -> None:
        """Shows a line unless one was shown within the last second."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
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
