# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scorecard of a drill: JSON for machines, Markdown and one page of HTML for people."""

from __future__ import annotations

import dataclasses
import json
import statistics
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count, in_words

from . import document as results_document
from . import history, rendering, svg_geometry

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping
    from pathlib import Path

    from .document import Drill, Scenario, Step, Verdict
    from .history import Earlier, Point, Trend, Trends
    from .svg_geometry import Bar, Curve

NAME: t.Final = "scorecard"
#: What a comment of GitHub may hold is 65,536 characters.
LONGEST: t.Final = 60_000
#: Earlier drills that are listed; the folder has them all.
LISTED: t.Final = 12
#: A scenario's verdict in words.
WORDS: t.Final = {"not_run": "not run"}


@dataclasses.dataclass(frozen=True)
class Line:
    """One scenario as a template shows it."""

    scenario: Scenario
    #: Names its place on the page, whatever its own name is.
    anchor: str
    word: str
    tone: str
    trend: Trend
    bars: Mapping[str, Bar]
    spark: Curve
    chart: Curve
    passed: int
    #: The drills that the curves show.
    shown: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number that people ask for first."""

    label: str
    value: str
    note: str
    #: good, bad or none.
    tone: str


def verdict(document: Mapping[str, t.Any]) -> Verdict:
    """What a drill comes to, by what it measured: `ok` is True only where it ended and every scenario passed."""
    return results_document.read(document).verdict


def markdown(document: Mapping[str, t.Any], earlier: Earlier | None = None, templates: Path | None = None) -> str:
    """For a pull request and the summary of a job; details give way where it would become too long for a comment."""
    context = _context(results_document.read(document), earlier)
    failed = sum(not line.scenario.ok for line in context["lines"])
    text = ""
    for steps, detailed in ((True, failed), (False, failed), (False, 20), (False, 5), (False, 0)):
        text = rendering.rendered(f"{NAME}.md.j2", {**context, "steps": steps, "detailed": detailed}, templates)
        if len(text) <= LONGEST:
            break
    return text


def html(document: Mapping[str, t.Any], earlier: Earlier | None = None, templates: Path | None = None) -> str:
    """One page that loads nothing else, for a screen of any width and for paper."""
    return rendering.rendered(f"{NAME}.html.j2", _context(results_document.read(document), earlier), templates)


def write(
    document: Mapping[str, t.Any], folder: Path, earlier: Earlier | None = None, templates: Path | None = None
) -> list[Path]:
    """Writes all three, each whole or not at all: scorecard.json, .md and, for people last, .html."""
    texts = {
        "json": json.dumps(Redactor(mask=()).value(document), indent=1, ensure_ascii=False) + "\n",
        "md": markdown(document, earlier, templates),
        "html": html(document, earlier, templates),
    }
    paths = [folder / f"{NAME}.{kind}" for kind in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        files.write(path, text.encode("utf-8", errors="replace"), advice="give a folder that can be written")
    return paths


def _context(drill: Drill, earlier: Earlier | None) -> dict[str, t.Any]:
    """What the templates are given; docs/drills.md lists it."""
    earlier = earlier or history.Earlier()
    trends = history.trends(drill, earlier)
    lines = [_line(number, scenario, trends) for number, scenario in enumerate(drill.scenarios, 1)]
    return {
        "drill": drill,
        "verdict": drill.verdict,
        "tone": _tone(drill.verdict.word),
        "facts": _facts(drill),
        "figures": _figures(drill, lines, trends),
        "lines": lines,
        "phases": results_document.PHASES,
        "earlier": tuple(reversed(trends.earlier))[:LISTED],
        "older": max(0, len(trends.earlier) - LISTED),
        "compared": {entry.drill for entry in trends.compared},
        "skipped": earlier.skipped,
        "in_words": in_words,
        "count": count,
        "when": when,
        "tone_of": _tone,
        "step_fits": step_fits,
    }


def when(at: datetime.datetime) -> str:
    """`25 Nov 2026, 21:00 UTC`."""
    return f"{at:%d %b %Y, %H:%M} UTC"


def _tone(word: str) -> str:
    return {"passed": "good", "failed": "bad", "error": "bad"}.get(word, "open")


def step_fits(step: Step) -> bool:
    """Whether its artifacts can be linked to: a path below the scorecard's own folder, and no address."""
    path = step.artifacts
    return bool(path) and not path.startswith(("/", "\\")) and ":" not in path and ".." not in path.split("/")


def _line(number: int, scenario: Scenario, trends: Trends) -> Line:
    trend = trends.scenarios[scenario.name]
    return Line(
        scenario=scenario,
        anchor=f"scenario-{number}",
        word=WORDS.get(scenario.verdict, scenario.verdict),
        tone=_tone(scenario.verdict),
        trend=trend,
        bars={phase.phase: svg_geometry.bar(phase) for phase in scenario.phases},
        spark=svg_geometry.curve(trend, 96, 26, 4),
        chart=svg_geometry.curve(trend, 260, 96, 10),
        passed=sum(check.passed for check in scenario.checks),
        shown=trend.points[-svg_geometry.SHOWN :],
    )


