# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result says of the rollback: what there is, what the plan holds, what nobody knows of; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.results import ModuleResult
from ...core.text import count
from ...core.times import readable
from ...moves.undo.command import Undone, named
from ..captures import document as captures_document
from ..ddl.statement import Cost, strongest, worst
from ..obstacles import reading
from ..planner import fill_statements
from ..planner.renames import added_again
from . import request as restore_request
from . import saved_data, transaction

if t.TYPE_CHECKING:
    from ...postgres.session import Row
    from ..captures.document import Document


class PlanInResult(t.TypedDict):
    """A plan in a result."""

    steps: list[dict[str, t.Any]]
    step_count: int
    objects: int
    lock: str
    hazard: str
    loses: list[str]
    empty: list[str]
    reordered: list[str]
    stays: list[str]
    copies: list[dict[str, t.Any]]
    impossible: list[str]
    blocks_undo: list[str]


def plan_in_result(way: transaction.Way) -> PlanInResult:
    """The plan for a result: steps in their order, each with its statements, its strongest lock and its worst effect."""
    steps: list[dict[str, t.Any]] = []
    for step in way.plan.all_steps:
        hazard = worst(step.statements)
        hazard = Cost.LOSES if step.key in way.plan.loses and hazard == Cost.REWRITES else hazard
        told = {"does": step.does, "key": step.key, "lock": strongest(step.statements), "hazard": hazard}
        steps.append({**told, "statements": list(map(str, step.statements))})
    statements = [statement for step in way.plan.all_steps for statement in step.statements]
    return {
        "steps": steps,
        "step_count": len(steps),
        "objects": way.objects,
        "lock": strongest(statements),
        "hazard": Cost.LOSES if any(step["hazard"] == Cost.LOSES for step in steps) else worst(statements),
        "loses": list(way.lost),
        "empty": list(way.empty),
        "reordered": list(way.plan.reordered),
        "stays": list(way.goal.since.newer),
        "copies": [dataclasses.asdict(each) for each in way.copies],
        "impossible": list(way.plan.impossible),
        "blocks_undo": _blocks_undo(way),
    }


def _blocks_undo(way: transaction.Way) -> list[str]:
    """Return the dropped columns that an undo cannot add again once their table has a new row, which would have no value for them."""
    dropped = {step.key for step in way.plan.all_steps if step.does == "drop"}
    columns = [way.live.entries[way.plan.was.get(key, key)] for key in sorted(dropped) if key.startswith("column:")]
    return [
        column.key
        for column in columns
        if column.facts.get("not_null")
        and not fill_statements.has_default(column)
        and f"table:{column.table}" not in dropped
    ]


@dataclasses.dataclass(frozen=True)
class Look:
    """The current state: the rollback plan, the pause in force, and where and when this is."""

    way: transaction.Way
    #: What goes although no capture knows it, and the release of the capture besides the one that is gone back to.
    newer: tuple[str, ...]
    other: str
    #: How many rows leave the live tables; all of them are saved.
    leaving_rows: int = 0
    #: What PostgreSQL would refuse, as far as that is found by reading.
    found: reading.Found = reading.NOTHING


class RollbackResult(ModuleResult):
    """What scout_rollback returns."""

    operation: str
    run_id: str | None
    release: str
    capture_id: str
    digest: str
    captured_at: str
    git_commit: str | None
    objects: int
    goal: str
    steps: list[dict[str, t.Any]]
    step_count: int
    lock: str
    hazard: str
    loses: list[str]
    empty: list[str]
    reordered: list[str]
    stays: list[str]
    copies: list[dict[str, t.Any]]
    newer: list[str]
    impossible: list[str]
    blocks_undo: list[str]
    obstacles: list[dict[str, t.Any]]
    refused: dict[str, t.Any] | None
    saved: list[dict[str, t.Any]]
    leaving_rows: int
    filled: list[t.Any]
    before: dict[str, t.Any] | None
    undo: str | None
    kept_disabled: list[str]
    attempts: int
    seconds: float
    rehearsal: dict[str, t.Any] | None
    only: str | None
    down_scripts: list[str]
    effects: dict[str, t.Any]
    gold_days: list[str]
    warnings: list[str]
    diff: dict[str, str]


class Gone(ModuleResult):
    """What is different in it once the rollback is done."""

    run_id: str
    undo: str
    before: dict[str, t.Any]
    saved: list[dict[str, t.Any]]
    leaving_rows: int
    filled: list[t.Any]
    kept_disabled: list[str]
    attempts: int
    seconds: float
    effects: dict[str, t.Any]
    warnings: list[str]


class UndoneRollback(RollbackResult, Undone):
    """What scout_undo returns of a run that changed the schema."""

    resumed: bool


