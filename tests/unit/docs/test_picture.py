# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture in README.md loads nothing, and its lines are those of a terminal; tests/e2e looks at the run that it is of."""

from __future__ import annotations

import re

from tests import CHECKOUT
from tests.e2e.picture import ALT, PICTURE, Line, lines_of, svg


def test_the_picture_is_light_loads_nothing_and_is_the_readme_s() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert len(text.encode()) < 40_000
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|@import|@font-face|<image|url\(", text)
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert f"![{ALT}](docs/images/{PICTURE.name})" in readme.replace("\n", " ")


def test_a_line_is_broken_as_a_terminal_does_and_kept_whole() -> None:
    line = Line((("g", "x" * 100), ("", "<&>" * 30)), 1.0)
    [prompt, found] = lines_of(svg("true", [line], 'a "b" & <c>'))
    assert prompt.text == "$ true"
    assert found.text == line.text
    assert [len(text) for _, text in found.parts] == [80, 20, 60, 30]
