# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written whole or not at all, flushed to disk, with one writer at a time, through nobody else's links."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
import typing as t
from pathlib import Path

from .errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Generator

#: The mode of what may hold a secret.
OWNER: t.Final = 0o600
#: That of a folder with such files.
PRIVATE: t.Final = 0o700
#: How a folder is opened to work in it; where there is O_PATH, it need not be readable.
FOLDER: t.Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
#: As many links as Linux follows.
MOST_LINKS: t.Final = 40
#: How long another writer of the same folder is waited for.
LOCK_SECONDS: t.Final = 30.0
GIVE: t.Final = "give a path that can be written"


def write(path: Path, data: bytes, name: str = "", *, mode: int | None = None, advice: str = GIVE) -> None:
    """Writes a file in one step: a reader meets the old one or the new one. BadInput says which `name` was given for it.

    Without `mode` a file of ours keeps the mode it had; any other is readable by its owner alone.
    """
    with translating(path, name, advice), beside(path) as (at, file):
        _replace(at, file, data, mode)


def create(path: Path, data: bytes) -> bool:
    """Writes a file that does not exist yet, in one step; False, with the file unchanged, where it does. Raises
    BadInput where it cannot be written."""
    with translating(path), beside(path) as (at, file), _written(at, file, data, OWNER) as part:
        try:
            os.link(part, file, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        except FileExistsError:
            return False
    return True


def real(path: Path) -> Path:
    """Where a path leads, absolute and without links. Raises OSError for a link that is neither ours nor the
    administrator's: whoever may write to a folder such as /tmp could have a file of ours written by it."""
    left = list(path.expanduser().absolute().parts[1:])
    there, links = Path("/"), 0
    while left:
        part = left.pop(0)
        if part == "..":
            there = there.parent
            continue
        step = there / part
        with contextlib.suppress(FileNotFoundError):
            facts = step.lstat()
            if stat.S_ISLNK(facts.st_mode):
                links += 1
                if facts.st_uid not in (0, os.geteuid()):
                    raise PermissionError(errno.EPERM, f"{step} is a link that somebody else has made")
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = Path(step.readlink())
                there = Path("/") if target.is_absolute() else there
                left = [*(target.parts[1:] if target.is_absolute() else target.parts), *left]
                continue
        there = step
    return there


@contextlib.contextmanager
def beside(path: Path) -> Generator[tuple[int, str]]:
    """The folder of the file that a path leads to, open, with what is missing of it made for us alone; and the file's name there.
    Raises OSError as `real` does, and for a part that has become a link since: whoever owns a folder on the way may exchange it
    for one at any time, so nothing is reached by its path again."""
    there = real(path)
    if not there.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    at = os.open("/", FOLDER)
    try:
        for part in there.parts[1:-1]:
            at = _entered(at, part)
        yield at, there.name
    finally:
        os.close(at)


def _entered(at: int, part: str) -> int:
    """A folder within another one that is open, and closed for it."""
    try:
        with contextlib.suppress(FileNotFoundError):
            return os.open(part, FOLDER, dir_fd=at)
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, PRIVATE, dir_fd=at)
        return os.open(part, FOLDER, dir_fd=at)
    finally:
        os.close(at)


def make_folder(folder: Path) -> None:
    """Makes what is missing of a folder, each part for us alone. Raises OSError where that cannot be done."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=PRIVATE)


def private_folder(path: Path) -> Path:
    """A folder for what is nobody else's business, made where it is missing. Raises OSError where it is somebody else's,
    or where anybody may write to it."""
    folder = real(path)
    make_folder(folder)
    facts = folder.stat()
    if facts.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, f"the folder belongs to uid {facts.st_uid}")
    if facts.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, "anybody may write to the folder")
    return folder


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
def locked(folder: Path, *, at: int | None = None) -> Generator[None]:
    """One writer at a time, by a lock on the folder, as seen from one that is open: a file that is replaced cannot carry it, and
    nothing is left behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
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


def _replace(at: int, file: str, data: bytes, mode: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        facts = os.stat(file, dir_fd=at, follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            # Such as /dev/null, in whose place there must not be a file.
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_NOFOLLOW, dir_fd=at), "wb") as device:
                device.write(data)
            return
        if mode is None and facts.st_uid == os.geteuid():
            mode = stat.S_IMODE(facts.st_mode)
    with _written(at, file, data, OWNER if mode is None else mode) as part:
        os.replace(part, file, src_dir_fd=at, dst_dir_fd=at)


@contextlib.contextmanager
def _written(at: int, file: str, data: bytes, mode: int) -> Generator[str]:
    """The bytes beside the file that they are for, safe on the disk."""
    part = f".{file}.{secrets.token_hex(6)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER, dir_fd=at)
    try:
        with os.fdopen(descriptor, "wb") as written:
            os.fchmod(descriptor, mode)
            written.write(data)
            written.flush()
            os.fsync(descriptor)
        yield part
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=at)
