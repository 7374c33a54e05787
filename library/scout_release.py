#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a release, and rolling back to it, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_release
short_description: Capture what the schemas of a Scout release consist of, and roll back to it
version_added: 0.1.0
description:
  - Records every object of some schemas, and what they depend on elsewhere, under the name of a release, in
    C(scout_ops.releases) and on request in a file. Tables with columns, defaults, identities, constraints and indexes; views,
    materialized views, functions, procedures and aggregates of every signature; types, sequences, triggers, rules, policies;
    owners, grants, default privileges and comments; extensions' versions, the jobs of pg_cron, the migration history, and the
    commit of the application.
  - PostgreSQL's own functions write every definition. The digest is the same wherever and in whatever order the same objects
    were made. Capturing an unchanged schema changes nothing.
  - A release that is already captured, and has changed since, is refused unless O(recapture=true); then the old capture
    stays as superseded. The error names what differs.
  - Reads the catalog in READ ONLY transactions until two readings in a row agree, and locks nothing stronger than ACCESS SHARE.
    Jobs that a pause disables count as they will be re-enabled.
  - Values of sequences, statistics and data are not captured, but for what O(protect) names.
  - With O(state=restored) rolls back to a capture. What the release did not have is dropped, what is missing is created, what differs
    is altered in place where PostgreSQL can do that, and otherwise recreated with everything that depends on it. All of it is one
    transaction, which commits only if the catalog then matches the capture.
  - The state before is captured in the same transaction, with all data that is dropped, so that M(scout.recovery.scout_undo)
    undoes it. Data that could not be saved, and what would be recreated without its data, is named and refused unless
    O(allow_lossy=true).
  - Jobs that a pause disables stay disabled, and the pause re-enables them as they were captured.
options:
  state:
    description: Whether the release is captured as it is now, or rolled back to.
    type: str
    choices: [captured, restored]
    default: captured
  release:
    description:
      - The name of the release. To roll back, required unless O(capture_id), O(release_file), O(drop_function) or O(drop_column) say
        what is meant; the latter two take the latest capture.
    type: str
  schemas:
    description:
      - Whose objects are captured, with what they depend on in other schemas; the pipeline's own schema unless given.
    type: list
    elements: str
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
      - With O(state=restored), the file to take the capture from instead of the ledger.
    type: path
  recapture:
    description: Let the current state replace another capture of the same release.
    type: bool
    default: false
  capture_id:
    description: The very capture to roll back to, as results of captures name it; one that was superseded, for example.
    type: str
  allow_lossy:
    description: Roll back even where that loses data that cannot be saved, or recreates without its data what had data.
    type: bool
    default: false
  drop_function:
    description:
      - Roll back this function alone, as C(schema.function(types)), and what depends on it. It gets the definition that was
        captured; one that was not there then is dropped. Where only other signatures exist they are named.
    type: str
  drop_column:
    description: The same for a column, as C(schema.table.column). Its data is saved before it is dropped.
    type: str
  down_scripts:
    description:
      - Files of SQL that run instead of the planned statements, in this order and in the same transaction, which commits only if
        the catalog then matches the capture. They cannot end the transaction.
    type: list
    elements: path
    default: []
  plan_file:
    description:
      - With O(state=restored) in check mode, where to write the plan. Otherwise the plan to apply; refused, naming what differs, when
        the database has drifted since.
    type: path
  look:
    description: In check mode, refuse what would be refused, and rehearse, rather than write a plan.
    type: bool
    default: false
  require_pause:
    description: Refuse to roll back unless ingestion is paused and nothing else loads silver.
    type: bool
    default: false
  jobs:
    description: Names of the jobs that count as ingestion; see M(scout.recovery.scout_ingestion).
    type: list
    elements: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.going
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Know the state before the deployment
  scout.recovery.scout_release:
    dsn: "{{ scout_dsn }}"
    state: captured
    release: v5.2.1
    git_dir: /srv/scout
    release_file: releases/v5.2.1.json
    protect: [scout.dim_store.opened_on]

- name: Roll back to it
  scout.recovery.scout_release:
    dsn: "{{ scout_dsn }}"
    state: restored
    release: v5.2.1
    require_pause: true

- name: Roll back one function alone
  scout.recovery.scout_release:
    dsn: "{{ scout_dsn }}"
    state: restored
    release: v5.2.1
    drop_function: scout.load_silver_from_bronze(integer)
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
  description: How many objects it has; in a rollback, how many are changed.
  returned: when captured
  type: int
kinds:
  description: The same by kind.
  returned: when captured
  type: dict
compared:
  description:
    - The capture it was compared with, by release, capture_id, captured_at and digest. That is the one of the same release, else
      the latest of another release of the same schemas, else null.
  returned: when captured
  type: dict
differs:
  description: What was added, dropped, renamed and changed since then, the latter with the parts of the definition.
  returned: when captured
  type: dict
