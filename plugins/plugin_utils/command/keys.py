# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single keys at the live screen: what is typed there is neither shown nor waits for an end of line. Each key prints a command, and
none runs one. However the screen ends, the terminal is then as it was."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Generator

QUIT: t.Final = "q"
#: What each of the other keys prints, as it is typed; one that moves rows only plans.
PRINTS: t.Final = {"p": "scout pause", "r": "scout reset --check", "t": "scout terminate --check"}
#: How the screen says so.
NAMED: t.Final = "q or Ctrl-C ends; p, r, t print how to pause, reset, terminate"
#: What else ends a program, and would leave the terminal as it is now.
ENDING: t.Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Keys:
    """What was typed since the last look: the end, and which commands are shown."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self.ended = False
        self.chosen: list[str] = []

    @property
    def there(self) -> bool:
        """Whether there is a terminal to read them from."""
        return self._descriptor is not None

    def wait(self, seconds: float) -> bool:
        """Waits so long, or until a key is typed that means something: whether one was."""
        if self._descriptor is None:
            time.sleep(seconds)
            return False
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self._descriptor], [], [], left)
            if readable and self._read(self._descriptor):
                return True
        return False

    def _read(self, descriptor: int) -> bool:
        typed = os.read(descriptor, 64).decode(errors="ignore").lower()
        # The end of the input: nobody is there any more.
        self.ended |= QUIT in typed or not typed
        before = self.chosen
        self.chosen = list(dict.fromkeys([*before, *(PRINTS[each] for each in typed if each in PRINTS)]))
        return self.ended or self.chosen != before


@contextlib.contextmanager
def listening(*, wanted: bool) -> Generator[Keys]:
    """The keys while this lasts; without a terminal in the foreground there are none."""
    descriptor = sys.stdin.fileno() if wanted and _in_front() else None
    if descriptor is None:
        yield Keys()
        return
    before = termios.tcgetattr(descriptor)

    def listen(*_: t.Any) -> None:
        if _in_front():
            tty.setcbreak(descriptor, termios.TCSADRAIN)

    def restore() -> None:
        # A terminal that is gone, or another's by now, is nothing to restore.
        if _in_front():
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def end(number: int, _frame: t.Any) -> t.NoReturn:
        raise SystemExit(128 + number)

    def suspend(*_: t.Any) -> None:
        restore()
        os.kill(os.getpid(), signal.SIGSTOP)

    wanted_of = {**dict.fromkeys(ENDING, end), signal.SIGTSTP: suspend, signal.SIGCONT: listen}
    handlers = {number: signal.signal(number, handler) for number, handler in wanted_of.items()}
    try:
        listen()
        yield Keys(descriptor)
    finally:
        restore()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _in_front() -> bool:
    """Whether standard input is a terminal that this process may change without being stopped for it."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
