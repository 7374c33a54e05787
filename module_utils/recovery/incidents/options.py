# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an incident's commands, checked, with no secret in any text; pure."""

from __future__ import annotations

import dataclasses
import typing as t
import unicodedata

from ..core import redaction
from ..core.errors import BadInput
from . import checklist

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    redactor = redaction.Redactor((), secrets)
    hidden: list[str] = []

    def text(name: str, *, one_line: bool = False) -> str | None:
        made = clean(params[name], name, one_line=one_line)
        kept = made and redactor.text(made)
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


def currency(given: str | None) -> str:
    """What stands after amounts. Raises BadInput for what is no currency's code or sign."""
    text = (given or "").strip()
    if len(text) > 4 or any(unicodedata.category(each)[0] not in "LS" for each in text) or set(text) & set("<>|`"):
        raise BadInput(f"currency {text[:80]!r} is not usable", next_step="give its code, such as EUR, or its sign")
    return text
