#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_lease
short_description: Hold or release the right to change a Scout pipeline
version_added: 1.0.0
description:
  - One operator at a time. O(state=held) takes the lease for this playbook run; every later write of a task given
    RV(token) as O(scout.recovery.scout_ingestion#module:lease_token) proves and renews it in its own transaction.
  - A second run is refused with the holder's name. A holder whose controller process is gone, on the same machine,
    no longer counts; any other lease is free O(ttl_seconds) after the last renewal, or by O(takeover=true).
  - A holder on another machine is waited for until the next sign of life, which comes every few seconds, or until the lease is
    free, and for 35 s at most. In check mode nothing is waited for.
  - A run that was frozen, or cut off from the database, for longer than that is refused at its next write.
  - O(state=released) refuses the token of somebody else who is at work, and names them.
  - Where the ledger is off or may not be created there is no lease, and the result says so.
options:
  state:
    description: Whether the lease is to be held or released.
    type: str
    choices: [held, released]
    default: held
  ttl_seconds:
    description:
      - After how long without a renewal the lease expires, in seconds. Where the controller has a session on the database
        itself, a process beside it renews the lease every few seconds, and the lease does not expire while the server sees
        that session. A module that is executed on a target has no such process, and its lease lasts 15 minutes or more.
    type: int
    default: 25
attributes:
  idempotent:
    details: Taking a lease is not a change of the pipeline, so C(changed) is always false.
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Take the lease for this incident
  scout.recovery.scout_lease:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    state: held
  register: lease

- name: Release it
  scout.recovery.scout_lease:
    dsn: "{{ scout_dsn }}"
    state: released
    lease_token: "{{ lease.token }}"
"""

RETURN = r"""
token:
  description: Fencing token to pass as C(lease_token); null where there is no ledger.
  returned: success
  type: int
run_id:
  description: The run the lease is held for; runs of later tasks name it as their parent. Null where there is no lease.
  returned: state=held
  type: str
owner:
  description: Who holds it.
  returned: success
  type: str
summary:
  description: One line for a person.
  returned: success
  type: str
warnings:
  description: Why there is no lease, or whose was taken over.
  returned: when there is something to warn of
  type: list
  elements: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.ledger import lease

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "ttl_seconds": {"type": "int", "default": lease.LEASE_SECONDS},
}


def run(call: Call, params: Params) -> lease.LeaseResult:
    """Holds or frees the lease."""
    mode, takeover = params["ledger"], params["takeover"]
    if params["state"] == "released":
        return lease.free(call.look(mode), params["lease_token"], check=call.check)
    if call.check:
        return lease.foresee(call.look(mode), takeover=takeover)
    return lease.hold(call.ensure(mode), call.progress, takeover=takeover, ttl_seconds=params["ttl_seconds"])


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
