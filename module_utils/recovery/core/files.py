# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written whole or not at all, flushed to disk, with one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import time
import typing as t

from .errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

#: The mode of what may hold a secret.
OWNER: t.Final = 0o600
#: How long another writer of the same folder is waited for.
LOCK_SECONDS: t.Final = 30.0
GIVE: t.Final = "give a path that can be written"


def write(path: Path, data: bytes, name: str = "", *, mode: int | None = None, advice: str = GIVE) -> None:
    """Writes a file in one step: a reader meets the old one or the new one. BadInput says which `name` was given for it.

    Without `mode` the file keeps the mode it had, or gets what the umask leaves.
    """
    with translating(path, name, advice):
        _replace(path.expanduser().resolve(), data, mode)


def create(path: Path, data: bytes) -> bool:
    """Writes a file that does not exist yet, in one step; False, with the file unchanged, where it does. Raises
    BadInput where it cannot be written."""
    with translating(path), _written(path, data, None) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
    return True


def update(path: Path, made: Callable[[bytes], bytes], name: str = "", *, mode: int | None = None) -> None:
    """Replaces a file's bytes (empty where there is no file) by what `made` returns for them; one writer at a time.
    Raises BadInput where it cannot be written."""
    with translating(path, name):
        there = path.expanduser().resolve()
        there.parent.mkdir(parents=True, exist_ok=True)
        with locked(there.parent):
            _replace(there, made(there.read_bytes() if there.is_file() else b""), mode)


@contextlib.contextmanager
def translating(path: Path, name: str = "", advice: str = GIVE) -> Generator[None]:
    """Raises an OSError from inside it as a BadInput that says what could not be written and which parameter named
    it."""
    try:
        yield
    except (OSError, ValueError) as e:
        raise BadInput(
            f"could not write {f'{name} {path}'.lstrip()}",
            said=getattr(e, "strerror", None) or str(e),
            next_step=advice,
        ) from e


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """One writer at a time, by a lock on the folder: a file that is replaced cannot carry it, and nothing is left behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes, mode: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            # Such as /dev/null, in whose place there must not be a file.
            path.write_bytes(data)
            return
        mode = stat.S_IMODE(facts.st_mode) if mode is None else mode
    with _written(path, data, mode) as part:
        part.replace(path)


@contextlib.contextmanager
def _written(path: Path, data: bytes, mode: int | None) -> Generator[Path]:
    """The bytes beside the file that they are for, safe on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(part, flags, 0o666 if mode is None else OWNER), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)
