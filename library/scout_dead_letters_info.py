#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead letter queue as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_dead_letters_info
short_description: List the dead letter queue of a Scout pipeline by error and source
version_added: 1.0.0
description:
  - Reads the unresolved entries of C(bronze_events_dlq), at most 100,000 of them, in READ ONLY transactions. Writes nothing.
  - Returns the newest entry of each error and source with ids, times, size and amount, but without its payload.
options:
  error_codes:
    description: Only entries with these error codes; all if empty.
    type: list
    elements: str
  source_systems:
    description: Only entries of these sources; all if empty.
    type: list
    elements: str
  limit:
    description: How many errors and sources at most, the most frequent first; 100 at most.
    type: int
    default: 20
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: What is in the dead letter queue?
  scout.recovery.scout_dead_letters_info:
    dsn: "{{ scout_dsn }}"
    error_codes: [POISON_EVENT]
"""

RETURN = r"""
entries:
  description: How many entries are unresolved; 100,000 where there are more.
  returned: success
  type: int
limited:
  description: Whether there may be more than were read.
  returned: success
  type: bool
ages:
  description: How many failed within the last C(hour), the C(day) before, the C(week) before, and how many are C(older).
  returned: success
  type: dict
kinds:
  description: How many kinds of errors and sources there are, listed or not.
  returned: success
  type: int
groups:
  description:
    - Each kind of error and source with error_code, sqlstate, error (the message without values), source_system, entries, retried (how
      many were), oldest_seconds, newest_seconds and sample.
    - The sample is the newest entry, with dlq_id, event_id, run_id, incident, failed_at, error_message (without values), bytes (the size
      of the payload), amount (the total if it is a number, and the payload is not larger than 16 kB), and look (the statement that
      shows the entry with its payload).
  returned: success
  type: list
  elements: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.health import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "error_codes": {"type": "list", "elements": "str"},
    "source_systems": {"type": "list", "elements": "str"},
    "limit": {"type": "int", "default": 20},
}


def run(call: Call, params: Params) -> command.DeadLettersResult:
    """Lists the queue."""
    return command.list_dead_letters(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
