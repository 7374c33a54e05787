#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification of the audit trail as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_audit_info
short_description: Verify that audit trail, ledger and evidence agree
version_added: 1.1.0
description:
  - Follows the chain of schema C(scout_audit), which operators can only add to, and compares it with the runs of the ledger, with the
    evidence in O(folder), and with heads of the chain that went out with evidence.
  - Fails where they disagree, naming the first entry, and where there is no audit trail. Writes nothing.
options:
  folder:
    description:
      - The folder that evidence was written to. All that the trail knows of there has to be there, as it was written. Where it has none,
        and the trail knows of none there, evidence is not compared.
    type: path
  heads:
    description: Heads of the chain that went out, as evidence has them; a number, a colon, and 64 hexadecimal digits.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Verify that nobody has rewritten who did what
  scout.recovery.scout_audit_info:
    dsn: "{{ scout_dsn }}"
    folder: evidence
"""

RETURN = r"""
head:
  description: The end of the chain, a number, a colon, and the SHA-256 of the last entry; null where there is none yet.
  returned: always
  type: str
entries:
  description: How many entries the trail has.
  returned: always
  type: int
logins:
  description: How many of them each login of the database made.
  returned: always
  type: dict
problems:
  description: What disagrees, each with the number of its entry, or 0 where it is about none, and the problem.
  returned: always
  type: list
  elements: dict
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
    "folder": {"type": "path"},
    "heads": {"type": "list", "elements": "str", "default": []},
}


def run(call: Call, params: Params) -> command.AuditResult:
    """Compares."""
    return command.audited(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
