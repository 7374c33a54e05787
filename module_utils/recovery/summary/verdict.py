# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of an operation on one database: its words and the exit code; pure."""

from __future__ import annotations

import typing as t

from ..invoke import NOT_SCOUT
from . import gate
from .operation import AS_WANTED, CANNOT_TELL, STILL_FAILING

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: Operations that change nothing, also without --check.
SILENT: t.Final = frozenset({"assess", "dead_letters", "preflight", gate.OPERATION, "runs"})
#: The errors of a database on which another person is working.
HELD: t.Final = frozenset({"lease_held", "pause_held"})
PROVES: t.Final = frozenset({"emergency_reset", "resume_ingestion"})
PAUSED: t.Final = ("paused", "pausing")
BY_KIND: t.Final = {
    "connection_failed": "unreachable",
    "connection_lost": "unreachable",
    "wrong_database": "wrong database",
    "stopped": "interrupted",
}
BY_OUTCOME: t.Final = {
    "left_paused": "left paused",
    STILL_FAILING: "still failing",
    CANNOT_TELL: "cannot tell",
    gate.NOT_PASSED: "not passed",
}
BY_VERDICT: t.Final = {"failing": "failing", "inconclusive": "cannot tell", "degraded": "degraded", "paused": "paused"}
GOOD: t.Final = {"recovered": "recovered", "nothing_to_do": "healthy", "assessed": "healthy", "passed": "passed"}


class Verdict(t.NamedTuple):
    """`words` as RECOVERED; `code` is the exit code of the playbook for this database."""

    words: str
    code: int


def of(made: Mapping[str, t.Any]) -> Verdict:
    """Return the verdict of a document (docs/result.schema.json)."""
    code = 0 if made["ok"] else 2
    if words := _paused(made):
        return Verdict(words, code)
    if _is_unproved(made):
        return Verdict("RUNNING, UNPROVED", code)
    return Verdict(_judged(made).upper(), code)


def _judged(made: Mapping[str, t.Any]) -> str:
    error: Mapping[str, t.Any] = made["error"] or {}
    if error:
        if error["kind"] == "wrong_database" and str(error["attempted"]).startswith(NOT_SCOUT):
            return "without Scout"
        return BY_KIND.get(str(error["kind"]), "failed")
    if not made["ok"]:
        return BY_OUTCOME.get(str(made["outcome"]), "failed")
    if made["check_mode"] and made["operation"] not in SILENT:
        return "planned"
    if made["outcome"] in AS_WANTED:
        return "paused"
    found = BY_VERDICT.get(str(made["verdict_after"] or made["verdict_before"]))
    if made["operation"] == "assess" and found:
        return found
    return GOOD.get(str(made["outcome"]), "done")


def _paused(made: Mapping[str, t.Any]) -> str:
    """Return PAUSED and who has to act; empty if ingestion is not paused, or was to be paused."""
    error: Mapping[str, t.Any] = made["error"] or {}
    kind = error.get("kind")
    if made["outcome"] == "left_paused_for_another" or kind in HELD:
        return (
            "PAUSED by a colleague, not touched" if made["ingestion"] in PAUSED else "HELD by a colleague, not touched"
        )
    if made["ingestion"] in PAUSED and not made["ok"]:
        return "PAUSED, fix first"
    return "PAUSED" if made["outcome"] == "left_paused_as_told" else ""


def _is_unproved(made: Mapping[str, t.Any]) -> bool:
    """Whether ingestion is running without the proof that was wanted."""
    if made["ingestion"] != "running" or made["check_mode"] or made["outcome"] == "still_failing":
        return False
    proof: Mapping[str, t.Any] = made["proof"] or {}
    status = proof.get("status")
    return status not in (None, "proved") and (made["operation"] in PROVES or not made["ok"])
