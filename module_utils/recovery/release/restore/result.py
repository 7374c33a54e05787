# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result says of the rollback: what there is, what the plan holds, what nobody knows of; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.text import count
from ...core.times import readable
from ..captures import document as captures_document
from ..planner.renames import added_again
from . import request as restore_request
from . import saved_data, transaction

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...moves.engine import plan_file


@dataclasses.dataclass(frozen=True)
class Look:
    """The current state: the rollback plan, the pause in force, and where and when this is."""

    way: transaction.Way
    plan: plan_file.Plan
    #: What goes although no capture knows it, and the release of the capture besides the one that is gone back to.
    newer: tuple[str, ...]
    other: str


def described(order: restore_request.Order, seen: Look) -> dict[str, t.Any]:
    """What a result says before anything is done."""
    document = order.document
    about = {name: document.get(name) for name in ("release", "capture_id", "digest", "captured_at", "git_commit")}
    told = transaction.described(seen.way)
    return {
        "operation": "rollback",
        **about,
        "goal": order.goal,
        **told,
        "only": order.only,
        "down_scripts": [script.name for script in order.scripts],
        "run_id": None,
        "undo": None,
        "before": None,
        "saved": [{"relation": each.relation, "columns": [c.name for c in each.columns]} for each in seen.way.saves],
        "filled": list(seen.way.plan.filled),
        "held": [],
        "attempts": 0,
        "seconds": 0.0,
        "rehearsal": None,
        "plan": {name: getattr(seen.plan, name) for name in ("counts", "digests", "locks", "made_at", "key")},
        "plan_file": None,
        "newer": list(seen.newer),
        "effects": {},
        "gold_days": [],
        "warnings": [*_about_newer(order, seen), *_about_made_again(order, seen)],
        "diff": _diff(order, told),
    }


def _about_newer(order: restore_request.Order, seen: Look) -> list[str]:
    if not seen.newer:
        return []
    captures = f"neither {order.goal} nor {seen.other}"
    return [f"{captures} has these, and they are dropped, with their data saved: {saved_data.readable(seen.newer)}"]


def _about_made_again(order: restore_request.Order, seen: Look) -> list[str]:
    """Columns that were dropped and added again under the same name: what they hold now is taken for what they shall hold."""
    again = [key for key in added_again(seen.way.live.entries, seen.way.wanted) if key not in seen.way.plan.filled]
    text = f"dropped and added again since {order.goal} was captured, so the current values stay"
    return [f"{text}: {saved_data.readable(again)}"] if again else []


def _diff(order: restore_request.Order, told: Mapping[str, t.Any]) -> dict[str, str]:
    """The plan as a reviewer reads it: what each step does, its hazard and its lock, and the statements as added lines."""
    if not told["steps"]:
        return {"before": "", "after": ""}
    lines: list[str] = []
    for step in told["steps"]:
        lock = f", {step['lock']}" if step["lock"] else ""
        lines.append(f"-- {step['does']} {captures_document.readable(step['key'])}: {step['hazard']}{lock}")
        lines += [f"{statement};" for statement in step["statements"]]
    by = (
        f" by {', '.join(script.name for script in order.scripts)}, which must have the same result as"
        if order.scripts
        else ""
    )
    header = f"plan to reach {order.goal}{by}"
    return {"before": "", "after": "\n".join(lines) + "\n", "after_header": header, "before_header": "what there is"}


def nothing(order: restore_request.Order) -> dict[str, t.Any]:
    number = len(order.document["entries"])
    what = captures_document.readable(order.only) if order.only else count(number, "object")
    captured = readable(order.document["captured_at"])[:16]
    return {
        "changed": False,
        "summary": f"nothing differs from {order.goal} of {captured} UTC: {what}",
    }
