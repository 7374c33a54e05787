# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation as the results of its steps tell it: what it came to, and how the pipeline stands; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core import advice
from ..core.errors import BadInput
from . import drill as summary_drill
from . import gate as summary_gate
from . import report as summary_report
from . import rollback
from .moves import STEPS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

#: Outcomes that leave nothing for anybody to do at once; every other one makes the exit code differ from 0.
AS_WANTED: t.Final = ("left_paused_as_told", "left_paused_for_another")
GOOD: t.Final = frozenset(
    {"recovered", "nothing_to_do", "planned", "done", "unchanged", "assessed", summary_gate.PASSED, *AS_WANTED}
)
#: Of a reset that did all it can, and of what could not be judged; somebody has to see to both.
STILL_FAILING: t.Final = "still_failing"
CANNOT_TELL: t.Final = "cannot_tell"
#: What a reset says that did nothing, by its outcome.
NOTHING_DONE_BECAUSE: t.Final = {
    STILL_FAILING: "nothing: a reset cannot fix what is failing",
    CANNOT_TELL: "nothing: what is wrong could not be told",
}
#: Steps that are done for others.
PREPARATIONS: t.Final = frozenset({"preflight", "lease"})
#: Ansible leaves out what has other tags, and ends well.
NOTHING_DONE: t.Final[Result] = {
    "failed": True,
    "error": BadInput(
        "the essential steps were not run",
        said="--tags, --skip-tags or --start-at-task excluded them",
        next_step="run the same command without --tags, --skip-tags and --start-at-task",
    ).as_dict(),
}


class ResultDocument(t.TypedDict):
    """One operation on one host, for a machine; docs/result.schema.json is held to it."""

    format: str
    operation: str
    host: str
    database: str
    incident: str
    check_mode: bool
    outcome: str
    ok: bool
    changed: bool
    ingestion: str
    verdict_before: str | None
    verdict_after: str | None
    steps: list[Result]
    indicators: list[Result]
    diagnoses: list[Result]
    blockers: list[str]
    cannot_tell: list[str]
    poison: list[Result]
    move: Result | None
    runs: list[Result]
    gate: Result | None
    release: Result | None
    rollback: Result | None
    dead_letters: Result | None
    drill: Result | None
    proof: Result | None
    evidence: str | None
    warnings: list[str]
    error: Result | None
    undo: str
    undo_commands: list[str]
    next: list[str]
    advice: list[str]
    commands: list[str]


