# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an incident, the runbook's documentation template filled in from its record; pure.

An incident of which nothing new is on record gives the same report at any time: nothing of it depends on the clock.
"""

from __future__ import annotations

import re
import typing as t

from ...core import advice
from ...core.text import count, in_words
from ...ledger import actions
from .. import timeline
from . import head, wording, wrong_figures
from . import impact as report_impact
from .story import LOOKS, RESPONSES

if t.TYPE_CHECKING:
    import datetime

    from ...postgres.session import Row
    from .story import ReportInput

NOTE: t.Final = "incident_note.yml"
#: The notes by which a report says what keeps it from happening again.
PREVENTION: t.Final = ("update_monitoring", "update_runbook")
#: The template's follow-up actions, each with the notes that make it done.
FOLLOW_UPS: t.Final = (
    ("Update monitoring alerts", ("update_monitoring",)),
    ("Update the runbook", ("update_runbook",)),
    ("Schedule team retrospective", ("retrospective",)),
    ("Document lessons learned", ("root_cause", "update_runbook")),
)
#: What a file's name may have.
ODD: t.Final = re.compile(r"[^A-Za-z0-9._-]+")


def build(story: ReportInput) -> Row:
    """Everything that a template needs, in plain values; texts of people are as they typed them."""
    record = timeline.described(story.record)
    events = _events(story)
    impact = report_impact.assess(story.record, story.facts, story.as_of, story.currency)
    wrong = wrong_figures.of(report_impact.points(story.record, story.facts), story.as_of)
    milestones = _milestones(story, events)
    began: datetime.datetime = story.record.row["opened_at"]
    made: Row = {
        "incident": story.name,
        "database": wording.without_paths(story.database),
        "title": record["title"],
        "severity": record["severity"],
        "state": record["state"],
        "date": story.stamp(began)["day"],
        "file_name": file_name(story.name, story.database, began),
        "zone": str(story.zone) if story.zone else None,
        "opened": {**story.stamp(began), "by": record["opened_by"]},
        "closed": {**story.stamp(story.as_of), "by": record["closed_by"]} if record["closed_at"] else None,
        "as_of": story.stamp(story.as_of),
        "next_update": story.stamp(record["next_update_at"]) if record["next_update_at"] else None,
        "escalation": record["escalation"],
        "milestones": milestones,
        "wrong_figures": {**wrong.as_dict(), "spells": [_spell(story, *each) for each in wrong.spells]},
        "impact": _shown_impact(story, impact),
        **{name: _noted(story, name) for name in ("root_cause", "external_dependencies", "retrospective")},
        "symptoms": _notes(story, None),
        "resolution": [_step(story, run, events) for run in story.fixes],
        "prevention": [note for item in PREVENTION for note in _notes(story, item)],
        "follow_ups": _follow_ups(story, impact),
        "done": [_step(story, run, events) for run in story.record.runs],
        "people": _people(story),
        "communications": _communications(story),
        "evidence": _evidence(story),
        "checklist": record["phases"],
        "checked": sum(item["done"] for phase in record["phases"] for item in phase["items"]),
        "items": sum(len(phase["items"]) for phase in record["phases"]),
        "missing": [_lacking(story, item) for item in record["missing"]],
        "timeline": events,
        "looks": report_impact.looks(story.record, story.facts, story.stamp),
    }
    made["in_brief"] = head.in_brief(story, made, impact, wrong)
    made["figures"] = head.figures(story, made, impact, wrong)
    return made


def file_name(incident: str, database: str, began: datetime.datetime) -> str:
    """`INC-2041-scout-2026-11-25`, fit for any file system."""
    day = wording.stamp(began, None)["day"]
    return "-".join(ODD.sub("_", part) for part in (incident, database.partition(" on ")[0], day))


def _events(story: ReportInput) -> list[Row]:
    """The timeline, each event with its heading and its times as they are shown."""
    undone_at = {run["undoes"]: run for run in story.record.runs if run["undoes"]}
    made: list[Row] = []
    for event in timeline.timeline(story.record, story.zone):
        by: Row | None = undone_at.get(event["run_id"]) if event["undone_by"] else None
        made.append(
            {
                **event,
                **({"effect": wording.without_paths(event["effect"])} if event["kind"] == "run" else {}),
                **story.stamp(event["at"]),
                "heading": wording.heading(event),
                "tone": wording.tone(event),
                "undone": f"undone by {by['actor']}" if by else "undone" if event["undone_by"] else None,
            }
        )
    return made


def _milestones(story: ReportInput, events: list[Row]) -> list[Row]:
    """The four lines of the template's timeline as they happened; those that are not reached say so, and come last."""
    fixes = story.fixes
    first = next((run for run in story.record.runs if run["action"] in RESPONSES), None)
    cause = next((e for e in story.record.entries if e["details"].get("item") == "root_cause"), None)
    detected = events[0]
    how = f"{detected['heading']} by {detected['actor']}" if detected["actor"] else detected["heading"]
    look = next((event for event in events if event["what"] in actions.LOOKS), None)
    if look and look["tone"] == "bad":
        how += f"; {look['effect']}"
    made = [{"name": "Detection", **story.stamp(detected["at"]), "text": how}]
    made.append(_milestone(story, "Mitigation started", first["started_at"] if first else None, _first(first, events)))
    latest = story.record.row["root_cause"]
    made.append(_milestone(story, "Root cause found", cause["at"] if cause else None, latest or "not written down yet"))
    end, how = _resolved(story, fixes)
    made.append(_milestone(story, "Resolved", end, how))
    return sorted(made, key=lambda mark: (mark["at"] is None, mark["at"]))


