# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of rows that moved, and of the runs that did it."""

from __future__ import annotations

import re
import textwrap
import typing as t

from ..core.text import count, cut, in_words
from ..core.times import readable
from ..core.values import as_list
from ..ledger import actions
from ..scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Result = dict[str, t.Any]

#: The steps that move rows, each a role and a module of that name; and the one that takes schemas back.
STEPS: t.Final = (*actions.MOVES, *actions.ROLLBACK)
UNDO: t.Final = "ansible-playbook scout.recovery.undo -e scout_run_id="
REDRIVE: t.Final = "ansible-playbook scout.recovery.redrive"
#: How many kinds of dead letters one command names.
MOST_CODES: t.Final = 5
RUNS: t.Final = "ansible-playbook scout.recovery.runs"
#: The step that lists the dead letter queue, and what a machine is told of it.
QUEUE: t.Final = "dead_letters"
#: An error code that is one word to everybody.
SIMPLE: t.Final = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
WHICH_OF_QUEUE: t.Final = ("entries", "limited", "ages", "kinds", "groups")
#: Moves that put events into the queue, which their own drain then loads, or quarantines.
REQUEUES: t.Final = ("quality_cleanup", "window_recovery", "undo")

#: The names under which a move counts rows, in the order in which they are shown: the key of their table in the contract,
#: and one of its rows.
TABLES: t.Final = {
    "events": ("bronze", "event"),
    "transactions": ("transactions", "transaction"),
    "lines": ("line_items", "line"),
    "ledger": ("etl_ledger", "ledger row"),
    "dead_letters": ("dead_letters", "dead letter"),
}

#: What a redrive counts, in words.
REDRIVEN: t.Final = {
    "redriven": "back in bronze",
    "already_there": "already there",
    "failures": "failed again",
    "parked": "parked",
    "not_rebuildable": "cannot be rebuilt",
}
WHICH: t.Final = (
    *("run_id", "window", "range", "not_found", "moved", "requeued", "gold_days", "rules", "report"),
    *("undone", "put_back", "taken", "conflicts", "conflicting"),
    *REDRIVEN,
    *("mode", "loaded", "poison", "plan", "reconciliation"),
)
TABLE_WIDTH: t.Final = 79
FEW: t.Final = 3


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """What a move selected, moved and found, for a machine; None where there was no move."""
    return {name: _of(result, name) for name in WHICH if _of(result, name) is not None} if result else None


def selected(result: Mapping[str, t.Any]) -> str:
    """`ingested_at from 2026-11-25 01:00:00 to 2026-11-25 02:00:00 UTC, stores S-0117`; empty where nothing was asked for."""
    return ", ".join(filter(None, [_time_of(result), *_narrowed(_of(result, "narrowed") or {})]))


def _narrowed(asked: Mapping[str, t.Any]) -> Iterator[str]:
    """`stores S-0117, S-0118 and more`."""
    for name, value in asked.items():
        values = [value] if isinstance(value, str) else value
        yield f"{name} {', '.join(map(str, values[:FEW]))}" + (" and more" if len(values) > FEW else "")


def _time_of(result: Mapping[str, t.Any]) -> str:
    window: Mapping[str, t.Any] = _of(result, "window") or {}
    start, end = (readable(window.get(name)) for name in ("start", "end"))
    if not start and not end:
        return ""
    until = f"{'to' if start else 'up to'} {end}" if end else ""
    words = [window.get("clock") or "", f"from {start}" if start else "", until, "UTC"]
    return " ".join(word for word in words if word)


def rows(result: Mapping[str, t.Any]) -> str:
    """How many rows of which table moved, how many events wait to be loaded again, and which days of gold that changes."""
    parts = [] if _of(result, "put_back") else counted(_of(result, "moved") or {})
    parts += [f"{number:,} {words}" for name, words in REDRIVEN.items() if (number := _redriven(result, name))]
    text = ", ".join(parts)
    for name, words in (("put_back", "back"), ("taken", "out")):
        if some := counted(_of(result, name) or {}):
            text += f"; {words}: {', '.join(some)}"
    if requeued := _counted(_of(result, "requeued")):
        text += f"; {count(requeued, 'kept event')} requeued"
    days: list[t.Any] = _of(result, "gold_days") or []
    if days:
        more = f" and {len(days) - FEW} more" if len(days) > FEW else ""
        text += f"; gold of {', '.join(str(day) for day in days[:FEW])}{more}"
    return text.removeprefix("; ")


