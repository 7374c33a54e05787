# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An incident as one story: what ran, what was said and what was seen, in order, and what is overdue; pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import zoneinfo

from ..core.errors import BadInput
from ..core.text import count, in_words
from ..ledger import history
from ..ledger.actions import LOOKS
from . import checklist

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..postgres.session import Row

#: Entries by which a person shows that somebody is at work on it.
RESPONSES: t.Final = ("note", "update", "adopted")

#: What a row of silver or bronze is called, by the name a move counts it under.
MOVED: t.Final = ("events", "transactions", "lines")

SAID: t.Final = {"note": "noted", "update": "told"}


@dataclasses.dataclass(frozen=True)
class Record:
    """What the ledger has of one incident."""

    row: Row
    entries: list[Row]
    #: Its runs, the earliest first.
    runs: list[Row]
    #: Samples of earlier versions at which the verdict changed.
    looks: list[Row]
    now: datetime.datetime


class Described(t.TypedDict):
    """An incident in a result."""

    incident: str
    title: str
    severity: str
    state: str
    opened_at: str
    opened_by: str
    closed_at: str | None
    closed_by: str | None
    root_cause: str | None
    next_update_at: str | None
    response_due_at: str | None
    escalation: list[str]
    overdue: list[dict[str, t.Any]]
    missing: list[str]
    phases: list[dict[str, t.Any]]
    entries: list[dict[str, t.Any]]


def described(record: Record) -> Described:
    """The incident as results show it."""
    row = record.row
    terms = severity_terms(record.entries)
    response = response_due(record)
    return {
        "incident": row["incident"],
        "title": row["title"],
        "severity": row["severity"],
        "state": "closed" if row["closed_at"] else "open",
        "opened_at": row["opened_at"].isoformat(),
        "opened_by": row["opened_by"],
        "closed_at": row["closed_at"].isoformat() if row["closed_at"] else None,
        "closed_by": row["closed_by"],
        "root_cause": row["root_cause"],
        "next_update_at": row["next_update_at"].isoformat() if row["next_update_at"] else None,
        "response_due_at": response.isoformat() if response else None,
        "escalation": list(terms.get("escalation") or []),
        "overdue": overdue(record),
        "missing": checklist.missing(record.entries),
        "phases": checklist.ticked(record.entries, record.runs),
        "entries": [
            {name: value.isoformat() if name == "at" else value for name, value in entry.items()}
            for entry in record.entries
        ],
    }


def severity_terms(entries: list[Row]) -> Mapping[str, t.Any]:
    """What the severity in force meant when it was set: within how many minutes somebody responds, and who is
    notified."""
    none: dict[str, t.Any] = {}
    return next((e["details"] for e in reversed(entries) if "response_minutes" in e["details"]), none)


def response_due(record: Record) -> datetime.datetime | None:
    """Until when somebody has to be at work on it."""
    minutes = severity_terms(record.entries).get("response_minutes")
    return None if minutes is None else record.row["opened_at"] + datetime.timedelta(minutes=minutes)


def _responded(record: Record) -> bool:
    """Whether somebody has done or said anything for it; who only looked has not."""
    return any(run["action"] not in LOOKS for run in record.runs) or any(
        entry["kind"] in RESPONSES for entry in record.entries
    )


def overdue(record: Record) -> list[Row]:
    """What should have happened by now and has not, the longest overdue first; nothing once it is closed."""
    if record.row["closed_at"]:
        return []
    due = {"update": record.row["next_update_at"], "response": None if _responded(record) else response_due(record)}
    late = [(at, what) for what, at in due.items() if at is not None and at < record.now]
    return [
        {"what": what, "due_at": at.isoformat(), "seconds": round((record.now - at).total_seconds())}
        for at, what in sorted(late)
    ]


def overdue_words(late: Mapping[str, t.Any]) -> str:
    """`the promised update is 12 min overdue`."""
    what = {"update": "the promised update", "response": "a first response"}[late["what"]]
    return f"{what} is {in_words(late['seconds'])} overdue"


def zone_of(name: str | None) -> zoneinfo.ZoneInfo | None:
    """The team's time zone. Raises BadInput for one that is not known here."""
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise BadInput(f"time_zone {name[:80]!r} is not known", next_step="use a name like Asia/Manila") from e


def timeline(record: Record, zone: zoneinfo.ZoneInfo | None = None) -> list[Row]:
    """Everything in the order in which it happened, in UTC and in the team's zone."""
    starts = {run["run_id"]: run["started_at"] for run in record.runs}
    made = [
        *(_said(entry) for entry in record.entries),
        *(_ran(run) for run in record.runs),
        # The first sample was taken before the line of its run was written.
        *(_seen(look, starts.get(look["run_id"], look["at"])) for look in record.looks),
    ]
    made.sort(key=lambda event: event["at"])
    for event in made:
        at: datetime.datetime = event["at"]
        event["local"] = at.astimezone(zone).isoformat() if zone else None
        event["at"] = at.astimezone(datetime.UTC).isoformat()
    return made


def _event(at: datetime.datetime, actor: str | None, kind: str, what: str, effect: str, **more: t.Any) -> Row:
    blank = {"run_id": None, "undo": None, "undone_by": None, "status": None}
    return {"at": at, "local": None, "actor": actor, "kind": kind, "what": what, "effect": effect} | blank | more


