# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document of a drill, checked: what it claims, and whether that is what it measured; pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count, in_words

from .typed_fields import Fields

FORMAT: t.Final = "scout-recovery/drill-1"
PHASES: t.Final = ("detected", "paused", "recovered", "resumed")
VERDICTS: t.Final = ("passed", "failed", "interrupted")
SCENARIO_VERDICTS: t.Final = ("passed", "failed", "error", "interrupted", "not_run")
#: What must be nothing for no event to be lost or duplicated.
ASTRAY: t.Final = ("lost", "duplicated", "altered", "unexpected")
#: A drill is named for its time, and its files are named for it.
NAME: t.Final = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")


@dataclasses.dataclass(frozen=True)
class Phase:
    """How long it took from the fault until this was so; None where it never was."""

    phase: str
    seconds: float | None
    budget: float | None
    #: As the runner judged it.
    claimed: bool

    @property
    def within(self) -> bool:
        """Reached, and in time both by the claim and by the figures."""
        return self.claimed and self.seconds is not None and (self.budget is None or self.seconds <= self.budget)

    @property
    def words(self) -> str:
        """`41 s of 5 min`."""
        took = "never" if self.seconds is None else in_words(self.seconds)
        return took if self.budget is None else f"{took} of {in_words(self.budget)}"

    @property
    def broken(self) -> str:
        """What is wrong with it, as a person says it; empty where nothing is."""
        if self.within:
            return ""
        if self.seconds is None:
            return f"never {self.phase}" + (f", budget {in_words(self.budget)}" if self.budget is not None else "")
        over = self.budget is not None and self.seconds > self.budget
        more = f", {in_words(self.seconds - t.cast('float', self.budget))} over budget" if over else ", judged too late"
        return f"{self.phase} after {self.words}{more}"