def _redriven(result: Mapping[str, t.Any], name: str) -> int:
    """How many entries came to this; of those that failed only the first are listed, and the ledger has the number."""
    effects: Result = result.get("effects") or {}
    return _counted(effects["failed"] if name == "failures" and "failed" in effects else _of(result, name))


def counted(moved: Mapping[str, t.Any]) -> list[str]:
    """The name of every table with rows, and their number: `orders 1,234`."""
    return [f"{_table(name)} {_counted(moved[name]):,}" for name in _ordered(moved)]


def _table(name: str) -> str:
    return contract.bare(contract.names()[TABLES[name][0]]) if name in TABLES else name


def _ordered(moved: Mapping[str, t.Any]) -> list[str]:
    """The names of what has rows, those of TABLES first."""
    names = [*TABLES, *(name for name in moved if name not in TABLES)]
    return [name for name in names if _counted(moved.get(name))]


def conflicts(result: Mapping[str, t.Any]) -> str:
    """How many rows are not as they were left, and the first of them."""
    found: list[t.Any] = _of(result, "conflicts") or []
    if not found:
        return ""
    return f"{count(_of(result, 'conflicting') or len(found), 'conflict')}: {'; '.join(map(_conflict, found[:FEW]))}"


def how_to_undo(name: str, result: Mapping[str, t.Any], ran: Mapping[str, Result]) -> list[str]:
    """The commands that undo it, in their order; none where nothing was written, now or before the run was broken off.

    Its drain may have quarantined events that the move itself had put into the queue: that is undone first, and nothing may
    load them meanwhile."""
    wrote = result.get("changed") or (result.get("resumed") and any(counted(_of(result, "moved") or {})))
    wrote = wrote or (result.get("resumed") and _counted(_of(result, "loaded")))
    if not wrote or not result.get("run_id"):
        return []
    drained = ran.get("drain", {}) if name in REQUEUES else {}
    first = drained.get("run_id") if drained.get("poison") else None
    return [
        *([f"{UNDO}{first} -e scout_drain=false -e scout_resume=false"] if first else []),
        f"{UNDO}{result['run_id']}",
    ]


def dead_letters() -> str:
    """Where to look for what was quarantined."""
    return contract.words("look at {dead_letters} WHERE resolved_at IS NULL")


def what_next(name: str, result: Mapping[str, t.Any], incident: str) -> list[str]:
    """What to do after a move that finished."""
    if name == "undo":
        return [] if result.get("changed") else [f"{RUNS} lists what can be undone"]
    if name == "window_recovery":
        return [dead_letters()] if result.get("poison") else []
    if name == "redrive":
        return (
            [dead_letters()]
            if any(_redriven(result, each) for each in ("failures", "parked", "not_rebuildable"))
            else []
        )
    if not result.get("changed"):
        return []
    which = f"scout_of_incident={incident}" if incident != "adhoc" else f"scout_run_id={result['run_id']}"
    return [f"once the cause is fixed, {REDRIVE} -e {which}"]


def queue_as_document(result: Mapping[str, t.Any]) -> Result | None:
    """The dead letter queue, for a machine; None where it was not listed."""
    return {name: result.get(name) for name in WHICH_OF_QUEUE} if "groups" in result else None


