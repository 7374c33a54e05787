# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the finished site finds what is planted."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests import CHECKOUT

FLAWS = runpy.run_path(str(CHECKOUT / "scripts" / "site" / "whole.py"))["flaws"]
PLANTED = [
    ('<a href="../other/#there">x</a><a href="#here">x</a><i id="here"></i>', None),
    ('<a href="https://docs.ansible.com/x">x</a><a href="mailto:a@b">x</a>', None),
    ('<a href="https://git.example.com/x">x</a>', "page/index.html: https://git.example.com/x is nobody's, an example"),
    (r"<code>\.</code><pre>\:</pre>C:\temp", None),
    (r"<p>AWX\: <b>all</b>\, here</p>", "page/index.html: shows 2 backslashes of its source"),
    ('<a href="../gone/">x</a>', "page/index.html: ../gone/ leads to nothing"),
    ('<a href="../other/#gone">x</a>', "page/index.html: ../other/#gone leads to no such place"),
    ('<a href="#gone">x</a>', "page/index.html: #gone leads to no such place"),
    ('<a href="/other/">x</a>', "page/index.html: /other/ is absolute"),
    ('<i id="a"></i><b id="a"></b>', "page/index.html: the id a stands there more than one time"),
    ('<img src="../gone.png">', "page/index.html: ../gone.png leads to nothing"),
    ('<script src="https://cdn.jsdelivr.net/x.js"></script>', "page/index.html: loads https://cdn.jsdelivr.net/x.js"),
    ('<link rel="stylesheet" href="//cdn.jsdelivr.net/x.css">', "page/index.html: loads //cdn.jsdelivr.net/x.css"),
]


def page(text: str) -> str:
    return f"<!doctype html><html><body>{text}</body></html>"


def test_what_leads_nowhere_is_found(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name in ("page", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "index.html").write_text(page('<i id="there"></i>'), encoding="utf-8")
    for text, flaw in PLANTED:
        with subtests.test(msg=flaw or text):
            (tmp_path / "page" / "index.html").write_text(page(text), encoding="utf-8")
            assert list(FLAWS(tmp_path)) == ([flaw] if flaw else [])
