# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a summary fits on a screen: parts with their labels, lines of a width, commands that can be copied; pure."""

from __future__ import annotations

import re
import textwrap
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND: t.Final = re.compile(r"""ansible-playbook \S+(?: --check)?(?: -e (?:"[^"]*"|[^\s;"]+))*""")
GLUE: t.Final = "\u00a0"
WIDTH: t.Final = 79
HEIGHT: t.Final = 20
INDENT: t.Final = 9
#: Each part may take so many lines, fewer where all together would not fit on the screen, these first.
PART_LINES: t.Final = 3
SHORTENED_FIRST: t.Final = (
    *("holds", "since", "smoke", "list", "warns", "unsure", "warn", "was", "left", "back", "data"),
    *("did", "would", "who", "chose", "app", "clash", "rows", "proof", "undo", "now", "failed", "causes"),
)
#: What a part may take besides.
MORE_LINES: t.Final = {"causes": 3, "who": 3, "did": 1, "failed": 1, "next": 3}


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a text; a command is broken only where a shell reads on in the next line, so that it can be copied."""
    made: list[str] = []
    at = 0
    for found in COMMAND.finditer(text):
        if len(found[0]) > width:
            command = folded(found[0], width)
            made += [*_wrapped(text[at : found.start()], width), *command]
            at = found.end()
            # What belongs to the command's end stays there.
            while at < len(text) and text[at] in ";,":
                made[-1] += text[at]
                at += 1
    return made + _wrapped(text[at:].lstrip(), width)


def _wrapped(text: str, width: int) -> list[str]:
    kept = COMMAND.sub(lambda found: found[0].replace(" ", GLUE) if len(found[0]) <= width else found[0], text)
    return [line.replace(GLUE, " ") for line in textwrap.wrap(kept, width, break_on_hyphens=False)]


def folded(command: str, width: int) -> list[str]:
    """A command over as many lines as it takes, each but the last with the mark by which a shell reads on."""
    if len(command) <= width:
        return [command]
    first, *words = re.split(r" (?=-e )", command)
    lines = [first]
    for word in words:
        if len(f"{lines[-1]} {word} \\") > width:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def _height(bodies: Mapping[str, list[str]], room: Mapping[str, int]) -> int:
    return sum(min(len(body), room[name]) for name, body in bodies.items())


def labelled(name: str, lines: Sequence[str]) -> list[str]:
    """The lines of a part, its name before the first."""
    return [f"  {label:<7}{line}" for label, line in zip([name, *[""] * len(lines)], lines, strict=False)]


def fitted(bodies: Mapping[str, list[str]], commands: int) -> list[str]:
    """The parts below a title on one screen, shortened where they would not fit; the `commands` lines with which the part
    `undo` begins are never cut, as half a command is none."""
    room = {name: PART_LINES + MORE_LINES.get(name, 0) for name in bodies}
    least = {"undo": commands + (commands < len(bodies.get("undo", ())))}
    room["undo"] = max(PART_LINES, least["undo"])
    for name in SHORTENED_FIRST:
        while _height(bodies, room) > HEIGHT - 1 and room.get(name, 1) > least.get(name, 1):
            room[name] -= 1
    return [line for name, body in bodies.items() for line in labelled(name, _shortened(body, room[name]))]


def _shortened(body: list[str], room: int) -> list[str]:
    """As many lines as there is room for, marked where more follow."""
    shown = body[:room]
    if len(shown) < len(body) and len(shown[-1]) <= WIDTH - INDENT:
        shown[-1] = shown[-1][: WIDTH - INDENT - 2].rstrip() + " …"
    return shown
