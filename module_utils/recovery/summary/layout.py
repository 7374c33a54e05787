# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a summary fits on a screen: parts with their labels, lines of a width, commands that can be copied; pure."""

from __future__ import annotations

import re
import textwrap
import typing as t

from ..core import advice

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A line of a command, its first or another.
COMMAND: t.Final = re.compile(r"ansible-playbook |psql -X |(?<!\s)\s+-(?:e|-vault-[\w-]+) ")
WIDTH: t.Final = 79
HEIGHT: t.Final = 20
INDENT: t.Final = 9
#: Each part may take so many lines, fewer where all together would not fit on the screen, these first.
PART_LINES: t.Final = 3
SHORTENED_FIRST: t.Final = (
    *("below", "holds", "since", "smoke", "list", "warns", "warn", "today", "was", "left", "back", "data"),
    *("did", "would", "who", "chose", "app", "clash", "rows", "proof", "undo", "causes"),
)
#: What failed, why, and what to type next is printed whole, however long it is.
WHOLE: t.Final = frozenset({"failed", "fails", "unsure", "gate", "beware", "now", "next"})
#: What a part may take besides.
MORE_LINES: t.Final = {"today": 7, "causes": 3, "who": 3, "did": 1, "undo": 4}

#: A word as a shell reads it, quotes included; and what begins an option that may stand on a line of its own.
SHELL_WORD: t.Final = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+""")
OPTION: t.Final = re.compile(r" (?=-[efv] |--limit |--vault-)")


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a text. A command stands alone on its line, or on lines of which a shell reads on in the next, so that it can
    be pasted: no word and no mark stands beside it."""
    made: list[str] = []
    for part in advice.parts(text):
        if part.is_command:
            made += folded(part.text, width)
        elif part.is_statement:
            made += _between_words(part.text, width)
        else:
            made += textwrap.wrap(part.text, width, break_on_hyphens=False)
    return made


def _between_words(statement: str, width: int) -> list[str]:
    """A statement over as many lines as it takes, none of which ends within quotes: psql reads on to the semicolon."""
    lines = [""]
    for word in re.findall(r"(?:'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\s'\"])+", statement):
        if lines[-1] and len(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def numbered(texts: Sequence[str], width: int, most: int | None) -> list[str]:
    """Entries one below the other, as many as `most` lines hold, all without it; the others are counted."""
    made: list[str] = []
    for at, text in enumerate(texts):
        lines = wrapped(text, width)
        if most is not None and at and len(made) + len(lines) > most - (at < len(texts) - 1):
            return [*made, f"and {len(texts) - at} more: -v"]
        made += lines if most is None else _shortened(lines, max(1, most - (len(texts) > 1)), width + INDENT)
    return made


def _options(command: str) -> list[str]:
    """The program, and each option with its value; what is quoted stays together."""
    words = SHELL_WORD.findall(command)
    if " ".join(words) != command:
        return OPTION.split(command)
    parts = [words[0]]
    for word in words[1:]:
        if OPTION.match(f" {word} "):
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return parts


def folded(command: str, width: int) -> list[str]:
    """A command over as many lines as it takes, each but the last with the mark by which a shell reads on."""
    if len(command) <= width:
        return [command]
    first, *words = _options(command)
    lines = [first]
    for word in words:
        if len(f"{lines[-1]} {word} \\") > width:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def _height(bodies: Mapping[str, list[str]], room: Mapping[str, int]) -> int:
    """The lines of all parts. A long reason takes no room from the others: it makes the block longer."""
    return sum(min(len(body), PART_LINES if name in WHOLE else room[name]) for name, body in bodies.items())


def labelled(name: str, lines: Sequence[str]) -> list[str]:
    """The lines of a part, its name before the first."""
    return [f"  {label:<7}{line}" for label, line in zip([name, *[""] * len(lines)], lines, strict=False)]


def fitted(
    bodies: Mapping[str, list[str]], commands: int, width: int = WIDTH, whole: str = "", height: int = HEIGHT - 1
) -> list[str]:
    """The parts below a title on one screen. Parts other than WHOLE are shortened where they would not fit, except the `commands`
    lines with which the part `undo` begins, as half a command is none."""
    room = {name: len(body) if name in WHOLE else PART_LINES + MORE_LINES.get(name, 0) for name, body in bodies.items()}
    least = {"undo": commands + (commands < len(bodies.get("undo", ())))}
    room["undo"] = max(room.get("undo", 0), least["undo"])
    if whole in room:
        room[whole] = least[whole] = len(bodies[whole])
    for name in SHORTENED_FIRST:
        while _height(bodies, room) > height and room.get(name, 1) > least.get(name, 1):
            room[name] -= 1
    return [line for name, body in bodies.items() for line in labelled(name, _shortened(body, room[name], width))]


def _shortened(body: list[str], room: int, width: int) -> list[str]:
    """As many lines as there is room for, marked where more follow."""
    shown = body[:room]
    # Half a command is none.
    while len(shown) > 1 and len(shown) < len(body) and shown[-1].endswith("\\"):
        shown.pop()
    # A mark beside a command would be pasted with it.
    if len(shown) < len(body) and len(shown[-1]) <= width - INDENT and not COMMAND.match(shown[-1]):
        shown[-1] = whole_words(f"{shown[-1]} …", width - INDENT)
    return shown


def shortened(text: str, width: int, room: int) -> list[str]:
    """At most `room` lines of whole words, an ellipsis where more follow."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return [*lines[: room - 1], *([whole_words(" ".join(lines[room - 1 :]), width)] if len(lines) >= room else [])]


def whole_words(text: str, room: int) -> str:
    """As many whole words as there is room for, an ellipsis where more follow."""
    if len(text) <= room:
        return text
    kept = text[: room - 1].rpartition(" ")[0].rstrip(" ,;:(…")
    return f"{kept} …" if kept else text[: room - 1] + "…"
