# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of a watch, and of the proof that a resumed pipeline works by itself."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

PAUSE: t.Final = "ansible-playbook playbooks/pause_ingestion.yml"
PROOF: t.Final = "proof"
#: What is said before the proof, while a run is waited for.
TO_COME: t.Final = "ingestion is running; that it works by itself is still to be proved"
#: Steps of which the summary says nothing by themselves: others say what came of them.
SILENT: t.Final = {
    *(
        "preflight",
        "lease",
        "assess",
        "assess_again",
        "complete_pause",
        "foresee",
        "looked_up",
        "unfinished",
        "watch",
        PROOF,
    )
}
UNPROVEN: t.Final = {
    "failed": ", but it does not work by itself",
    "unknown": ", but whether it works by itself cannot be told",
    "unproven": ", unproven",
}
WHICH_OF_PROOF: t.Final = ("status", "jobs", "seconds")
WHICH: t.Final = ("verdict", "why", "run_id", "seconds", "planned", "counts", "trends", "samples_file", "charts")


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """What a watch saw, for a machine; None where there was none, or where it could not begin."""
    return {name: result.get(name) for name in WHICH} if result.get("operation") == "watch" else None


def seen(result: Mapping[str, t.Any], *, check: bool) -> str:
    """`healthy after 30 min: 61 healthy; backlog 12,000 to 0`; what a check saw is one sample only."""
    text = str(result.get("summary", ""))
    return text if check else "; ".join([text, *_moved(result)]) if text else ""


def _moved(result: Mapping[str, t.Any]) -> list[str]:
    """What a person follows, at the beginning and at the end, where that says more than one value."""
    trends: Mapping[str, Mapping[str, t.Any]] = result.get("trends") or {}
    if not trends:
        return []
    # Loaded where something was watched.
    from ..health.watch.course import SHOWN, valued

    ends = {
        label: [valued(name, trends[name][end]) for end in ("first", "last")]
        for name, label, _ in SHOWN
        if name in trends
    }
    return [f"{label} {first} to {last}" for label, (first, last) in ends.items() if first != last]


def chart(result: Mapping[str, t.Any]) -> list[str]:
    """Where the chart is, on a line that is never broken, so that it can be opened."""
    return list(result.get("charts") or [])[:1]


def urgent(steps: Mapping[str, Mapping[str, t.Any]]) -> list[str]:
    """What comes before everything else: a pipeline that fails and could not be paused."""
    unpaused = "watch" in steps and steps.get("pause", {}).get("failed")
    return [PAUSE] if unpaused or steps.get("pause_again", {}).get("failed") else []


def proof_as_document(steps: Mapping[str, Mapping[str, t.Any]]) -> Result | None:
    """The proof for a machine; None where there was none."""
    found = steps.get(PROOF, {})
    return {name: found.get(name) for name in WHICH_OF_PROOF} if found.get("status") else None


def proof(steps: Mapping[str, Mapping[str, t.Any]], failure: Mapping[str, t.Any] | None) -> str:
    """How each job was proved; what failed is said here only where it is not the failure that is told of."""
    found = steps.get(PROOF, {})
    if error := found.get("error"):
        return "" if found is failure else f"{error['attempted']}: {error['said']}"
    return str(found.get("summary", ""))


def unproven(steps: Mapping[str, Mapping[str, t.Any]], text: str) -> str:
    """The state of a pipeline that was left running, with what was not proved of it instead of that nothing is failing."""
    found = steps.get(PROOF, {})
    status = "unproven" if found.get("failed") else str(found.get("status", ""))
    told = "" if "pause_again" in steps else UNPROVEN.get(status, "")
    return text.removesuffix(", nothing is failing") + told if told else text
