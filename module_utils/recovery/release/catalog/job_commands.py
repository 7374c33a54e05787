# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of a job as it may be stored: where it holds a secret, the text without that, and a digest of the whole; pure."""

from __future__ import annotations

import hashlib
import typing as t

from ...core.redaction import clean

#: The fact of a job that stands beside a command in which a secret is hidden.
DIGEST: t.Final = "command_digest"


def digest(command: str) -> str:
    """Tells whether a command is the one that was captured."""
    return hashlib.sha256(command.encode(errors="surrogatepass")).hexdigest()


def facts(command: str) -> dict[str, str]:
    """The facts `command` and, where a secret is hidden in it, DIGEST."""
    text = clean(command)
    return {"command": command} if text == command else {"command": text, DIGEST: digest(command)}
