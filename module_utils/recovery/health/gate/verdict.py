# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a pipeline may go on: every check judged, one verdict and one exit code of them all; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import BadInput
from ...core.text import count, in_words
from ...scout.sessions import in_flight
from .. import assessment
from .. import thresholds as threshold_table
from ..assessment import Indicator
from . import checks as gate_checks
from .checks import CHECKS, INCONCLUSIVE, OTHER, PAUSED, SEVERITIES, SMOKE, Check

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...postgres.read_budget import Problem
    from ..facts import Facts
    from ..thresholds import Figures

#: From bad to good; the words of an assessment, and ours.
WORST: t.Final = ("fail", "inconclusive", "warn", "pass")
WORDS: t.Final = {"ok": "pass", "unknown": "inconclusive"}

#: One, and more.
TOLD: t.Final = {
    "fail": ("fails", "fail"),
    "inconclusive": ("is unknown", "are unknown"),
    "warn": ("warns", "warn"),
    "pass": ("passes", "pass"),
}

#: What is behind while a backlog goes down, and what shows that there is one.
BEHIND: t.Final = frozenset({
    "backlog_events", "backlog_age", "silver_staleness", "gold_staleness", "stale_gold_views", "linking_coverage", "etl_duration",
})  # fmt: skip
BACKLOG: t.Final = frozenset({"backlog_events", "backlog_age"})

#: A verdict that has not come so often in a row after this many times as many samples has not settled.
PATIENCE: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """How to judge."""

    thresholds: Mapping[str, Figures]
    severities: Mapping[str, str]
    warn_passes: bool = False
    paused_passes: bool = False


