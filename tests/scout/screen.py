# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demonstration shows: paragraphs, facts and commands for a terminal of 80 columns."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from dataclasses import dataclass, field

WIDTH = 79


@dataclass
class Screen:
    """Writes for a terminal of 80 columns; colour only where one looks at it."""

    colour: bool = field(default_factory=lambda: sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    number: int = 0
    broken_promises: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Begins the next screen."""
        self.number += 1
        print(f"\n{self._in('1', f'{self.number}  {text}')}\n", flush=True)

    def say(self, text: str, indent: str = "   ", more: str | None = None) -> None:
        """A paragraph; `more` indents its second and later lines."""
        later = indent if more is None else more
        print(
            textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False),
            flush=True,
        )

    def item(self, text: str) -> None:
        """One line of a list."""
        self.say(text, "   - ", "     ")

    def pair(self, name: str, text: str) -> None:
        """A name and what is to be said of it."""
        self.say(text, f"   {name:<30} ", " " * 34)

    def promise(self, holds: object, text: str) -> None:
        """A fact, which must hold for the demonstration to succeed."""
        if not holds:
            self.broken_promises.append(text)
        word = self._in("32", "yes") if holds else self._in("1;31", "NO ")
        body = textwrap.wrap(text, WIDTH - 8, break_on_hyphens=False)
        print(f"   {word}  {f'{chr(10)}        '.join(body)}", flush=True)

    def output(self, line: str) -> None:
        """A line of a command's output, folded where it is too long."""
        colours = re.findall(r"\x1b\[[0-9;]*m", line)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        name = plain.rstrip("*")
        if name != plain and len(name) < WIDTH:
            plain = plain[:WIDTH]
        if len(plain) <= WIDTH:
            print(line.rstrip() if self.colour else plain, flush=True)
            return
        start, end = (colours[0], "\x1b[0m") if colours and self.colour else ("", "")
        for part in textwrap.wrap(plain, WIDTH, subsequent_indent="    ", break_on_hyphens=False):
            print(f"{start}{part}{end}", flush=True)

    def command(self, *words: str) -> None:
        """A command as it would be typed."""
        lines = [f"$ {words[0]}"]
        for word in words[1:]:
            if len(lines[-1]) + len(word) + 3 > WIDTH:
                lines[-1] += " \\"
                lines.append(f"    {word}")
            else:
                lines[-1] += f" {word}"
        print(self._in("1", "\n".join(lines)), flush=True)

    def export(self, name: str, value: str) -> None:
        """A variable being set as it would be typed, its password hidden."""
        shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:********@", value)
        text = f"$ export {name}={shown}"
        print(self._in("1", text if len(text) <= WIDTH else f"$ export {name}=\\\n{shown}"), flush=True)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text
