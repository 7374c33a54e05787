# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures load nothing and need no style for their places; the one in README.md has the lines of a terminal, and tests/e2e looks
at the run that it is of."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests import CHECKOUT
from tests.e2e.picture import ALT, COLUMNS, NAMESPACE, PICTURE, lines_of, svg

PAGES = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]


def test_the_picture_is_light_loads_nothing_and_is_the_readme_s() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert len(text.encode()) < 40_000
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|@import|@font-face|<image|url\(", text)
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert f"![{ALT}](docs/images/{PICTURE.name})" in readme.replace("\n", " ")


def test_a_line_keeps_its_spaces_its_signs_and_the_colour_of_its_verdict() -> None:
    lines = [" ✓ load      loaded <&> 3", "", "RECOVERED   a  b", "    ansible-playbook playbooks/dead_letters.yml"]
    sent = "\x1b[0;36m ◐ load\x1b[0m \x1b[0;32mRECOVERED\x1b[0m"
    picture = svg("true", lines, sent)
    assert lines_of(picture) == ["<p>$ true", lines[0], "<g>RECOVERED   a  b", lines[3]]
    assert "  " not in re.sub(r"^<(?!text).*$", "", picture, flags=re.MULTILINE)
    assert "ansible-playbook playbooks" in picture, "what is copied can be pasted"


def test_it_is_still_and_needs_no_style_for_its_spaces() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert not re.search(r"@keyframes|animation|white-space|transform", text)
    assert max(len(line) for line in lines_of(text)) <= COLUMNS + len("<p>")


@pytest.mark.parametrize("path", sorted(PICTURE.parent.glob("*.svg")), ids=lambda path: path.name)
def test_a_drawn_picture_is_shown_alike_by_every_renderer(path: Path) -> None:
    """Shapes and words, each with a place: nothing that only browsers know, and none has a space that another would leave out."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(
        r"white-space|<foreignObject|<script|<image|@import|@font-face|@keyframes|transform|<use|var\(|xlink", text
    )
    root = ET.fromstring(text)
    names = {each.tag.removeprefix(NAMESPACE) for each in root.iter()}
    assert names <= {"svg", "style", "defs", "marker", "rect", "path", "polyline", "circle", "text", "tspan"}
    for words in ("".join(each.itertext()) for each in root.iter(f"{NAMESPACE}text")):
        assert words.strip(" ") == words
        assert "  " not in words
    assert root.get("aria-label")
    assert any(f"images/{path.name})" in page.read_text(encoding="utf-8") for page in PAGES), "no page shows it"


def test_every_picture_is_held_by_a_test() -> None:
    drawn = {"architecture", "life-of-an-event", "order-of-a-rollback"}
    played = {"reset"}
    assert {path.stem for path in PICTURE.parent.iterdir()} == drawn | played
