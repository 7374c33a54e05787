# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands at the head of a report, the longest wrong figures first; pure."""

from __future__ import annotations

import typing as t

from ...core.text import in_words
from ...ledger import actions
from .. import timeline

if t.TYPE_CHECKING:
    import datetime

    from ...postgres.session import Row
    from .impact import Impact
    from .story import ReportInput
    from .wrong_figures import WrongFigures


def _response(story: ReportInput) -> tuple[float | None, float | None]:
    """After how many seconds somebody did or said something, and within how many it was promised."""
    opened = story.record.row["opened_at"]
    moments = [run["started_at"] for run in story.record.runs if run["action"] not in actions.LOOKS]
    moments += [e["at"] for e in story.record.entries if e["kind"] in timeline.RESPONSES]
    minutes = timeline.severity_terms(story.record.entries).get("response_minutes")
    first = max(0.0, (min(moments) - opened).total_seconds()) if moments else None
    return first, None if minutes is None else minutes * 60.0


def in_brief(story: ReportInput, made: Row, impact: Impact, wrong: WrongFigures) -> str:
    """What somebody reads who reads nothing else."""
    lasted = made["impact"]["duration"]
    state = f"closed after {lasted}" if made["closed"] else f"open, on record for {lasted}"
    first, _ = _response(story)
    parts = [wrong.sentence, f"{made['severity'].capitalize()}, {state}."]
    if first is not None:
        parts.append(f"The first response came {'at once' if first < 1 else f'after {in_words(first)}'}.")
    if impact.pauses:
        still = " and is still" if impact.still_paused else ""
        parts.append(f"Ingestion was{still} paused for {in_words(impact.paused_seconds)}.")
    parts.append(impact.sentence)
    return " ".join(part for part in parts if part)


def figures(story: ReportInput, made: Row, impact: Impact, wrong: WrongFigures) -> list[Row]:
    """The large figures at the top, each with a word below."""
    first, promised = _response(story)
    late = first is not None and promised is not None and first > promised
    within = f"{'later than' if late else 'within'} the {in_words(promised)} promised" if promised else ""
    end = next(mark for mark in made["milestones"] if mark["name"] == "Resolved")
    opened: datetime.datetime = story.record.row["opened_at"]
    return [
        _figure("Users saw wrong figures", wrong.value, wrong.note, "bad" if wrong.spells else ""),
        _figure(
            "Duration",
            made["impact"]["duration"],
            f"until {made['as_of']['utc'][:16]} UTC" if made["closed"] else "so far",
        ),
        _figure("First response", "none yet" if first is None else in_words(first), within, "bad" if late else ""),
        _figure(
            "Recovered",
            "not yet" if end["at"] is None else in_words(max(0.0, _seconds(opened, end["at"]))),
            "after it was opened" if end["at"] else "not confirmed",
            "" if end["at"] else "bad",
        ),
        _figure("Ingestion paused", in_words(impact.paused_seconds) if impact.pauses else "never", impact.pause_words),
        _figure("Quarantined", (impact.counted or ["nothing"])[0], impact.kept_words),
        _figure("Amount quarantined", impact.amount_words, impact.amount_note),
    ]


def _figure(label: str, value: str, note: str = "", tone: str = "") -> Row:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _seconds(since: datetime.datetime, at: str) -> float:
    return (type(since).fromisoformat(at) - since).total_seconds()
