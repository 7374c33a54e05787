# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a folder of evidence: JSON files with their SHA256SUMS, complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import typing as t

from ..core import files

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKSUMS: t.Final = "SHA256SUMS"
#: Begins with a dot, so that a folder that is still being written is not listed as evidence.
UNFINISHED: t.Final = ".unfinished-{}"


class File(t.TypedDict):
    """A file of a snapshot."""

    file: str
    rows: int
    bytes: int
    sha256: str


def write(base: Path, name: str, documents: Mapping[str, t.Any]) -> tuple[Path, list[File]]:
    """Returns the new folder `name` below `base`, and its files; only its owner can read it.

    The folder gets its name once all of it is on disk. What a killed run left behind is removed. Raises OSError.
    """
    base = files.private_folder(base)
    with files.locked(base):
        for left in base.glob(UNFINISHED.format("*")):
            shutil.rmtree(left, ignore_errors=True)
        unfinished = base / UNFINISHED.format(name)
        unfinished.mkdir(mode=files.PRIVATE)
        try:
            listed = [_write_document(unfinished, f"{key}.json", value) for key, value in documents.items()]
            sums = "".join(f"{entry['sha256']}  {entry['file']}\n" for entry in listed)
            _write(unfinished / CHECKSUMS, sums.encode())
            _sync(unfinished)
            folder = base / name
            unfinished.rename(folder)
            _sync(base)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder, listed


def _write_document(folder: Path, name: str, value: t.Any) -> File:
    data = f"{json.dumps(value, indent=1, default=str, ensure_ascii=False)}\n".encode(errors="replace")
    _write(folder / name, data)
    rows = len(t.cast("list[t.Any]", value)) if isinstance(value, list) else 1
    return {"file": name, "rows": rows, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, files.OWNER), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes the entries of a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