@dataclasses.dataclass(frozen=True)
class Events:
    """What the loss oracle says of every event that was written."""

    written: int
    lost: int
    duplicated: int
    altered: int
    unexpected: int

    @property
    def lost_or_duplicated(self) -> dict[str, int]:
        """Only what is not as it was written."""
        return {kind: number for kind in ASTRAY if (number := getattr(self, kind))}

    @property
    def words(self) -> str:
        """`2 lost, 1 altered`; `none lost or duplicated`."""
        return (
            ", ".join(f"{number:,} {kind}" for kind, number in self.lost_or_duplicated.items())
            or "none lost or duplicated"
        )


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that was run; no exit code where it was ended from outside."""

    playbook: str
    rc: int | None
    seconds: float
    changed: int | None
    run_ids: tuple[str, ...]
    artifacts: str
    said: str


@dataclasses.dataclass(frozen=True)
class Check:
    """What was promised, and what came of it."""

    check: str
    wanted: str
    found: str
    passed: bool

    @property
    def broken(self) -> str:
        """As a person says it; empty where it passed."""
        return "" if self.passed else f"{self.check}: wanted {self.wanted}, found {self.found}"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scenario of a drill, with what it claims of itself."""

    name: str
    title: str
    severity: str
    claimed: str
    started_at: datetime.datetime | None
    seconds: float
    phases: tuple[Phase, ...]
    events: Events | None
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    lacks: tuple[str, ...]
    why: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Everything measured that is not as promised."""
        late = [phase.broken for phase in self.phases if phase.broken]
        lost_or_duplicated = [f"events: {self.events.words}"] if self.events and self.events.lost_or_duplicated else []
        checks = [
            f"{check.check}: wanted {check.wanted}, found {check.found}" for check in self.checks if not check.passed
        ]
        return (*late, *lost_or_duplicated, *checks)

    @property
    def verdict(self) -> str:
        """A claim to have passed is not believed against the figures."""
        return "failed" if self.claimed == "passed" and self.broken else self.claimed

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return self.verdict == "passed"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, each reason once; empty where it did."""
        if self.ok:
            return ()
        if self.unbegun:
            return ("the drill ended before it began",)
        lacks = tuple(f"lacks {thing}" for thing in self.lacks)
        return tuple(dict.fromkeys((*self.why, *self.broken, *lacks))) or (f"no reason is given for {self.verdict}",)

    @property
    def unbegun(self) -> bool:
        """Whether nothing is wrong with it but that the drill never came to it."""
        return self.verdict == "not_run" and not (self.why or self.lacks or self.broken)

    def phase(self, name: str) -> Phase | None:
        """The phase of this name, where it applies."""
        return next((phase for phase in self.phases if phase.phase == name), None)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a drill comes to; `line` says it in one sentence."""

    word: str
    passed: int
    total: int
    line: str
    #: Of each scenario that did not pass: its name and why.
    reasons: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.word == "passed"


@dataclasses.dataclass(frozen=True)
class Drill:
    """A drill as a whole."""

    drill: str
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    seconds: float
    claimed: str
    collection: str
    server: str
    sandbox: str
    schema_from: str
    operator: str
    scenarios: tuple[Scenario, ...]
    #: Of a game day: where its rounds come from; empty for a drill.
    rounds_of: str = ""

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.claimed != "interrupted" and all(s.verdict != "interrupted" for s in self.scenarios)

    @property
    def verdict(self) -> Verdict:
        """Passed only where there was something to pass, and all of it did."""
        passed, total = sum(s.ok for s in self.scenarios), len(self.scenarios)
        reasons = tuple((s.name, "; ".join(s.reasons)) for s in self.scenarios if not s.ok)
        if not self.finished:
            ended = sum(s.verdict not in ("interrupted", "not_run") for s in self.scenarios)
            line = f"stopped before its end: {ended} of {count(total, 'scenario')} ran, {passed} passed"
            return Verdict("interrupted", passed, total, line, reasons)
        if not total:
            return Verdict("failed", 0, 0, "no scenario ran, so nothing is proved", ())
        if passed == total:
            if self.claimed == "passed":
                line = "the one scenario passed" if total == 1 else f"all {total} scenarios passed"
                return Verdict("passed", passed, total, line, ())
            return Verdict("failed", passed, total, "all scenarios passed, but the drill says that it failed", ())
        line = "the one scenario" if total == 1 else f"{total - passed} of {total} scenarios"
        line += " did not pass"
        return Verdict("failed", passed, total, line, reasons)


def read(document: t.Any) -> Drill:
    """The drill in a document, without secrets; BadInput that names the value where it cannot be one."""
    fields = Fields(Redactor(mask=()).value(document), "")
    _refuse_another_format(fields)
    return Drill(
        drill=fields.text("drill", fits=NAME),
        started_at=t.cast("datetime.datetime", fields.time("started_at")),
        finished_at=fields.time("finished_at", optional=True),
        seconds=fields.seconds("seconds"),
        claimed=fields.text("verdict", among=VERDICTS),
        collection=fields.text("collection", default="unknown"),
        server=fields.text("server", default="unknown"),
        sandbox=fields.text("sandbox"),
        schema_from=fields.text("schema_from", default=""),
        operator=fields.text("operator", default=""),
        scenarios=tuple(_scenario(scenario) for scenario in fields.each("scenarios")),
        rounds_of=_rounds_of(fields.inner("gameday")),
    )


def _rounds_of(fields: Fields | None) -> str:
    if fields is None:
        return ""
    seed = fields.maybe_whole("seed")
    return "scripts of earlier game days" if seed is None else f"seed {seed}"


def _refuse_another_format(fields: Fields) -> None:
    found = fields.given.get("format")
    if found == FORMAT:
        return
    newer = isinstance(found, str) and found.startswith(FORMAT.rpartition("-")[0])
    raise BadInput(
        f"this is no document of a drill that can be read: its format is {str(found)[:80]!r}, not {FORMAT!r}",
        next_step="use the version of scout.recovery that wrote it" if newer else "give the JSON file of a drill",
    )


def _scenario(fields: Fields) -> Scenario:
    events = fields.inner("events")
    scenario = Scenario(
        name=fields.text("name"),
        title=fields.text("title", default=""),
        severity=fields.text("severity", default=""),
        claimed=fields.text("verdict", among=SCENARIO_VERDICTS),
        started_at=fields.time("started_at", optional=True),
        seconds=fields.seconds("seconds", default=0.0),
        phases=tuple(_phase(phase) for phase in fields.each("phases")),
        events=None if events is None else Events(*(events.whole(kind) for kind in ("written", *ASTRAY))),
        steps=tuple(_step(step) for step in fields.each("steps")),
        checks=tuple(_check(check) for check in fields.each("checks")),
        lacks=fields.texts("lacks"),
        why=fields.texts("why"),
    )
    return dataclasses.replace(
        scenario, phases=tuple(sorted(scenario.phases, key=lambda phase: PHASES.index(phase.phase)))
    )


def _phase(fields: Fields) -> Phase:
    return Phase(
        phase=fields.text("phase", among=PHASES),
        seconds=fields.maybe_seconds("seconds"),
        budget=fields.maybe_seconds("budget"),
        claimed=fields.yes("within", default=True),
    )


def _step(fields: Fields) -> Step:
    return Step(
        playbook=fields.text("playbook"),
        rc=fields.maybe_whole("rc"),
        seconds=fields.seconds("seconds", default=0.0),
        changed=fields.maybe_whole("changed"),
        run_ids=fields.texts("run_ids"),
        artifacts=fields.text("artifacts", default=""),
        said=fields.text("said", default=""),
    )


def _check(fields: Fields) -> Check:
    return Check(
        check=fields.text("check"),
        wanted=fields.text("wanted", default=""),
        found=fields.text("found", default=""),
        passed=fields.yes("passed"),
    )
