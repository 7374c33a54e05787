#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending stuck sessions as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_terminate_sessions
short_description: End stuck sessions of a Scout pipeline
version_added: 1.0.0
description:
  - Finds who is really stuck, by what they hold and not by what their query mentions. These are holders of Scout's
    advisory keys, sessions that run the ETL or refresh gold (by write locks, by pg_cron's runs, by a call in their
    statement), and the root blockers of either.
  - Records them, cancels, waits, terminates, and proves that each is gone. A pid is used only together with the start
    of its process.
  - Protected roles, superusers (unless we are one) and the toolkit's own sessions are reported and left alone.
options:
  state:
    description:
      - The wanted state.
    type: str
    choices: [terminated]
    default: terminated
  stuck_after_seconds:
    description: Age of a transaction, or of an idle holder's idleness, from which a session counts as stuck, in seconds.
    type: float
    default: 600.0
  cancel_wait_seconds:
    description: How long a cancelled statement may take to end before its session is terminated, in seconds.
    type: float
    default: 5.0
  terminate_wait_seconds:
    description: How long a terminated session may take to be gone before the task fails, in seconds.
    type: float
    default: 10.0
  max_sessions:
    description: Refuse to end more sessions than this, not counting those of roles that can write nothing of the pipeline.
    type: int
    default: 20
  protected_roles:
    description: Database roles whose sessions are never ended, besides those of replication.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  check_mode:
    details: Fails where ending them, or a refresh of gold after it, would fail. The emergency reset asks so before it pauses.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: End sessions that have been stuck for ten minutes
  scout.recovery.scout_terminate_sessions:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    stuck_after_seconds: 600
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when nothing was stuck.
  returned: success
  type: str
ended:
  description: The sessions that were ended, or would be in check mode, with how and their full description.
  returned: success
  type: list
  elements: dict
left:
  description: Stuck sessions that were left alone, and why.
  returned: success
  type: list
  elements: dict
waiting:
  description: Sessions that waited for one of them.
  returned: success
  type: list
  elements: dict
tree:
  description: Who waits for whom, one line a session, for reading.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
effects:
  description: Numbers of sessions by what became of them.
  returned: success
  type: dict
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import command, results
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["terminated"], "default": "terminated"},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "cancel_wait_seconds": {"type": "float", "default": 5.0},
    "terminate_wait_seconds": {"type": "float", "default": 10.0},
    "max_sessions": {"type": "int", "default": 20},
    "protected_roles": {"type": "list", "elements": "str", "default": []},
}


def run(call: Call, params: Params) -> results.TerminationResult:
    """Ends what is stuck."""
    return command.terminate(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
