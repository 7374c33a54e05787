# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill or a game day in the text format of Prometheus; pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .document import Drill

#: Each metric with its help; all are gauges, times in seconds.
HELP: t.Final = {
    "scout_drill_timestamp_seconds": "When the latest one began.",
    "scout_drill_duration_seconds": "How long it took.",
    "scout_drill_passed": "Whether it came to its end and all of it passed.",
    "scout_drill_scenario_passed": "Whether a scenario, or a round, passed.",
    "scout_drill_phase_seconds": "From the fault until a phase was reached; absent where it never was.",
    "scout_drill_phase_budget_seconds": "How long that may take.",
    "scout_drill_events_wrong": "Events that were lost, duplicated, altered or invented.",
}
Sample = tuple[str, dict[str, str], float]


def text(drill: Drill) -> str:
    """Each metric with its help, its type and a line for each sample; `kind` is drill or gameday."""
    kind = {"kind": "gameday" if drill.rounds_of else "drill"}
    samples = [(name, {**kind, **labels}, value) for name, labels, value in _samples(drill)]
    lines: list[str] = []
    for name, about in HELP.items():
        own = [(labels, value) for metric, labels, value in samples if metric == name]
        if own:
            lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{_labels(labels)}}} {value:.12g}" for labels, value in own]
    return "\n".join(lines) + "\n"


def _samples(drill: Drill) -> Iterator[Sample]:
    yield "scout_drill_timestamp_seconds", {}, drill.started_at.timestamp()
    yield "scout_drill_duration_seconds", {}, drill.seconds
    yield "scout_drill_passed", {}, float(drill.verdict.word == "passed")
    for scenario in {scenario.name: scenario for scenario in drill.scenarios}.values():
        named = {"scenario": scenario.name}
        yield "scout_drill_scenario_passed", named, float(scenario.ok)
        for phase in {phase.phase: phase for phase in scenario.phases}.values():
            labels = {**named, "phase": phase.phase}
            if phase.seconds is not None:
                yield "scout_drill_phase_seconds", labels, phase.seconds
            if phase.budget is not None:
                yield "scout_drill_phase_budget_seconds", labels, phase.budget
        if scenario.events:
            yield "scout_drill_events_wrong", named, float(sum(scenario.events.lost_or_duplicated.values()))


def _labels(labels: dict[str, str]) -> str:
    escaped = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escaped)}"' for name, value in labels.items())
