# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One scenario from its steady state to its steady state: broken, recovered by its playbooks, and looked at by the oracle."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import time
import typing as t

import psycopg

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged, RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words

from ...reference import oracle
from ..results import measures
from ..scenario import Action, Play
from . import actions, probes
from .scene import Scene

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..results.measures import Check, Document
    from ..results.records import PlaybookResult
    from ..sandbox.base import Sandbox
    from ..scenario import Scenario
    from .playbook_process import PlaybookProcess, PlaybookRunner

#: How long the pipeline may take to be in its steady state, and to be noticed to be out of it.
STEADY_SECONDS: t.Final = 60.0
#: A run that a restart or a pause has ended counts as failed until the next one: with a real scheduler, five minutes for gold.
SCHEDULER_SECONDS: t.Final = 300.0
DETECT_SECONDS: t.Final = 60.0
#: How long one playbook may take before it counts as hanging.
PLAYBOOK_SECONDS: t.Final = 900.0
LOOK_SECONDS: t.Final = 0.25
#: What fails while a drill goes on, without being a mistake of ours.
TROUBLE: t.Final = (
    RecoveryError,
    psycopg.Error,
    RuntimeError,
    AssertionError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
)

#: A drill begins anew; what the playbooks say of going on is about a pipeline that stays.
STOPPED: t.Final = "stopped on request. Next: run the drill again"


