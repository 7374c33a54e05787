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
version_added: 0.1.0
description:
  - Compares every file that M(scout.recovery.scout_evidence) wrote with its manifest, every manifest with the name of its folder,
    and follows the chain of the manifests of each incident.
  - Fails when anything was tampered with, truncated, missing, added or out of order, and names each problem.
  - Reads files only and connects to no database. A file is read once, in pieces, whatever its size.
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
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
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

import re
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import BadInput, NotConverged
from ..module_utils.recovery.core.text import count
from ..module_utils.recovery.evidence import verify
from ..module_utils.recovery.invoke import WithoutSession, invoke_without_session

SPEC: dict[str, dict[str, t.Any]] = {
    "folder": {"type": "path", "required": True},
    "manifest_sha256": {"type": "str"},
}


def run(call: WithoutSession, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Verifies."""
    wanted = params["manifest_sha256"]
    if wanted and not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise BadInput(
            f"manifest_sha256 {wanted[:80]!r} is not a SHA-256",
            next_step="give the 64 hexadecimal digits, in lower case",
        )
    folder = Path(params["folder"]).expanduser().absolute()
    report = verify.verify(folder, call.progress.checkpoint)
    if wanted and wanted not in report.last.values():
        report.wrong(folder.name, f"is missing the last manifest of its incident: {wanted}")
    looked = f"{count(report.files, 'file')} in {count(len(report.folders), 'folder')} of evidence"
    found = {
        "changed": False,
        "folders": report.folders,
        "last": report.last,
        "problems": [{"folder": p.folder, "file": p.file, "problem": p.problem} for p in report.problems],
    }
    if report.problems:
        raise NotConverged(
            f"evidence was altered ({count(len(report.problems), 'problem')} in {looked})",
            on=str(folder),
            said="; ".join(map(str, report.problems)),
            next_step="keep this folder as it is, and look for a copy of it; each problem is in the result",
            result=found,
        )
    chains = ", and the chain of each incident" if report.chained else "; a single folder shows no chain"
    return {**found, "summary": f"{looked} are unaltered{chains}"}


def invoke(
    work: t.Callable[[WithoutSession, dict[str, t.Any]], dict[str, t.Any]],
    name: str,
    params: dict[str, t.Any],
    **more: t.Any,
) -> dict[str, t.Any]:
    """Needs no database, and is for no incident."""
    return invoke_without_session(work, name, {"incident": "adhoc", **params}, **more)


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_evidence_verify", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
