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
version_added: 0.1.0
description:
  - Writes sessions, locks, jobs and their recent runs, settings and table statistics to a folder, one JSON file each, with
    a manifest of their SHA-256. Taken before anything is changed, and bounded in time.
  - The files are readable by their owner alone; statements are cut at 1024 bytes. Settings that may hold secrets are left out.
  - Where the module runs on a remote host, the folder is there.
options:
  folder:
    description: Folder below which one is made for each snapshot, named after incident and time.
    type: path
    required: true
  budget_seconds:
    description: How long reading may take, in seconds. A section that does not fit is named in the manifest.
    type: float
    default: 1.0
  health:
    description: A result of M(scout.recovery.scout_health_info), to be kept with it.
    type: dict
    default: {}
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
- name: Keep what the database looks like now
  scout.recovery.scout_evidence:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    folder: evidence
"""

RETURN = r"""
folder:
  description: Where the snapshot was written; null in check mode.
  returned: success
  type: str
files:
  description: Each file with its size in bytes, rows and SHA-256.
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

import datetime
import re
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery import evidence
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.progress import in_words

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "folder": {"type": "path", "required": True},
    "budget_seconds": {"type": "float", "default": 1.0},
    "health": {"type": "dict", "default": {}},
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Takes a snapshot."""
    snapshot = evidence.read(call.session, budget_seconds=params["budget_seconds"])
    if params["health"]:
        snapshot.sections["health"] = [params["health"]]
    result: dict[str, t.Any] = {"changed": False, "folder": None, "files": [], "seconds": snapshot.seconds}
    if call.check:
        return {**result, "summary": f"would keep {', '.join(snapshot.sections)}"}
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{call.incident}-{call.session.facts.database}-{stamp}")
    folder = Path(params["folder"]).expanduser().absolute() / name
    about = {"incident": call.incident, "actor": call.controller.actor, "database": call.session.where}
    files = evidence.write(snapshot, folder, about)
    warnings = [f"evidence without {name}: {why}" for name, why in snapshot.problems.items()]
    summary = f"kept {len(files)} files in {folder} ({in_words(snapshot.seconds)})"
    return {**result, "folder": str(folder), "files": files, "warnings": warnings, "summary": summary}


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_evidence", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
