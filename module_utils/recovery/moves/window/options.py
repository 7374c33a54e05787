# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which window is to be recovered, what was found of it and in which words that is told."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...core.errors import BadInput
from ...core.text import count, in_words
from ...postgres.driver import Jsonb
from ...postgres.times import Window, window_of
from ..engine.selection import Selection, files

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from ...ledger.ledger import Ledger
    from ...postgres.session import Session
    from ..engine.job import MoveJob
    from .comparison import Comparison
    from .results import WindowPlanned

LAST: t.Final = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>s|m|min|h|d)")
SECONDS: t.Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}

REBUILT = """
SELECT run_id::text AS run_id FROM scout_ops.runs
WHERE action = 'window_recovery' AND status = 'succeeded' AND undone_by IS NULL AND parameters ->> 'mode' = 'all'
  AND parameters #> '{selection,window}' = %(window)s
  AND coalesce(parameters #> '{selection,source_files}', '[]') = %(files)s AND effects ->> 'state' = %(state)s
ORDER BY started_at DESC LIMIT 1
"""


def ask(session: Session, params: Mapping[str, t.Any]) -> Selection:
    """The window that options describe, its end frozen now where none is given, and of it the events of some files. Raises BadInput
    for one that is neither bounded nor of files."""
    chosen = files(session, params["source_files"])
    now: datetime.datetime = session.row("SELECT clock_timestamp() AS now")["now"]
    if params["last"]:
        if params["window_start"] or params["window_end"]:
            raise BadInput(
                f"last {params['last']!r} and window_start or window_end are given",
                next_step="give one of them: last=1h, or window_start and window_end",
            )
        last = Window(params["clock"], now - _length(session, params["last"]), now)
        return Selection(last, source_files=chosen)
    window = window_of(session, params, clock=params["clock"])
    if window.start is None and not chosen:
        raise BadInput(
            "no window was given",
            next_step="give window_start and window_end, for example 2026-11-25T01:00:00+08:00; or last=1h",
        )
    bounded = window if window.end is not None else dataclasses.replace(window, end=now)
    return Selection(bounded, source_files=chosen)


def _length(session: Session, text: str) -> datetime.timedelta:
    found = LAST.fullmatch(text.strip().lower())
    if found is None or int(found["number"]) == 0:
        raise BadInput(
            f"last {text[:40]!r} is not a duration", on=session.where, next_step="write it as 90s, 30m, 1h or 2d"
        )
    row = session.row(
        "SELECT make_interval(secs => %(seconds)s) AS length", seconds=int(found["number"]) * SECONDS[found["unit"]]
    )
    return row["length"]


def healthy(comparison: Comparison) -> str:
    """The summary where nothing has to be done."""
    return (
        f"all {count(comparison.events, 'event')} in the window are correct"
        if comparison.events
        else "no events in the window"
    )


def planned(job: MoveJob, comparison: Comparison) -> WindowPlanned:
    """The result of a check that finds something to do."""
    plan = comparison.as_plan()
    said = sentence("would recover", plan)
    if job.params["look"]:
        looked = job.looked(comparison.todo_events, "would recover")
        return {**looked, "plan": plan, "summary": said, "gold_days": comparison.gold_days}
    made = job.planned(comparison, verb="would recover")
    summary = f"{said}, in about {in_words(comparison.estimated_seconds)}"
    return {
        **made,
        "plan": {**made.get("plan", {}), **plan},
        "summary": summary,
        "diff": {"before": comparison.counts, "after": dict.fromkeys(comparison.counts, 0)},
    }


def rebuilt_by(ledger: Ledger, selection: Selection, comparison: Comparison) -> str | None:
    """The run that has rebuilt all of this window and after which neither its events nor the ETL have changed."""
    if not ledger.present or not comparison.sound:
        return None
    window, chosen = Jsonb(selection.window.as_dict()), Jsonb(list(selection.source_files))
    found = ledger.session.rows(REBUILT, window=window, files=chosen, state=comparison.state)
    return found[0]["run_id"] if found else None


def sentence(verb: str, plan: Mapping[str, t.Any], seconds: float | None = None) -> str:
    """One line for a person about what is, or was, rebuilt, and why."""
    parts = [
        f"{plan[name]:,} {words}"
        for name, words in (
            ("pending", "pending"),
            ("missing", "missing"),
            ("wrong", "wrong"),
            ("poison_suspects", "that look like poison"),
        )
        if plan[name]
    ]
    text = f"{verb} the window of {count(plan['events'], 'event')}"
    text += f": {', '.join(parts)}" if parts else ""
    text += f"; {count(plan['extra'], 'extra transaction')}" if plan["extra"] else ""
    return text if seconds is None else f"{text} ({in_words(seconds)})"
