# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording of a terminal, and the SVG that plays it: text that can be selected, colours, nothing loaded from elsewhere.

The picture scrolls once, in the time that the run took, and stays at its end; whoever wants no motion sees the end at once.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from tests import CHECKOUT

PICTURE = CHECKOUT / "docs" / "images" / "reset.svg"
ALT = "An emergency reset on a terminal: each of its phases, what was wrong, what it did, how things are now, how to undo it"
COLUMNS, ROWS = 80, 27
#: Of a character, of a line, around the text, and of the bar above it, in pixels.
WIDTH, HEIGHT, MARGIN, BAR = 8, 18, 16, 34
#: What Ansible's colours are called here.
CLASSES = {"31": "r", "32": "g", "33": "y", "34": "b", "35": "m", "36": "c"}
SEQUENCE = re.compile(r"\x1b\[([\d;]*)m")
STYLE = """text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d7dde5;white-space:pre}
.t{fill:#9aa7b4}.p{font-weight:700;fill:#fff}.r{fill:#ff8f8a}.g{fill:#7ee08a}.y{fill:#e8c66a}.b{fill:#8ab8ff}.m{fill:#d9a5ff}.c{fill:#6fd3e0}"""
NAMESPACE = "{http://www.w3.org/2000/svg}"


class Line(NamedTuple):
    """A line as it was written, however a terminal breaks it: its parts with the class of each, and the second it came in."""

    parts: tuple[tuple[str, str], ...]
    second: float

    @property
    def text(self) -> str:
        """Without colours."""
        return "".join(text for _, text in self.parts)


def recorded(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> tuple[int, list[Line]]:
    """The exit code of a command, and what it wrote on a terminal of its own."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    said: list[tuple[bytes, float]] = []
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=dict(environment), stdin=writer, stdout=writer, stderr=writer
    ) as running:
        os.close(writer)
        while part := _read(reader):
            said.append((part, time.monotonic() - began))
        code = running.wait(timeout=120)
    os.close(reader)
    return code, list(_lines(said))


def _read(reader: int) -> bytes:
    """What there is to read; nothing at the end, which Linux calls an error."""
    try:
        return os.read(reader, 65536)
    except OSError:
        return b""


def _lines(said: list[tuple[bytes, float]]) -> Iterator[Line]:
    """Whole lines, each with the time at which it was complete."""
    rest = b""
    for part, second in said:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield Line(tuple(_parts(line.decode().rstrip("\r"))), second)


def _parts(line: str) -> Iterator[tuple[str, str]]:
    """What has one colour together."""
    shown, at = "", 0
    for found in SEQUENCE.finditer(line):
        if text := line[at : found.start()]:
            yield shown, text
        shown = next((CLASSES[code] for code in found[1].split(";") if code in CLASSES), "")
        at = found.end()
    if text := line[at:].rstrip():
        yield shown, text


def svg(command: str, lines: list[Line], alt: str) -> str:
    """The picture of a run: the command as it is typed, and what came."""
    every = [Line((("p", f"$ {command}"),), 0.0), *lines]
    body, row, turns = list[str](), 0, list[tuple[float, int]]()
    for line in every:
        rows = list(_broken(line))
        spans = "".join(
            f"<tspan{f' x={quoteattr(str(MARGIN))} dy={quoteattr(str(HEIGHT))}' if number and not place else ''}"
            f"{f' class={quoteattr(shown)}' if shown else ''}>{escape(text)}</tspan>"
            for number, parts in enumerate(rows)
            for place, (shown, text) in enumerate(parts)
        )
        if spans:
            body.append(f'<text x="{MARGIN}" y="{row * HEIGHT + HEIGHT - 4}">{spans}</text>')
        row += max(len(rows), 1)
        turns.append((line.second, row))
    width, height = COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + BAR + MARGIN
    inside = ROWS * HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(alt)}>',
            f"<style>{STYLE}\n{_motion(turns, row)}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#12171e"/>',
            *(f'<circle cx="{20 + 18 * each}" cy="17" r="5" fill="#3c4754"/>' for each in range(3)),
            f'<svg y="{BAR}" width="{width}" height="{inside}" viewBox="0 0 {width} {inside}"><g id="s">',
            *body,
            "</g></svg>",
            "</svg>",
        ]
    ) + "\n"  # fmt: skip


def _broken(line: Line) -> Iterator[list[tuple[str, str]]]:
    """A line as a terminal breaks it."""
    made: list[tuple[str, str]] = []
    room = COLUMNS
    for shown, text in line.parts:
        rest = text
        while rest:
            made.append((shown, rest[:room]))
            rest, room = rest[room:], room - len(rest[:room])
            if not room:
                yield made
                made, room = [], COLUMNS
    if made:
        yield made


def _motion(turns: list[tuple[float, int]], rows: int) -> str:
    """A line comes at the bottom when it was written, and those above move up; the first screenful is there at once."""
    ends = max(second for second, _ in turns) or 1.0
    shown = {f"{100 * second / ends:.1f}": min(ROWS - row, 0) * HEIGHT for second, row in turns}
    frames = "".join(f"{at}%{{transform:translateY({down}px)}}" for at, down in shown.items())
    end = f"#s{{transform:translateY({(ROWS - rows) * HEIGHT}px)}}"
    play = f"#s{{animation:s {ends:.1f}s step-end both}}@keyframes s{{{frames}}}"
    return f"{end}\n@media (prefers-reduced-motion:no-preference){{{play}}}"


def lines_of(picture: str) -> list[Line]:
    """What a picture says, without when."""
    root = ET.fromstring(picture)
    return [
        Line(tuple((span.get("class", ""), span.text or "") for span in text.iter(f"{NAMESPACE}tspan")), 0.0)
        for text in root.iter(f"{NAMESPACE}text")
    ]
