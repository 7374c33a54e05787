# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data for templates of HTML, in which Ansible escapes nothing by itself."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: escaped
short_description: Data in which every text is fit for HTML
version_added: 1.0.0
description:
  - The same lists and dictionaries, with every text in them escaped for HTML, so that no template can forget to.
  - Ansible's templates know no autoescape; a block of that name is without effect in them.
positional: _input
options:
  _input:
    description: Any data.
    type: raw
    required: true
  keep:
    description: Keys of dictionaries whose texts are HTML already.
    type: list
    elements: str
    default: []
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: A page
  ansible.builtin.template:
    src: page.html.j2
    dest: page.html
    mode: "0600"
  vars:
    report: "{{ result.report | scout.recovery.escaped(keep=['wide', 'narrow']) }}"
"""

RETURN = r"""
_value:
  description: The data.
  type: raw
"""

import html
import typing as t

from ..module_utils.recovery.core.text import visible


def escaped(data: t.Any, keep: t.Sequence[str] = ()) -> t.Any:
    """The same data with every text in it escaped."""
    if isinstance(data, str):
        return html.escape(visible(data), quote=True)
    if isinstance(data, dict):
        return {escaped(key): value if key in keep else escaped(value, keep) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [escaped(each, keep) for each in data]
    return data


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"escaped": escaped}
