# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of an acceptance gate, for a person and for a machine."""

from __future__ import annotations

import typing as t

from ..scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Result = dict[str, t.Any]

OPERATION: t.Final = "acceptance_gate"
#: How it ends; the second makes the exit code differ from 0.
PASSED: t.Final = "passed"
NOT_PASSED: t.Final = "not_passed"

GATE: t.Final = "ansible-playbook scout.recovery.acceptance_gate"
ASSESS: t.Final = "ansible-playbook scout.recovery.assess"
RESUME: t.Final = "ansible-playbook scout.recovery.resume_ingestion"
RECOVER: t.Final = "ansible-playbook scout.recovery.window_recovery"
#: Where these fail, silver may say something else than its events; a recovery tells, and fixes it.
OF_SILVER: t.Final = frozenset({
    "lost_events",
    "negative_totals",
    "empty_baskets",
    "line_mismatch",
    "missing_lines",
    "invalid_lines",
    "not_a_number",
})  # fmt: skip
ALERTS: t.Final = "unresolved_alerts"
#: No part of Scout resolves them, and its own job writes one more for as long as it sees the cause.
RESOLVE: t.Final = "UPDATE {alerts} SET resolved_at = now() WHERE severity = 'critical' AND resolved_at IS NULL; once what they say is over"
WHICH: t.Final = ("verdict", "ok", "exit_code", "codes", "checks", "samples", "smoke", "period_hours", "summary")
LABELS: t.Final = {"fail": "fails", "inconclusive": "unsure", "warn": "warns"}


def judged(result: Mapping[str, t.Any]) -> bool:
    """Whether this is what a gate said, and not why it could not be asked."""
    return result.get("operation") == "gate"


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """The gate for a machine; None where there was none, or where it came to nothing."""
    return {name: result[name] for name in WHICH} if judged(result) else None


def outcome(result: Mapping[str, t.Any]) -> str:
    """Whether to go on; where the gate said nothing, not."""
    return PASSED if result.get("ok") else NOT_PASSED


def parts(result: Mapping[str, t.Any]) -> dict[str, str]:
    """The verdict, then what fails, what is unknown and what warns, and the smoke test, each on lines of its own."""
    if not judged(result):
        return {}
    made = {"found": str(result["summary"])}
    for status, label in LABELS.items():
        made[label] = "; ".join(_told(check) for check in _counting(result, status))
    smoke: Result = result.get("smoke") or {}
    made["smoke"] = str(smoke.get("reason", "")) if smoke.get("status") == "pass" else ""
    return made


def what_next(result: Mapping[str, t.Any]) -> list[str]:
    """What to do where it does not pass."""
    if result.get("ok") or not judged(result):
        return []
    if result["verdict"] == "paused":
        return [f"{RESUME} when ready, then {GATE}; or, to judge it as it is, {GATE} -e scout_paused_passes=true"]
    # Loaded where a gate was asked.
    from ..health.gate.smoke_test import NOT_IN_CHECK

    unnotified = [(check["name"], check["reason"]) for check in _counting(result, "inconclusive")]
    if result["verdict"] == "inconclusive" and unnotified == [("smoke_test", NOT_IN_CHECK)]:
        return ["run it without --check: the smoke test rolls back what it writes"]
    if result["verdict"] == "draining":
        return [f"wait, then {GATE}"]
    causes: list[Result] = result.get("diagnoses") or []
    failing = {check["name"] for check in _counting(result, "fail")}
    made = [] if failing == {ALERTS} else [str(cause["next_command"]) for cause in causes[:1]]
    if failing & OF_SILVER:
        made.append(
            f"{RECOVER} --check -e scout_last={result['period_hours']}h shows where silver differs from its events"
        )
    if ALERTS in failing:
        made.append(contract.words(RESOLVE))
    return [*made, GATE] if made else [f"{ASSESS}, then {GATE}"]


def _counting(result: Mapping[str, t.Any], status: str) -> Iterator[Result]:
    checks: list[Result] = result["checks"]
    return (check for check in checks if check["status"] == status and check["counts"])


def _told(check: Mapping[str, t.Any]) -> str:
    """`backlog_age 1 h 2 min (at most 5 min): why`."""
    from ..health import assessment

    value = assessment.shown(check["value"], check["unit"])
    text = f"{check['name']} {value}".rstrip()
    threshold = check["threshold"]
    if threshold and value and threshold["ok"] > 0:
        bound = "least" if threshold["ok"] > threshold["fail"] else "most"
        text += f" (at {bound} {assessment.shown(float(threshold['ok']), check['unit'])})"
    reason = str(check["reason"])
    return f"{text}: {reason}" if reason else text
