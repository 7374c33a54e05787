# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any text as Markdown that says only what it says."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import markdown

HOSTILE = [
    "| a | b |", "`code` ``` ~~~", "<script>alert(1)</script>", "*a* _b_ **c** ~~d~~", "# head", "- item", "1. one", "+ x",
    "> quote", "[l](http://x)", "![i](x)", "&amp; &#65;", "a\\", "===", "---", "\\| pipe", "$x$", "snake_case and 2 * 3",
    "<!-- -->", "x" * 500, "\t indented", "{{ 7 * 7 }} {% raw %}",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_cannot_break_markdown(text: str) -> None:
    reader = MarkdownIt("gfm-like", {"linkify": False})
    shown = markdown.escaped(text)
    folded = " ".join(text.split())
    for before, after in (("", ""), ("- **When**: ", ""), ("a ", " b")):
        tokens = reader.parse(f"{before}{shown}{after}\n")
        inline = [token for token in tokens if token.type == "inline"]
        assert len(inline) == 1
        said = "".join(child.content for child in inline[0].children or [])
        assert said.replace("\N{WORD JOINER}", "").strip().endswith(f"{folded}{after}".strip())
        kinds = {child.type for child in inline[0].children or []} - {"text", "text_special"}
        assert kinds <= ({"strong_open", "strong_close"} if "**" in before else set())
    table = reader.render(f"| a | b |\n|---|---|\n| {shown} | end |\n")
    assert (table.count("<td"), table.count("<tr")) == (2, 2)


def test_nobody_is_called_by_a_text() -> None:
    assert markdown.escaped("@team #12 root@vm") == "@\u2060team #\u206012 root@vm"
