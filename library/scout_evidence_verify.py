#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification of evidence as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_evidence_verify
short_description: Verify that evidence is unaltered
version_added: 1.0.0
description:
  - Compares every file that M(scout.recovery.scout_evidence) wrote with its manifest, every manifest with the name of its folder,
    and follows the chain of the manifests of each incident.
  - Where the controller has a key (E(SCOUT_SIGNING_KEY_FILE)), verifies the signature of each manifest.
  - Where a database is named, by O(dsn), E(SCOUT_DSN) or E(PGURI), all snapshots that its ledger knows of in this folder have to be
    there. V(off) for O(ledger) does without, as it does where none is named.
  - Fails when anything was tampered with, truncated, missing, added or out of order, and names each problem.
  - Writes nothing. A file is read once, in pieces, whatever its size.
options:
  folder:
    description: The folder that evidence was written to, or one of the folders in it; of a single one the chain is not followed.
    type: path
    required: true
  manifest_sha256:
    description:
      - SHA-256 of a manifest that has to be the last of its incident here, as M(scout.recovery.scout_evidence) returned it.
        Without it nobody can tell that folders at the end of a chain are gone.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Verify all evidence
  scout.recovery.scout_evidence_verify:
    folder: evidence
"""

RETURN = r"""
folders:
  description: The folders that were checked.
  returned: always
  type: list
  elements: str
problems:
  description: What was altered, each with folder, file and problem.
  returned: always
  type: list
  elements: dict
last:
  description: SHA-256 of the last manifest, by incident.
  returned: always
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.evidence import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, WithoutSession, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "folder": {"type": "path", "required": True},
    "manifest_sha256": {"type": "str"},
}


def run(call: Call | WithoutSession, params: Params) -> command.VerifyResult:
    """Verifies."""
    return command.verify(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