def in_short(error: BaseException) -> str:
    """An error that nobody foresaw, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@dataclasses.dataclass
class ScenarioRun:
    """One scenario in its sandbox; `document` has what is known of it at any time."""

    scenario: Scenario
    sandbox: Sandbox
    runner: PlaybookRunner
    folder: Path
    progress: Progress
    document: Document

    def __post_init__(self) -> None:
        self.scene = Scene(self.scenario, self.sandbox, self.runner, self.folder, self.progress)
        self._checks: list[Check] = []
        self._faulted: dt.datetime | None = None
        self._detected: dt.datetime | None = None
        self._recovered: dt.datetime | None = None
        self._skew = dt.timedelta()
        #: Checks of the gate that may fail; the scenarios before may have left alerts in a restored database.
        self._meant: tuple[str, ...] = () if self.sandbox.since is None else measures.MEANT_BY_DAMAGE

    def run(self) -> None:
        """Fills the document; whatever went wrong is in its `why`."""
        began = time.monotonic()
        self.document["started_at"] = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        try:
            lacks = actions.prerequisites_missing(self.scene)
            if lacks:
                self.document["why"] += [f"lacks {thing}" for thing in lacks]
                return
            self._skew = probes.now(self.sandbox.dsn) - dt.datetime.now(dt.UTC)
            with self.scene:
                self._rehearse()
            self._judge()
        except RecoveryError as e:
            self.document["verdict"] = "interrupted" if e.kind == "stopped" else "error"
            self.document["why"].append(STOPPED if e.kind == "stopped" else str(e))
        except TROUBLE as e:
            self.document["verdict"] = "error"
            self.document["why"].append(in_short(e))
        finally:
            self._conclude(time.monotonic() - began)

    def _conclude(self, seconds: float) -> None:
        """What is known by now."""
        document = self.document
        document["seconds"] = round(seconds, 2)
        document["checks"] = [dataclasses.asdict(check) for check in self._checks]
        document["why"] += [check.broken for check in self._checks if not check.passed]
        if document["phases"] and (
            late := measures.lateness(document["phases"]["recovered"], document["budget_seconds"])
        ):
            document["why"].append(late)
        if document["verdict"] == "not_run" and self._checks:
            document["verdict"] = measures.verdict(document)

    # --- the course of it

    def _rehearse(self) -> None:
        """Everything that needs the pipeline at work."""
        self._keep(measures.steady("before", self._settled(self._patience)))
        if any(not check.passed for check in self._checks):
            raise NotConverged("the pipeline is not in its steady state before anything was broken")
        self._break()
        self._detect()
        for number, step in enumerate(self.scenario.steps):
            if isinstance(step, Action):
                self._say(f"step {number + 1} of {len(self.scenario.steps)}: {step.name}")
                self._act(step)
            else:
                self._say(f"step {number + 1} of {len(self.scenario.steps)}: {step.playbook}.yml")
                self._play(step)
        self._say("is everything as it was?")
        self._keep(measures.steady("after", self._settled(self._patience, ended=True)))
        if self.scenario.again:
            self._once_more(self.scenario.plays[-1])
        if self.scenario.undo:
            self._take_back()

    def _break(self) -> None:
        self._say(f"breaking it: {', '.join(fault.name for fault in self.scenario.faults) or 'nothing'}")
        self._faulted = self._now()
        self._meant = measures.MEANT_BY_DAMAGE
        for number, fault in enumerate(self.scenario.faults):
            if all(before.name in actions.PREPARING for before in self.scenario.faults[:number]):
                self._faulted = self._now()
            self._act(fault)

    def _act(self, action: Action) -> None:
        self.progress.checkpoint()
        began = time.monotonic()
        self._keep(actions.act(self.scene, action))
        self.document["steps"].append(
            {
                "playbook": action.name,
                "rc": None,
                "seconds": round(time.monotonic() - began, 2),
                "changed": None,
                "run_ids": [],
                "artifacts": "",
                "said": actions.about(action),
            }
        )

    def _detect(self) -> None:
        """As whoever watches the pipeline's health would notice."""
        if not self.scenario.detected or not self.scenario.faults:
            self._detected = self._now()
            return
        deadline = time.monotonic() + DETECT_SECONDS
        while time.monotonic() < deadline:
            found = self._health()
            if found and found["verdict"] != "healthy":
                self._detected = self._now()
                self._say(f"noticed: {found['summary']}")
                return
            self.progress.wait(LOOK_SECONDS)
        self._keep([measures.Check("its health shows that something is wrong", "yes", "no", passed=False)])

    def _health(self) -> Mapping[str, t.Any] | None:
        """None where it cannot be asked, as while a server restarts."""
        with contextlib.suppress(RecoveryError, psycopg.Error):
            return probes.health(self.sandbox.dsn)
        return None

    # --- playbooks

    def _play(self, play: Play) -> None:
        """Runs a playbook, and does meanwhile what the scenario says."""
        happened: set[int] = set()
        tasks: list[str] = []

        def look(playing: PlaybookProcess) -> None:
            for event in play.meanwhile:
                if id(event) in happened or not playing.running or not any(map(event.task.search, list(tasks))):
                    continue
                happened.add(id(event))
                self._say(f"meanwhile: {event.do.replace('_', ' ')}")
                if event.do == "kill_controller":
                    playing.kill_controller()
                else:
                    self.sandbox.restart_server()

        played = self._to_its_end(play, tasks.append, look)
        self._keep(measures.of_play(play, played))
        self._never_came(play, happened)
        if self._recovered is None and played.rc == 0 and self._holds(self._look()):
            self._recovered = dt.datetime.fromtimestamp(played.ended_at, dt.UTC) + self._skew

    def _never_came(self, play: Play, happened: set[int]) -> None:
        """A scenario that is not what it says proves nothing."""
        for event in play.meanwhile:
            if id(event) not in happened:
                said = f"no task matched {event.task.pattern!r} in time"
                check = f"{event.do} happens while {play.playbook}.yml runs"
                self._keep([measures.Check(check, "yes", said, passed=False)])

    def _record(self, name: str, played: PlaybookResult, folder: Path) -> None:
        self.scene.require_here(name, played, folder)
        self.document["steps"].append(
            {
                "playbook": name,
                "rc": played.rc,
                "seconds": round(played.seconds, 2),
                "changed": played.changed,
                "run_ids": list(played.run_ids),
                "artifacts": str(folder.relative_to(self.folder.parent)),
                "said": played.said,
            }
        )
        code = "killed" if played.rc is None else f"exit code {played.rc}"
        self._say(f"{name}.yml: {code}, {played.changed or 0} changed, {in_words(played.seconds)}")

    def _to_its_end(
        self, play: Play, on_task: Callable[[str], None], look: Callable[[PlaybookProcess], None] = lambda _: None
    ) -> PlaybookResult:
        playing, folder = self.scene.start(play, on_task)
        try:
            deadline = time.monotonic() + PLAYBOOK_SECONDS
            while playing.running:
                look(playing)
                if time.monotonic() > deadline:
                    raise NotConverged(
                        f"{play.playbook}.yml did not end within {in_words(PLAYBOOK_SECONDS)}",
                        next_step=f"see {folder}",
                    )
                self.progress.wait(0.02)
            played = playing.played()
        finally:
            playing.stop()
        self._record(play.playbook, played, folder)
        return played

    def _alone(self, play: Play) -> PlaybookResult:
        return self._to_its_end(play, lambda _task: None)

    def _once_more(self, play: Play) -> None:
        self._say(f"{play.playbook}.yml once more")
        self._keep(measures.nothing_changed(play.playbook, self._alone(dataclasses.replace(play, meanwhile=()))))

    def _take_back(self) -> None:
        """Undoes every run, newest first, and redoes it by undoing the undo."""
        done = self._undo_all([run.run_id for run in self.scene.undoable()], "undo")
        self._look_for_events(" after the undo")
        self._undo_all(done, "redo")
        self._keep(measures.steady("after the redo", self._settled(self._patience)))

    def _undo_all(self, run_ids: list[str], word: str) -> list[str]:
        """The runs that did it."""
        if not run_ids:
            self._keep([measures.Check(f"there is something to {word}", "yes", "nothing", passed=False)])
        made: list[str] = []
        for run_id in run_ids:
            played = self._alone(self.scene.undo_of(run_id))
            code = "none" if played.rc is None else str(played.rc)
            found = code if played.rc == 0 else f"{code} ({measures.why(played)})"
            self._keep([measures.Check(f"the exit code of the {word} of {run_id[:8]}", "0", found, played.rc == 0)])
            made += [run.run_id for run in probes.ledger(self.sandbox.dsn).runs if run.undoes == run_id]
        # What was undone last is redone first.
        return made[::-1]

    # --- what is looked at

    def _look(self) -> dict[str, tuple[bool, str]]:
        """The steady state now, each part with what was found."""
        dsn, found = self.sandbox.dsn, dict[str, tuple[bool, str]]()
        health = functools.cache(probes.health)
        looks: dict[str, Callable[[], tuple[bool, str]]] = {
            "flowing": lambda: measures.flowing(health(dsn)),
            "gold": lambda: measures.fresh(health(dsn)),
            "gate": lambda: measures.passing(probes.gate(dsn), self._meant),
            "nothing_paused": lambda: measures.unpaused(probes.ledger(dsn)),
            "jobs": lambda: measures.same_jobs(self.scene.jobs, probes.jobs(dsn)),
        }
        for name, look in looks.items():
            try:
                found[name] = look()
            except TROUBLE as e:
                found[name] = False, f"could not be checked: {e}"
        return found

    @staticmethod
    def _holds(found: Mapping[str, tuple[bool, str]]) -> bool:
        return all(kept for kept, _ in found.values())

    def _settled(self, seconds: float, *, ended: bool = False) -> dict[str, tuple[bool, str]]:
        """The same as soon as it holds, or at the end of the time it has for that."""
        deadline = time.monotonic() + seconds
        while True:
            at = self._now()
            found = self._look()
            if self._holds(found):
                if ended and self._recovered is None:
                    self._recovered = at
                return found
            # Nobody is at work who would end a pause or give a job back.
            given_up = ended and not all(found[name][0] for name in ("nothing_paused", "jobs"))
            if given_up or time.monotonic() > deadline:
                return found
            self.progress.wait(LOOK_SECONDS)

    def _look_for_events(self, when: str) -> None:
        """While others write: what they have just committed is nobody's loss."""
        known = self.scene.written()
        found = oracle.where(self.sandbox.dsn, known, self.sandbox.since)
        self._keep([measures.no_event_lost(dataclasses.replace(found, unexpected=set()), (), when)])

    def _judge(self) -> None:
        """Everything that needs the pipeline at rest."""
        scene, dsn = self.scene, self.sandbox.dsn
        self._say("counting events")
        written = scene.written()
        found = oracle.where(dsn, written, self.sandbox.since)
        self.document["events"] = measures.events(written, found, scene.load.doubtful)
        self._keep([measures.no_event_lost(found, scene.load.doubtful)])
        if self.sandbox.since is None:
            self._judge_silver()
        ledger = probes.ledger(dsn)
        self._keep([
            measures.nothing_left(ledger, probes.sessions(dsn)),
            *(measures.Check("the pipeline takes its load", "yes", trouble, passed=False) for trouble in scene.load.trouble[:3]),
        ])  # fmt: skip
        assert self._faulted
        moments = measures.Moments(self._faulted, self._detected, self._recovered)
        self.document["phases"] = measures.phases(moments, ledger.pauses)

    def _judge_silver(self) -> None:
        """Compares silver with what the ETL rebuilds from bronze, which would take too long on a large database."""
        try:
            difference = oracle.silver_is_what_bronze_makes(self.sandbox.dsn, poison=self.scene.poison)
            self._keep([measures.silver_follows(difference)])
        except TROUBLE as e:
            self._keep([measures.unchecked("silver is what the ETL makes of bronze", "no difference", e)])

    @property
    def _patience(self) -> float:
        """How long the steady state is waited for."""
        return STEADY_SECONDS + (SCHEDULER_SECONDS if self.sandbox.has_pg_cron else 0.0)

    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._skew

    def _keep(self, checks: list[Check]) -> None:
        for check in checks:
            if not check.passed:
                self._say(f"CHECK FAILED: {check.broken}")
        self._checks += checks

    def _say(self, line: str) -> None:
        self.progress.doing(f"{self.scenario.name}: {line}")
