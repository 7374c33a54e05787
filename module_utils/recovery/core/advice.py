# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do next: words for a person, and commands that stand alone and can be pasted."""

from __future__ import annotations

import re
import typing as t

#: A command within a sentence, as texts of this toolkit mark it.
MARKED: t.Final = re.compile(r"`([^`\n]+)`")
#: A text that is a command and nothing else, down to the words of a shell.
WHOLE: t.Final = re.compile(r"(?:ansible-playbook|scripts/ci/\w+\.sh)(?: (?:'[^']*'|\"[^\"]*\"|[^\s'\"…<>;,`()]+))+")


def plain(text: str) -> str:
    """A text without the marks around its commands."""
    return MARKED.sub(r"\1", text)


def commands(text: str) -> list[str]:
    """The commands that a text marks, or the one that it is."""
    return [text] if WHOLE.fullmatch(text) else MARKED.findall(text)


def words(text: str) -> str:
    """The text where it says more than its commands do; empty where it is one."""
    return "" if WHOLE.fullmatch(text) or MARKED.fullmatch(text) else plain(text)
