# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of people in templates of Markdown."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: markdown
short_description: Any text as Markdown that says only what it says
version_added: 1.0.0
description:
  - Whatever Markdown, HTML in it or a table would take for more than a character becomes an entity, and all white space one
    space, so that the text can stand anywhere on a line, in a cell of a table as well.
positional: _input
options:
  _input:
    description: The text.
    type: raw
    required: true
  lines:
    description: Keep its lines and paragraphs; then it has to stand alone.
    type: bool
    default: false
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: A cell of a table
  ansible.builtin.debug:
    msg: "| {{ title | scout.recovery.markdown }} |"
"""

RETURN = r"""
_value:
  description: Markdown.
  type: str
"""

import typing as t

from ..module_utils.recovery.core.markdown import escaped, escaped_block


def markdown(text: t.Any, lines: bool = False) -> str:
    """Any text as Markdown that says only what it says."""
    return escaped_block(text) if lines else escaped(text)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"markdown": markdown}
