# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on the record of an incident: what is meant, what is written, and what the result says."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..core.errors import BadInput, LeaseHeld, NotConverged
from ..core.text import count, in_words
from ..health import thresholds
from ..invoke import known_secrets
from ..ledger import bootstrap, runs
from ..ledger.history import run_named
from ..ledger.open_incident import ADHOC
from ..postgres.failures import attempting
from ..postgres.times import moment
from . import figures, options, plans, timeline
from . import record as incidents_record
from .report import build, charts, impact
from .report import facts as report_facts
from .report.story import ReportInput

if t.TYPE_CHECKING:
    import zoneinfo
    from collections.abc import Mapping

    from ..invoke import Call
    from ..ledger.ledger import Ledger
    from .results import IncidentInfoResult, IncidentResult, SeenResult

#: Who opens at the same moment has it on record within so many seconds.
OPENING_SECONDS: t.Final = 2.0

#: What is kept of a look at the pipeline.
KEPT: t.Final = {
    "assess": ("verdict", "summary"),
    "gate": ("verdict", "summary", "ok", "exit_code"),
    "evidence": ("folder", "summary"),
}


def keep(call: Call, params: Mapping[str, t.Any]) -> IncidentResult | SeenResult:
    """The record of an incident kept: opened, noted, updated or closed, with what was seen; what it then has.

    Raises BadInput for words that cannot be used, NotConverged where no incident is open, or another one is, and LeaseHeld.
    """
    return _seen(call, params) if params["state"] == "seen" else _carried_out(call, params)


def _carried_out(call: Call, params: Mapping[str, t.Any]) -> IncidentResult:
    """Opens, notes, updates or closes; in check mode says what that would do."""
    want = options.wanted(params, known_secrets(call, params))
    if want.given != ADHOC and params["state"] == "opened" and want.given.lower() == ADHOC:
        raise BadInput(f"incident {want.given!r} would be read as no incident", next_step="give it another name")
    ledger = _ledger(call, params)
    session = call.session
    takes_lease = params["state"] in ("opened", "closed")
    lease: dict[str, t.Any] = {"token": params["lease_token"], "takeover": params["takeover"]}
    with attempting("could not read the record", on=session.where), session.read():
        look, todo = _planned(ledger, params, want)
        if call.check and todo.changed and takes_lease:
            incidents_record.refuse_lease_held(ledger, **lease)
    before = look.record if look.record and look.record.row["incident"] == todo.incident else None
    notes: list[str] = []
    if want.hidden:
        names = ", ".join(want.hidden)
        notes.append(f"what looks like a secret is left out of {names}: the record shows *** instead")
    if todo.changed and not call.check:
        name = todo.incident
        held = (
            incidents_record.under_lease(ledger, name, **lease) if takes_lease else contextlib.nullcontext(list[str]())
        )
        try:
            with held as told:
                notes += told
                with session.write():
                    incidents_record.lock(session, name)
                    _, todo = _planned(ledger, params, want)
                    if todo.changed:
                        incidents_record.write(ledger, todo)
        except (LeaseHeld, NotConverged) as e:
            if params["state"] != "opened":
                raise
            todo = _opened_meanwhile(ledger, params, want, e)
    if call.check:
        record = plans.preview(look, todo, call.controller.actor)
    else:
        with session.read():
            record = incidents_record.read(session, todo.incident)
        if record is None:
            raise LookupError("an incident that was just written was not found")
    shown = timeline.described(record)
    return {
        **shown,
        "operation": "incident",
        "changed": todo.changed,
        "warnings": [*todo.warnings, *notes, *ledger.warnings],
        "summary": plans.would(todo.summary) if call.check and todo.changed else todo.summary,
        "incident_open": shown["state"] == "open",
        "diff": {"before": _line(before), "after": _line(record)},
    }


