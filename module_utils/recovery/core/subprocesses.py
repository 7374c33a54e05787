# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs another program: by its arguments and never through a shell, bounded in time and output; and a scratch folder
for it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

#: How long what a program left running may keep its output open, and how long one that is to end may take, in seconds.
LINGER_SECONDS: t.Final = 0.5
PATIENCE_SECONDS: t.Final = 2.0
STEP_SECONDS: t.Final = 0.25
#: A folder that was made and never came into use is somebody's who was killed right then.
UNUSED_SECONDS: t.Final = 3600.0
LOCK: t.Final = "lock"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


@dataclasses.dataclass(frozen=True)
class Done:
    """How a program ended; `code` is None where it took too long and was killed."""

    code: int | None
    out: bytes
    err: bytes
    seconds: float


class _Kept:
    """The first or the last part of what a program writes."""

    def __init__(self, limit: int, *, tail: bool) -> None:
        self.data = bytearray()
        self._limit = limit
        self._tail = tail

    def add(self, more: bytes) -> None:
        self.data += more
        if len(self.data) > self._limit:
            self.data = self.data[-self._limit :] if self._tail else self.data[: self._limit]


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float,
    checkpoint: Callable[[], None] | None = None,
    stdin: bytes = b"",
    limit: int = 1 << 26,
    tail: bool = False,
) -> Done:
    """What the program wrote and how it ended; it and its children are gone when this is interrupted or takes too long.

    It has a session of its own, so that it cannot prompt at the terminal and Ctrl-C reaches it through us.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environment),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    out, err = _Kept(limit, tail=tail), _Kept(limit, tail=True)
    try:
        late = _followed(process, {process.stdout: out, process.stderr: err}, began + seconds, checkpoint)
    finally:
        if process.poll() is None:
            _end(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    took = round(time.monotonic() - began, 3)
    return Done(None if late else process.returncode, bytes(out.data), bytes(err.data), took)


def _followed(
    process: subprocess.Popen[bytes],
    streams: Mapping[t.IO[bytes] | None, _Kept],
    deadline: float,
    checkpoint: Callable[[], None] | None,
) -> bool:
    """Reads until the program has ended; True where its time was over first."""
    with selectors.DefaultSelector() as selector:
        for stream, kept in streams.items():
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, kept)
        while process.poll() is None:
            if time.monotonic() > deadline:
                return True
            if checkpoint is not None:
                checkpoint()
            _read(selector, STEP_SECONDS)
        # What it started in the background may keep its output open for ever.
        over = time.monotonic() + LINGER_SECONDS
        while selector.get_map() and time.monotonic() < over:
            _read(selector, LINGER_SECONDS / 10)
    return False


def _read(selector: selectors.BaseSelector, seconds: float) -> None:
    if not selector.get_map():
        time.sleep(seconds / 10)
    for key, _ in selector.select(seconds) if selector.get_map() else ():
        more = os.read(key.fd, 1 << 16)
        key.data.add(more)
        if not more:
            selector.unregister(key.fileobj)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and what it started: asked first, then by force. Until it is reaped its number is nobody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    over = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < over:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def text(data: bytes) -> str:
    """What a program wrote, fit for a result: without colours and what else moves the cursor."""
    return ESCAPES.sub("", data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")).strip()


@contextlib.contextmanager
def scratch(name: str) -> Generator[Path]:
    """A folder of our own that is removed afterwards, as are those of earlier runs that were killed."""
    base = Path(tempfile.gettempdir())
    _sweep(base, name)
    made = Path(tempfile.mkdtemp(prefix=f".{name}-"))
    lock = os.open(made / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    folder = base / made.name[1:]
    try:
        # Only with the lock held does it get the name that others look for.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(folder)
        yield folder
    finally:
        for path in (made, folder):
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep(base: Path, name: str) -> None:
    """Removes the folders whose makers no longer live: nobody holds their lock."""
    for folder in [*base.glob(f"{name}-*"), *base.glob(f".{name}-*")]:
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            if facts.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                continue
            if folder.name.startswith("."):
                if time.time() - facts.st_mtime > UNUSED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
