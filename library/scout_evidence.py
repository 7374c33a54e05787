#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence snapshot as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_evidence
short_description: Save what a Scout pipeline looks like now
version_added: 1.0.0
description:
  - Writes sessions, locks, settings, jobs and their recent runs, the latest runs of the ledger, table statistics, and samples of
    pending events, dead letters and invalid sales to a folder, one JSON file each, with C(SHA256SUMS).
  - The files have ids, times, counts, amounts and error codes, and no payload. Statements and messages are kept without the values
    in them. What looks like a password, a token, a key or a database's address is removed everywhere.
  - The folder appears complete or not at all, and only its owner can read it.
  - Where the module runs on a remote host, the folder is there.
options:
  folder:
    description: Folder below which one is made for each snapshot, named after incident, database and time.
    type: path
    required: true
  budget_seconds:
    description:
      - How long reading may take, in seconds; by default 1, and longer if PostgreSQL expects to need that for a large pipeline. A
        section that does not fit is left out, with a warning.
    type: float
  health:
    description: A result of M(scout.recovery.scout_health_info), to be kept with it.
    type: dict
    default: {}
  sample_rows:
    description: How many rows at most of each sample, and how many dead letters.
    type: int
    default: 100
  required:
    description: Whether it fails where no evidence can be kept; otherwise that is a warning.
    type: bool
    default: true
  window_start:
    description:
      - Start of the window from which samples are taken. Unless given, six hours before its end.
    type: str
  window_end:
    description: End of that window; now unless given.
    type: str
  time_zone:
    description: Zone of times that are given without an offset, such as Asia/Manila.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: N/A
    description: Each run writes a new snapshot; C(changed) is always false, because the pipeline is not changed.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Keep a snapshot of the database as it is now
  scout.recovery.scout_evidence:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    folder: evidence
"""

RETURN = r"""
folder:
  description: Where the snapshot was written; null in check mode, and where none could be kept that is not required.
  returned: success
  type: str
files:
  description: Each file with its size in bytes, rows and SHA-256; none in check mode.
  returned: success
  type: list
  elements: dict
seconds:
  description: How long reading took.
  returned: success
  type: float
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.evidence import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "folder": {"type": "path", "required": True},
    "budget_seconds": {"type": "float"},
    "health": {"type": "dict", "default": {}},
    "sample_rows": {"type": "int", "default": 100},
    "required": {"type": "bool", "default": True},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
}


def run(call: Call, params: Params) -> command.EvidenceResult:
    """Takes a snapshot."""
    return command.snapshot(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
