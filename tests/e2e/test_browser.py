# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The eyes that look at our pages see what is wrong with one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.browser import Browser

HEAD = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title><style>:root{color-scheme:light dark}</style>"


def test_a_good_page(browser: Browser, tmp_path: Path) -> None:
    page = (
        f"{HEAD}<h1 id=top>Fine</h1><div style='overflow-x:auto'><pre>{'wide ' * 200}</pre></div><a href='#top'>up</a>"
    )
    for width in (360, 1280):
        seen = browser.look(page, width=width)
        assert seen.flaws() == []
        assert (seen.title, seen.headings, seen.links) == ("A page", [(1, "Fine")], ["#top"])
    assert browser.look(page, dark=True).flaws() == []
    seen.save(tmp_path / "a" / "page.png")
    assert (tmp_path / "a" / "page.png").read_bytes().startswith(b"\x89PNG")
    assert browser.print(page, tmp_path / "page.pdf") > 1000


@pytest.mark.parametrize(
    ("page", "flaw"),
    [
        ("<h1>" + "x" * 400 + "</h1>", "the page is wider than 360 pixels"),
        ("<div style='width:90px;overflow:hidden'>" + "x" * 400 + "</div>", "does not fit: div"),
        ("<svg width=60 height=20 aria-label=a><text x=40 y=10>beyond</text></svg>", "does not fit: text"),
        ("<p style='color:#aaa'>faint</p>", 'hard to read: p "faint" has contrast 2.3'),
        ("<img alt=a src='https://example.invalid/a.png'>", "loaded from elsewhere: https://example.invalid/a.png"),
        ("<style>@import 'other.css';</style>", "loaded from elsewhere: file:///"),
        ("<script>console.error('oops')</script>", "error: oops"),
        ("<script>nope()</script>", "error: nope is not defined"),
        ("<script>alert('here')</script>", "error: a dialog: here"),
        ("<a href='#nowhere'>x</a>", "a link leads nowhere: #nowhere"),
        ("<i id=a>1</i><i id=a>2</i>", "an id is there twice: a"),
        ("<svg width=9 height=9></svg>", "a picture without words: svg"),
    ],
)
def test_each_flaw_is_seen(browser: Browser, page: str, flaw: str) -> None:
    assert any(each.startswith(flaw) for each in browser.look(HEAD + page, width=360).flaws())


def test_dark_and_paper_are_looks_of_their_own(browser: Browser) -> None:
    page = (
        f"{HEAD}<style>@media print{{.screen{{display:none}}}} "
        "@media (prefers-color-scheme:dark){p{color:#222}}</style><p>text</p><p class=screen>buttons</p>"
    )
    assert browser.look(page).flaws() == []
    assert "hard to read" in browser.look(page, dark=True).flaws()[0]
    assert "buttons" not in browser.look(page, paper=True).text


def test_nothing_else_in_this_process_minds(browser: Browser) -> None:
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"
