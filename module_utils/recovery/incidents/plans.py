# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opening, noting, updating and closing an incident would write, from what there is and what is wanted; pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import unicodedata

from ..core import redaction
from ..core.errors import BadInput, NotReached
from ..core.progress import count
from ..ledger.open_incident import ADHOC
from . import checklist
from .timeline import Record

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..postgres.session import Row
    from .record import Look

#: The runbook's; a team may have others.
SEVERITIES: t.Final[dict[str, dict[str, t.Any]]] = {
    "critical": {
        "response_minutes": 5,
        "escalation": ["incident commander", "engineering team", "stakeholders"],
    },
    "high": {"response_minutes": 30, "escalation": ["on-call engineer", "team lead"]},
    "medium": {"response_minutes": 120, "escalation": ["standard support during business hours"]},
}

LONGEST_TITLE: t.Final = 200
LONGEST_TEXT: t.Final = 20_000
LONGEST_PROMISE_MINUTES: t.Final = 60 * 24 * 7
#: Characters without a look of their own that words may need: line breaks, tabs, and what joins letters and emoji.
KEPT: t.Final = "\n\t\u200c\u200d"
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


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The options, checked."""

    given: str
    title: str | None = None
    severity: str | None = None
    terms: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    text: str | None = None
    #: The item of the checklist that the text settles.
    settles: str | None = None
    items: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    minutes: float | None = None
    adopts: bool = False
    gate: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    force: bool = False
    #: Which of the texts held what looks like a secret.
    hidden: tuple[str, ...] = ()


def clean(text: str | None, name: str, *, one_line: bool = False) -> str | None:
    """The text without what would disturb a terminal or a message; None where nothing is left of it. Raises BadInput
    where it is too long."""
    if text is None:
        return None
    made = "".join(
        c if c in KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp") else " "
        for c in text.replace("\r\n", "\n")
    )
    made = " ".join(made.split()) if one_line else made.strip()
    longest = LONGEST_TITLE if one_line else LONGEST_TEXT
    if len(made) > longest:
        more = "; a note takes the rest: incident_note.yml" if one_line else ""
        raise BadInput(f"{name} has {len(made):,} characters", next_step=f"give at most {longest:,}{more}")
    return made or None


def severities(given: Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """The team's severities, or the runbook's where it has none. Raises BadInput for what cannot be one."""
    made: dict[str, dict[str, t.Any]] = {}
    for name, terms in (given or SEVERITIES).items():
        values = t.cast("dict[str, t.Any]", terms) if isinstance(terms, dict) else {}
        minutes, escalation = values.get("response_minutes"), values.get("escalation", [])
        usable = isinstance(minutes, int | float) and not isinstance(minutes, bool) and 0 < minutes <= 60 * 24 * 365
        told = isinstance(escalation, list) and all(isinstance(who, str) for who in t.cast("list[t.Any]", escalation))
        if not usable or not told or set(values) - {"response_minutes", "escalation"}:
            raise BadInput(
                f"severity {str(name)[:40]!r} is not usable as it is given",
                next_step="give each as {response_minutes: 30, escalation: [on-call engineer, team lead]}",
            )
        made[str(name)] = {"response_minutes": minutes, "escalation": escalation}
    return made


def wanted(params: Mapping[str, t.Any], secrets: Iterable[str] = ()) -> Wanted:
    """The options, checked, with no secret in any text; reads nothing. Raises BadInput, naming it, for one that
    cannot be used."""
    known = severities(params["severities"])
    # A record is told to people, and nothing of it can be removed.
    scrubber = redaction.Scrubber((), secrets)
    hidden: list[str] = []

    def text(name: str, *, one_line: bool = False) -> str | None:
        made = clean(params[name], name, one_line=one_line)
        kept = made and scrubber.text(made)
        hidden.extend([name] if kept != made else [])
        return kept

    severity: str | None = params["severity"] or None
    if severity is not None and severity not in known:
        raise BadInput(f"severity {severity[:40]!r} is not known", next_step=f"give one of {', '.join(known)}")
    if words := clean(params["stray_words"], "stray_words", one_line=True):
        raise BadInput(
            f"the words {words[:80]!r} are outside the quotes and would be lost",
            next_step='quote a text twice: -e "text=\'…\'", or give JSON: -e \'{"text": "…"}\'',
        )
    settles: str | None = params["settles"] or None
    if settles is not None and settles not in checklist.NAMES:
        raise BadInput(
            f"settles {settles[:40]!r} is not a checklist item",
            next_step=f"give one of {', '.join(checklist.NAMES)}",
        )
    minutes: float | None = params["next_update_minutes"]
    if minutes is not None and not 0 < minutes <= LONGEST_PROMISE_MINUTES:
        raise BadInput(
            f"next_update_minutes {minutes:g} is not usable",
            next_step=f"give minutes, above 0 and at most {LONGEST_PROMISE_MINUTES}",
        )
    items = {name: text(name) for name in checklist.PERSONAL}
    made = Wanted(
        given=params["incident"],
        title=text("title", one_line=True),
        severity=severity,
        terms=known[severity] if severity else {},
        text=text("text"),
        settles=settles,
        items={name: said for name, said in items.items() if said},
        minutes=minutes,
        adopts=bool(params["adopt"] or params["adopt_since"]),
        gate=params["gate"] or {},
        force=params["force"],
        hidden=tuple(hidden),
    )
    _refuse_empty(made, params["state"])
    return made


def _refuse_empty(made: Wanted, state: str) -> None:
    """Refuses an order that says nothing."""
    if state == "opened" and not (made.title and made.severity):
        lacking = "title" if not made.title else "severity"
        raise BadInput(
            f"an incident needs a {lacking}",
            next_step="incident_open.yml -e \"title='gold is stale'\" -e severity=high",
        )
    if state == "noted" and not (made.text or made.items):
        raise BadInput(
            "nothing to note was given", next_step="incident_note.yml -e \"text='…'\" or -e \"root_cause='…'\""
        )
    if made.settles and not made.text:
        raise BadInput(
            f"settles {made.settles!r} is given without a text", next_step="say with -e \"text='…'\" how it was settled"
        )
    something = made.title or made.severity or made.text or made.minutes or made.adopts
    if state == "updated" and not something:
        raise BadInput(
            "nothing to update was given",
            next_step="give severity, title, text, next_update_minutes, adopt or adopt_since",
        )


def to_open(look: Look, want: Wanted, where: str) -> Todo:
    """Opens it unless it is open. Raises NotReached for a second one beside another."""
    name = look.free_name if want.given == ADHOC else want.given
    there = look.in_force
    if there is not None and look.record is not None and look.record.row["incident"] == there["incident"]:
        if _same(look.record, want):
            return Todo(there["incident"], there, summary=f"{there['incident']} is open already")
        if want.given == there["incident"]:
            raise NotReached(
                f"{there['incident']} is open already, with another title or severity",
                on=where,
                said=f"{there['severity']}: {there['title']}",
                next_step=f"incident_update.yml -e incident={there['incident']} changes title and severity",
            )
    if there is not None:
        raise NotReached(
            "refused to open a second incident",
            on=where,
            said=f"{there['incident']} is open since {_clock(there['opened_at'])} by {there['opened_by']}: {there['title']}",
            next_step="incident_note.yml adds to it, incident_close.yml closes it",
        )
    if look.record is not None:
        row = look.record.row
        raise NotReached(
            f"{name} was closed {_clock(row['closed_at'])} by {row['closed_by']}",
            on=where,
            next_step="open another one, or add to it with incident_note.yml -e incident=" + name,
        )
    line = _line(want, look.now)
    details = {"title": want.title, "severity": want.severity, **want.terms}
    details |= {"next_update_at": _iso(line["next_update_at"])} if line["next_update_at"] else {}
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
    """Changes severity and title, states the news, promises the next update and adopts runs. Raises NotReached for a
    closed incident, or runs of another one."""
    row, name = record.row, record.row["incident"]
    if row["closed_at"] and (want.title or want.severity or want.text or want.minutes):
        raise NotReached(
            f"{name} was closed {_clock(row['closed_at'])} by {row['closed_by']}",
            on=where,
            next_step=f"incident_note.yml -e incident={name} adds to it; only runs can still be adopted",
        )
    foreign = [run for run in look.runs if run["incident"] not in (ADHOC, name)]
    if foreign:
        run = foreign[0]
        raise NotReached(
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
        parts.append(f"next update by {_clock(at)}")
        details |= {"minutes": want.minutes, "next_update_at": _iso(at)}


def to_close(record: Record, look: Look, want: Wanted, where: str) -> Todo:
    """Closes it. Raises NotReached while it keeps ingestion paused, or while the gate does not pass."""
    row, name = record.row, record.row["incident"]
    if row["closed_at"]:
        return Todo(name, row, summary=f"{name} was closed {_clock(row['closed_at'])} by {row['closed_by']}")
    against = [f"ingestion is still paused for {name}"] if look.paused_for == name else []
    verdict = _verdict(record, want)
    if verdict.get("verdict") not in (None, *CLOSABLE):
        said = str(verdict.get("summary") or "")
        against.append(f"the gate does not pass ({said})" if said else f"the gate says {verdict['verdict']}")
    if against and not want.force:
        raise NotReached(
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


def _clock(at: datetime.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _iso(at: datetime.datetime) -> str:
    return at.isoformat()
