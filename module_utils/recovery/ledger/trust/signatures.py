# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs what comes back to us by way of the ledger or a file, and refuses what is not signed, wherever the controller has a key."""

from __future__ import annotations

import hmac
import os
import re
import stat
import typing as t
from pathlib import Path

from ...core import files
from ...core.errors import BadInput
from ...core.text import printable

#: The environment variable with the path of the key; a key never is an option, for those are logged.
KEY_FILE: t.Final = "SCOUT_SIGNING_KEY_FILE"
LEAST_BYTES: t.Final = 32
#: Several keys, a line each: the first signs, and the others verify what was signed before it came.
SEVERAL: t.Final = re.compile(rb"[!-~]{%d,}(?:\s+[!-~]{%d,})+" % (LEAST_BYTES, LEAST_BYTES))
#: The length of a key's id before a signature, in hexadecimal digits. What an earlier version signed has none.
ID: t.Final = 16
WHOLE: t.Final = 64


def _keys() -> list[bytes]:
    """The keys of this controller, that which signs first; none where it has none. Raises BadInput for one that cannot be used, that
    others may read, or that somebody else has made: whoever knows it signs as this controller does."""
    name = os.environ.get(KEY_FILE)
    if not name:
        return []
    path = Path(name).expanduser()
    try:
        with os.fdopen(os.open(files.real(path), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid not in (0, os.geteuid()):
                raise BadInput(
                    f"{KEY_FILE} {name} belongs to somebody else (uid {facts.st_uid}), who could sign as this controller does",
                    next_step=f"make a key of your own: (umask 077; openssl rand -hex 32 > FILE), and name it in {KEY_FILE}",
                )
            if stat.S_IMODE(facts.st_mode) & 0o077:
                raise BadInput(f"{KEY_FILE} {name} can be read or written by others", next_step=f"chmod 600 {path}")
            key = file.read().strip()
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
    # One key of several lines verifies what it has signed.
    return [*key.split(), key] if SEVERAL.fullmatch(key) else [key]


def has_key() -> bool:
    """Whether this controller signs, and refuses what is not signed."""
    return bool(os.environ.get(KEY_FILE))


def sign(kind: str, content: bytes) -> str | None:
    """HMAC-SHA256 of a content of this kind, behind the id of the key; None without a key."""
    keys = _keys()
    return f"{_id(keys[0])}{_made(keys[0], kind, content)}" if keys else None


def key_of(kind: str, content: bytes) -> bytes | None:
    """A key for this content, which nobody has who has not that of this controller; None without one."""
    keys = _keys()
    return bytes.fromhex(_made(keys[0], kind, content)) if keys else None


def wrong(kind: str, content: bytes, signature: t.Any) -> str:
    """Why `signature` is not what a key of this controller makes of this content; empty where it is, or where there is no key."""
    keys = _keys()
    if not keys:
        return ""
    given = signature if isinstance(signature, str) else ""
    of, made = given[: max(len(given) - WHOLE, 0)], given[-WHOLE:]
    able = [key for key in keys if of in ("", _id(key))]
    if any(hmac.compare_digest(_made(key, kind, content).encode(), made.encode()) for key in able):
        return ""
    if not signature:
        return "it is not signed"
    if not able:
        return f"it is signed by key {printable(of, ID)}, and this controller has {', '.join(map(_id, keys))}"
    return "its signature is wrong"


def signer_of(signature: t.Any) -> str:
    """The id of the key that made a signature, as it says itself; empty where it names none."""
    given = signature if isinstance(signature, str) else ""
    return given[: max(len(given) - WHOLE, 0)]


def refuse_unsigned(kind: str, content: bytes, signature: t.Any, name: str) -> None:
    """Raises BadInput where this controller has a key, and `signature` is not what one of its keys makes of this content."""
    said = wrong(kind, content, signature)
    if not said:
        return
    raise BadInput(
        f"refused {name}: {said}",
        said=f"this controller has a key ({KEY_FILE}), and whoever made or changed it did not have it",
        next_step=f"create it with that key, or add the key it was signed by as a line below the first; to believe it all the same, "
        f"look at it, then unset {KEY_FILE} for one run",
    )


def _made(key: bytes, kind: str, content: bytes) -> str:
    return hmac.digest(key, kind.encode() + b"\0" + content, "sha256").hex()


def _id(key: bytes) -> str:
    """By what a key is named without being told."""
    return hmac.digest(key, b"key id", "sha256").hex()[:ID]
