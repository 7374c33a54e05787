#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at what changes in a pipeline as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_top_info
short_description: Look once at what changes in a Scout pipeline
version_added: 1.0.0
description:
  - Reads how old bronze, silver and gold are, the backlog and by how many events it grows each minute, each job with its last run and
    its last error of the last hour, which sessions block which, and who holds the lease and at which step.
  - All of it on one snapshot, in a READ ONLY transaction, and within O(budget_seconds). What cannot be read is said, and left out.
options:
  budget_seconds:
    description:
      - How long it may take, in seconds; by default 5, and longer where PostgreSQL expects that much of a large pipeline.
    type: float
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.jobs
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Look once
  scout.recovery.scout_top_info:
    dsn: "{{ scout_dsn }}"
  register: top
"""

RETURN = r"""
at:
  description: When, by the clock of the database; null where it could not be asked.
  returned: success
  type: str
ingestion:
  description: running while any job of it can start, paused, or unknown.
  returned: success
  type: str
paused_by:
  description: Who paused it; null where nobody did, or the ledger does not say.
  returned: success
  type: str
reason:
  description: Why, as whoever paused it said; null where nobody did.
  returned: success
  type: str
ages:
  description: bronze_seconds and silver_seconds since the newest row, and gold, a list with view, seconds since its refresh and state.
  returned: success
  type: dict
backlog:
  description: events that wait, oldest_seconds, and arrived, loaded and slope (the difference) per minute, of the last five minutes.
  returned: success
  type: dict
dead_letters:
  description: How many entries of the dead letter queue are unresolved; null where that could not be read.
  returned: success
  type: int
jobs:
  description: Each job with job, active, last_status, last_seconds_ago, last_error and last_error_seconds_ago, of the last hour.
  returned: success
  type: list
  elements: dict
blocking:
  description:
    - Sessions that keep others waiting, or hold a key of the pipeline, each followed by those that wait for it, with depth, pid, role,
      application, state, wait, job, seconds, keys, statement (without secrets) and blocked_by.
  returned: success
  type: list
  elements: dict
lease:
  description: Who is at work, with owner, incident, seconds, step and step_seconds; null where nobody is.
  returned: success
  type: dict
unread:
  description: Why what could not be read was not, by name.
  returned: success
  type: dict
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
    "budget_seconds": {"type": "float"},
    "jobs": {"type": "list", "elements": "str"},
}


def run(call: Call, params: Params) -> command.TopResult:
    """Looks once."""
    return command.look(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
