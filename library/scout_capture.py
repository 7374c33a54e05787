#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a release as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_capture
short_description: Capture what the schemas of a Scout release consist of
version_added: 1.0.0
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
  - Reads the catalog in READ ONLY transactions until nothing changes during a reading, or two in a row agree, and locks nothing
    stronger than ACCESS SHARE.
    Jobs that a pause disables count as they will be re-enabled.
  - Values of sequences, statistics and data are not captured, but for what O(protect) names.
options:
  release:
    description: The name of the release.
    type: str
    required: true
  schemas:
    description:
      - Whose objects are captured, with what they depend on in other schemas; the pipeline's own schema unless given.
    type: list
    elements: str
  migrations_table:
    description:
      - The tables whose rows are the migration history. Each is a name, or V(table) with V(key), the columns that a row is known by,
        and V(state), those by which it says that a file was applied; other columns are restored with a row, and are no difference.
      - By default V(supabase_migrations.schema_migrations), and V(migration_manifest) in the pipeline's own schema, whose columns are
        found by their names; where these are not known a warning says so, and the table is left alone.
      - Of a table that is given by its name alone all columns count, and rows are known by V(version) or the primary key. One that does
        not exist has no rows; an empty name stands for no table.
    type: list
    elements: raw
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
    description: Let the current state replace another capture of the same release.
    type: bool
    default: false
  deployed_by:
    description:
      - The role that runs the migrations of the next release. The task fails if a rollback by this session's role could not drop what
        that role creates, and names the statement that changes this.
      - V(*) stands for every role that may create objects in the schemas, except superusers.
      - Not checked by default.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Know what there was before the deployment
  scout.recovery.scout_capture:
    dsn: "{{ scout_dsn }}"
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
      the latest of another release of the same schemas, else null.
  returned: success
  type: dict
differs:
  description:
    - What was added, dropped, renamed and changed since then, the latter with the parts of the definition; null where it was
      compared with none.
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

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.release.captures import command

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "release": {"type": "str", "required": True},
    "schemas": {"type": "list", "elements": "str"},
    "migrations_table": {"type": "list", "elements": "raw"},
    "git_commit": {"type": "str"},
    "git_dir": {"type": "path"},
    "protect": {"type": "list", "elements": "str", "default": []},
    "max_rows": {"type": "int", "default": 100_000},
    "release_file": {"type": "path"},
    "recapture": {"type": "bool", "default": False},
    "deployed_by": {"type": "str"},
}

RULES: dict[str, t.Any] = {"mutually_exclusive": [["git_commit", "git_dir"]]}


def run(call: Call, params: Params) -> command.CaptureResult:
    """Captures the release unless it is captured as it is."""
    return command.capture(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run, **RULES)


if __name__ == "__main__":
    main()
