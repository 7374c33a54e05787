# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs what comes back to us by way of the ledger or a file, and refuses what is not signed, wherever the controller has a key."""

from __future__ import annotations

import hmac
import os
import stat
import typing as t
from pathlib import Path

from ...core.errors import BadInput

#: The environment variable with the path of the key; a key never is an option, for those are logged.
KEY_FILE: t.Final = "SCOUT_SIGNING_KEY_FILE"
LEAST_BYTES: t.Final = 32


def _key() -> bytes | None:
    """The key of this controller; None where it has none. Raises BadInput for one that cannot be used, or that others may read."""
    name = os.environ.get(KEY_FILE)
    if not name:
        return None
    path = Path(name).expanduser()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BadInput(f"{KEY_FILE} {name} can be read or written by others", next_step=f"chmod 600 {path}")
        key = path.read_bytes().strip()
    except OSError as e:
        raise BadInput(
            f"could not read {KEY_FILE} {name}",
            said=e.strerror or str(e),
            next_step="give a file with the key, or unset it",
        ) from e
    if len(key) < LEAST_BYTES:
        raise BadInput(
            f"the key in {KEY_FILE} {name} has {len(key)} bytes",
            next_step=f"make one of at least {LEAST_BYTES}: (umask 077; openssl rand -hex 32 > {path})",
        )
    return key


def has_key() -> bool:
    """Whether this controller signs, and refuses what is not signed."""
    return bool(os.environ.get(KEY_FILE))


def sign(kind: str, content: bytes) -> str | None:
    """HMAC-SHA256 of a content of this kind; None without a key."""
    key = _key()
    return hmac.digest(key, kind.encode() + b"\0" + content, "sha256").hex() if key else None


def refuse_unsigned(kind: str, content: bytes, signature: t.Any, name: str) -> None:
    """Raises BadInput where this controller has a key, and `signature` is not what it makes of this content."""
    wanted = sign(kind, content)
    if wanted is None or (isinstance(signature, str) and hmac.compare_digest(wanted.encode(), signature.encode())):
        return
    raise BadInput(
        f"refused {name}: " + ("its signature is wrong" if signature else "it is not signed"),
        said=f"this controller has a key ({KEY_FILE}), and whoever made or changed it did not have it",
        next_step=f"create it with that key; to believe it all the same, look at it, then unset {KEY_FILE} for one run",
    )
