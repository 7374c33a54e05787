# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment in the Prometheus text format, in a file that is whole whenever the node exporter reads it."""

from __future__ import annotations

import importlib
import math
import time
import typing as t
from pathlib import Path

from ..core import files
from ..core.errors import BadInput
from .assessment import WORSE
from .thresholds import INDICATORS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics_core import Metric

Result = dict[str, t.Any]

#: The pipeline a sample is of, by its name in the inventory. (instance and job are labels that Prometheus itself gives.)
PIPELINE: t.Final = "pipeline"
UP: t.Final = "scout_up"
ASSESSED_AT: t.Final = "scout_assessment_timestamp_seconds"
VERDICTS: t.Final = ("healthy", "degraded", "failing", "inconclusive", "paused")
STATES: t.Final = ("running", "paused", "unknown")

#: Base units, as Prometheus wants them: what ends the name, and what a value is multiplied by.
UNITS: t.Final = {"minutes": ("_seconds", 60.0), "seconds": ("_seconds", 1.0), "percent": ("_ratio", 0.01)}

#: Names that come from the database or the inventory are cut to so many characters, and no more than so many are shown.
LONGEST: t.Final = 120
MOST_JOBS: t.Final = 20


def metric_name(figure: str, unit: str, infix: str = "") -> str:
    """`scout_silver_staleness_seconds`; with an infix `scout_silver_staleness_threshold_seconds`."""
    return f"scout_{figure}{infix}{UNITS.get(unit, ('', 1.0))[0]}"


def families(pipeline: str, assessment: Mapping[str, t.Any], at: float) -> list[Metric]:
    """What an assessment says, as metrics; one that failed says only that it did, and when. What is unknown is left out."""
    made = _Families(pipeline)
    up = bool(assessment) and not assessment.get("failed") and "indicators" in assessment
    made.add(UP, "Whether the latest assessment completed.", float(up))
    made.add(ASSESSED_AT, "When the latest assessment ended, with or without a result.", at)
    if not up:
        return made.all
    database = assessment.get("database")
    made.add("scout_database_info", "Where the pipeline is.", 1.0 if database else None, database=database)
    made.add("scout_assessment_duration_seconds", "How long the assessment took.", assessment.get("seconds"))
    made.states("scout_verdict", "The verdict of the assessment.", "verdict", VERDICTS, assessment["verdict"])
    made.states(
        "scout_verdict_when_running",
        "The verdict once ingestion runs again; the same unless it is paused.",
        "verdict",
        [verdict for verdict in VERDICTS if verdict != "paused"],
        assessment["verdict_when_running"],
    )
    _ingestion(made, assessment.get("ingestion") or {})
    for indicator in assessment["indicators"]:
        _indicator(made, indicator)
    unread: list[str] = assessment.get("unread") or []
    suspects = None if {"backlog", "suspects"} & set(unread) else float(len(assessment.get("suspects") or []))
    made.add(
        "scout_poison_suspects", "Pending events that look as if the ETL could not load them, at most 3.", suspects
    )
    made.add("scout_unread_facts", "Facts the assessment could not read.", float(len(unread)))
    made.add("scout_reset_reasons", "Reasons for an emergency reset.", float(len(assessment["needs_reset"])))
    made.add(
        "scout_reset_blockers", "What would keep a reset from resuming ingestion.", float(len(assessment["blockers"]))
    )
    return made.all


def _ingestion(made: _Families, ingestion: Mapping[str, t.Any]) -> None:
    state = ingestion.get("state")
    made.states("scout_ingestion_state", "Whether ingestion can run.", "state", STATES, state)
    paused = 0.0 if state == "running" else ingestion.get("paused_for_seconds")
    made.add("scout_paused_seconds", "For how long a pause of this toolkit has been in force.", paused)
    jobs: dict[str | None, bool] = ingestion.get("jobs") or {}
    for name, active in sorted(jobs.items(), key=lambda job: str(job[0]))[:MOST_JOBS]:
        made.add("scout_job_active", "Whether a job of the ingestion can start.", float(active), cron_job=name)


def _indicator(made: _Families, indicator: Mapping[str, t.Any]) -> None:
    name, unit, value = indicator["name"], indicator["unit"], indicator["value"]
    made.states(
        "scout_indicator_status", "Status of each figure.", "status", WORSE, indicator["status"], indicator=name
    )
    if name not in INDICATORS:
        return
    factor = UNITS.get(unit, ("", 1.0))[1]
    number = value * factor if isinstance(value, (int, float)) else None
    made.add(metric_name(name, unit), f"{_sentence(name)}; from {indicator['source']}.", number)
    thresholds: dict[str, float] = indicator["threshold"] or {}
    for level, threshold in thresholds.items():
        way = (
            "down to ok, a failure below fail"
            if INDICATORS[name].higher_is_better
            else "up to ok, a failure above fail"
        )
        text = f"{_sentence(name)}: fine {way}, a warning in between."
        made.add(metric_name(name, unit, "_threshold"), text, threshold * factor, level=level)


