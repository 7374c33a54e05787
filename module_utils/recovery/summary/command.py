# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that sums up an operation, from the results of its steps to lines, a document and the file that was asked for."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ..core.errors import RecoveryError
from ..core.text import cut, printable, visible, visible_in
from ..postgres.session import ADHOC, INCIDENT
from ..scout import contract
from . import dead_letters, render, verdict
from .layout import WIDTH
from .operation import Story

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..invoke import Result

#: What notifies people of nothing: a pause alone is done by whoever is at work.
SILENT: t.Final = ("pause_ingestion",)


class Summary(t.TypedDict):
    """What an operation on one host came to."""

    document: render.ResultDocument
    lines: list[str]
    verdict: str
    exit_code: int
    #: A line of a table of hosts.
    row: str
    #: Of a notice; None where ingestion was neither resumed nor left paused.
    title: str | None


def summarize(
    steps: Sequence[Mapping[str, Result | None]],
    *,
    operation: str,
    host: str,
    several: bool = False,
    check: bool = False,
    resume: bool = True,
    left_out: Mapping[str, str] | None = None,
    incident: str = ADHOC,
    contract_names: t.Any = None,
    verbose: bool = False,
) -> Summary:
    """The summary of an operation on one host, one of `several`, from the results of its steps by name, in their order.

    Raises nothing for an incident or names that a step has refused already: what happened is still to be said.
    """
    with contract.using(_names(contract_names)):
        ran: dict[str, Result] = {name: result or {} for step in steps for name, result in step.items()}
        story = Story(
            operation,
            host,
            _incident(incident, ran),
            check,
            resume,
            ran,
            left_out=left_out or {},
            folder=str(Path.cwd()),
            verbose=verbose,
            limit=host if several else "",
        )
        made = document(story)
        seen, told = _seen(story), verdict.of(made)
        headline, *rest = render.lines(seen)
        return {
            "document": made,
            "lines": _lines([*_page(seen), cut(f"{told.words}: {headline}", WIDTH), *rest]),
            "verdict": told.words,
            "exit_code": told.code,
            "row": f"{printable(host):<30}  {told.words:<34}  exit {told.code}",
            "title": f"Scout {story.title}: {made['outcome'].replace('_', ' ')}" if is_news(made) else None,
        }


def is_news(made: render.ResultDocument) -> bool:
    """Whether people should be notified of an operation, from its document: it resumed ingestion or left it paused."""
    if made["check_mode"] or made["operation"] in SILENT:
        return False
    changed = {step["name"] for step in made["steps"] if step["changed"] and not step["failed"]}
    return bool({"pause", "unfinished", "resume"} & changed)


#: Parts of the document that say what can be typed.
TYPED: t.Final = (
    *("undo", "undo_commands", "next", "commands", "advice", "diagnoses"),
    *("error", "warnings", "gate"),
)


def document(story: Story) -> render.ResultDocument:
    """The document of an operation, with its host in its commands, where that is one of several."""
    made: Result = {**render.document(story)}
    made |= {name: story.told(made[name]) for name in TYPED}
    return t.cast("render.ResultDocument", made)


def _names(given: t.Any) -> contract.Contract:
    """Those that were given, where they can be used."""
    try:
        return contract.of(given)
    except RecoveryError:
        return contract.DEFAULT


def _incident(given: str, ran: Mapping[str, Result]) -> str:
    """The one that was given; without it the one that the steps worked for."""
    if given != ADHOC and INCIDENT.fullmatch(given):
        return given
    return next((r["incident"] for r in ran.values() if r.get("incident", ADHOC) not in (None, ADHOC)), ADHOC)


def _seen(story: Story) -> Story:
    """The same with all that others wrote as a screen may show it; a machine is given it as it is."""
    return dataclasses.replace(story, steps=visible_in(dict(story.steps)), left_out=visible_in(dict(story.left_out)))


def _lines(lines: list[str]) -> list[str]:
    """None of them is two."""
    return [visible(line).replace("\n", "\\n") for line in lines]


def _page(story: Story) -> list[str]:
    """The dead letters, where they were asked for, and an empty line."""
    listed = dead_letters.page(story.ran.get("dead_letters", {}))
    return [*listed, ""] if listed else []
