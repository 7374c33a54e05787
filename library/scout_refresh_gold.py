#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refreshing gold as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_refresh_gold
short_description: Refresh the gold views of a Scout pipeline
version_added: 1.0.0
description:
  - Refreshes the materialized views of schema C(scout) that are not up to date with silver, in the order of their
    dependencies, each in a transaction of its own under Scout's own refresh lock, and proves that each is newer.
  - Where that lock is not to be had within O(lock_timeout_seconds), sessions at it whose roles can write nothing of the pipeline are
    recorded and ended, whatever their age.
  - Concurrently where possible. An unpopulated view, or one without a usable unique index, is refreshed plainly, with a
    lock timeout and retries, so that readers never queue behind it for long.
  - A failure of one view is named and does not undo the others. A view that is fresh already is left alone.
  - A view is stale when silver changed after its refresh, when it reads a view that is stale, or when its contents differ from
    what its query returns now, which also shows deletions and loads that were in flight. Columns that change by themselves
    (C(now()), the age of something) are left out of the comparison.
  - The role must own the views, or from PostgreSQL 17 on have MAINTAIN on them.
options:
  state:
    description: The wanted state.
    type: str
    choices: [fresh]
    default: fresh
  views:
    description: Names of the materialized views to consider, without schema. By default all of schema C(scout).
    type: list
    elements: str
  force:
    description: Refresh also what is fresh.
    type: bool
    default: false
  refresh_timeout_seconds:
    description:
      - How long the refresh of one view may take, in seconds; by default 1800, and three times as long as all of gold is expected to
        take where that is longer.
    type: float
  attempts:
    description: How often to try a view that is in use; each try waits O(lock_timeout_seconds) at most.
    type: int
    default: 5
  expect_changes:
    description: For check mode after a step that would change silver. Every view counts as stale.
    type: bool
    default: false
  accept_lost:
    description:
      - Refresh also where a view shows sales that silver has lost although bronze has their events. Otherwise the task fails with the
        window recovery that rebuilds them, for the view may be the last right copy.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  idempotent:
    details: Not with O(force=true).
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Bring gold up to date with silver
  scout.recovery.scout_refresh_gold:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    state: fresh
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when everything was fresh.
  returned: success
  type: str
views:
  description:
    - Each view with its state before (fresh, stale, unpopulated, or unknown where its contents could not be compared), why,
      when it was refreshed and how far it was behind, in seconds.
  returned: success
  type: list
  elements: dict
refreshed:
  description:
    - Each view refreshed, with how and in how many seconds; on failure also those that failed, with the error. Where one took three times
      as long as PostgreSQL expects, and longer than 5 s, C(slow) names the functions that its query calls, and is a warning.
  returned: always
  type: list
  elements: dict
effects:
  description: Number of views refreshed; in check mode, that would be.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import command, results

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["fresh"], "default": "fresh"},
    "views": {"type": "list", "elements": "str"},
    "force": {"type": "bool", "default": False},
    "refresh_timeout_seconds": {"type": "float"},
    "attempts": {"type": "int", "default": 5},
    "accept_lost": {"type": "bool", "default": False},
    "expect_changes": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> results.RefreshResult:
    """Refreshes what is not fresh."""
    return command.refresh(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