def _milestone(story: ReportInput, name: str, at: datetime.datetime | None, text: str) -> Row:
    blank: Row = dict.fromkeys(("at", "day", "time", "utc", "local", "local_time"))
    moment = blank if at is None else story.stamp(at)
    return {"name": name, **moment, "text": text}


def _first(run: Row | None, events: list[Row]) -> str:
    if run is None:
        return "nothing was done yet"
    event = _event_of(run, events)
    return f"{event['heading']} by {run['actor']}" + (f": {event['effect']}" if event["effect"] else "")


def _event_of(run: Row, events: list[Row]) -> Row:
    return next(event for event in events if event["kind"] == "run" and event["run_id"] == run["run_id"])


def _resolved(story: ReportInput, fixes: list[Row]) -> tuple[datetime.datetime | None, str]:
    """When the last fixing step was over, once it is confirmed: by a gate that passed or the closing."""
    closed: datetime.datetime | None = story.record.row["closed_at"]
    if not fixes:
        return (closed, "closed without a recovery step") if closed else (None, "not yet")
    last = max(fixes, key=lambda run: run["finished_at"] or run["started_at"])
    end: datetime.datetime = last["finished_at"] or last["started_at"]
    confirmed = closed is not None or any(
        run["started_at"] >= end and (run["effects"].get("ok") or run["effects"].get("verdict") in wording.GOOD)
        for run in story.record.runs
    )
    if not confirmed:
        return None, "not confirmed yet: no acceptance gate has passed since the last step"
    steps = list(dict.fromkeys(wording.step(run["action"]).lower() for run in fixes))
    return end, wording.joined(steps).capitalize()


def _noted(story: ReportInput, item: str) -> Row | None:
    """The last note under a heading."""
    return next(iter(_notes(story, item)[::-1]), None)


def _notes(story: ReportInput, item: str | None) -> list[Row]:
    return [
        {**story.stamp(entry["at"]), "by": entry["actor"], "text": entry["text"], "item": item}
        for entry in story.record.entries
        if entry["kind"] == "note" and entry["details"].get("item") == item
    ]


def _step(story: ReportInput, run: Row, events: list[Row]) -> Row:
    event = _event_of(run, events)
    took = None if run["seconds"] is None else in_words(run["seconds"])
    named = ("heading", "effect", "tone", "undone", "undo", "status")
    return {
        **story.stamp(run["started_at"]),
        **{name: event[name] for name in named},
        "by": run["actor"],
        "run_id": run["run_id"],
        "acts": run["action"] not in LOOKS,
        "number": story.numbers.get(run["run_id"]),
        "took": took,
        "command": f"ansible-playbook playbooks/undo.yml -e run_id={run['run_id']}" if event["undo"] else None,
    }


