# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an operation ended on one database, in the words that stand first below its phases; pure."""

from __future__ import annotations

import typing as t

from .row import STANDINGS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .row import Row

#: Somebody else's work, which nobody takes from them.
HELD: t.Final = frozenset({"lease_held", "pause_held"})
PROVES: t.Final = frozenset({"emergency_reset", "resume_ingestion"})
PAUSED: t.Final = ("paused", "pausing")
#: What is well enough, and what asks for a person, by the first word.
WELL: t.Final = "ok"
WAITS: t.Final = "changed"
WRONG: t.Final = "error"


class Verdict(t.NamedTuple):
    """`words` as RECOVERED; `colour` is one of WELL, WAITS and WRONG; `code` is the exit code of the playbook for this database."""

    words: str
    colour: str
    code: int


def of(made: Mapping[str, t.Any], row: Row) -> Verdict:
    """The verdict of a document (docs/result.schema.json) and its row."""
    code = 0 if made["ok"] else 2
    if words := _paused(made):
        return Verdict(words, WAITS, code)
    if _unproved(made):
        return Verdict("RUNNING, UNPROVED", WAITS, code)
    return Verdict(row["verdict"].upper(), _colour(row["standing"]), code)


def _colour(standing: str) -> str:
    if standing not in STANDINGS:
        return WELL
    return WAITS if standing in ("degraded", "paused", "cannot tell", "not begun") else WRONG


def _paused(made: Mapping[str, t.Any]) -> str:
    """PAUSED and whose move it is; empty where ingestion is not paused, or that was asked for."""
    error: Mapping[str, t.Any] = made["error"] or {}
    kind = error.get("kind")
    if made["outcome"] == "left_paused_for_another" or kind in HELD:
        return (
            "PAUSED by a colleague, not touched" if made["ingestion"] in PAUSED else "HELD by a colleague, not touched"
        )
    if made["ingestion"] in PAUSED and not made["ok"]:
        return "PAUSED, fix first"
    return "PAUSED" if made["outcome"] == "left_paused_as_told" else ""


def _unproved(made: Mapping[str, t.Any]) -> bool:
    """Whether ingestion is running, and that it works by itself was to be proved and is not."""
    if made["ingestion"] != "running" or made["check_mode"] or made["outcome"] == "still_failing":
        return False
    proof: Mapping[str, t.Any] = made["proof"] or {}
    status = proof.get("status")
    return status not in (None, "proved") and (made["operation"] in PROVES or not made["ok"])
