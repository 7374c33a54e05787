# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that gates a pipeline, from options to a result."""

from __future__ import annotations

import dataclasses
import functools
import time
import typing as t

from ...core.errors import BadInput
from ...core.results import ModuleResult
from ...pipeline import expected, kept
from ...scout import contract
from ...scout.sessions import STUCK_AFTER_SECONDS
from .. import assessment, thresholds
from .. import facts as health_facts
from . import facts, smoke_test, verdict

if t.TYPE_CHECKING:
    from ...invoke import Call, Params

MOST_SAMPLES: t.Final = 100
#: How long a sample may take at least.
SAMPLE_SECONDS: t.Final = 30.0


@dataclasses.dataclass(frozen=True)
class _Gated:
    """The verdict in the end, the last sample it is of, all samples, and the smoke test where one was asked for."""

    settled: verdict.Verdict
    found: health_facts.Facts
    samples: list[dict[str, t.Any]]
    smoke: dict[str, t.Any] | None


class GateResult(ModuleResult):
    """What scout_gate_info returns."""

    verdict: str
    ok: bool
    exit_code: int
    codes: list[int]
    checks: list[dict[str, t.Any]]
    samples: list[dict[str, t.Any]]
    smoke: dict[str, t.Any] | None
    ingestion: dict[str, t.Any]
    diagnoses: list[dict[str, t.Any]]
    period_hours: int
    seconds: float
    warnings: list[str]


def gate(call: Call, params: Params) -> GateResult:
    """Whether the pipeline may go on: verdict, exit code, each check, every sample, the smoke test, ingestion, and seconds.

    Samples until the verdict has stood as often as `consecutive` says, with `interval_seconds` between. Raises BadInput for
    thresholds, severities or numbers that cannot be used; a gate that is not passed is a result.
    """
    began = time.monotonic()
    options = verdict.options(
        params["thresholds"],
        params["severity"],
        warn_passes=params["warn_passes"],
        paused_passes=params["paused_passes"],
    )
    _refuse_unusable(params)
    gated = _gated(call, params, options)
    settled = gated.settled
    report = assessment.assess(gated.found, thresholds.chosen({}), trouble=not settled.ok)
    return {
        "changed": False,
        "verdict": settled.verdict,
        "ok": settled.ok,
        "exit_code": settled.exit_code,
        "codes": settled.codes,
        "checks": [check.as_dict() for check in settled.checks],
        "samples": gated.samples,
        "smoke": gated.smoke,
        "ingestion": _ingestion(settled, gated.found),
        "diagnoses": [d.as_dict() for d in report.diagnoses],
        "period_hours": params["period_hours"],
        "seconds": round(time.monotonic() - began, 3),
        "summary": verdict.summary(settled),
        "warnings": [
            *([f"the smoke test was {smoke_test.NOT_IN_CHECK}"] if call.check and params["smoke"] else []),
            *gated.found.limited,
        ],
    }


def _refuse_unusable(params: Params) -> None:
    if not 1 <= params["period_hours"] <= 24 * 366:
        raise BadInput(f"period_hours {params['period_hours']} is not usable", next_step="give 1 to 8784 hours")
    if not 1 <= params["consecutive"] <= MOST_SAMPLES:
        raise BadInput(
            f"consecutive {params['consecutive']} is not usable", next_step=f"give a number from 1 to {MOST_SAMPLES}"
        )


def _gated(call: Call, params: Params, options: verdict.Options) -> _Gated:
    """Judges the pipeline, as often as it takes; the smoke test once."""
    tested: tuple[verdict.CheckResult, dict[str, t.Any]] | None = None
    verdicts: list[verdict.Verdict] = []
    samples: list[dict[str, t.Any]] = []
    before = kept.look(call.session)
    while True:
        found = _sample(call, params)
        if params["smoke"] and tested is None:
            tested = _smoke(call, params, found)
        found.wider.gone = kept.missing_since(call.session, before)
        verdicts.append(verdict.judge(found, options, tested[0] if tested else None))
        samples.append({"at": found.now.isoformat() if found.now else None, "verdict": verdicts[-1].verdict})
        settled = verdict.settled(verdicts, params["consecutive"])
        if settled is not None:
            return _Gated(settled, found, samples, tested[1] if tested else None)
        call.progress.say(f"sample {len(samples)}: {verdict.summary(verdicts[-1])}")
        call.progress.wait(params["interval_seconds"])


def _sample(call: Call, params: Params) -> health_facts.Facts:
    ledger = call.look(params["ledger"])
    required = params["required_jobs"] or list(contract.names().purposes)
    return health_facts.read(
        call.session,
        ledger,
        budget_seconds=params["budget_seconds"],
        least_seconds=SAMPLE_SECONDS,
        stuck_after_seconds=params["stuck_after_seconds"],
        alert_hours=params["period_hours"],
        jobs=params["jobs"],
        required=required,
        more=functools.partial(facts.read, hours=params["period_hours"]),
    )


def _smoke(call: Call, params: Params, found: health_facts.Facts) -> tuple[verdict.CheckResult, dict[str, t.Any]]:
    if call.check:
        return smoke_test.skipped(smoke_test.NOT_IN_CHECK)
    call.progress.say("smoke test: copies of earlier sales go through the ETL and are rolled back")
    seconds = _smoke_seconds(call, params["smoke_timeout_seconds"])
    job = found.etl_jobs[0] if found.etl_jobs else None
    return smoke_test.test(call.session, job, seconds=seconds, meant=params["changes"])


def _smoke_seconds(call: Call, given: float | None) -> float:
    """How long the smoke test may take: it calls the ETL twice, no call of which is stuck before its session counts as stuck."""
    with call.session.read():
        return expected.limit(given, STUCK_AFTER_SECONDS, 2 * expected.call_seconds(call.session))


def _ingestion(settled: verdict.Verdict, found: health_facts.Facts) -> dict[str, t.Any]:
    """How ingestion is, and since when it is paused by whom."""
    pause = found.pause
    return {
        "state": settled.state,
        "paused_since": pause.paused_at.isoformat() if pause else None,
        "paused_by": pause.actor if pause else None,
        "incident": pause.incident if pause else None,
    }
