# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of a page carries what it was taken of, so that a test without a browser says when it is older than that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, PngImagePlugin

KEY = "taken of"


def digest(parts: Iterable[str]) -> str:
    """Of all that a picture shows."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def save(picture: Image.Image, path: Path, of: str) -> None:
    """Writes it with the digest of what it was taken of."""
    stamp = PngImagePlugin.PngInfo()
    stamp.add_text(KEY, of)
    picture.save(path, optimize=True, pnginfo=stamp)


def taken_of(path: Path) -> str | None:
    """The digest of what it was taken of; None where it carries none."""
    with Image.open(path) as picture:
        return picture.info.get(KEY)
