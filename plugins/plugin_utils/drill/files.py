# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a drill: whole or not there, and for the history never written over."""

from __future__ import annotations

import contextlib
import os
import secrets
import typing as t

from ...module_utils.recovery.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def put(path: Path, data: bytes) -> None:
    """Writes a file in one step; a reader meets the old one or the new one."""
    with _written(path, data) as part:
        part.replace(path)


def add(path: Path, data: bytes) -> bool:
    """Writes a file that is not there yet, in one step; False where there is one, which stays as it is."""
    with _written(path, data) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
    return True


@contextlib.contextmanager
def _written(path: Path, data: bytes) -> Generator[Path]:
    """The bytes beside the file that they are for, safe on the disk."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)
    except OSError as e:
        raise BadInput(
            f"could not write {path}",
            said=e.strerror or str(e),
            next_step="give a folder that can be written",
        ) from e
