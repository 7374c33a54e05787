#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored backup lacks, and what in it is of the past, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_restored
short_description: Compare a restored database with the evidence, and close what is of the past in its ledger
version_added: 1.1.0
description:
  - After a point-in-time restore, or the promotion of a standby that was behind, the ledger is of the past. This names the runs, the
    snapshots and the entries of the audit trail that came after, as the evidence in O(folder) has them, and dead letters that were
    redriven since and wait here again.
  - Closes what is of the past, each by name, as one run of the ledger. That is runs that were at work or broken off at the point, a
    lease that nobody can be behind, and a pause all of whose jobs are active.
  - Moves no row, switches no job, and resumes nothing.
options:
  folder:
    description: The folder that evidence was written to on this controller; what was altered there is not believed.
    type: path
  restored_at:
    description:
      - The moment that was restored, with an offset. By default the last at which the ledger was written on another server or timeline
        than it is on now; without one, when the first run began that the ledger does not have.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Find out what the restored backup lacks
  scout.recovery.scout_restored:
    dsn: "{{ scout_dsn }}"
    folder: evidence
"""

RETURN = r"""
run_id:
  description: The run that closed something; null where nothing was to be closed, and in check mode.
  returned: success
  type: str
point:
  description: The moment that was restored, in UTC; null where nothing shows that anything was.
  returned: success
  type: str
server:
  description: The C(system) identifier of the cluster, its C(timeline) and the C(position) of its WAL; null where one may not ask.
  returned: success
  type: dict
after:
  description:
    - What came after the point and is not here, at most 200 of each. The C(runs) and the C(snapshots), how many C(audit_entries), and
      the ids of dead letters that were C(redriven).
  returned: success
  type: dict
closed:
  description: What is of the past, C(runs), C(lease) and C(pause); in check mode what would be closed.
  returned: success
  type: dict
ingestion:
  description: How ingestion is now, which is as it was before.
  returned: success
  type: dict
effects:
  description: The same as RV(closed), as the ledger has it.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.evidence import restored
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "folder": {"type": "path"},
    "restored_at": {"type": "str"},
}


def run(call: Call, params: Params) -> restored.RestoredResult:
    """Compares, and closes."""
    return restored.restored(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
