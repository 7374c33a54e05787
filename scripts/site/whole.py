# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a finished site as a browser does: every link leads to a page and a place that are there, no id stands on a page two times,
nothing is loaded from elsewhere, and no text shows the marks of its source.
"""

from __future__ import annotations

import html.parser
import posixpath
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

#: Elements that load what they name, and how they name it.
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("object", "data")}
#: A link of the head that a browser does not follow by itself.
NAMED_ONLY = {"canonical", "prev", "next", "edit", "alternate"}
#: Elements whose text is shown as it is written, or not at all.
LITERAL = {"code", "pre", "kbd", "script", "style"}
#: A mark that a renderer of Markdown takes away where it knows it.
STRAY = re.compile(r"\\[^\w\s]")
#: The domains that RFC 2606 keeps for examples: nobody's.
NOBODYS = re.compile(r"(?:^|\.)example(?:\.(?:com|net|org))?$")


class Read(html.parser.HTMLParser):
    """What a page has: its ids in order, what it loads, where its links lead, and how many stray backslashes it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.stray = 0
        self._literal = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what an element names."""
        self._literal += tag in LITERAL
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        for name, value in given.items():
            if (tag, name) in LOADED and not NAMED_ONLY & set(given.get("rel", "").split()):
                self.loads.append(value)

    def handle_endtag(self, tag: str) -> None:
        """Notes where text is text again."""
        self._literal -= tag in LITERAL

    def handle_data(self, data: str) -> None:
        """Counts what a reader ought not to see."""
        self.stray += 0 if self._literal else len(STRAY.findall(data))


def flaws(site: Path) -> Iterator[str]:
    """What is wrong, as lines for a person, each with the page it is on."""
    read = {
        path.relative_to(site).as_posix(): Read(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }
    for page, found in read.items():
        # Its addresses are absolute, for it is shown wherever a page is missing.
        if page == "404.html":
            continue
        twice = sorted({name for name in found.ids if found.ids.count(name) > 1})
        yield from (f"{page}: the id {name} stands there more than one time" for name in twice)
        if found.stray:
            yield f"{page}: shows {found.stray} backslashes of its source"
        for address in found.loads:
            if urllib.parse.urlsplit(address).netloc:
                yield f"{page}: loads {address}"
        for address in (*found.links, *found.loads):
            if wrong := _nowhere(site, page, address, read):
                yield f"{page}: {wrong}"


def _nowhere(site: Path, page: str, address: str, read: dict[str, Read]) -> str:
    """What is wrong with an address of a page; empty where it leads somewhere, or out of the site."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme or parts.netloc:
        return f"{address} is nobody's, an example" if NOBODYS.search(parts.hostname or "") else ""
    if parts.path.startswith("/"):
        return f"{address} is absolute"
    path = urllib.parse.unquote(parts.path)
    there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if (site / there).is_dir():
        there = posixpath.normpath(posixpath.join(there, "index.html"))
    if not (site / there).is_file():
        return f"{address} leads to nothing"
    fragment = urllib.parse.unquote(parts.fragment)
    if fragment and there in read and fragment not in read[there].ids:
        return f"{address} leads to no such place"
    return ""