@dataclasses.dataclass(frozen=True)
class CheckResult(Indicator):
    """One check: an indicator that is pass, warn, fail or inconclusive, and whether that counts."""

    code: int = OTHER
    severity: str = "fail"
    counts: bool = True


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gate says, from one sample."""

    verdict: str
    ok: bool
    exit_code: int
    #: What ingestion is: running, paused, pausing or unknown.
    state: str
    reason: str
    checks: tuple[CheckResult, ...]

    @property
    def codes(self) -> list[int]:
        """Of all checks that did not pass, each once."""
        return list(dict.fromkeys(c.code for c in self.checks if c.counts and c.status in ("fail", "warn")))


def options(
    thresholds: Mapping[str, t.Any],
    severities: Mapping[str, t.Any],
    *,
    warn_passes: bool,
    paused_passes: bool,
) -> Options:
    """The options as given, over the defaults. Raises BadInput, naming it, for one that cannot be used."""
    defaults = {check.name: check.severity for check in CHECKS} | {SMOKE: "fail"}
    for name, severity in severities.items():
        if name not in defaults:
            raise BadInput(
                f"severity of {name[:80]!r}: no check has this name", next_step=f"choose among {', '.join(defaults)}"
            )
        if severity not in SEVERITIES:
            raise BadInput(
                f"severity {str(severity)[:80]!r} of {name} is not usable",
                next_step=f"choose among {', '.join(SEVERITIES)}",
            )
    return Options(
        threshold_table.chosen(thresholds, gate_checks.called(CHECKS)),
        {**defaults, **severities},
        warn_passes,
        paused_passes,
    )


def judge(found: Facts, chosen: Options, smoke: CheckResult | None = None) -> Verdict:
    """The verdict on a pipeline from what was found, and from a smoke test where there was one."""
    checks = [_judged(check, found, chosen) for check in CHECKS]
    checks += [_capped(smoke, chosen.severities[SMOKE])] if smoke else []
    state, why = _state(found)
    excuse = {"paused": "paused", "pausing": "draining"}.get(state)
    if excuse:
        flow = {check.name for check in CHECKS if check.flow}
        checks = [_excused(check, f"not judged while {why}") if check.name in flow else check for check in checks]
    elif drains := _drains(found, checks):
        excuse, why = "draining", drains
        checks = [
            dataclasses.replace(c, counts=c.counts and c.status == "pass") if c.name in BEHIND else c for c in checks
        ]
    worst = _worst(checks)
    verdict = excuse if excuse and worst in ("pass", "warn") else worst
    passes = worst == "pass" or (worst == "warn" and chosen.warn_passes)
    ok = passes and (verdict in ("pass", "warn") or (verdict == "paused" and chosen.paused_passes))
    exit_code = 0 if ok else _exit_code(verdict, worst, checks)
    return Verdict(verdict, ok, exit_code, state, _reason(verdict, why, checks), tuple(checks))


def settled(verdicts: Sequence[Verdict], consecutive: int) -> Verdict | None:
    """The verdict once it came so often in a row; one that nothing could be told from, when that took too long."""
    last = verdicts[-1]
    if len(verdicts) >= consecutive and {verdict.verdict for verdict in verdicts[-consecutive:]} == {last.verdict}:
        return last
    if len(verdicts) < PATIENCE * consecutive:
        return None
    reason = f"the verdict did not settle: {', '.join(verdict.verdict for verdict in verdicts)}"
    return dataclasses.replace(last, verdict="inconclusive", ok=False, exit_code=INCONCLUSIVE, reason=reason)


def summary(verdict: Verdict) -> str:
    """One line for a person."""
    return f"{verdict.verdict}: {verdict.reason}"


def _judged(check: Check, found: Facts, chosen: Options) -> CheckResult:
    figures = chosen.thresholds.get(check.name) or check.threshold.figures
    made = assessment.judged(check, found, figures, _words)
    fields: dict[str, t.Any] = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    fields["status"] = WORDS.get(made.status, made.status)
    return _capped(CheckResult(**fields, code=check.code), chosen.severities[check.name])


def _words(problem: Problem) -> str:
    """Why a fact could not be read, with the grant or the setting that shows it."""
    fix = f" ({problem.next_step})" if problem.next_step and problem.kind in ("privilege", "not_reached") else ""
    return problem.said + fix


def _capped(judged: CheckResult, severity: str) -> CheckResult:
    """The same, no worse than its severity."""
    status = "warn" if severity == "warn" and judged.status in ("fail", "inconclusive") else judged.status
    return dataclasses.replace(judged, status=status, severity=severity, counts=severity != "info")


def _excused(judged: CheckResult, why: str) -> CheckResult:
    if judged.status == "pass":
        return judged
    reason = f"{why}; {judged.reason}" if judged.reason else why
    return dataclasses.replace(judged, status="inconclusive", reason=reason, counts=False)


def _state(found: Facts) -> tuple[str, str]:
    """What ingestion is, and since when and by whom."""
    if found.ingestion != "paused":
        return found.ingestion or "unknown", ""
    since = f"paused, not by this toolkit: {', '.join(found.off)} inactive"
    if pause := found.pause:
        since = f"paused for {in_words(pause.seconds)} by {pause.actor} for {pause.incident}"
    if working := in_flight(found.activities):
        return "pausing", f"{since}, and at work: {'; '.join(a.describe() for a in working[: gate_checks.FEW])}"
    return "paused", since


def _drains(found: Facts, checks: Sequence[CheckResult]) -> str:
    """How the backlog goes down, where nothing but what it keeps behind is wrong; else empty."""
    wrong = {check.name for check in checks if check.counts and check.status != "pass"}
    return gate_checks.progress_of(found) if wrong & BACKLOG and wrong <= BEHIND else ""


def _worst(checks: Sequence[CheckResult]) -> str:
    counting = {check.status for check in checks if check.counts}
    return next((status for status in WORST if status in counting), "inconclusive")


def _exit_code(verdict: str, worst: str, checks: Sequence[CheckResult]) -> int:
    if verdict in ("paused", "draining"):
        return PAUSED
    if verdict == "inconclusive":
        return INCONCLUSIVE
    return min((check.code for check in checks if check.counts and check.status == worst), default=OTHER)


def _reason(verdict: str, why: str, checks: Sequence[CheckResult]) -> str:
    numbers = {status: sum(c.status == status for c in checks if c.counts) for status in WORST}
    whole = count(sum(numbers.values()), "check")
    parts = [
        f"{numbers[status]} {one if numbers[status] == 1 else more}"
        for status, (one, more) in TOLD.items()
        if numbers[status]
    ]
    told = f"all of {whole} pass" if numbers["pass"] == sum(numbers.values()) else f"of {whole} {', '.join(parts)}"
    return f"{why}; {told}" if verdict in ("paused", "draining") else told
