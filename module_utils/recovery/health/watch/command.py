# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that watches a pipeline, from options to a result."""

from __future__ import annotations

import datetime
import os
import re
import typing as t
from pathlib import Path

from ...core import place
from ...core.errors import RecoveryError
from ...core.results import ModuleResult
from ...core.text import count, in_words
from ...pipeline import expected
from ...postgres.dsn import choose_dsn
from .. import thresholds
from . import charts, course, loop

if t.TYPE_CHECKING:
    from ...invoke import Call, Params

#: A watch of a day has thousands of samples; the file and the ledger have them all.
SHOWN_SAMPLES: t.Final = 200


class _Seen(ModuleResult):
    """What is known by now."""

    operation: str
    database: str
    verdict: str
    why: str
    run_id: str | None
    counts: dict[str, int]
    planned: int
    samples: list[dict[str, t.Any]]
    trends: dict[str, t.Any]
    seconds: float
    state: str
    indicators: list[dict[str, t.Any]]
    diagnoses: list[dict[str, t.Any]]
    samples_file: str | None
    charts: list[str]
    effects: dict[str, t.Any]
    warnings: list[str]


class WatchResult(_Seen):
    """What scout_watch returns."""

    error: dict[str, t.Any] | None


def watch(call: Call, params: Params) -> WatchResult:
    """The course of the pipeline over `duration`: verdict and why, samples, trends, counts by verdict, charts, run, and seconds.

    In check mode takes one sample. Raises BadInput for a duration or an interval that cannot be used, and NotConverged where
    ingestion is paused at the beginning, or pauses anew; what was seen until then is in the result.
    """
    wanted = course.wanted(params["duration"], params["interval_seconds"], params["consecutive"])
    with call.session.read():
        seconds = expected.look_seconds(call.session, params["budget_seconds"])
    judge = loop.Judge(
        thresholds.chosen(params["thresholds"]),
        seconds,
        params["stuck_after_seconds"],
        params["jobs"],
        repause=params["repause"],
    )
    files = _files(call, params)
    if files.chart is not None:
        charts.require()
    source = choose_dsn(params["dsn"], os.environ)[1]
    watching = loop.Watch(call, wanted, judge, files, ledger_mode=params["ledger"], source=source)
    first = watching.first()
    if first.verdict == "paused":
        raise watching.refusal
    if call.check:
        looks = f"{count(wanted.looks, 'sample')} in {in_words(wanted.duration_seconds)}"
        summary = f"would watch, {looks}; now it is {first.verdict}"
        return {**_result(watching, first.verdict), "summary": summary, "error": None}
    try:
        watching.go()
    except RecoveryError as e:
        e.result = {**_result(watching), **e.result}
        raise
    return {**_result(watching), "error": watching.failure.as_dict() if watching.failure else None}


def _files(call: Call, params: Params) -> loop.Files:
    """Where the samples and the chart go."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{call.incident}-{call.session.facts.database}-{stamp}-watch")
    folder = Path(params["folder"]).expanduser().absolute() / name if params["folder"] else None
    given = {
        each: Path(params[each]).expanduser().absolute() for each in ("samples_file", "chart_file") if params[each]
    }
    samples = given.get("samples_file") or (folder / "samples.jsonl" if folder else None)
    chart = given.get("chart_file") or (folder / "chart" if folder else None)
    if chart is not None and chart.suffix in (".svg", ".png"):
        chart = chart.with_suffix("")
    return loop.Files(samples, chart if params["chart"] else None)


def _gone_with_it(files: loop.Files) -> list[str]:
    """What is to be said of samples and a chart that do not outlive this container."""
    found = [place.kept_only_here(path) for path in (files.samples, files.chart) if path]
    return list(dict.fromkeys(filter(None, found)))


def _result(watching: loop.Watch, verdict: str | None = None) -> _Seen:
    """What is known by now."""
    seen, run, report = watching.course, watching.run, watching.report
    known = [sample.state for sample in seen.samples if sample.state != "unknown"]
    files = watching.files
    return {
        "operation": "watch",
        "changed": False,
        "database": watching.where,
        "verdict": verdict or seen.verdict,
        "why": seen.why,
        "run_id": run.run_id if run and run.ledger.present else None,
        "counts": seen.counts,
        "planned": watching.wanted.looks,
        "samples": [sample.as_dict() for sample in seen.samples[-SHOWN_SAMPLES:]],
        "trends": seen.trends,
        "seconds": round(seen.samples[-1].elapsed_seconds, 3),
        "state": known[-1] if known else "unknown",
        "indicators": [i.as_dict() for i in report.indicators] if report else [],
        "diagnoses": [d.as_dict() for d in report.diagnoses] if report else [],
        "samples_file": str(files.samples) if files.samples and run else None,
        "charts": watching.charts,
        "summary": _summary(seen),
        "effects": run.effects if run else {},
        "warnings": [*watching.warnings, *_gone_with_it(files)],
    }


def _summary(seen: course.Course) -> str:
    counted = ", ".join(f"{number:,} {verdict}" for verdict, number in seen.counts.items())
    return f"{seen.verdict} after {in_words(seen.samples[-1].elapsed_seconds)}: {counted}"
