# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture in README.md loads nothing, and its lines are those of a terminal; tests/e2e looks at the run that it is of."""

from __future__ import annotations

import re

from tests import CHECKOUT
from tests.e2e.picture import ALT, COLUMNS, PICTURE, lines_of, svg


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