def _follow_ups(story: ReportInput, impact: report_impact.Impact) -> list[Row]:
    """The template's, and what this incident leaves to be done."""
    made: list[Row] = []
    for text, items in FOLLOW_UPS:
        notes = [note for item in items if (note := _noted(story, item))]
        lacking = [item for item in items if not _noted(story, item)]
        made.append(
            {
                "text": text,
                "done": not lacking,
                "notes": [] if len(items) > 1 else notes,
                "how": _lacking(story, lacking[0])["how"] if lacking else None,
                "command": None,
            }
        )
    if impact.waiting:
        text = (
            f"Decide on {count(impact.waiting, 'dead letter')} of this incident: fix the cause and redrive, or discard"
        )
        command = f"ansible-playbook playbooks/redrive.yml -e of_incident={advice.value(story.name)}"
        made.append({"text": text, "done": False, "notes": [], "how": None, "command": command})
    if impact.still_paused:
        command = "ansible-playbook playbooks/resume_ingestion.yml"
        made.append({"text": "Resume ingestion", "done": False, "notes": [], "how": None, "command": command})
    return made


def _lacking(story: ReportInput, item: str) -> Row:
    """What a person has still to supply, and how; no command, which would lack their words."""
    said = item if item in ("root_cause", "external_dependencies", "retrospective") else f"settles={item} and text"
    return {"item": item, "text": item.replace("_", " "), "how": f"{NOTE} takes incident={story.name} and {said}"}


def _people(story: ReportInput) -> list[Row]:
    """Who took part, the one who did first first, with what each did."""
    did: dict[str, list[str]] = {}
    for entry in story.record.entries:
        if entry["kind"] in ("opened", "closed"):
            did.setdefault(entry["actor"], []).append(f"{entry['kind']} it")
    for actor in dict.fromkeys(
        [*did, *(run["actor"] for run in story.record.runs), *(entry["actor"] for entry in story.record.entries)]
    ):
        for noun, number in (
            ("run", sum(run["actor"] == actor for run in story.record.runs)),
            ("note", sum(e["actor"] == actor and e["kind"] == "note" for e in story.record.entries)),
            ("update", sum(e["actor"] == actor and e["kind"] == "update" for e in story.record.entries)),
        ):
            if number:
                did.setdefault(actor, []).append(count(number, noun))
        did.setdefault(actor, [])
    return [{"name": actor, "did": wording.joined(parts)} for actor, parts in did.items()]


def _communications(story: ReportInput) -> list[Row]:
    """What was said of how things stand."""
    return [
        {**story.stamp(entry["at"]), "by": entry["actor"], "text": entry["text"]}
        for entry in story.record.entries
        if entry["kind"] == "update"
    ]


def _evidence(story: ReportInput) -> list[Row]:
    return [
        {
            **story.stamp(run["started_at"]),
            "by": run["actor"],
            "folder": wording.without_paths(str(run["effects"].get("folder") or "")),
            "text": wording.without_paths(str(run["effects"].get("summary") or "")),
        }
        for run in story.record.runs
        if run["action"] == "evidence" and run["status"] == "succeeded"
    ]


def _spell(story: ReportInput, start: datetime.datetime, end: datetime.datetime) -> Row:
    return {"start": story.stamp(start), "end": story.stamp(end), "lasted": in_words((end - start).total_seconds())}


def _shown_impact(story: ReportInput, impact: report_impact.Impact) -> Row:
    lasted = (story.as_of - story.record.row["opened_at"]).total_seconds()
    made = {**impact.as_dict(), "business": [note["text"] for note in _notes(story, "impact_scope")]}
    made["duration"] = in_words(lasted)
    made["felt"] = impact.felt
    made["duration_seconds"] = round(lasted, 3)
    made["paused"] = in_words(impact.paused_seconds) if impact.pauses else None
    made["pauses"] = [
        {
            "start": story.stamp(start),
            "end": story.stamp(end) if end else None,
            "by": by,
            "lasted": in_words(((end or story.as_of) - start).total_seconds()),
        }
        for start, end, by in impact.pauses
    ]
    made["window"] = (
        {"start": story.stamp(impact.window[0]), "end": story.stamp(impact.window[1])} if impact.window else None
    )
    return made
