#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploying an edge function from a commit, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_edge_function
short_description: Deploy edge functions from a commit
version_added: 1.0.0
description:
  - Exports the folder C(supabase) of a commit and deploys functions from it with the Supabase CLI, one after the other.
  - Records each deployment in the ledger, before it begins and when it is complete.
  - JWT verification stays on unless O(verify_jwt=false), whatever C(supabase/config.toml) says.
  - Refuses functions that the commit does not have or disables, and links that lead out of C(supabase).
options:
  repository:
    description: Path of a clone that has the commit. Its branches, index and files stay as they are.
    type: path
    required: true
  commit:
    description: Full id of the commit to deploy from.
    type: str
    required: true
  functions:
    description: Names of the functions.
    type: list
    elements: str
    required: true
  previous_commit:
    description: Commit that the functions were deployed from until now, for the record.
    type: str
  project_ref:
    description: Reference of the Supabase project.
    type: str
    required: true
  cli:
    description: The Supabase CLI, by name or path.
    type: str
    default: supabase
  token:
    description:
      - Access token for Supabase. The CLI gets it in E(SUPABASE_ACCESS_TOKEN). Without it the CLI uses that variable or
        what C(supabase login) stored.
    type: str
  verify_jwt:
    description: Whether callers of the functions need a valid JWT.
    type: bool
    default: true
  force:
    description: Deploy even if the ledger says that these functions are already deployed.
    type: bool
    default: false
  timeout_seconds:
    description: How long the CLI may take for each function, in seconds.
    type: float
    default: 300.0
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  check_mode:
    support: full
    description: Makes every check and runs no CLI.
  diff_mode:
    support: none
  idempotent:
    support: full
    description:
      - A function is not deployed again if its last recorded deployment is complete and had the same O(commit),
        O(previous_commit) and O(verify_jwt). Deployments by other programs are not recorded; O(force=true) deploys in any case.
requirements:
  - git 2.31
  - the Supabase CLI
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Deploy a function from the commit of the last good release
  scout.recovery.scout_edge_function:
    dsn: "{{ scout_dsn }}"
    repository: /srv/deploy/scout
    commit: 3f2a9c1e0b7d4a6c8e9f0a1b2c3d4e5f60718293
    functions: [ingest-transaction]
    project_ref: abcdefghijklmnopqrst
    token: "{{ vault_supabase_token }}"
    incident: INC-2041
"""

RETURN = r"""
functions:
  description: Functions that were deployed, or would be.
  returned: success
  type: list
  elements: str
project_ref:
  description: The project.
  returned: success
  type: str
commit:
  description: Commit they were deployed from.
  returned: success
  type: str
previous_commit:
  description: Value of O(previous_commit); null without it.
  returned: success
  type: str
verify_jwt:
  description: Whether callers need a JWT.
  returned: success
  type: bool
output:
  description: The end of what the CLI printed, without secrets.
  returned: success, or if the CLI failed
  type: str
run_id:
  description: Run in the ledger; null if nothing was deployed.
  returned: success
  type: str
effects:
  description: What the ledger has of this run.
  returned: success
  type: dict
warnings:
  description: Functions that are open to everyone, or that config.toml wants to be.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import edge_function

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "repository": {"type": "path", "required": True},
    "commit": {"type": "str", "required": True},
    "functions": {"type": "list", "elements": "str", "required": True},
    "previous_commit": {"type": "str"},
    "project_ref": {"type": "str", "required": True},
    "cli": {"type": "str", "default": "supabase"},
    "token": {"type": "str", "no_log": True},
    "verify_jwt": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "float", "default": 300.0},
}


def run(call: Call, params: Params) -> edge_function.DeployResult:
    """Deploy the functions."""
    return edge_function.deploy(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
