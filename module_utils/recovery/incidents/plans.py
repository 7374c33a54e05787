# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opening, noting, updating and closing an incident would write, from what there is and what is wanted; pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..core import advice
from ..core.errors import NotConverged
from ..core.text import count
from ..core.times import to_the_minute
from ..ledger.open_incident import ADHOC
from . import checklist
from .timeline import Record

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..postgres.session import Row
    from .options import Wanted

#: What a summary begins with, and how the same is said of a plan.
VERBS: t.Final = {"opened": "open", "added": "add", "updated": "update", "closed": "close"}
#: Verdicts of the acceptance gate with which an incident may be closed.
CLOSABLE: t.Final = ("pass", "warn")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line to be written."""

    kind: str
    text: str
    details: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])


@dataclasses.dataclass(frozen=True)
class Todo:
    """What is to be written of one incident, and the line for a person."""

    incident: str
    line: Row
    entries: tuple[Entry, ...] = ()
    opens: bool = False
    closes: bool = False
    adopts: tuple[str, ...] = ()
    summary: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.entries)


def to_open(look: Look, want: Wanted, where: str) -> Todo:
    """Opens it unless it is open. Raises NotConverged for a second one beside another."""
    name = look.free_name if want.given == ADHOC else want.given
    there = look.in_force
    if there is not None and look.record is not None and look.record.row["incident"] == there["incident"]:
        if _same(look.record, want):
            return Todo(there["incident"], there, summary=f"{there['incident']} is open already")
        if want.given == there["incident"]:
            raise NotConverged(
                f"{there['incident']} is open already, with another title or severity",
                on=where,
                said=f"{there['severity']}: {there['title']}",
                next_step=f"incident_update.yml -e incident={advice.value(there['incident'])} changes title and severity",
            )
    if there is not None:
        raise NotConverged(
            "refused to open a second incident",
            on=where,
            said=f"{there['incident']} is open since {to_the_minute(there['opened_at'])} by {there['opened_by']}: {there['title']}",
            next_step="incident_note.yml adds to it, incident_close.yml closes it",
        )
    if look.record is not None:
        row = look.record.row
        raise NotConverged(
            f"{name} was closed {to_the_minute(row['closed_at'])} by {row['closed_by']}",
            on=where,
            next_step="open another one, or add to it with incident_note.yml -e incident=" + name,
        )
    line = _line(want, look.now)
    details = {"title": want.title, "severity": want.severity, **want.terms}
    details |= {"next_update_at": line["next_update_at"].isoformat()} if line["next_update_at"] else {}
    told = ", ".join(want.terms["escalation"])
    summary = f"opened {name}, {want.severity}: {want.title}" + (f"; notify {told}" if told else "")
    return Todo(name, line, (Entry("opened", str(want.title), details),), opens=True, summary=summary)


def _same(record: Record, want: Wanted) -> bool:
    """Whether the open incident is the one that is asked for, as it was opened or as it is now."""
    if want.given not in (ADHOC, record.row["incident"]):
        return False
    opened: Row = next((e["details"] for e in record.entries if e["kind"] == "opened"), record.row)
    return any(
        (seen.get("title"), seen.get("severity")) == (want.title, want.severity) for seen in (opened, record.row)
    )


def to_note(record: Record, want: Wanted) -> Todo:
    """Notes what is not the last thing noted under the same heading; a closed incident can still be added to."""
    asked = [(want.settles, want.text)] if want.text else []
    asked += list(want.items.items())
    new = [(item, text) for item, text in asked if text != _last_note(record, item)]
    entries = tuple(Entry("note", str(text), {"item": item} if item else {}) for item, text in new)
    causes = [text for item, text in new if item == "root_cause"]
    line = record.row | ({"root_cause": causes[-1]} if causes else {})
    name = record.row["incident"]
    said = ", ".join(checklist.words(item) if item else "a note" for item, _ in new)
    return Todo(name, line, entries, summary=f"added to {name}: {said}" if new else f"{name} has this note already")


def _last_note(record: Record, item: str | None) -> str | None:
    notes = [e for e in record.entries if e["kind"] == "note" and e["details"].get("item") == item]
    return notes[-1]["text"] if notes else None


def to_update(record: Record, look: Look, want: Wanted, where: str) -> Todo:
    """Changes severity and title, states the news, promises the next update and adopts runs. Raises NotConverged for a
    closed incident, or runs of another one."""
    row, name = record.row, record.row["incident"]
    if row["closed_at"] and (want.title or want.severity or want.text or want.minutes):
        raise NotConverged(
            f"{name} was closed {to_the_minute(row['closed_at'])} by {row['closed_by']}",
            on=where,
            next_step=f"incident_note.yml -e incident={advice.value(name)} adds to it; only runs can still be adopted",
        )
    foreign = [run for run in look.runs if run["incident"] not in (ADHOC, name)]
    if foreign:
        run = foreign[0]
        raise NotConverged(
            f"refused to adopt run {run['run_id']}",
            on=where,
            said=f"it was done for {run['incident']}",
            next_step="adopt only runs that were done for no incident: runs.yml shows the incident of each",
        )
    line, parts, details = dict(row), list[str](), dict[str, t.Any]()
    if want.severity and want.severity != row["severity"]:
        line["severity"] = want.severity
        parts.append(f"severity {want.severity}, was {row['severity']}")
        details |= {"severity": want.severity, "was": row["severity"], **want.terms}
    if want.title and want.title != row["title"]:
        line["title"] = want.title
        parts.append(f"title {want.title}")
        details |= {"title": want.title, "was_title": row["title"]}
    _tell(record, look, want, line, parts, details)
    entries = [Entry("update", "; ".join(parts), details)] if parts else []
    ids = tuple(dict.fromkeys(run["run_id"] for run in look.runs if run["incident"] == ADHOC))
    if ids:
        actions = ", ".join(run["action"] for run in look.runs if run["run_id"] in ids)
        entries.append(Entry("adopted", f"{count(len(ids), 'run')}: {actions}", {"runs": list(ids)}))
        parts.append(f"adopted {count(len(ids), 'run')}")
    summary = f"updated {name}: {'; '.join(parts)}" if parts else f"{name} is up to date"
    return Todo(name, line, tuple(entries), adopts=ids, summary=summary)


def _tell(record: Record, look: Look, want: Wanted, line: Row, parts: list[str], details: dict[str, t.Any]) -> None:
    """A new state keeps the promise of an update, and may make the next; the same words again are no new state."""
    told = [entry["details"] for entry in record.entries if entry["kind"] == "update"]
    last: Mapping[str, t.Any] = told[-1] if told else {}
    promised = record.row["next_update_at"]
    ahead = promised is not None and promised > look.now
    again = ahead and want.minutes == last.get("minutes") if want.minutes is not None else True
    if again and (want.text is None or want.text == last.get("said")):
        return
    if want.text is not None:
        line["next_update_at"] = None
        parts.append(want.text)
        details["said"] = want.text
    if want.minutes is not None:
        at = look.now + datetime.timedelta(minutes=want.minutes)
        line["next_update_at"] = at
        parts.append(f"next update by {to_the_minute(at)}")
        details |= {"minutes": want.minutes, "next_update_at": at.isoformat()}


def to_close(record: Record, look: Look, want: Wanted, where: str) -> Todo:
    """Closes it. Raises NotConverged while it keeps ingestion paused, or while the gate does not pass."""
    row, name = record.row, record.row["incident"]
    if row["closed_at"]:
        return Todo(name, row, summary=f"{name} was closed {to_the_minute(row['closed_at'])} by {row['closed_by']}")
    against = [f"ingestion is still paused for {name}"] if look.paused_for == name else []
    verdict = _verdict(record, want)
    if verdict.get("verdict") not in (None, *CLOSABLE):
        said = str(verdict.get("summary") or "")
        against.append(f"the gate does not pass ({said})" if said else f"the gate says {verdict['verdict']}")
    if against and not want.force:
        raise NotConverged(
            f"refused to close {name}",
            on=where,
            said="; ".join(against),
            next_step=_what_first(look.paused_for is not None) + "; or close it all the same with -e force=true",
        )
    lacking = checklist.missing(record.entries)
    details: dict[str, t.Any] = {"missing": lacking, "forced": bool(against), "against": against}
    details |= {"verdict": verdict["verdict"]} if verdict.get("verdict") else {}
    summary = f"closed {name}"
    if lacking:
        summary += f"; still to be noted: {', '.join(map(checklist.words, lacking))}"
    entry = Entry("closed", want.text or "closed", details)
    return Todo(
        name,
        {**row, "next_update_at": None},
        (entry,),
        closes=True,
        summary=summary,
        warnings=(*(f"closed although {reason}" for reason in against), *_unfinished(record)),
    )


def _unfinished(record: Record) -> list[str]:
    """A warning where something was begun for it and has not come to its end."""
    begun = [run for run in record.runs if run["status"] == "running"]
    if not begun:
        return []
    named = ", ".join(f"{run['action']} of {run['actor']} ({run['run_id']})" for run in begun[:3])
    more = f" and {len(begun) - 3} more" if len(begun) > 3 else ""
    return [f"not finished: {named}{more}; runs.yml lists what was done"]


def _verdict(record: Record, want: Wanted) -> Mapping[str, t.Any]:
    """What the gate said last: now, or when it was last asked for this incident."""
    if want.gate:
        return want.gate
    asked = [run["effects"] for run in record.runs if run["action"] == "gate" and run["status"] == "succeeded"]
    return asked[-1] if asked else {}


def _what_first(paused: bool) -> str:
    return "resume_ingestion.yml when ready" if paused else "assess.yml says what is wrong"


def _line(want: Wanted, now: datetime.datetime) -> Row:
    at = None if want.minutes is None else now + datetime.timedelta(minutes=want.minutes)
    return {"title": want.title, "severity": want.severity, "next_update_at": at, "root_cause": None}


def preview(look: Look, todo: Todo, actor: str) -> Record:
    """The incident as it would be."""
    base = look.record if look.record and look.record.row["incident"] == todo.incident else None
    row = {"closed_at": None, "closed_by": None, "opened_at": look.now, "opened_by": actor, "incident": todo.incident}
    row |= {**(base.row if base else {}), **todo.line}
    if todo.closes:
        row |= {"closed_at": look.now, "closed_by": actor}
    new = [
        {"entry": None, "at": look.now, "actor": actor, "kind": e.kind, "text": e.text, "details": dict(e.details)}
        for e in todo.entries
    ]
    kept = base or Record(row, [], [], [], look.now)
    return Record(row, [*kept.entries, *new], kept.runs, kept.looks, look.now)


def would(summary: str) -> str:
    """`would close INC-2041` for `closed INC-2041`."""
    verb, _, rest = summary.partition(" ")
    return f"would {VERBS[verb]} {rest}"


@dataclasses.dataclass(frozen=True)
class Look:
    """What there is before anything is planned."""

    #: The incident that is meant: the one named, else the open one, else the one closed last; None where there is none.
    record: Record | None
    #: The incident that is open, whichever is meant.
    in_force: Row | None
    free_name: str
    now: datetime.datetime
    #: Runs that are to be adopted, with the incident they are of now.
    runs: list[Row] = dataclasses.field(default_factory=list["Row"])
    #: The incident that ingestion is paused for.
    paused_for: str | None = None
