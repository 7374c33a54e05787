# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses to run only a part of an operation: its steps rely on each other."""

from __future__ import annotations

import typing as t

from ansible import context

from ..module_utils.recovery.core.errors import BadInput

#: Playbooks that take no lease and change nothing in a pipeline; a part of these can be run.
LOOKING: t.Final = frozenset({"acceptance_gate", "assess", "evidence", "incident_report", "preflight", "runs"})


def refuse_parts(playbook: str) -> None:
    """Raises BadInput if the command line selects only some tasks of a playbook that changes something."""
    given = {
        "--tags": [each for each in context.CLIARGS.get("tags") or () if each != "all"],
        "--skip-tags": context.CLIARGS.get("skip_tags") or (),
        "--start-at-task": context.CLIARGS.get("start_at_task") or "",
    }
    found = [option for option, value in given.items() if value]
    if found and playbook not in LOOKING:
        raise BadInput(
            f"{' and '.join(found)} would leave out steps that the others rely on: the lease, the pause, the evidence",
            said="nothing was changed",
            next_step=f"run the same command without {' and '.join(found)}; what is done already is not done again",
        )
