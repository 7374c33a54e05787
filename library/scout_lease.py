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
  - A second run is refused with the holder's name, since when and until when. A lease is free O(ttl_seconds) after its last
    renewal, or by O(takeover=true).
  - Until then a run waits for the next renewal, for 55 s at most, and is refused when it comes. In check mode nothing is waited for.
  - With one's own O(lease_token) O(state=held) has the lease last O(ttl_seconds) from now on, for tasks of other collections that
    take longer than it lasts. Whoever has the token of a lease that has expired goes on with it, unless somebody took it meanwhile.
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
      - After how long without a renewal the lease is free for others, in seconds. Every task that is given its token renews it when
        it begins and when it ends, and every 10 s between.
    type: int
    default: 50
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

- name: Have it last while a task works that renews no lease
  scout.recovery.scout_lease:
    dsn: "{{ scout_dsn }}"
    state: held
    ttl_seconds: 600
    lease_token: "{{ lease.token }}"

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
    options = {"takeover": takeover, "ttl_seconds": params["ttl_seconds"], "token": params["lease_token"]}
    return lease.hold(call.ensure(mode), call.progress, **options)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
