# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes passwords that were typed after -e off the screen: Ansible shows with -vvvv what it was started with."""

from __future__ import annotations

import re
import typing as t

from ansible import context
from ansible.module_utils.common.collections import ImmutableDict  # pyright: ignore[reportUnknownVariableType]
from ansible.utils.vars import load_extra_vars

from ..module_utils.recovery.core.redaction import HIDDEN, names_a_secret

if t.TYPE_CHECKING:
    from collections.abc import Iterator

#: A password within an address, as a URI or as keywords.
WITHIN: t.Final = re.compile(
    r"://[^/@\s:]*:([^/@\s]+)@|(?:^|[\s?&])(?:ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]+))", re.IGNORECASE
)
#: What names a secret and holds where it is, or an address, of which only the password is one.
HARMLESS: t.Final = re.compile(r"(?:_file|_path|_dir|_env|dsn|uri|url|conninfo)$", re.IGNORECASE)
#: URLs of channels contain a token.
URLS: t.Final = "notify_urls"
#: A shorter one stands everywhere.
SHORTEST: t.Final = 3
#: What is said of it.
WARNING: t.Final = (
    "a password was typed after -e ({}): each account of this machine can read it in the list of processes, and a shell may "
    "keep it. Nothing here shows it. Next time give it in ~/.pgpass (chmod 600; PGPASSFILE names another file), in the environment "
    "(SCOUT_DSN, PGPASSWORD), or in a vaulted file: -e @FILE"
)
_found: list[str] = []


def hide() -> list[str]:
    """Replaces secrets in what Ansible knows of its command line, and says for which variables; once, as it may be asked often."""
    words: tuple[str, ...] = tuple(str(word) for word in context.CLIARGS.get("extra_vars") or ())
    typed: dict[str, t.Any] = getattr(load_extra_vars, "extra_vars", None) or {}
    if not words or not typed or _found:
        return _found
    kept = list(words)
    for name in sorted(typed):
        for secret in secrets(name, typed[name]):
            for at, word in enumerate(words):
                if word.startswith("@"):
                    continue
                if secret in word and len(secret) >= SHORTEST:
                    kept[at] = kept[at].replace(secret, HIDDEN)
                # Written otherwise than it is, with escapes of JSON, or too short to tell it.
                elif name in word:
                    kept[at] = f"{name}={HIDDEN}"
                else:
                    continue
                if name not in _found:
                    _found.append(name)
    if _found:
        context.CLIARGS = ImmutableDict({**context.CLIARGS, "extra_vars": tuple(kept)})
    return _found


def warning() -> str:
    """What is to be said of them; nothing where there are none."""
    found = hide()
    return WARNING.format(", ".join(found)) if found else ""


def secrets(name: str, value: t.Any) -> Iterator[str]:
    """What must not be shown of a variable: all of it by its name, or the password in an address."""
    if isinstance(value, dict):
        for key, inner in t.cast("dict[str, t.Any]", value).items():
            yield from secrets(str(key), inner)
    elif isinstance(value, list):
        for inner in t.cast("list[t.Any]", value):
            yield from secrets(name, inner)
    elif isinstance(value, str) and value:
        if name == URLS or (names_a_secret(name) and not HARMLESS.search(name)):
            yield str(value)
        else:
            yield from (part for found in WITHIN.findall(value) for part in found if part)
