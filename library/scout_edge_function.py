#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploying an edge function from a commit, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_edge_function
short_description: Deploy an edge function from the tree of a commit
version_added: 1.0.0
description:
  - Takes the folder C(supabase) out of a commit of a local clone, whatever is checked out there, and deploys a function of it
    with the Supabase CLI.
  - JWT verification stays on unless O(verify_jwt=false), and then the result warns. A C(verify_jwt = false) that the commit's
    C(config.toml) has for the function does not count.
  - Records which commit was deployed and which before it, so that this can be undone, as a run C(deploy) of the ledger
    C(scout_ops), or in O(state_file). Without one of the two it refuses.
  - Files are exported as a checkout would have them, filters included, such as that of Git LFS. A function in a submodule is
    refused.
options:
  repository:
    description: Path of a local clone with its whole history.
    type: path
    required: true
  commit:
    description: Commit to deploy from, by its id or a tag.
    type: str
    required: true
  function:
    description: Name of the function.
    type: str
    default: ingest-transaction
  functions:
    description:
      - Names of several functions, instead of O(function). They are deployed one after the other; where one fails the rest is left, and the
        same task again goes on. An empty list deploys none.
    type: list
    elements: str
  skip_missing:
    description: Leave those of O(functions) that the commit does not have, with a warning, instead of refusing all.
    type: bool
    default: false
  functions_dir:
    description: Where functions are, from the top of the repository; ends in C(supabase/functions).
    type: str
    default: supabase/functions
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
      - Access token for Supabase, passed in E(SUPABASE_ACCESS_TOKEN) and never shown. Without it, that variable or what
        C(supabase login) stored in a file is used. The CLI has a home of its own, in which nothing of the operator's is.
    type: str
  verify_jwt:
    description: Whether callers of the function need a valid JWT.
    type: bool
    default: true
  force:
    description: Deploy although the last deployment was the same.
    type: bool
    default: false
  previous_commit:
    description:
      - The commit that runs now, for the first time, when no deployment has been recorded yet. Later it is ignored.
    type: str
  state_file:
    description: Where deployments are recorded instead of the ledger; then no database is needed.
    type: path
  timeout_seconds:
    description: How long the CLI may take, in seconds.
    type: float
    default: 300.0
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  check_mode:
    support: full
    description: Checks that commit, function and CLI exist and what was deployed last. Runs nothing but git, for reading.
  diff_mode:
    support: full
    description: Returns the commit deployed before and after.
  idempotent:
    support: full
    description:
      - A second run is C(changed=false) where the last deployment begun for the function and project finished and was from the
        same commit with the same O(verify_jwt). Deployments by others are not seen. O(force=true) deploys again.
requirements:
  - git 2.31
  - the Supabase CLI
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Deploy the function as it was captured
  scout.recovery.scout_edge_function:
    dsn: "{{ scout_dsn }}"
    repository: /srv/deploy/scout
    commit: 3f2a9c1e
    project_ref: abcdefghijklmnopqrst
    token: "{{ vault_supabase_token }}"
    incident: INC-2041

- name: Undo that deployment
  scout.recovery.scout_edge_function:
    dsn: "{{ scout_dsn }}"
    repository: /srv/deploy/scout
    commit: "{{ deployed.previous_commit }}"
    project_ref: abcdefghijklmnopqrst
"""

RETURN = r"""
function:
  description: The function; of several those that were deployed, with commas between them.
  returned: success
  type: str
project_ref:
  description: The project.
  returned: success
  type: str
deployments:
  description:
    - Of O(functions) each with function, changed, commit, tree, verify_jwt, previous_commit, files, seconds, output, run_id and summary.
      What is said of all of them beside this is the sum, or that of the first that changed.
  returned: with functions
  type: list
  elements: dict
commit:
  description: The commit it was deployed from.
  returned: success
  type: str
tree:
  description: The tree of the folder of functions in it.
  returned: success
  type: str
verify_jwt:
  description: Whether callers need a JWT.
  returned: success
  type: bool
previous_commit:
  description: The commit deployed before, for undoing this; null where none is known.
  returned: success
  type: str
files:
  description: How many files were exported.
  returned: success
  type: int
output:
  description: The end of what the CLI wrote, without secrets.
  returned: success, or when the CLI failed
  type: str
exit_code:
  description: How the CLI ended; null where it took too long.
  returned: when the CLI failed
  type: int
seconds:
  description: How long the CLI took.
  returned: success
  type: float
run_id:
  description: The run in the ledger or the state file; null in check mode.
  returned: success
  type: str
effects:
  description: What was recorded, or would be.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.application import command, edge_function
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, WithoutSession, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "repository": {"type": "path", "required": True},
    "commit": {"type": "str", "required": True},
    "function": {"type": "str", "default": "ingest-transaction"},
    "functions": {"type": "list", "elements": "str"},
    "skip_missing": {"type": "bool", "default": False},
    "functions_dir": {"type": "str", "default": "supabase/functions"},
    "project_ref": {"type": "str", "required": True},
    "cli": {"type": "str", "default": "supabase"},
    "token": {"type": "str", "no_log": True},
    "verify_jwt": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    "previous_commit": {"type": "str"},
    "state_file": {"type": "path"},
    "timeout_seconds": {"type": "float", "default": 300.0},
}


def run(call: Call | WithoutSession, params: Params) -> edge_function.DeployResult:
    """Deploys."""
    return command.deploy(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
