# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chart of an incident for its report."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: incident_chart
short_description: The chart of an incident as SVG
version_added: 2.0.0
description:
  - Draws backlog, loads and staleness over the incident. The same result gives the same bytes.
  - Gives an empty text, with a warning, where Ansible's Python has no matplotlib.
positional: _input
options:
  _input:
    description: What M(scout.recovery.scout_report_info) returned.
    type: dict
    required: true
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: A chart
  ansible.builtin.copy:
    content: "{{ result | scout.recovery.incident_chart }}"
    dest: INC-2041.svg
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The SVG.
  type: str
"""

import typing as t

from ansible.utils.display import Display

from ..plugin_utils import incident_chart as chart

display = Display()


def incident_chart(report: dict[str, t.Any]) -> str:
    """The SVG; empty without matplotlib."""
    try:
        return chart.incident_chart(report)
    except ImportError as e:
        display.warning(
            f"the report has no chart: matplotlib is missing ({e}); python -m pip install matplotlib adds it"
        )
        return ""


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"incident_chart": incident_chart}