@dataclasses.dataclass(frozen=True)
class Story:
    """One operation on one database, from the results of its steps."""

    operation: str
    host: str
    incident: str
    check: bool
    resume_wanted: bool
    steps: Mapping[str, Result]
    #: Parts of it that were left out, each with why.
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Where the person is who reads it: paths below are shown as seen from there.
    folder: str = ""
    #: Whether they ask for everything.
    verbose: bool = False
    #: The host, as commands name it where it is one of several; empty where there is no other.
    limit: str = ""

    @property
    def title(self) -> str:
        """What was done to which database, and of which host where there is another."""
        host = f"{self.limit}, " if self.limit not in ("", self.database) else ""
        return f"{self.operation.replace('_', ' ')} of {host}{self.database}"

    def told(self, made: t.Any) -> t.Any:
        """Texts with their commands as they are typed for this host."""
        return advice.of_host(made, self.limit)

    @property
    def ran(self) -> dict[str, Result]:
        """The steps that came to a result, in order; a plan that was not carried out stands for what it is the plan of."""
        steps = {name: r for name, r in self.steps.items() if r and not r.get("skipped")}
        for name in [name for name in steps if name == "plan" or name.startswith("plan_")]:
            of = self.moving if name == "plan" else name.removeprefix("plan_")
            plan = steps.pop(name) or {}
            if plan and not steps.get(of) and (self.check or plan.get("failed") or not plan.get("changed")):
                steps[of] = plan
        return {name: rollback.with_refusal(summary_report.explained(name, r)) for name, r in steps.items()}

    @property
    def moving(self) -> str:
        """The step that moves rows; empty where the operation has none."""
        return next((name for name in self.steps if name in STEPS), "")

    @property
    def move(self) -> Result:
        """What that step came to; in check mode, what it would."""
        result = self.ran.get(self.moving, {})
        return rollback.with_rehearsal(result, self.steps.get("plan") or {}) if self.goes_back else result

    @property
    def failure(self) -> Result | None:
        """The first step that failed, or that ended without what it was for; where none was done, that."""
        wrong = next((r for r in self.ran.values() if went_wrong(r)), None)
        return wrong or (None if self.began else NOTHING_DONE)

    @property
    def began(self) -> bool:
        """Whether any step came to a result that is more than a preparation; a gate without one says so itself."""
        if self.operation == "emergency_reset" and not self.check and self.before.get("needs_reset"):
            # Whether it helped is known only once that was looked at.
            return bool({"assess_again", "resume"} & self.ran.keys())
        return self.operation == summary_gate.OPERATION or bool(self.ran.keys() - (PREPARATIONS - {self.operation}))

    @property
    def before(self) -> Result:
        """The first assessment."""
        return self.ran.get("assess", {})

    @property
    def after(self) -> Result:
        """The last assessment."""
        return self.ran.get("assess_again", {}) or self.before

    @property
    def gate(self) -> Result:
        """What an acceptance gate said."""
        return self.ran.get("gate", {})

    @property
    def drill(self) -> Result:
        """What a drill came to."""
        return self.ran.get("drill", {})

    @property
    def capture(self) -> Result:
        """What a capture of a release came to."""
        return self.ran.get("capture", {})

    @property
    def goes_back(self) -> bool:
        """Whether this is a rollback to a captured release."""
        return self.operation == rollback.OPERATION

    @property
    def outcome(self) -> str:
        """One word for a machine; see GOOD."""
        if self.failure is not None:
            return "failed"
        if self.operation == summary_gate.OPERATION:
            return summary_gate.outcome(self.gate)
        if self.check:
            return "planned"
        if self._judged:
            return self._judged
        if self.operation != "emergency_reset":
            return "done" if self.changed else "unchanged"
        if not self.before.get("needs_reset"):
            return self._standing or (STILL_FAILING if self._is_off_unexplained else "nothing_to_do")
        if self.state == "running":
            return self._standing or "recovered"
        if not self.resume_wanted:
            return "left_paused_as_told"
        return "left_paused" if self.after.get("blockers") else "left_paused_for_another"

    @property
    def nothing_done(self) -> str:
        """Why a reset did nothing, in words."""
        return NOTHING_DONE_BECAUSE.get(self.outcome, "nothing: no change was needed")

    @property
    def _standing(self) -> str:
        """What a pipeline that runs comes to where a reset did all it can, and it is not well or cannot be judged."""
        running = "verdict_when_running" if self.state == "running" else "verdict"
        # Of what was repaired, what was found before it tells nothing.
        seen = self.ran.get("assess_again", {}) if self.before.get("needs_reset") else self.after
        return {"failing": STILL_FAILING, "inconclusive": CANNOT_TELL}.get(str(seen.get(running)), "")

    @property
    def _is_off_unexplained(self) -> bool:
        """Whether every job that loads is off, and no pause on record says who wanted that."""
        ingestion: Result = self.after.get("ingestion") or {}
        return self.resume_wanted and self.state == "paused" and not ingestion.get("paused_by")

    @property
    def _judged(self) -> str:
        """The outcome where a verdict decides it and not what was done; empty elsewhere."""
        if self.operation in summary_drill.OPERATIONS:
            return summary_gate.PASSED if self.drill.get("verdict") == "passed" else summary_gate.NOT_PASSED
        if self.operation == "preflight" and self.ran.get("preflight", {}).get("hindered"):
            return STILL_FAILING
        if self.operation == "assess":
            return CANNOT_TELL if self.before.get("verdict") == "inconclusive" else "assessed"
        return summary_gate.NOT_PASSED if self.goes_back and self.gate and not self.gate.get("ok") else ""

    @property
    def changed(self) -> bool:
        """Whether any step changed something, or would."""
        return any(r.get("changed") for r in self.ran.values())

    @property
    def state(self) -> str:
        """running, paused, pausing or unknown: what ingestion is now, by the last step that looked."""
        for name in (
            "looked_up",
            "pause_again",
            "resume",
            "assess_again",
            "complete_pause",
            "pause",
            "unfinished",
            "assess",
            "gate",
        ):
            result = self.ran.get(name)
            if result is None:
                continue
            if name.startswith(("assess", "gate")) and result.get("ingestion"):
                return result["ingestion"]["state"]
            if result.get("state"):
                return result["state"]
            if name.endswith("pause") and result.get("failed"):
                # Whether work is in flight nobody knows; where its jobs are active nothing was paused.
                left: Result = result.get("ingestion") or Result()
                return "running" if left.get("state") == "running" else "unknown"
        return str(self.seen.get("state", "unknown"))

    @property
    def seen(self) -> Result:
        """How ingestion was where the last step looked that took the lease, or that failed."""
        found: list[t.Any] = [result.get("ingestion") for result in self.steps.values() if result]
        return next((t.cast("Result", seen) for seen in reversed(found) if isinstance(seen, dict)), Result())

    @property
    def database(self) -> str:
        """Where it happened."""
        return next((r["database"] for r in self.ran.values() if r.get("database")), self.host)


def went_wrong(result: Result) -> bool:
    """Whether a step failed, or ended and reports an error, as a proof does."""
    return bool(result.get("failed") or result.get("error"))
