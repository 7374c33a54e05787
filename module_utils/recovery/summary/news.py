# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of a recovery for an open incident: that the pipeline works again, or that it stays paused;
pure."""

from __future__ import annotations

import typing as t

from . import incident as records

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

#: These tell by themselves, or are not about recovering.
SILENT: t.Final = (*records.OPERATIONS, "pause_ingestion")
#: Steps that are no news by themselves.
MEANS: t.Final = ("lease", "pause", "resume", "complete_pause", "unfinished")


def news(made: Mapping[str, t.Any], steps: Mapping[str, Result]) -> Result:
    """The event, what happened and what was done, from the document of an operation; an event of None where nothing is news."""
    changed = {step["name"]: step["summary"] for step in made["steps"] if step["changed"] and not step["failed"]}
    # Whoever is told needs an incident to hear of.
    joined = any(result.get("incident_open") for result in steps.values())
    nothing: Result = {"event": None, "happened": "", "done": ""}
    if made["check_mode"] or not joined or made["operation"] in SILENT:
        return nothing
    done = "; ".join(text for name, text in changed.items() if text and name not in MEANS)
    if made["ok"] and made["ingestion"] == "running" and "resume" in changed:
        return {"event": "recovered", "happened": "", "done": done}
    if made["ingestion"] in ("paused", "pausing") and {"pause", "unfinished"} & set(changed):
        operation = made["operation"].replace("_", " ")
        why = _why(made)
        happened = f"ingestion stays paused after the {operation}" + (f": {why}" if why else "")
        return {"event": "update", "happened": happened, "done": done}
    return nothing


def _why(made: Mapping[str, t.Any]) -> str:
    """Why it stays paused; nothing where somebody wanted it so."""
    error: Mapping[str, t.Any] = made["error"] or {}
    if error:
        return ": ".join(str(error[part]) for part in ("attempted", "said") if error.get(part))
    gate: Mapping[str, t.Any] = made["gate"] or {}
    if made["outcome"] == "not_passed":
        return f"the gate says {gate.get('verdict')}"
    return ", ".join(made["blockers"]).replace("_", " ") if made["outcome"] == "left_paused" else ""
