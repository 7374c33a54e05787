# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a file may be written, without following a link that somebody else has made."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: own_path
short_description: Where a path leads, through nobody else's links
version_added: 1.0.0
description:
  - The absolute path without links in it. What is missing of it is left as it is.
  - Fails for a link that belongs neither to who plays nor to root, for whoever may write to a folder such as C(/tmp) could have a
    file elsewhere written by it.
positional: _input
options:
  _input:
    description: A path on the controller; C(~) is its user's home.
    type: path
    required: true
  name:
    description: The variable that named it, for the message.
    type: str
    default: ""
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: A file of ours
  ansible.builtin.copy:
    content: "{{ text }}"
    dest: "{{ folder | scout.recovery.own_path(name='folder') }}"
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The path.
  type: path
"""

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError

from ..module_utils.recovery.core import files
from ..module_utils.recovery.core.errors import BadInput


def own_path(path: str, name: str = "") -> str:
    """Where it leads. Raises AnsibleFilterError for somebody else's link on the way."""
    try:
        with files.translating(Path(path), name, "have whoever made the link remove it, or give another path"):
            return str(files.real(Path(path)))
    except BadInput as e:
        raise AnsibleFilterError(str(e)) from e


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"own_path": own_path}
