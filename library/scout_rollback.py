#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling back to a captured release as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_rollback
short_description: Roll the schemas of a Scout pipeline back to a captured release
version_added: 1.0.0
description:
  - Rolls back to a capture of M(scout.recovery.scout_capture). What the release did not have is dropped, what is missing is
    created, what differs is altered in place where PostgreSQL can do that, and otherwise recreated with everything that depends
    on it. All of it is one transaction, which commits only if the catalog then matches the capture.
  - The state before is captured in the same transaction, with all data that is dropped, so that M(scout.recovery.scout_undo)
    undoes it. Data that could not be saved, and what would be recreated without its data, is named and refused unless
    O(allow_lossy=true).
  - Jobs that a pause disables stay disabled, and the pause re-enables them as they were captured.
options:
  release:
    description:
      - The name of the release; required unless O(capture_id), O(release_file), O(drop_function) or O(drop_column) say
        what is meant; the latter two take the latest capture.
    type: str
  capture_id:
    description: The very capture to roll back to, as results of captures name it; one that was superseded, for example.
    type: str
  release_digest:
    description:
      - The digest that the capture must have, all 64 digits, as the result of M(scout.recovery.scout_capture) has it; another one is
        refused. Whoever may write the ledger can replace a capture.
    type: str
  allow_owners:
    description:
      - Roles that may own what is made or changed although they are superusers, or own nothing of the release today.
    type: list
    elements: str
    default: []
  release_file:
    description: The file to take the capture from instead of the ledger.
    type: path
  allow_lossy:
    description: Roll back even where that loses data that cannot be saved, or recreates without its data what had data.
    type: bool
    default: false
  default_grants:
    description:
      - What becomes of default privileges of C(anon), C(authenticated) and C(service_role), the roles of a hosted API, that were
        revoked since the capture.
      - V(keep) leaves them revoked, and reports it, so that nothing that is made later is exposed.
      - V(restore) grants them again.
    type: str
    choices: [keep, restore]
    default: keep
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
  max_rows:
    description: Refuse to save more rows of data than this.
    type: int
    default: 100000
  look:
    description: In check mode, refuse what would be refused, and rehearse.
    type: bool
    default: false
  require_pause:
    description: Refuse to roll back unless ingestion is paused and nothing else loads silver.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.going
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Roll back to the release before
  scout.recovery.scout_rollback:
    dsn: "{{ scout_dsn }}"
    release: v5.2.1
    require_pause: true

- name: Roll back one function alone
  scout.recovery.scout_rollback:
    dsn: "{{ scout_dsn }}"
    release: v5.2.1
    drop_function: scout.load_silver_from_bronze(integer)
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when nothing was done.
  returned: success
  type: str
release:
  description: The name of the release.
  returned: success
  type: str
capture_id:
  description: The capture that is rolled back to.
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
  description: How many objects are changed.
  returned: success
  type: int
steps:
  description:
    - The steps of the rollback in order, each with does, key, statements, the strongest lock as pg_locks calls it, and hazard.
      The hazard is none, blocks writes, rewrites, or loses data.
  returned: success
  type: list
  elements: dict
step_count:
  description: How many steps there are.
  returned: success
  type: int
lock:
  description: The strongest lock of all steps.
  returned: success
  type: str
hazard:
  description: The worst hazard of all steps.
  returned: success
  type: str
loses:
  description: What is dropped with data that cannot be saved.
  returned: success
  type: list
  elements: str
goal:
  description: What is rolled back to, for a person; the name of a release, or the state before a run.
  returned: success
  type: str
empty:
  description: What would be recreated without its data.
  returned: success
  type: list
  elements: str
reordered:
  description: Tables whose columns stand in another order afterwards than captured, which O(column_order=exact) would change.
  returned: success
  type: list
  elements: str
stays:
  description: Partitions that were made since the capture and stay with their rows, which O(new_partitions=drop) would change.
  returned: success
  type: list
  elements: str
blocks_undo:
  description:
    - Columns that are dropped, must have a value in every row and have no default. Once their table has a new row, an undo is
      refused, because that row has no value for them.
  returned: success
  type: list
  elements: str
copies:
  description:
    - Tables that are copied for the order of their columns, each with relation, about how many rows and bytes, and locked_seconds, about
      how long nobody else can read or write it.
  returned: success
  type: list
  elements: dict
newer:
  description:
    - What is dropped although neither this capture nor a later one has it; somebody created it since. Its data is saved like
      any that is dropped.
  returned: success
  type: list
  elements: str
impossible:
  description: What cannot be rolled back.
  returned: success
  type: list
  elements: str
obstacles:
  description:
    - What PostgreSQL would refuse, found by reading, each with kind, key, said and next_step, and where it is about rows with
      their count and a sample. Kinds are labels, no_value, duplicates, orphans, cast, row_security, dependent, detach, publication,
      privilege and owner. Where there is one it is refused.
  returned: success
  type: list
  elements: dict
refused:
  description: In check mode, why it would be refused, with attempted, said and next_step; null where it would not.
  returned: success
  type: dict
saved:
  description: Each table of which data is saved before it is dropped, with relation and columns; with rows and digest once it was.
  returned: success
  type: list
  elements: dict
leaving_rows:
  description: How many rows leave the live tables, because their tables are dropped; all of them are saved first.
  returned: success
  type: int
filled:
  description: What is restored with saved data; each table with columns and rows once it was.
  returned: success
  type: list
  elements: raw
before:
  description: The capture of the state before, by release, capture_id and digest; null where nothing was done.
  returned: success
  type: dict
undo:
  description: The run to give to M(scout.recovery.scout_undo); null where nothing was done.
  returned: success
  type: str
kept_disabled:
  description: Jobs that were re-enabled and that a pause keeps disabled until it ends.
  returned: success
  type: list
  elements: str
attempts:
  description: How many attempts yielded to other sessions' locks.
  returned: success
  type: int
seconds:
  description: How long the transaction lasted.
  returned: success
  type: float
rehearsal:
  description:
    - Whether the rollback was rehearsed, done, with reason where it could not be, undo with what prevents undoing it, seconds, and
      the number of rows on which it was tried besides.
    - Null where it was not wanted.
  returned: success
  type: dict
only:
  description: The key of the one object that was meant; null where all were.
  returned: success
  type: str
down_scripts:
  description: The files that ran instead of the planned statements.
  returned: success
  type: list
  elements: str
gold_days:
  description: Days of gold that are now out of date with silver; none, as no rows are moved.
  returned: success
  type: list
  elements: str
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
from ..module_utils.recovery.release.restore import command, request, result

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **request.RESTORE_SPEC,
    **command.GOING_SPEC,
    "release": {"type": "str"},
    "release_file": {"type": "path"},
    "default_grants": {"type": "str", "choices": ["keep", request.RESTORE], "default": "keep"},
    "max_rows": {"type": "int", "default": 100_000},
    "look": {"type": "bool", "default": False},
    "require_pause": {"type": "bool", "default": False},
}

RULES: dict[str, t.Any] = {"mutually_exclusive": [["drop_function", "drop_column"]]}


def run(call: Call, params: Params) -> result.RollbackResult:
    """Rolls back to the release."""
    return command.roll_back(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run, **RULES)


if __name__ == "__main__":
    main()
