# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database in a table of many, from the document that its operation ended with; pure."""

from __future__ import annotations

import typing as t

from ..core.values import as_list
from ..invoke import NOT_SCOUT
from ..summary import gate, proof
from ..summary.operation import AS_WANTED, CANNOT_TELL, STILL_FAILING

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: Worst first: how databases are sorted, and counted. What stands behind the last one is well.
STANDINGS: t.Final = (
    "failed",
    "left paused",
    "interrupted",
    "still failing",
    "not passed",
    "failing",
    "unreachable",
    "without Scout",
    "wrong database",
    "cannot tell",
    "at work",
    "not begun",
    "degraded",
    "paused",
)
#: Of these a block says more than the line; of the others nothing has to be known.
IN_FULL: t.Final = frozenset(STANDINGS) - {"at work", "not begun", "degraded", "paused"}
#: Operations whose lines are what was asked for.
ASKED_FOR: t.Final = frozenset({"runs", "incident_report"})
#: Operations that do nothing.
SILENT: t.Final = frozenset({"assess", "preflight", gate.OPERATION, "runs"})
#: What one is counted as of which it was only asked what would be done.
PLANNED: t.Final = "planned"
#: What a database that is well is counted as, by its operation.
WELL: t.Final = {
    "emergency_reset": "recovered or healthy",
    "assess": "healthy",
    gate.OPERATION: "passed",
}
#: The same of a single one, by its outcome.
OF_ONE: t.Final = {"recovered": "recovered", "nothing_to_do": "healthy"}
BY_KIND: t.Final = {
    "connection_failed": "unreachable",
    "connection_lost": "unreachable",
    "wrong_database": "wrong database",
    "not_begun": "not begun",
    "stopped": "interrupted",
}
#: What can be done again once it is put right, and not by another command.
REPEATED: t.Final = frozenset({"interrupted", "unreachable", "without Scout", "wrong database", "not begun"})
BY_OUTCOME: t.Final = {
    "left_paused": "left paused",
    STILL_FAILING: "still failing",
    CANNOT_TELL: "cannot tell",
    gate.NOT_PASSED: "not passed",
}
#: Operations that are about how a database is, and not about what they did.
LOOKING: t.Final = ("assess",)
BY_VERDICT: t.Final = {"failing": "failing", "inconclusive": "cannot tell", "degraded": "degraded", "paused": "paused"}


class Row(t.TypedDict):
    """One database: `standing` is one of STANDINGS, or what one that is well is counted as."""

    operation: str
    host: str
    database: str
    standing: str
    verdict: str
    did: str
    now: str
    #: The first command that its block says to type; empty where it is the same command again, or none.
    command: str
    #: Whether its block is shown too.
    in_full: bool


def of(made: Mapping[str, t.Any]) -> Row:
    """The row of a document (docs/result.schema.json)."""
    standing = _standing(made)
    commands = as_list(made["commands"]) if standing in STANDINGS and standing not in REPEATED else []
    return {
        "operation": made["operation"],
        "host": made["host"],
        "database": made["database"],
        "standing": standing,
        "verdict": standing if standing in STANDINGS else OF_ONE.get(str(made["outcome"]), standing),
        "did": "nothing" if standing == "not begun" else _did(made),
        "now": "" if made["ingestion"] == "unknown" else made["ingestion"],
        "command": str(commands[0]) if commands else "",
        "in_full": standing in IN_FULL or made["operation"] in ASKED_FOR,
    }


def _standing(made: Mapping[str, t.Any]) -> str:
    error: Mapping[str, t.Any] = made["error"] or {}
    if error:
        if error["kind"] == "wrong_database" and str(error["attempted"]).startswith(NOT_SCOUT):
            return "without Scout"
        return BY_KIND.get(str(error["kind"]), "failed")
    if not made["ok"]:
        return BY_OUTCOME.get(str(made["outcome"]), "failed")
    if _is_planned(made):
        return PLANNED
    well = WELL.get(str(made["operation"]), "done")
    if made["outcome"] in AS_WANTED:
        return "paused"
    return (
        BY_VERDICT.get(str(made["verdict_after"] or made["verdict_before"]), well)
        if made["operation"] in LOOKING
        else well
    )


def _is_planned(made: Mapping[str, t.Any]) -> bool:
    return bool(made["check_mode"] and made["operation"] not in SILENT and made["ok"] and not made["error"])


def _did(made: Mapping[str, t.Any]) -> str:
    """Why it failed, or what is failing, and what changed, each step in its words; of a plan what would be changed."""
    error: Mapping[str, t.Any] = made["error"] or {}
    done = [
        str(step["summary"])
        for step in as_list(made["steps"])
        if step["changed"] and not step["failed"] and step["summary"] and step["name"] not in proof.SILENT
    ]
    if _is_planned(made):
        return "; ".join(text.removeprefix("would ") for text in done) or "nothing"
    why = str(error["said"] or error["attempted"]) if error else _failing(made)
    if made["operation"] in SILENT or why:
        return "; ".join(filter(None, [why, *done]))
    return "; ".join(done) or "nothing"


def _failing(made: Mapping[str, t.Any]) -> str:
    """The indicators that fail, or the checks of a gate; empty where none does."""
    gated: Mapping[str, t.Any] = made["gate"] or {}
    judged = [*as_list(made["indicators"]), *as_list(gated.get("checks"))]
    return ", ".join(dict.fromkeys(str(each["name"]) for each in judged if each["status"] == "fail"))
