# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of the proof that a resumed pipeline works by itself."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

PAUSE: t.Final = "ansible-playbook scout.recovery.pause_ingestion"
PROOF: t.Final = "proof"
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
        PROOF,
    )
}
UNPROVEN: t.Final = {
    "failed": ", but it does not work by itself",
    "unknown": ", but whether it works by itself cannot be told",
    "unproven": ", unproven",
}
WHICH_OF_PROOF: t.Final = ("status", "jobs", "seconds")


def urgent(steps: Mapping[str, Mapping[str, t.Any]]) -> list[str]:
    """What comes before everything else: a pipeline that fails and could not be paused."""
    return [PAUSE] if steps.get("pause_again", {}).get("failed") else []


def as_document(steps: Mapping[str, Mapping[str, t.Any]]) -> Result | None:
    """The proof for a machine; None where there was none."""
    found = steps.get(PROOF, {})
    return {name: found.get(name) for name in WHICH_OF_PROOF} if found.get("status") else None


def words(steps: Mapping[str, Mapping[str, t.Any]], failure: Mapping[str, t.Any] | None) -> str:
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
