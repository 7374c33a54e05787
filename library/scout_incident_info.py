#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of an incident as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_incident_info
short_description: Show the story of an incident
version_added: 1.0.0
description:
  - Reads what the ledger has of an incident, the one O(incident) names, else the open one. Writes nothing.
  - Where there is none the result says so, and nothing fails.
options:
  latest:
    description: Where no incident is named and none is open, the one that was closed last.
    type: bool
    default: false
  time_zone:
    description: The team's zone, such as Asia/Manila; the timeline has every time in it too.
    type: str
  currency:
    description: What stands after amounts in the report, such as EUR or $; without it they have no unit.
    type: str
  report:
    description:
      - Return the report as well, the runbook's documentation template filled in. An incident that is not on record is an error then.
      - Its charts need matplotlib on the host that runs the module; without, the report says so.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: What has happened so far?
  scout.recovery.scout_incident_info:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    time_zone: Asia/Manila
"""

RETURN = r"""
incident:
  description: Its name, or null where there is none.
  returned: success
  type: str
record:
  description: What M(scout.recovery.scout_incident) returns of it, title, severity, state, overdue, phases and the rest; or null.
  returned: success
  type: dict
overdue:
  description: What should have happened by now, as in RV(record).
  returned: success
  type: list
  elements: dict
timeline:
  description:
    - Everything in order, each with at in UTC, local in O(time_zone) if given, actor, kind, what, effect, run_id, undo, undone_by
      and status.
    - The kind is run, sample (of an earlier version, where the verdict changed), or that of an entry. undo is the id to give to
      M(scout.recovery.scout_undo), if it can be undone.
  returned: success
  type: list
  elements: dict
report:
  description:
    - With O(report), everything that role report's templates show, in plain values; or null. Nothing of it depends on the clock, so
      an incident of which nothing new is on record gives the same report again.
    - Has wrong_figures (seconds, spells, sentence), milestones, impact, root_cause, resolution, prevention, follow_ups, done,
      people, communications, evidence, checklist, missing, timeline, looks, charts (inline SVG) and others; docs/incidents.md
      lists them.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.incidents import command, results
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "latest": {"type": "bool", "default": False},
    "time_zone": {"type": "str"},
    "currency": {"type": "str"},
    "report": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> results.IncidentInfoResult:
    """Tells the story."""
    return command.tell(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
