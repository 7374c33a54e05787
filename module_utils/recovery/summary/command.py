# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that sums up an operation, from the results of its steps to lines, a document and the file that was asked for."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ..core.advice import HERE, Typed
from ..core.errors import RecoveryError
from ..core.text import printable, visible, visible_in
from ..invoke import failure
from ..postgres.session import ADHOC, INCIDENT
from ..scout import contract
from . import dead_letters, drill, gate, render, verdict
from .layout import WIDTH
from .operation import Story

if t.TYPE_CHECKING:
    from ..invoke import Params, Result

#: The option that names it, and the step that failed where it could not be written.
RESULT_FILE: t.Final = "result_file"


#: What notifies people of nothing: a pause alone is done by whoever is at work.
SILENT: t.Final = ("pause_ingestion",)


class SummaryResult(t.TypedDict):
    """What scout_summary returns."""

    changed: bool
    lines: list[str]
    verdict: str
    exit_code: int
    document: render.ResultDocument
    ansible_stats: dict[str, t.Any]
    #: The same below lines for the phases, where it was asked for.
    drawn: t.NotRequired[list[str]]
    failed: t.NotRequired[bool]
    msg: t.NotRequired[str]


class FirstLinesResult(t.TypedDict):
    """What it returns of what is said before the work has ended."""

    changed: bool
    lines: list[str]


class NoticeResult(t.TypedDict):
    """What it returns of what people are notified of."""

    changed: bool
    title: str
    body: str


def summarize(
    params: Params,
    *,
    check: bool,
    host: str = "localhost",
    seconds: float | None = None,
    run_key: str = "",
    width: int = WIDTH,
    verbose: bool = False,
    again: str = "",
    typed: Typed = HERE,
    drawn: bool = False,
    phases: bool = True,
) -> SummaryResult | FirstLinesResult | NoticeResult:
    """The lines and the document of one operation on one host; with `notice`, where people should be notified of it, only that.

    With `drawn` also what is drawn, below lines for the `phases` or without them. A result that failed where the operation did
    not reach what it was to, or a file cannot be written. Raises nothing for options that a step has refused already: what
    happened is still to be said.
    """
    with contract.using(_names(params)):
        story = dataclasses.replace(
            _story(params, check=check, host=host, seconds=seconds),
            width=max(WIDTH, width),
            verbose=verbose,
            again=again,
            typed=typed,
        )
        made = document(story)
        if params.get("first"):
            return {"changed": False, "lines": _lines(render.first_lines(_seen(story)))}
        if params.get("notice") and is_news(made):
            title = f"Scout {story.title}: {made['outcome'].replace('_', ' ')}"
            return {"changed": False, "title": title, "body": "\n".join(_lines(render.lines(_seen(story))))}
        story, made = _saved(story, made, params, run_key)
        result = _summary(story, made)
        if drawn:
            seen, told = _seen(story), (result["verdict"], result["exit_code"])
            result["drawn"] = _lines([*_page(seen), *render.drawn(seen, *told, phases=phases)])
        return result


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
    """The document of an operation, with its commands as they are typed where it was run."""
    made: Result = {**render.document(story)}
    made |= {name: story.typed.within(made[name]) for name in TYPED}
    return t.cast("render.ResultDocument", made)


def _names(params: Params) -> contract.Contract:
    """Those that were given, where they can be used."""
    try:
        return contract.of(params.get("contract"))
    except RecoveryError:
        return contract.DEFAULT


def _story(params: Params, *, check: bool, host: str, seconds: float | None) -> Story:
    incident = params["incident"] if INCIDENT.fullmatch(params["incident"]) else ADHOC
    steps: dict[str, Result] = {name: result or {} for step in params["steps"] for name, result in step.items()}
    # The first step is given the options of all: where one is refused, no step has begun.
    if refused := next((result for result in steps.values() if result.get("options_refused")), None):
        steps = {"options": refused}
    if incident == ADHOC:
        incident = next((r["incident"] for r in steps.values() if r.get("incident", ADHOC) not in (None, ADHOC)), ADHOC)
    left_out: dict[str, str] = params.get("left_out") or {}
    operation, resume = params["operation"], params["resume"]
    return Story(operation, host, incident, check, resume, steps, seconds, left_out, str(Path.cwd()))


def _saved(
    story: Story, made: render.ResultDocument, params: Params, run_key: str
) -> tuple[Story, render.ResultDocument]:
    """Writes the result file; a file that cannot be written is a step that failed."""
    if params.get(RESULT_FILE):
        try:
            render.save(Path(params[RESULT_FILE]), made, run_key)
        except RecoveryError as e:
            story = dataclasses.replace(story, steps={**story.steps, RESULT_FILE: failure(e)})
            made = document(story)
    return story, made


def _seen(story: Story) -> Story:
    """The same with all that others wrote as a screen may show it; a machine is given it as it is."""
    return dataclasses.replace(story, steps=visible_in(dict(story.steps)), left_out=visible_in(dict(story.left_out)))


def _lines(lines: list[str]) -> list[str]:
    """None of them is two."""
    return [visible(line).replace("\n", "\\n") for line in lines]


def _summary(story: Story, made: render.ResultDocument) -> SummaryResult:
    seen, told = _seen(story), verdict.of(made)
    result: SummaryResult = {
        "changed": False,
        "lines": _lines([*_page(seen), *render.lines(seen)]),
        "verdict": told.words,
        "exit_code": told.code,
        "document": made,
        # Of all hosts in one, as AWX and ansible-runner take it for the artifacts of a job.
        "ansible_stats": {"data": {"scout_results": {made["host"]: made}}, "per_host": False, "aggregate": True},
    }
    unwritten = story.steps.get(RESULT_FILE)
    if unwritten is not None:
        result.update(failed=True, msg=unwritten["msg"])
    elif not made["ok"] and not any(step.get("failed") for step in story.ran.values()):
        result.update(failed=True, msg=printable(_why(made)))
    return result


def _why(made: render.ResultDocument) -> str:
    """What was not reached although no step failed."""
    if made["error"]:
        return f"{made['error']['attempted']}: {made['error']['said']}"
    if made["drill"]:
        return drill.why(made["drill"])
    if made["outcome"] == gate.NOT_PASSED:
        return gate.message(made["gate"] or {})
    if made["outcome"] == "still_failing":
        failing = [each["name"] for each in made["indicators"] if each["status"] == "fail"]
        return f"still failing, and no reset can repair it: {', '.join(failing)}"
    if made["outcome"] == "cannot_tell":
        return f"cannot tell: {'; '.join(made['cannot_tell'])}"
    return f"ingestion left {made['ingestion']}: {', '.join(made['blockers'])}"


def _page(story: Story) -> list[str]:
    """The dead letters, where they were asked for, and an empty line."""
    listed = dead_letters.page(story.ran.get("dead_letters", {}))
    return [*listed, ""] if listed else []
