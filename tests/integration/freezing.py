# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that do nothing for a while, as those of a container that is paused."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator, Iterable
from pathlib import Path

from tests.integration.modules import one


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Generator[None]:
    """Within it these processes do nothing; each is stopped before the next one is asked for."""
    stopped: list[int] = []
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            # What had been told to end before it was stopped may be gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def postmaster(dsn: str) -> int:
    """The process of the server that accepts connections, and starts all others."""
    folder = one(dsn, "SELECT current_setting('data_directory')")
    return int(Path(folder, "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