def _opened_meanwhile(
    ledger: Ledger, params: Mapping[str, t.Any], want: options.Wanted, refused: LeaseHeld | NotConverged
) -> plans.Todo:
    """What there is to be said once the one who was faster has it on record; `refused` where it was for another reason."""
    holder: Mapping[str, str] = refused.result.get("lease") or {}
    # Who holds the lease to open an incident holds it under its name.
    patience = 0.0 if holder.get("incident") == ADHOC else OPENING_SECONDS
    deadline = time.monotonic() + patience
    while True:
        with ledger.session.read():
            _, todo = _planned(ledger, params, want)
        if not todo.changed:
            return todo
        if time.monotonic() >= deadline:
            raise refused
        time.sleep(0.05)


def _ledger(call: Call, params: Mapping[str, t.Any]) -> Ledger:
    """The ledger, which an incident cannot do without."""
    if params["ledger"] == "off":
        raise BadInput(
            "the record of an incident is in the ledger, and ledger is off", next_step="leave out ledger=off"
        )
    if params["state"] == "opened" and not call.check:
        return call.ensure("required")
    ledger = call.look(params["ledger"])
    if not ledger.present and params["state"] != "opened":
        if ledger.warnings:
            # There is one, and it is not ours: that is what has to be said.
            call.look("required")
        raise _none_open(call.session.where)
    return ledger


def _none_open(where: str) -> NotConverged:
    return NotConverged(
        "no incident is open",
        on=where,
        next_step="incident_open.yml -e \"title='…'\" -e severity=high, or name one with -e incident=…",
    )


def _planned(ledger: Ledger, params: Mapping[str, t.Any], want: options.Wanted) -> tuple[plans.Look, plans.Todo]:
    """What there is, and what is to be done about it; inside the caller's transaction."""
    session, state = ledger.session, params["state"]
    if not ledger.present:
        # Only in check mode, before the first use of the ledger.
        now = session.row("SELECT clock_timestamp() AS now")["now"]
        look = plans.Look(None, None, f"INC-{now:%Y%m%d}-1", now)
        return look, plans.to_open(look, want, session.where)
    since = None
    if params["adopt_since"]:
        since = moment(session, params["adopt_since"], params["time_zone"], "adopt_since")
    look = incidents_record.look(
        ledger,
        want.given,
        latest=state == "closed",
        ids=[run_named(session, each) for each in params["adopt"]],
        since=since,
    )
    if state == "opened":
        return look, plans.to_open(look, want, session.where)
    if look.record is None:
        if want.given == ADHOC:
            raise _none_open(session.where)
        raise NotConverged(
            f"{want.given} was never opened",
            on=session.where,
            next_step=f"incident_open.yml -e incident={want.given} -e \"title='…'\" -e severity=high",
        )
    if state == "noted":
        return look, plans.to_note(look.record, want)
    if state == "updated":
        return look, plans.to_update(look.record, look, want, session.where)
    return look, plans.to_close(look.record, look, want, session.where)


def _line(record: timeline.Record | None) -> dict[str, t.Any]:
    """What a diff shows."""
    if record is None:
        return {}
    shown = timeline.described(record)
    named = ("incident", "title", "severity", "state", "next_update_at", "root_cause")
    return {**{name: shown[name] for name in named}, "entries": len(record.entries)}


def _seen(call: Call, params: Mapping[str, t.Any]) -> SeenResult:
    """Records in the ledger what a check of the pipeline found, where an incident is open."""
    found, action = params["found"], params["looked"]
    with call.session.read():
        ledger = call.look(params["ledger"])
        open_one = incidents_record.meant(call.session, ADHOC) if ledger.present else None
    if open_one != call.incident:
        return _noted("no incident is open for it", open_one)
    about = {name: found[name] for name in KEPT[action] if found.get(name) not in (None, [])}
    about |= figures.figures_of(found) if about else {}
    if call.check or not about:
        return _noted(f"would note the {action}" if about else "nothing was observed", open_one)
    run = runs.begin(ledger, action, {})
    run.effects.update(about)
    runs.end(run, None)
    return _noted(f"noted the {action} for {open_one}", open_one, run.run_id)


