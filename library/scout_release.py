#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a release as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_release
short_description: Record what the schemas of a Scout release consist of
version_added: 0.1.0
description:
  - Records every object of some schemas, and what they depend on elsewhere, under the name of a release, in
    C(scout_ops.releases) and on request in a file. Tables with columns, defaults, identities, constraints and indexes; views,
    materialized views, functions, procedures and aggregates of every signature; types, sequences, triggers, rules, policies;
    owners, grants, default privileges and comments; extensions' versions, the jobs of pg_cron, the migration history, and the
    commit of the application.
  - PostgreSQL's own functions write every definition. The digest is the same wherever and in whatever order the same objects
    were made. Capturing an unchanged schema changes nothing.
  - A release that is captured already, and is something else now, is refused unless O(recapture=true); then the old capture
    stays as superseded. The error names what differs.
  - Reads the catalog in READ ONLY transactions until two readings in a row agree, and locks nothing stronger than ACCESS SHARE.
    What a pause holds counts as it will be given back.
  - Values of sequences, statistics and data are not captured, but for what O(protect) names.
options:
  state:
    description: The wanted state.
    type: str
    choices: [captured]
    default: captured
  release:
    description: The name of the release.
    type: str
    required: true
  schemas:
    description: Whose objects are captured, with what they depend on in other schemas.
    type: list
    elements: str
    default: [scout]
  migrations_table:
    description: The table whose rows are the migration history. Where it does not exist, or with an empty name, there is none.
    type: str
    default: supabase_migrations.schema_migrations
  git_commit:
    description: The whole id of the commit of the application that belongs to the release.
    type: str
  git_dir:
    description: A folder with a checkout of the application, whose commit is taken; where the module runs.
    type: path
  protect:
    description:
      - Data to save with the capture, as C(schema.table.column), or C(schema.table) for all columns, quoted as in SQL where needed.
        Such a table needs a primary key. All of it is saved as of one moment.
    type: list
    elements: str
    default: []
  max_rows:
    description: Refuse to save more rows of data than this.
    type: int
    default: 100000
  release_file:
    description:
      - Where to write the capture as JSON, readable by its owner alone. A file that holds another release is not replaced; an
        older capture of this one is kept beside it.
    type: path
  recapture:
    description: Let what there is now take the place of another capture of the same release.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Know what there was before the deployment
  scout.recovery.scout_release:
    dsn: "{{ scout_dsn }}"
    state: captured
    release: v5.2.1
    git_dir: /srv/scout
    release_file: releases/v5.2.1.json
    protect: [scout.dim_store.opened_on]
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when nothing had to be captured.
  returned: success
  type: str
release:
  description: The name of the release.
  returned: success
  type: str
capture_id:
  description: Identifies the capture in C(scout_ops.releases); in check mode, of one that is not kept.
  returned: success
  type: str
digest:
  description: SHA-256 of all definitions.
  returned: success
  type: str
captured_at:
  description: When it was captured, by the clock of the database.
  returned: success
  type: str
git_commit:
  description: The commit of the application, or null.
  returned: success
  type: str
objects:
  description: How many objects it has.
  returned: success
  type: int
kinds:
  description: The same by kind.
  returned: success
  type: dict
compared:
  description:
    - The capture it was compared with, by release, capture_id, captured_at and digest. That is the one of the same release, else
      the youngest of another release of the same schemas, else null.
  returned: success
  type: dict
differs:
  description: What was added, dropped, renamed and changed since then, the latter with the parts of the definition.
  returned: success
  type: dict
differing:
  description: How many objects differ.
  returned: success
  type: int
protected:
  description: Each table of which data was saved, with relation, key, columns, rows and digest.
  returned: success
  type: list
  elements: dict
release_file:
  description: Where the capture was written, or null.
  returned: success
  type: str
effects:
  description: What the run kept, as the ledger has it.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery import capturing
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["captured"], "default": "captured"},
    "release": {"type": "str", "required": True},
    "schemas": {"type": "list", "elements": "str", "default": ["scout"]},
    "migrations_table": {"type": "str", "default": "supabase_migrations.schema_migrations"},
    "git_commit": {"type": "str"},
    "git_dir": {"type": "path"},
    "protect": {"type": "list", "elements": "str", "default": []},
    "max_rows": {"type": "int", "default": 100_000},
    "release_file": {"type": "path"},
    "recapture": {"type": "bool", "default": False},
}

RULES: dict[str, t.Any] = {"mutually_exclusive": [["git_commit", "git_dir"]]}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Captures the release unless it is captured as it is."""
    want = capturing.wanted(params)
    ledger = capturing.place(call, want, params["ledger"])
    seen = capturing.look(call, ledger, want)
    todo = capturing.plan(seen, want, call.session.where)
    done: dict[str, t.Any] = {"document": seen.existing or seen.made, "run_id": None, "effects": {}}
    if call.check and todo.capture:
        done["document"] = seen.made
    elif todo.changed and not call.check:
        done = capturing.apply(call, ledger, seen, want, todo, params)
    kept = done["document"]
    result = capturing.described(seen, want, kept)
    return {
        **result,
        "changed": todo.changed,
        "run_id": done["run_id"],
        "effects": done["effects"],
        "warnings": [*ledger.warnings, *result["warnings"]],
        "summary": capturing.summary(seen, want, todo, kept, check=call.check),
        "diff": capturing.shown(seen, kept),
    }


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, **RULES)
    result = invoke(run, "scout_release", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