def _sentence(name: str) -> str:
    first, *rest = ({"etl": "ETL", "dlq": "DLQ"}.get(word, word) for word in name.split("_"))
    return " ".join([first if first.isupper() else first.capitalize(), *rest])


class _Families:
    """Metrics of one pipeline by name, in the order in which they were first named."""

    def __init__(self, pipeline: str) -> None:
        _require_client()
        self._pipeline = _label(pipeline)
        self._families: dict[str, Metric] = {}
        self._known: set[tuple[str, ...]] = set()

    @property
    def all(self) -> list[Metric]:
        """Those that have a sample."""
        return list(self._families.values())

    def add(self, name: str, documentation: str, value: float | None, **labels: t.Any) -> None:
        """One sample; none where the value is unknown, and never two with the same labels, for which readers refuse a file."""
        from prometheus_client.core import GaugeMetricFamily

        named = {PIPELINE: self._pipeline, **{label: _label(text) for label, text in labels.items()}}
        key = (name, *named.values())
        if value is None or not math.isfinite(value) or key in self._known:
            return
        self._known.add(key)
        family = self._families.setdefault(name, GaugeMetricFamily(name, documentation))
        # What a factor adds behind the last digit says nothing.
        family.add_sample(name, named, float(f"{value:.12g}"))

    def states(
        self, name: str, documentation: str, label: str, states: Iterable[str], current: t.Any, **labels: t.Any
    ) -> None:
        """One sample a state, 1 for the current one; so a state that is left shows as 0 and not as a gap."""
        for state in states:
            self.add(name, documentation, float(state == current), **{label: state}, **labels)


def _label(value: t.Any) -> str:
    return str(value).encode(errors="replace").decode()[:LONGEST]


def _merged(ours: list[Metric], text: str, pipeline: str, *, at: float, keep_seconds: float) -> list[Metric]:
    """Our metrics beside those another host wrote into the same file. Of one that was assessed longer ago than `keep_seconds`
    remains only that it is not up, and since when, so that silence is never taken for health."""
    others = _parsed(text)
    seen = {
        sample.labels[PIPELINE]: sample.value
        for family in others
        if family.name == ASSESSED_AT
        for sample in family.samples
        if PIPELINE in sample.labels
    }
    fresh = {name for name, when in seen.items() if abs(at - when) <= keep_seconds}
    result = {family.name: family for family in ours}
    for family in others:
        kept = [
            sample._replace(value=0.0) if family.name == UP and sample.labels[PIPELINE] not in fresh else sample
            for sample in family.samples
            if sample.labels.get(PIPELINE) in seen.keys() - {_label(pipeline)}
            and (sample.labels[PIPELINE] in fresh or family.name in (UP, ASSESSED_AT))
        ]
        if not kept:
            continue
        if family.name in result:
            result[family.name].samples = [*kept, *result[family.name].samples]
        else:
            family.samples = kept
            result[family.name] = family
    return [result[name] for name in sorted(result)]


def _parsed(text: str) -> list[Metric]:
    """The metrics in a text; none where it is damaged."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        return list(text_string_to_metric_families(text))
    except (ValueError, LookupError):
        return []


def render(metrics: list[Metric]) -> bytes:
    """The text format of Prometheus."""
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector

    class All(Collector):
        def collect(self) -> Iterable[Metric]:
            return metrics

    return generate_latest(All())


def save(name: str, pipeline: str, assessment: Mapping[str, t.Any], *, keep_seconds: float) -> int:
    """Writes one pipeline's metrics into a file, whole or not at all, beside those of others; returns the number of
    samples in it. Raises BadInput where the file cannot be used."""
    _require_client()
    path = Path(name).expanduser()
    if path.suffix != ".prom":
        raise BadInput(
            f"metrics_file {name} is not usable",
            said="the node exporter reads only files whose names end in .prom",
            next_step="give a name that ends in .prom",
        )
    advice = "give a path in a folder that exists and can be written, such as the node exporter's textfile folder"
    with files.translating(Path(name), "metrics_file", advice):
        path = files.real(path)
        with files.locked(path.parent):
            before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            _refuse_foreign(before, name)
            at = time.time()
            ours = families(pipeline, assessment, at)
            metrics = _merged(ours, before, pipeline, at=at, keep_seconds=keep_seconds)
            # Others may read it, because the node exporter is somebody else.
            files.write(path, render(metrics), mode=0o644)
    return sum(len(metric.samples) for metric in metrics)


def _refuse_foreign(text: str, name: str) -> None:
    """A file of somebody else's metrics is not ours to replace."""
    foreign = sorted(family.name for family in _parsed(text) if not family.name.startswith("scout_"))
    if foreign:
        raise BadInput(
            f"refused to replace metrics_file {name}",
            said=f"it holds metrics of something else: {', '.join(foreign[:3])}",
            next_step="give a file of its own",
        )


def _require_client() -> None:
    """Prometheus's own client makes the text; it is loaded only where metrics are wanted."""
    try:
        importlib.import_module("prometheus_client")
    except ImportError as e:
        raise BadInput(
            "cannot write metrics: this Python has no prometheus_client",
            next_step="python -m pip install prometheus-client for the interpreter that runs ansible-playbook",
        ) from e
