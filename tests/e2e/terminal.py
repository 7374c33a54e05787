# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal as far as the screen uses one: what stands on it in the end, and what it was sent when."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLOUR = re.compile(r"\x1b\[[\d;]*m")
SENT = re.compile(r"\x1b\[([\d;]*)([A-Za-z])|([\r\n\a])|([^\x1b\r\n\a]+)")


@dataclass
class Terminal:
    """Lines of so many columns; whatever is sent that it does not know is an AssertionError."""

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        """Shows what was sent; colours are left out."""
        at = 0
        for found in SENT.finditer(COLOUR.sub("", text)):
            assert found.start() >= at
            self._show(found)

    def _show(self, found: re.Match[str]) -> None:
        number, kind, control, words = found.groups()
        if kind == "A":
            self.row = max(0, self.row - int(number or 1))
        elif kind == "J":
            self.lines = [*self.lines[: self.row], self.lines[self.row][: self.column]]
        elif kind:
            raise AssertionError(f"unknown sequence {found[0]!r}")
        elif control == "\r":
            self.column = 0
        elif control == "\n":
            self._down()
        elif words:
            for letter in words:
                if self.column == self.columns:
                    self._down()
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
                self.column += 1

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")


@dataclass
class Seen:
    """What came of a command on a terminal: its exit code, what it sent in parts, each with the second in which it came."""

    code: int
    parts: list[tuple[float, str]]
    columns: int

    @property
    def lines(self) -> list[str]:
        """What stands there in the end, without what is empty below it."""
        shown = Terminal(self.columns)
        shown.feed("".join(text for _, text in self.parts))
        return "\n".join(line.rstrip() for line in shown.lines).rstrip("\n").split("\n")

    @property
    def text(self) -> str:
        """All that was sent."""
        return "".join(text for _, text in self.parts)


def seen(command: Sequence[str], environment: Mapping[str, str], cwd: Path, columns: int, rows: int = 40) -> Seen:
    """Runs a command on a terminal of that size, to its end."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    said: list[tuple[float, bytes]] = []
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=dict(environment), stdin=writer, stdout=writer, stderr=writer
    ) as running:
        os.close(writer)
        while part := _read(reader):
            said.append((time.monotonic() - began, part))
        code = running.wait(timeout=120)
    os.close(reader)
    whole = b"".join(part for _, part in said).decode()
    parts, at = [], 0
    for second, part in said:
        # A sign of several bytes may be in two parts; where it is counted does not matter.
        more = len(part.decode(errors="ignore"))
        parts.append((second, whole[at : at + more]))
        at += more
    if parts:
        parts[-1] = (parts[-1][0], parts[-1][1] + whole[at:])
    return Seen(code, parts, columns)


def _read(reader: int) -> bytes:
    """What there is to read; nothing at the end, which Linux calls an error."""
    try:
        return os.read(reader, 65536)
    except OSError:
        return b""