def after_listing(ran: Mapping[str, Result]) -> list[str]:
    """What is left to do after the dead letter queue was listed."""
    groups = as_list(ran.get(QUEUE, {}).get("groups"))
    if not groups:
        return []
    codes = list(dict.fromkeys(str(each["error_code"]) for each in groups))
    simple = [code for code in codes if SIMPLE.fullmatch(code)][:MOST_CODES]
    # A redrive of everything is refused, so one without a selection is no command.
    sample: Result = groups[0]["sample"] or {}
    which = f"scout_error_codes={','.join(simple)}" if simple else f"scout_dlq_ids={sample.get('dlq_id', '…')}"
    return [f"once the cause is fixed, {REDRIVE} -e {which}"]


def ended(operation: str, ran: Mapping[str, Result]) -> str:
    """Whom it ended, or would, where that is all that it did."""
    ended = as_list(ran.get("terminate_sessions", {}).get("ended")) if operation == "terminate_sessions" else []
    return "; ".join(
        f"pid {each['pid']} ({', '.join(str(each[name]) for name in ('role', 'application') if each.get(name))}, "
        f"{each['state']} for {in_words(each['seconds'])})" + "".join(f", {why}" for why in each["reasons"])
        for each in ended
    )


def table(runs: list[Result]) -> list[str]:
    """Two lines a run, or three: which, when, what; for what and by whom; what moved, and whether it can be undone."""
    if not runs:
        return ["  no run matches"]
    made = [_columns("run id", "when (UTC)", "action")]
    for run in runs:
        run_id, action, incident, actor = (str(run.get(k) or "") for k in ("run_id", "action", "incident", "actor"))
        made.append(_columns(run_id, readable(run.get("started_at"))[:16], action))
        whose = f"{cut(incident, 32)}, {cut(actor, 32)}"
        # Whether it can be undone is the last thing to be cut.
        undone = _undone(run)
        effects = textwrap.shorten(_effects(run), TABLE_WIDTH - 8 - len(undone), placeholder=" …")
        told = f"{effects}{'; ' if effects else ''}{undone}"
        both = f"{whose}: {told}"
        made += [f"      {line}" for line in ([both] if len(both) <= TABLE_WIDTH - 6 else [whose, told])]
    return made


def _columns(run_id: str, when: str, action: str) -> str:
    return f"  {run_id:<36}  {when:<16}  {cut(action, 21)}".rstrip()


def _effects(run: Mapping[str, t.Any]) -> str:
    """`1,234 events, 1,200 transactions, 12 requeued`, and before it whatever else became of the run than success."""
    parts: list[str] = [str(run["release"])] if run.get("release") else []
    counts: Result = run.get("counts") or {}
    for name, value in counts.items():
        if isinstance(value, dict):
            moved = t.cast("dict[str, int]", value)
            some = [
                count(moved[each], TABLES[each][1]) if each in TABLES else f"{moved[each]:,} {each}"
                for each in _ordered(moved)
            ]
            parts += [("" if name == "moved" else f"{name.replace('_', ' ')} ") + ", ".join(some)] if some else []
        elif _counted(value):
            parts.append(f"{_counted(value):,} {name.replace('_', ' ')}")
    text = ", ".join(parts)
    return text if run.get("status") in (None, "succeeded") else f"{run['status']}{': ' if text else ''}{text}"


def _undone(run: Mapping[str, t.Any]) -> str:
    return "can be undone" if run.get("can_be_undone") else str(run.get("why_not") or "cannot be undone")


def _of(result: Mapping[str, t.Any], name: str) -> t.Any:
    """A field of a result, also of one that failed half way, which has it among its effects."""
    value: t.Any = result.get(name)
    effects: Result = result.get("effects") or {}
    return effects.get(name) if value is None else value


def _counted(value: t.Any) -> int:
    """A count, given as such or as what is to be counted."""
    return int(value or 0) if value is None or isinstance(value, int | float | str) else len(value)


def _conflict(value: t.Any) -> str:
    """A conflict in words, whichever way it is given."""
    if not isinstance(value, dict):
        return str(value)
    fields: Result = t.cast("Result", value)
    if {"table", "key", "why"} <= set(fields):
        return f"{fields['table']} {fields['key']}: {fields['why']}"
    return " ".join(str(part) for part in fields.values() if part is not None)