def _said(entry: Mapping[str, t.Any]) -> Row:
    item: str | None = entry["details"].get("item")
    kind: str = entry["kind"]
    what = f"noted {checklist.words(item)}" if item else SAID.get(kind, kind)
    return _event(entry["at"], entry["actor"], kind, what, entry["text"])


def _ran(run: Mapping[str, t.Any]) -> Row:
    about = history.described(dict(run))
    effect = EFFECTS.get(run["action"], _counted)(run["effects"], about)
    if run["status"] in ("failed", "stopped", "interrupted"):
        error: Mapping[str, t.Any] = run["error"] or {}
        why = str(error.get("attempted") or error.get("kind") or "")
        why += f": {error['said']}" if error.get("said") else ""
        effect = "; ".join(part for part in (f"{run['status']}: {why}" if why else run["status"], effect) if part)
    elif run["status"] == "running":
        effect = "; ".join(part for part in ("not finished", effect) if part)
    return _event(
        run["started_at"],
        run["actor"],
        "run",
        run["action"],
        effect or "changed nothing",
        run_id=run["run_id"],
        undo=run["run_id"] if about["can_be_undone"] else None,
        undone_by=run["undone_by"],
        status=run["status"],
    )


def _seen(look: Mapping[str, t.Any], not_before: datetime.datetime) -> Row:
    text = f"{look['verdict']}: {look['reason']}" if look["reason"] else look["verdict"]
    return _event(
        max(look["at"], not_before),
        None,
        "sample",
        "seen",
        f"{text} (ingestion is {look['state']})",
        run_id=look["run_id"],
    )


def _paused(effects: Mapping[str, t.Any], _about: Row) -> str:
    jobs: list[str] = effects.get("deactivated") or []
    return f"{count(len(jobs), 'job')} off: {', '.join(map(str, jobs))}" if jobs else ""


def _resumed(effects: Mapping[str, t.Any], _about: Row) -> str:
    jobs: list[str] = effects.get("activated") or []
    return f"{count(len(jobs), 'job')} active again: {', '.join(map(str, jobs))}" if jobs else ""


def _ended(effects: Mapping[str, t.Any], _about: Row) -> str:
    ended: list[t.Any] = effects.get("ended") or []
    return f"{count(len(ended), 'stuck session')} ended" if ended else ""


def _drained(effects: Mapping[str, t.Any], _about: Row) -> str:
    parts = [f"{count(effects['loaded'], 'event')} loaded"] if effects.get("loaded") else []
    poison: list[t.Any] = effects.get("poison") or []
    parts += [f"{count(len(poison), 'poison event')} quarantined"] if poison else []
    return ", ".join(parts)


def _refreshed(effects: Mapping[str, t.Any], _about: Row) -> str:
    entries: list[Row] = effects.get("refreshed") or []
    views = [str(view["name"]) for view in entries if not view.get("error")]
    return f"refreshed {', '.join(views)}" if views else ""


def _moved(effects: Mapping[str, t.Any], _about: Row) -> str:
    moved: Mapping[str, int] = effects.get("moved") or {}
    parts = [count(moved[name], name.removesuffix("s")) for name in MOVED if moved.get(name)]
    return f"{', '.join(parts)} quarantined" if parts else ""


def _looked(effects: Mapping[str, t.Any], _about: Row) -> str:
    parts = [str(effects["verdict"])] if effects.get("verdict") else []
    said = str(effects.get("summary") or "")
    parts = [said if said.startswith(tuple(parts)) else f"{parts[0]}: {said}"] if parts and said else parts
    if effects.get("samples"):
        parts.append(count(effects["samples"], "sample"))
    return ", ".join(parts)


def _kept(effects: Mapping[str, t.Any], _about: Row) -> str:
    return str(effects.get("summary") or effects.get("folder") or "")


def _release(effects: Mapping[str, t.Any], _about: Row) -> str:
    parts = [f"release {effects['release']}"] if effects.get("release") else []
    return ", ".join([*parts, *([count(effects["objects"], "object")] if effects.get("objects") else [])])


def _deployed(effects: Mapping[str, t.Any], _about: Row) -> str:
    return f"commit {str(effects['commit'])[:12]}" if effects.get("commit") else ""


def _undone(effects: Mapping[str, t.Any], about: Row) -> str:
    text = f"undid run {about['undoes']}" if about["undoes"] else ""
    return "; ".join(part for part in (text, _counted(effects, about)) if part)


def _counted(_effects: Mapping[str, t.Any], about: Row) -> str:
    """Whatever a run counts, by its own names."""
    counts: Mapping[str, t.Any] = about["counts"]
    return ", ".join(f"{checklist.words(name)} {_in_numbers(value)}" for name, value in counts.items())


def _in_numbers(value: t.Any) -> str:
    if isinstance(value, dict):
        parts = t.cast("dict[str, t.Any]", value)
        return ", ".join(f"{name} {_in_numbers(part)}" for name, part in parts.items())
    if isinstance(value, list):
        return f"{len(t.cast('list[t.Any]', value)):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)


EFFECTS: t.Final[dict[str, Callable[[Mapping[str, t.Any], Row], str]]] = {
    "pause": _paused,
    "resume": _resumed,
    "terminate_sessions": _ended,
    "drain": _drained,
    "refresh_gold": _refreshed,
    "quarantine": _moved,
    "cleanup": _moved,
    "undo": _undone,
    "assess": _looked,
    "gate": _looked,
    "evidence": _kept,
    "capture": _release,
    "rollback": _release,
    "deploy": _deployed,
}
