#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of an incident as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_incident
short_description: Keep the record of an incident
version_added: 1.0.0
description:
  - Opens, notes, updates and closes an incident in the ledger of a Scout database. At most one is open; whatever is done
    while it is, without naming another incident, is done for it.
  - The incident is the one O(incident) names, else the open one. A closed one can still get notes.
  - Opening and closing take the lease, so nobody else is working then. Notes and updates do not, and can be written while
    somebody is working.
options:
  state:
    description:
      - V(opened) starts the record, V(noted) adds what people know, V(updated) changes it and adopts runs, V(closed) ends it.
      - V(seen) records the result of an assessment, an acceptance gate or a snapshot of evidence, while an incident is open.
        It is a line of the ledger like that of any run, and no change of the pipeline, so C(changed) is false.
    type: str
    choices: [opened, noted, updated, closed, seen]
    default: opened
  title:
    description: What is wrong, on one line of at most 200 characters. To open an incident it is needed.
    type: str
  severity:
    description: Name of one of O(severities). To open an incident it is needed.
    type: str
  severities:
    description:
      - What severities there are, by name, each as a dictionary of C(response_minutes), within which somebody has to respond,
        and C(escalation), a list of who is notified. Empty for the runbook's critical, high and medium.
    type: dict
    default: {}
  text:
    description: A note, or how things stand; also a last word on closing.
    type: str
  settles:
    description: The checklist item that O(text) settles, such as V(update_monitoring).
    type: str
  root_cause:
    description: A note on what went wrong.
    type: str
  external_dependencies:
    description: A note on what was found of upstream sources and APIs.
    type: str
  retrospective:
    description: A note on when the retrospective is.
    type: str
  next_update_minutes:
    description:
      - In so many minutes the next update is promised; from then on until one is given the incident is overdue.
      - The same words and minutes again, while the promise can still be kept, change nothing.
    type: float
  adopt:
    description: >-
      Runs that were done for no incident and belong to this one, by their ids, the first eight digits of these, or by that of their
      playbook's run.
    type: list
    elements: str
    default: []
  adopt_since:
    description: Adopt all runs that were done for no incident since this time.
    type: str
  time_zone:
    description: Zone of a time in O(adopt_since) that is written without an offset, such as Asia/Manila.
    type: str
  gate:
    description:
      - What M(scout.recovery.scout_gate_info) returned just now. Unless it is pass or warn the incident is not closed.
      - Without it, what the gate said when it was last asked for this incident counts.
    type: dict
    default: {}
  force:
    description: Close the incident although ingestion is still paused for it, or the gate does not pass.
    type: bool
    default: false
  looked:
    description: What O(found) is the result of, with O(state=seen).
    type: str
    choices: [assess, gate, evidence]
  found:
    description: The result of that.
    type: dict
    default: {}
  stray_words:
    description: Words that were typed outside the quotes; the task refuses rather than lose them.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Open an incident
  scout.recovery.scout_incident:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    title: Gold is an hour behind
    severity: high

- name: Note what caused it
  scout.recovery.scout_incident:
    dsn: "{{ scout_dsn }}"
    state: noted
    root_cause: A deployment renamed a column that the loader reads

- name: Say how things stand, and promise the next update
  scout.recovery.scout_incident:
    dsn: "{{ scout_dsn }}"
    state: updated
    text: The backlog is loading
    next_update_minutes: 30
"""

RETURN = r"""
incident:
  description: Its name; null where there is none, with O(state=seen).
  returned: success
  type: str
title:
  description: What is wrong.
  returned: unless state=seen
  type: str
severity:
  description: Its severity now.
  returned: unless state=seen
  type: str
state:
  description: open or closed; in check mode, as it would be.
  returned: unless state=seen
  type: str
opened_at:
  description: When it was opened.
  returned: unless state=seen
  type: str
opened_by:
  description: Who opened it.
  returned: unless state=seen
  type: str
closed_at:
  description: When it was closed, or null.
  returned: unless state=seen
  type: str
closed_by:
  description: Who closed it, or null.
  returned: unless state=seen
  type: str
root_cause:
  description: The root cause as it was last noted, or null.
  returned: unless state=seen
  type: str
next_update_at:
  description: By when an update is promised, or null.
  returned: unless state=seen
  type: str
response_due_at:
  description: By when somebody had to respond, or null.
  returned: unless state=seen
  type: str
escalation:
  description: Who is notified of an incident of its severity.
  returned: unless state=seen
  type: list
  elements: str
overdue:
  description: What should have happened by now, each with what (response or update), due_at and seconds.
  returned: unless state=seen
  type: list
  elements: dict
missing:
  description: What only a person can supply and nobody has noted, of root_cause, external_dependencies and retrospective.
  returned: unless state=seen
  type: list
  elements: str
phases:
  description:
    - The phases of the runbook's checklist, each with phase, title, minutes, done and items. An item has item, text, done, and
      at, by and through, that is when, by whom and by which run or entry it was first settled.
  returned: unless state=seen
  type: list
  elements: dict
entries:
  description: What was said of it, the earliest first, each with entry, at, actor, kind, text and details.
  returned: unless state=seen
  type: list
  elements: dict
run_id:
  description: The line of the ledger that was written, or null.
  returned: state=seen
  type: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.incidents import command, results
from ..module_utils.recovery.incidents.checklist import PERSONAL
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

STATES = ["opened", "noted", "updated", "closed", "seen"]

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": STATES, "default": "opened"},
    "title": {"type": "str"},
    "severity": {"type": "str"},
    "severities": {"type": "dict", "default": {}},
    "text": {"type": "str"},
    "settles": {"type": "str"},
    **{name: {"type": "str"} for name in PERSONAL},
    "next_update_minutes": {"type": "float"},
    "adopt": {"type": "list", "elements": "str", "default": []},
    "adopt_since": {"type": "str"},
    "time_zone": {"type": "str"},
    "gate": {"type": "dict", "default": {}},
    "force": {"type": "bool", "default": False},
    "looked": {"type": "str", "choices": ["assess", "gate", "evidence"]},
    "found": {"type": "dict", "default": {}},
    "stray_words": {"type": "str"},
}

RULES: dict[str, t.Any] = {"required_if": [["state", "seen", ["looked"]]]}


def run(call: Call, params: Params) -> results.IncidentResult | results.SeenResult:
    """Keeps the record."""
    return command.keep(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run, **RULES)


if __name__ == "__main__":
    main()
