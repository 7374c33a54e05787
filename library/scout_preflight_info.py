#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look before the first step as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_preflight_info
short_description: Check that a role may operate a Scout pipeline
version_added: 1.0.0
description:
  - Finds every privilege that the role lacks for the named actions and gives the C(GRANT) that fixes it.
  - Fails when one is missing, unless O(required=false).
  - Warns of a connection pooler between the client and the server, and of a Python without compiled bytecode.
options:
  required:
    description: Fail when a privilege is missing.
    type: bool
    default: true
  job_rights:
    description: Look as well whether the pipeline's own jobs can do their work with their role and their functions' owners.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.foreseen
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Name the privileges that are missing for an emergency reset
  scout.recovery.scout_preflight_info:
    dsn: "{{ scout_dsn }}"

- name: Name those that are missing for a quarantine
  scout.recovery.scout_preflight_info:
    dsn: "{{ scout_dsn }}"
    actions: [pause, quarantine, drain, refresh_gold]
    ledger: required
"""

RETURN = r"""
missing:
  description: Each missing privilege with the action that needs it and the GRANT that fixes it.
  returned: always
  type: list
  elements: dict
hindered:
  description: With O(job_rights), what keeps the pipeline's jobs from their work, each with job, problem and statement.
  returned: success
  type: list
  elements: dict
role:
  description: The database role.
  returned: success
  type: str
superuser:
  description: Whether it is a superuser.
  returned: success
  type: bool
service:
  description: The hosted service that the server seems to belong to, by the roles that it has; null where it seems to be none.
  returned: success
  type: str
  sample: Supabase
server_version:
  description: C(server_version_num) of PostgreSQL.
  returned: success
  type: int
pooled:
  description: Whether a connection pooler is between the client and the server.
  returned: success
  type: bool
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import preflight, results

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **preflight.FORESEEN_SPEC,
    "required": {"type": "bool", "default": True},
    "job_rights": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> results.PreflightResult:
    """Names what is missing."""
    return preflight.check(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
