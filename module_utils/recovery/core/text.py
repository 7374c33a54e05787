# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as a person reads them: counts, durations, lines of a width. Knows nothing of what they are about."""

from __future__ import annotations

import typing as t


def first_line(text: str) -> str:
    """The first line of a text that may have none."""
    return text.strip().splitlines()[0] if text.strip() else ""


def in_words(seconds: float) -> str:
    """A duration as a person says it: 0.4 s, 42 s, 3 min 10 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 event`, `20,000 events`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def cut(text: str, width: int) -> str:
    """At most `width` characters of a text, the last an ellipsis where there are more."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def printable(text: t.Any, instead: str = " ") -> str:
    """One line in which nothing moves a cursor or breaks a picture: what others wrote may hold anything."""
    return "".join(c if c.isprintable() else instead for c in " ".join(str(text).split()))