def _noted(summary: str, incident: str | None, run_id: str | None = None) -> SeenResult:
    """What a look came to."""
    return {
        "operation": "incident_seen",
        "changed": False,
        "incident": incident,
        "run_id": run_id,
        "warnings": [],
        "summary": summary,
    }


def tell(call: Call, params: Mapping[str, t.Any]) -> IncidentInfoResult:
    """The story of an incident, or that there is none: its record, its timeline, what is overdue, and its report if asked for.

    Raises BadInput for a time zone or a currency that is none, and, where a report is asked for, NotConverged without an incident and
    MissingPrivilege without sight of the ledger.
    """
    zone, currency = timeline.zone_of(params["time_zone"]), options.currency(params["currency"])
    session = call.session
    record: timeline.Record | None = None
    with attempting("could not read the record", on=session.where), session.read():
        if call.look(params["ledger"]).present:
            name = incidents_record.meant(session, params["incident"], latest=params["latest"])
            record = incidents_record.read(session, name) if name else None
        elif params["report"] and params["ledger"] != "off" and (problem := bootstrap.hidden(session)):
            raise problem
    if record is None:
        none = "no incident is open" if params["incident"] == ADHOC else f"{params['incident']} was never opened"
        if params["report"]:
            raise _nothing_to_report(session.where, params["incident"])
        return {
            "operation": "incident_info",
            "changed": False,
            "incident": None,
            "overdue": [],
            "record": None,
            "timeline": [],
            "report": None,
            "summary": none,
        }
    shown = timeline.described(record)
    events = timeline.timeline(record, zone)
    return {
        "operation": "incident_info",
        "changed": False,
        "incident": shown["incident"],
        "overdue": shown["overdue"],
        "record": shown,
        "timeline": events,
        "report": _reported(call, record, zone, currency) if params["report"] else None,
        "summary": f"{in_brief(shown, record)}; {count(len(events), 'event')}",
    }


def _nothing_to_report(where: str, given: str) -> NotConverged:
    name = "no incident" if given == ADHOC else given
    return NotConverged(
        f"could not report on {name}" if given != ADHOC else "could not report: no incident is on record",
        on=where,
        said="" if given == ADHOC else f"{given} was never opened",
        next_step="runs.yml lists what was done, each with its incident; incident_open.yml opens one",
    )


def _reported(call: Call, record: timeline.Record, zone: zoneinfo.ZoneInfo | None, currency: str) -> dict[str, t.Any]:
    """The runbook's template filled in, with its pictures; what cannot be drawn is said in it."""
    session = call.session
    with attempting("could not read the report's data", on=session.where), session.read():
        facts = report_facts.read(session, record.row["incident"], record.runs)
    story = ReportInput(record, facts, session.where, zone, currency)
    made: dict[str, t.Any] = build.build(story) | {"charts": [], "no_charts": ""}
    seen = impact.points(record, facts)
    pauses = [(row["paused_at"], row["resumed_at"], row["actor"]) for row in facts.pauses]
    try:
        made["charts"] = charts.draw(seen, pauses, story.as_of, thresholds.DEFAULTS, story.marks)
    except BadInput as e:
        made["no_charts"] = f"{e.attempted}: {e.said}"
    return made


def in_brief(shown: timeline.Described, record: timeline.Record) -> str:
    """`INC-2041 is open for 12 min, critical: gold is stale`."""
    end = record.row["closed_at"] or record.now
    lasted = in_words((end - record.row["opened_at"]).total_seconds())
    state = f"open for {lasted}" if shown["state"] == "open" else f"closed after {lasted}"
    text = f"{shown['incident']} is {state}, {shown['severity']}: {shown['title']}"
    late = [timeline.overdue_words(each) for each in shown["overdue"]]
    return f"{text}; {', '.join(late)}" if late else text
