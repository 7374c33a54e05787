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
version_added: 0.1.0
description:
  - One operator at a time. O(state=held) takes the lease for this playbook run; every later write of a task given
    RV(token) as O(scout.recovery.scout_ingestion#module:lease_token) proves and renews it in its own transaction.
  - A second run is refused with the holder's name. A holder whose controller process is gone, on the same machine,
    no longer counts; any other lease expires after O(ttl_seconds) without a write, or by O(takeover=true).
  - Where the ledger is off or may not be created there is no lease, and the result says so.
options:
  state:
    description: Whether the lease is to be held or released.
    type: str
    choices: [held, released]
    default: held
  ttl_seconds:
    description: After how long without a write the lease expires, in seconds.
    type: int
    default: 900
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
  description: The run the lease is held for; runs of later tasks name it as their parent.
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
import uuid

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.ledger import lease as ledger_lease
from ..module_utils.recovery.ledger.controller import holder_is_dead

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "ttl_seconds": {"type": "int", "default": 900},
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Holds or frees the lease."""
    actor = call.controller.actor
    if params["state"] == "released":
        if params["lease_token"] is None:
            raise BadInput("state=released needs lease_token", next_step="pass the token that state=held returned")
        if call.check:
            return {
                "changed": False,
                "token": params["lease_token"],
                "owner": actor,
                "summary": "would release the lease",
            }
        freed = ledger_lease.release(call.look(params["ledger"]), params["lease_token"])
        return {
            "changed": False,
            "token": params["lease_token"],
            "owner": actor,
            "summary": "lease released" if freed else "lease was no longer ours",
        }
    ledger = call.look(params["ledger"]) if call.check else call.ensure(params["ledger"])
    if call.check:
        with call.session.read():
            seen = ledger_lease.read(ledger)
        if seen and seen["held"] and not params["takeover"] and not holder_is_dead(seen, call.controller):
            raise ledger_lease.held_by(seen, call.session.where)
        return {"changed": False, "token": None, "run_id": None, "owner": actor, "summary": "the lease is free"}
    lease = ledger_lease.acquire(ledger, str(uuid.uuid4()), takeover=params["takeover"], seconds=params["ttl_seconds"])
    if lease is None:
        return {
            "changed": False,
            "token": None,
            "run_id": None,
            "owner": actor,
            "summary": "no ledger, so no lease",
            "warnings": ledger.warnings,
        }
    result = {
        "changed": False,
        "token": lease.token,
        "run_id": lease.run_id,
        "owner": actor,
        "summary": f"lease held by {actor} for {call.incident}",
    }
    return {**result, "warnings": [lease.note]} if lease.note else result


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_lease", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
