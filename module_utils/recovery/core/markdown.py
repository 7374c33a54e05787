# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of people as Markdown that says only what they say."""

from __future__ import annotations

import re
import typing as t

from .text import printable

#: What Markdown or its tables would take for more than a character; an underscore within a word is none of it.
ACTIVE: t.Final = re.compile(r"[&<>\\`*\[\]|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")

#: What begins a heading, a list, a rule or an underlined heading at the beginning of a line.
LEADING: t.Final = re.compile(r"^(?:(\d{1,9})([.)])(?= |$)|([#=+-]))")

#: Whoever is named so on a forge gets a message, and an issue gets a reference.
CALLS: t.Final = re.compile(r"(?<!\w)[@#](?=\w)")


def escaped(text: t.Any) -> str:
    """Any text as Markdown on one line; with entities, because not every reader knows a backslash before each of these."""
    line = CALLS.sub("\\g<0>\N{WORD JOINER}", printable(text))
    line = ACTIVE.sub(lambda found: _entity(found[0]), line)
    return LEADING.sub(lambda found: f"{found[1] or ''}{_entity(found[2] or found[3])}", line)


def _entity(character: str) -> str:
    return f"&#{ord(character)};"