differing:
  description: How many objects differ.
  returned: when captured
  type: int
protected:
  description: Each table of which data was saved, with relation, key, columns, rows and digest.
  returned: when captured
  type: list
  elements: dict
release_file:
  description: Where the capture was written, or null.
  returned: when captured
  type: str
steps:
  description:
    - The steps of the rollback in order, each with does, key, statements, the strongest lock as pg_locks calls it, and hazard.
      The hazard is none, blocks writes, rewrites, or loses data.
  returned: when restored
  type: list
  elements: dict
step_count:
  description: How many steps there are.
  returned: when restored
  type: int
lock:
  description: The strongest lock of all steps.
  returned: when restored
  type: str
hazard:
  description: The worst hazard of all steps.
  returned: when restored
  type: str
loses:
  description: What is dropped with data that cannot be saved.
  returned: when restored
  type: list
  elements: str
goal:
  description: What is rolled back to, for a person; the name of a release, or the state before a run.
  returned: when restored
  type: str
empty:
  description: What would be recreated without its data.
  returned: when restored
  type: list
  elements: str
newer:
  description:
    - What is dropped although neither this capture nor a later one has it; somebody created it since. Its data is saved like
      any that is dropped.
  returned: when restored
  type: list
  elements: str
impossible:
  description: What cannot be rolled back.
  returned: when restored
  type: list
  elements: str
saved:
  description: Each table of which data is saved before it is dropped, with relation and columns; with rows and digest once it was.
  returned: when restored
  type: list
  elements: dict
filled:
  description: What is restored with saved data; each table with columns and rows once it was.
  returned: when restored
  type: list
  elements: raw
before:
  description: The capture of the state before, by release, capture_id and digest; null where nothing was done.
  returned: when restored
  type: dict
undo:
  description: The run to give to M(scout.recovery.scout_undo); null where nothing was done.
  returned: when restored
  type: str
held:
  description: Jobs that were re-enabled and that a pause keeps disabled until it ends.
  returned: when restored
  type: list
  elements: str
attempts:
  description: How many attempts yielded to other sessions' locks.
  returned: when restored
  type: int
seconds:
  description: How long the transaction lasted.
  returned: when restored
  type: float
rehearsal:
  description:
    - Whether the rollback was rehearsed, done, with reason where it could not be, undo with what prevents undoing it, and seconds.
    - Null where it was not wanted.
  returned: when restored
  type: dict
only:
  description: The key of the one object that was meant; null where all were.
  returned: when restored
  type: str
down_scripts:
  description: The files that ran instead of the planned statements.
  returned: when restored
  type: list
  elements: str
plan:
  description: What tells this plan from every other.
  returned: when restored
  type: dict
plan_file:
  description: Where the plan was written, or null.
  returned: when restored
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

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.release.captures import capture
from ..module_utils.recovery.release.restore import command as restore_command
from ..module_utils.recovery.release.restore import request as restore_request

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **restore_request.RESTORE_SPEC,
    **restore_command.GOING_SPEC,
    "state": {"type": "str", "choices": ["captured", "restored"], "default": "captured"},
    "release": {"type": "str"},
    "schemas": {"type": "list", "elements": "str"},
    "migrations_table": {"type": "str", "default": "supabase_migrations.schema_migrations"},
    "git_commit": {"type": "str"},
    "git_dir": {"type": "path"},
    "protect": {"type": "list", "elements": "str", "default": []},
    "max_rows": {"type": "int", "default": 100_000},
    "release_file": {"type": "path"},
    "recapture": {"type": "bool", "default": False},
    "plan_file": {"type": "path"},
    "look": {"type": "bool", "default": False},
    "require_pause": {"type": "bool", "default": False},
    "jobs": {"type": "list", "elements": "str"},
}

RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["git_commit", "git_dir"], ["drop_function", "drop_column"]],
    "required_if": [["state", "captured", ["release"]]],
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Captures the release unless it is captured as it is; or rolls back to it."""
    return (restore_command.restored if params["state"] == "restored" else _captured)(call, params)


def _captured(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    want = capture.wanted(params)
    ledger = capture.place(call, want, params["ledger"])
    seen = capture.look(call, ledger, want)
    todo = capture.plan(seen, want, call.session.where)
    done: dict[str, t.Any] = {"document": seen.existing or seen.made, "run_id": None, "effects": {}}
    if call.check and todo.capture:
        done["document"] = seen.made
    elif todo.changed and not call.check:
        done = capture.apply(call, ledger, seen, want, todo, params)
    kept = done["document"]
    result = capture.described(seen, want, kept)
    return {
        **result,
        "changed": todo.changed,
        "run_id": done["run_id"],
        "effects": done["effects"],
        "warnings": [*ledger.warnings, *result["warnings"]],
        "summary": capture.summary(seen, want, todo, kept, check=call.check),
        "diff": capture.shown(seen, kept),
    }


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, **RULES)
    result = invoke(run, "scout_release", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
