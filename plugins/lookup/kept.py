# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files of an operation go that nobody has named a place for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kept
short_description: Where files go by default
version_added: 1.0.0
description:
  - The value of an environment variable; without it a file or folder among the artifacts of ansible-runner, which travel to
    whoever started the run; without ansible-runner the default.
options:
  _terms:
    description: The environment variable.
    type: list
    elements: str
    required: true
  default:
    description: The name among the artifacts, and in the working folder where there are none.
    type: str
    required: true
  only_artifacts:
    description: Give an empty text where there are no artifacts.
    type: bool
    default: false
  warns:
    description: Warn of a path that is gone with the container in which this runs.
    type: bool
    default: false
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Say where evidence goes
  ansible.builtin.debug:
    msg: "{{ lookup('scout.recovery.kept', 'SCOUT_EVIDENCE', default='evidence') }}"
"""

RETURN = r"""
_raw:
  description: The paths.
  type: list
"""

import os
import typing as t
from pathlib import Path

from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core import place

display = Display()


class LookupModule(LookupBase):
    """Knows what travels back."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, default: str = "", **options: t.Any
    ) -> list[str]:
        """Each path."""
        del variables
        folder = place.artifacts()
        elsewhere = "" if options.get("only_artifacts") else default
        found = [os.environ.get(term) or (str(folder / default) if folder else elsewhere) for term in terms]
        for path in found if options.get("warns") else ():
            if only := place.kept_only_here(Path(path).absolute()):
                display.warning(only)
        return found
