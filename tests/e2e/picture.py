# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a run: what stands on a terminal when it is over, as text that can be selected. Nothing moves, and nothing is
loaded from elsewhere; where several spaces stand together they are no-break, so that each renderer keeps them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from tests import CHECKOUT

PICTURE = CHECKOUT / "docs" / "images" / "reset.svg"
ALT = (
    "An emergency reset on a terminal: a line for each of its phases, the verdict, what is left, and what to type next"
)
COLUMNS = 100
#: Of a character, of a line, around the text, and of the bar above it, in pixels.
WIDTH, HEIGHT, MARGIN, BAR = 8, 18, 16, 34
#: What Ansible's colours are called here.
CLASSES = {"31": "r", "32": "g", "33": "y"}
COLOURED = re.compile(r"\x1b\[[\d;]*?(\d+)m([^\x1b]+)\x1b\[0m")
STYLE = """text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d7dde5}
.p{font-weight:700;fill:#fff}.r{fill:#ff8f8a}.g{fill:#7ee08a}.y{fill:#e8c66a}"""
NAMESPACE = "{http://www.w3.org/2000/svg}"


def svg(command: str, lines: list[str], sent: str) -> str:
    """The picture of a run: the command as it is typed, and the lines that stand below it in the end, in the colours of what
    was `sent`."""
    colours = {words: CLASSES[code] for code, words in COLOURED.findall(sent) if code in CLASSES}
    rows = [("p", f"$ {command}"), ("", ""), *(("", line) for line in lines)]
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(rows) * HEIGHT + BAR + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(ALT)}>',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#12171e"/>',
            *(f'<circle cx="{20 + 18 * each}" cy="17" r="5" fill="#3c4754"/>' for each in range(3)),
            *(
                f'<text x="{MARGIN}" y="{BAR + at * HEIGHT + HEIGHT - 4}">{_spans(shown, text, colours)}</text>'
                for at, (shown, text) in enumerate(rows)
                if text
            ),
            "</svg>",
        ]
    ) + "\n"  # fmt: skip


def _spans(shown: str, text: str, colours: dict[str, str]) -> str:
    """A line, of which the words with which it begins may have a colour."""
    words = next((each for each in colours if text.startswith(each)), "")
    parts = [(colours.get(words, ""), words), (shown, text[len(words) :])]
    return "".join(
        f"<tspan{f' class={quoteattr(name)}' if name else ''}>{escape(_kept(part))}</tspan>"
        for name, part in parts
        if part
    )


def _kept(text: str) -> str:
    return re.sub(r"^ | (?= )|(?<= ) ", "\u00a0", text)


def lines_of(picture: str) -> list[str]:
    """What a picture says, each line with the class of what has one."""
    root = ET.fromstring(picture)
    return [
        "".join(f"<{span.get('class')}>{span.text}" if span.get("class") else span.text or "" for span in text).replace(
            "\u00a0", " "
        )
        for text in root.iter(f"{NAMESPACE}text")
    ]