def _facts(drill: Drill) -> list[tuple[str, str]]:
    """Under which circumstances it was."""
    given = {
        "Started": when(drill.started_at),
        "Took": in_words(drill.seconds),
        "Sandbox": drill.sandbox,
        "Schema": drill.schema_from or "the reference pipeline",
        "Rounds": drill.rounds_of,
        "PostgreSQL": drill.server,
        "Operator": drill.operator,
        "scout.recovery": drill.collection,
    }
    return [(name, value) for name, value in given.items() if value]


def _figures(drill: Drill, lines: list[Line], trends: Trends) -> list[Figure]:
    verdict = drill.verdict
    all_of = f"{verdict.passed} of {verdict.total}"
    return [
        Figure("Scenarios passed", all_of, _others(lines), _tone(verdict.word)),
        _recoveries(drill) if drill.rounds_of else _slowest(drill),
        _astray(drill),
        _checks(lines),
        _against(drill, trends),
    ]


def _others(lines: list[Line]) -> str:
    """`2 failed, 1 not run`."""
    words = [line.word for line in lines if not line.scenario.ok]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)) or "none failed, none left out"


def _slowest(drill: Drill) -> Figure:
    """The time to recovery that a team can check is the longest that it saw."""
    known = [(phase, s.name) for s in drill.scenarios if (phase := s.phase("recovered")) is not None]
    never = [name for phase, name in known if phase.seconds is None]
    if never or not known:
        return Figure("Slowest recovery", "never" if never else "unknown", ", ".join(never), "bad" if never else "open")
    phase, name = max(known, key=lambda each: each[0].seconds or 0.0)
    late = [name for phase, name in known if not phase.within]
    budget = f", budget {in_words(phase.budget)}" if phase.budget is not None else ""
    note = f"over budget: {', '.join(late)}" if late else f"{name}{budget}"
    return Figure("Slowest recovery", in_words(phase.seconds or 0.0), note, "bad" if late else "good")


def _recoveries(drill: Drill) -> Figure:
    """How recovery times of a game day are distributed; a round in which something stays broken has none."""
    known = sorted(
        p.seconds for s in drill.scenarios if (p := s.phase("recovered")) is not None and p.seconds is not None
    )
    if not known:
        return Figure("Recoveries", "none", "no round recovered", "open")
    quarter = known[len(known) // 4], known[(3 * len(known)) // 4]
    note = f"half of them {in_words(quarter[0])} to {in_words(quarter[1])}, slowest {in_words(known[-1])}"
    of = count(len(known), "round")
    return Figure("Recovery, median", in_words(statistics.median(known)), f"{of} recovered; {note}", "good")


def _astray(drill: Drill) -> Figure:
    known = [scenario.events for scenario in drill.scenarios if scenario.events]
    if not known:
        return Figure("Events lost", "unknown", "none were counted", "open")
    total = results_document.Events(
        *(sum(getattr(e, kind) for e in known) for kind in ("written", *results_document.ASTRAY))
    )
    rest = ", ".join(f"{number:,} {kind}" for kind, number in total.lost_or_duplicated.items() if kind != "lost")
    of = f"of {total.written:,} written; "
    note = of + (rest or "none duplicated, altered or unexpected")
    return Figure("Events lost", f"{total.lost:,}", note, "bad" if total.lost_or_duplicated else "good")


def _checks(lines: list[Line]) -> Figure:
    kept, of = sum(line.passed for line in lines), sum(len(line.scenario.checks) for line in lines)
    if not of:
        return Figure("Checks passed", "unknown", "none were checked", "open")
    note = "exit codes, second runs, undo, steady state" if kept == of else f"{of - kept:,} broken"
    return Figure("Checks passed", f"{kept:,} of {of:,}", note, "good" if kept == of else "bad")


def _against(drill: Drill, trends: Trends) -> Figure:
    """What changed since, and how long ago that was."""
    label = "Against earlier drills"
    if not trends.compared:
        return Figure(label, "first", f"no earlier drill in a sandbox like this ({drill.sandbox})", "open")
    changed = {
        word: [name for name, trend in trends.scenarios.items() if trend.change == word]
        for word in ("broke", "slower", "mended", "faster")
    }
    worse = len(changed["broke"]) + len(changed["slower"])
    better = len(changed["mended"]) + len(changed["faster"])
    value = f"{worse} worse" if worse else f"{better} better" if better else "steady"
    ago = (drill.started_at - trends.compared[-1].started_at).days
    parts = [f"{word}: {', '.join(names)}" for word, names in changed.items() if names]
    parts.append(f"the last was {count(ago, 'day')} before" if ago else "the last was within a day")
    return Figure(label, value, "; ".join(parts), "bad" if worse else "good")