def described(order: restore_request.Order, seen: Look) -> RollbackResult:
    """What a result says before anything is done."""
    document = order.document
    told = plan_in_result(seen.way)
    return {
        **nothing(order),
        "operation": "rollback",
        "release": document["release"],
        "capture_id": document["capture_id"],
        "digest": document["digest"],
        "captured_at": document["captured_at"],
        "git_commit": document.get("git_commit"),
        "goal": order.goal,
        **told,
        "only": order.only,
        "down_scripts": [script.name for script in order.scripts],
        "run_id": None,
        "undo": None,
        "before": None,
        "saved": [{"relation": each.relation, "columns": [c.name for c in each.columns]} for each in seen.way.saves],
        "leaving_rows": seen.leaving_rows,
        "filled": list(seen.way.plan.filled),
        "kept_disabled": [],
        "attempts": 0,
        "seconds": 0.0,
        "rehearsal": None,
        "newer": list(seen.newer),
        "obstacles": [each.as_dict() for each in seen.found.obstacles],
        "refused": None,
        "effects": {},
        "gold_days": [],
        "warnings": [
            *_about_newer(order, seen),
            *_about_staying(order, seen),
            *_about_retired(order, seen),
            *_about_strict(order, seen),
            *_about_moving(order, seen),
            *_about_made_again(order, seen),
            *seen.way.warnings,
            *seen.found.unread,
        ],
        "diff": _diff(order, told),
    }


def _about_newer(order: restore_request.Order, seen: Look) -> list[str]:
    if not seen.newer:
        return []
    captures = f"neither {order.goal} nor {seen.other}"
    return [f"{captures} has these, and they are dropped, with their data saved: {saved_data.readable(seen.newer)}"]


def _about_staying(order: restore_request.Order, seen: Look) -> list[str]:
    since = seen.way.goal.since
    ways = {
        "left where they are with their rows": (since.newer, "moves or saves their rows, and drops them"),
        "detached by retention since, and left as they are": (since.detached, "saves their rows, and drops them"),
    }
    return [
        f"made since {order.goal} was captured, and {how}: {saved_data.readable(keys)}; -e scout_new_partitions=drop {drop}"
        for how, (keys, drop) in ways.items()
        if keys
    ]


def _about_retired(order: restore_request.Order, seen: Look) -> list[str]:
    since = seen.way.goal.since
    retired = [key for key in since.retired if key not in since.elsewhere]
    text = f"dropped or detached by retention since {order.goal} was captured, and not recreated"
    return [f"{text}: {saved_data.readable(retired)}; -e scout_new_partitions=drop recreates them"] if retired else []


def _about_strict(order: restore_request.Order, seen: Look) -> list[str]:
    strict = seen.way.goal.strict
    text = f"granted by default to the API when {order.goal} was captured, and not any more, which stays so"
    more = "-e scout_default_grants=restore grants it again, on whatever is made from then on"
    return [f"{text}: {saved_data.readable(strict)}; {more}"] if strict else []


def _about_moving(order: restore_request.Order, seen: Look) -> list[str]:
    moved = seen.way.plan.moved
    text = f"made since {order.goal} was captured, and dropped once their rows are in the default partition"
    return [f"{text}: {saved_data.readable(moved)}"] if moved else []


def _about_made_again(order: restore_request.Order, seen: Look) -> list[str]:
    """Columns that were dropped and added again under the same name: what they hold now is taken for what they shall hold."""
    again = [key for key in added_again(seen.way.live.entries, seen.way.goal.wanted) if key not in seen.way.plan.filled]
    text = f"dropped and added again since {order.goal} was captured, so the current values stay"
    return [f"{text}: {saved_data.readable(again)}"] if again else []


def _diff(order: restore_request.Order, told: PlanInResult) -> dict[str, str]:
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


def nothing(order: restore_request.Order) -> ModuleResult:
    """What is said where there is nothing to do."""
    number = len(order.document["entries"])
    what = captures_document.readable(order.only) if order.only else count(number, "object")
    captured = readable(order.document["captured_at"])[:16]
    return {
        "changed": False,
        "summary": f"nothing differs from {order.goal} of {captured} UTC: {what}",
    }


def undone_as(result: RollbackResult, undone: Row, about: Undone, *, check: bool) -> UndoneRollback:
    """The same for a run that is undone by it."""
    text = f"{'would undo' if check else 'undid'} {named(undone)}: {result['summary']}"
    return {**about, **result, "resumed": False, "summary": text}


def newer(way: transaction.Way, other: Document | None) -> tuple[str, ...]:
    """What is dropped for good and is in neither capture; nothing can be said where there is but one."""
    if other is None:
        return ()
    gone = [step.key for step in way.plan.steps if step.does == "drop" and step.key not in way.goal.wanted]
    return tuple(key for key in gone if way.plan.was.get(key, key) not in other["digests"])


def sentence(way: transaction.Way, verb: str) -> str:
    """One line for a person."""
    steps = way.plan.all_steps
    if not steps:
        return "nothing differs from the capture"
    text = f"{verb} {count(way.objects, 'object')} in {count(len(steps), 'step')}"
    text += f"; data of {count(len(way.saves), 'table')} is saved first" if way.saves else ""
    text += f"; {count(len(way.plan.filled), 'object')} with saved data restored" if way.plan.filled else ""
    text += f"; {count(len(way.lost), 'object')} with data that is lost" if way.lost else ""
    text += f"; {count(len(way.empty), 'object')} without data" if way.empty else ""
    text += f"; {count(len(way.copies), 'table')} copied for the order of columns" if way.copies else ""
    other = count(len(way.plan.reordered), "table")
    return text + (f"; other order of columns than captured in {other}" if way.plan.reordered else "")
