# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook's checklist as data, and what of it is done by what really ran or was noted; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ..ledger.actions import FIXES

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from ..postgres.session import Row


@dataclasses.dataclass(frozen=True)
class Item:
    """One line of the checklist, and what settles it besides a note that names it."""

    name: str
    text: str
    #: Runs of these actions that came to their end.
    actions: tuple[str, ...] = ()
    #: Such runs count only if their effects have one of these.
    effects: tuple[str, ...] = ()
    #: Entries of these kinds.
    kinds: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Phase:
    """One phase, with the minutes of the incident it is for."""

    number: int
    title: str
    minutes: str
    items: tuple[Item, ...]


PHASES: t.Final[tuple[_Phase, ...]] = (
    _Phase(
        1,
        "detection and assessment",
        "0-5",
        (
            Item("alert_received", "alert received, type and severity identified", kinds=("opened",)),
            Item("health_check", "health check", ("assess", "gate")),
            Item("data_quality", "data quality checked", ("gate", "cleanup", "window_recovery")),
            Item("impact_scope", "impact assessed", ("quarantine", "cleanup", "window_recovery", "rollback")),
            Item("notify_stakeholders", "stakeholders notified"),
        ),
    ),
    _Phase(
        2,
        "immediate containment",
        "5-15",
        (
            Item("stop_ingestion", "ingestion stopped", ("pause",)),
            Item(
                "quarantine",
                "suspect data quarantined",
                ("quarantine", "cleanup", "drain", "window_recovery"),
                ("moved", "poison"),
            ),
            Item("document_symptoms", "symptoms and timeline documented", ("assess",), kinds=("note",)),
            Item("preserve_evidence", "evidence preserved", ("evidence",)),
        ),
    ),
    _Phase(
        3,
        "root cause analysis",
        "15-45",
        (
            Item("analyze_logs", "pipeline logs and figures analysed", ("evidence", "gate")),
            Item("recent_changes", "recent changes reviewed", ("capture", "rollback")),
            Item("external_dependencies", "external dependencies checked"),
            Item("identify_fix", "fix identified", FIXES),
        ),
    ),
    _Phase(
        4,
        "recovery and validation",
        "45+",
        (
            Item("apply_fix", "fix applied", FIXES),
            Item("reprocess", "affected data reprocessed", ("window_recovery", "redrive", "drain")),
            Item("acceptance_gate", "acceptance gate passed", ("gate",), ("ok",)),
            Item("resume_ingestion", "ingestion resumed", ("resume",)),
            Item("monitor_recovery", "recovery watched"),
        ),
    ),
    _Phase(
        5,
        "post-incident",
        "120+",
        (
            Item("root_cause", "root cause documented"),
            Item("update_monitoring", "monitoring updated"),
            Item("retrospective", "retrospective scheduled"),
            Item("update_runbook", "runbook updated"),
        ),
    ),
)

ITEMS: t.Final[tuple[Item, ...]] = tuple(item for phase in PHASES for item in phase.items)
NAMES: t.Final[tuple[str, ...]] = tuple(item.name for item in ITEMS)
#: What no run can supply, and a report needs.
PERSONAL: t.Final = ("root_cause", "external_dependencies", "retrospective")


def ticked(entries: Sequence[Row], runs: Sequence[Row]) -> list[Row]:
    """Every phase with its items, each with when, by whom and by what it was first settled."""
    made: list[Row] = []
    for phase in PHASES:
        items = [_ticked(item, entries, runs) for item in phase.items]
        made.append(
            {
                "phase": phase.number,
                "title": phase.title,
                "minutes": phase.minutes,
                "done": all(item["done"] for item in items),
                "items": items,
            }
        )
    return made


def missing(entries: Sequence[Row]) -> list[str]:
    """What only a person can supply and nobody has noted."""
    noted = {_item(entry) for entry in entries}
    return [name for name in PERSONAL if name not in noted]


def words(name: str) -> str:
    """`root_cause` as a person says it."""
    return name.replace("_", " ")


def _ticked(item: Item, entries: Sequence[Row], runs: Sequence[Row]) -> Row:
    signs: list[tuple[datetime.datetime, str, str]] = []
    for entry in entries:
        named = _item(entry)
        if named == item.name or (named is None and entry["kind"] in item.kinds):
            signs.append((entry["at"], entry["actor"], entry["kind"]))
    signs += [(run["started_at"], run["actor"], run["action"]) for run in runs if _settles(item, run)]
    made: Row = {"item": item.name, "text": item.text, "done": bool(signs), "at": None, "by": None, "through": None}
    if signs:
        at, by, through = min(signs)
        made.update(at=at.isoformat(), by=by, through=through)
    return made


def _settles(item: Item, run: Mapping[str, t.Any]) -> bool:
    if run["action"] not in item.actions or run["status"] != "succeeded" or run["undone_by"]:
        return False
    return not item.effects or any(run["effects"].get(name) for name in item.effects)


def _item(entry: Mapping[str, t.Any]) -> str | None:
    return entry["details"].get("item") if entry["kind"] == "note" else None
