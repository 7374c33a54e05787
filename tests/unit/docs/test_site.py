# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the finished site finds what is planted, and the navigation has the parts that a reader looks for."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import CHECKOUT

SCRIPTS = CHECKOUT / "scripts" / "site"
FOUND = runpy.run_path(str(SCRIPTS / "whole.py"))


def page(text: str) -> str:
    return f"<!doctype html><html><body>{text}</body></html>"


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('<a href="../other/#there">x</a><a href="#here">x</a><i id="here"></i>', None),
        ('<a href="https://git.example.com/x">x</a><a href="mailto:a@b">x</a>', None),
        ('<a href="../gone/">x</a>', "page/index.html: ../gone/ leads to nothing"),
        ('<a href="../other/#gone">x</a>', "page/index.html: ../other/#gone leads to no such place"),
        ('<a href="#gone">x</a>', "page/index.html: #gone leads to no such place"),
        ('<a href="/other/">x</a>', "page/index.html: /other/ is absolute"),
        ('<i id="a"></i><b id="a"></b>', "page/index.html: the id a stands there more than one time"),
        ('<img src="../gone.png">', "page/index.html: ../gone.png leads to nothing"),
        ('<script src="https://cdn.example.com/x.js"></script>', "page/index.html: loads https://cdn.example.com/x.js"),
        ('<link rel="stylesheet" href="//cdn.example.com/x.css">', "page/index.html: loads //cdn.example.com/x.css"),
    ],
)
def test_what_leads_nowhere_is_found(tmp_path: Path, text: str, flaw: str | None) -> None:
    for name, content in (("page", text), ("other", '<i id="there"></i>')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(page(content), encoding="utf-8")
    assert list(FOUND["flaws"](tmp_path)) == ([flaw] if flaw else [])


def test_the_navigation_has_four_parts_that_a_reader_looks_for() -> None:
    text = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)
    parts = [next(iter(each)) for each in settings["nav"]]
    assert parts == ["Home", "Tutorial", "How-to by symptom", "Reference", "Explanation", "Project"]
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False
    assert {entry.get("scheme") for entry in settings["theme"]["palette"]} == {None, "default", "slate"}
    assert "search" in settings["plugins"]
