# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario happens in: the load, the faults and what they hold, every event ever written, and facts that steps refer to."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import typing as t
from collections.abc import Callable, Mapping
from uuid import UUID

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    BadInput,
    NotConverged,
    WrongDatabase,
)

from ...reference import oracle
from ...reference.server import places
from ..scenario import Play
from . import probes
from .live_load import Load
from .playbook_process import PlaybookCall

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..results.records import PlaybookResult, Run
    from ..sandbox.base import Sandbox
    from ..scenario import Scenario
    from .captured_release import Captured
    from .playbook_process import PlaybookProcess, PlaybookRunner

PLAYBOOKS: t.Final = places.RECOVERY / "playbooks"
PLACE: t.Final = re.compile(r"\{(\w+)\}")
WINDOW: t.Final = dt.timedelta(hours=2)


class Scene:
    """A context manager: whatever a fault holds is let go, and the load comes to rest, at its end."""

    def __init__(
        self, scenario: Scenario, sandbox: Sandbox, runner: PlaybookRunner, folder: Path, progress: Progress
    ) -> None:
        self.scenario = scenario
        self.sandbox = sandbox
        self.runner = runner
        self.folder = folder
        self.progress = progress
        self.load = Load(sandbox.dsn, events_per_second=scenario.events_per_second, scheduler=sandbox.has_pg_cron)
        #: Jobs as they have to be in the end.
        self.jobs: dict[str, bool] = {}
        #: Events that cannot be loaded.
        self.poison: set[UUID] = set()
        self.facts: dict[str, t.Any] = {}
        self._known: dict[UUID, str] = {}
        #: The server's time when it began.
        self.began = dt.datetime.now(dt.UTC)
        #: What was there before a bad release.
        self.captured: Captured | None = None
        #: What is to be tidied up at the end.
        self.ends = contextlib.ExitStack()
        self._held: list[t.Any] = []
        self._plays = 0

    def __enter__(self) -> t.Self:
        dsn = self.sandbox.dsn
        now = probes.now(dsn)
        self.facts = {"window_start": (now - WINDOW).isoformat(), "window_end": now.isoformat()}
        self.began = now
        self._known = dict(oracle.everything(dsn, self.sandbox.since))
        self.jobs = probes.jobs(dsn)
        self.ends.enter_context(self.load)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.ends.close()

    def release(self) -> None:
        """Lets go whatever the faults hold."""
        while self._held:
            self._held.pop().close()

    def written(self) -> dict[UUID, str]:
        """Every event that was ever written, by whomever."""
        return {**self._known, **self.load.written}

    def note_arrivals(self) -> None:
        """Events in bronze now count as written by somebody, as they were when first seen."""
        arrived = oracle.bronze(self.sandbox.dsn, self.sandbox.since)
        self._known |= {event: text for event, text in arrived.items() if event not in self._known}

    def learn(self, found: t.Any) -> None:
        """What a fault tells of itself: sessions it holds, events it wrote, or facts by name."""
        if hasattr(found, "close"):
            self._held.append(found)
        elif isinstance(found, Mapping):
            facts = t.cast("Mapping[str, t.Any]", found)
            self.facts |= {name: _as_variable(value) for name, value in facts.items()}
            self.poison |= {event for event in facts.get("poison", ()) if isinstance(event, UUID)}
        elif isinstance(found, list):
            self.poison |= {value for value in t.cast("list[t.Any]", found) if isinstance(value, UUID)}

    # --- playbooks

    def start(self, play: Play, on_task: Callable[[str], None]) -> tuple[PlaybookProcess, Path]:
        """The playbook on its way, and the folder in which it leaves what it leaves."""
        self._plays += 1
        folder = self.folder / f"{self._plays:02d}-{play.playbook}"
        folder.mkdir(parents=True)
        variables = {name: self._filled(value) for name, value in play.vars.items()}
        return self.runner.start(
            PlaybookCall(play.path, folder, self.sandbox.dsn, variables, play.actor), on_task
        ), folder

    def play(self, name: str, actor: str, **variables: t.Any) -> None:
        """A playbook that somebody else runs to its end, which has to be a good one."""
        playing, folder = self.start(Play(name, PLAYBOOKS / f"{name}.yml", variables, actor=actor), lambda _task: None)
        try:
            while playing.running:
                self.progress.wait(0.05)
            played = playing.played()
        finally:
            playing.stop()
        self.require_here(name, played, folder)
        if played.rc != 0:
            raise NotConverged(f"{name}.yml of {actor} failed", said=played.said, next_step=f"see {folder}")

    def require_here(self, name: str, played: PlaybookResult, folder: Path) -> None:
        """Raises WrongDatabase, which ends the drill, where a playbook worked on another database than the sandbox's: by what
        its results say, or, where they name none, because the ledger here knows none of its runs."""
        elsewhere = [where for where in played.databases if where != self.sandbox.where]
        # The lease is no run of the ledger, and has an id as well.
        told = set[str]() if played.databases else {*played.run_ids}
        strange = (
            told if told and not told & {run.run_id for run in probes.ledger(self.sandbox.dsn).runs} else set[str]()
        )
        if elsewhere or strange:
            raise WrongDatabase(
                f"{name}.yml worked on another database than that of the sandbox, so this drill was stopped",
                on=self.sandbox.where,
                said=f"its result names {', '.join(elsewhere)}"
                if elsewhere
                else f"the ledger of the sandbox does not know its run {', '.join(sorted(strange))}",
                next_step=f"look at what it did there, which {folder}/result.json says, and undo that; then have the playbook take"
                " its connection from SCOUT_DSN alone",
            )

    def undo_of(self, run_id: str) -> Play:
        """The playbook that undoes a run; where the pipeline at work has changed rows since, what was moved counts. What was
        broken before is broken again, so its jobs need not work."""
        return Play(
            "undo",
            PLAYBOOKS / "undo.yml",
            {"scout_run_id": run_id, "scout_on_conflict": "restore", "scout_proof": False},
        )

    def undoable(self) -> list[Run]:
        """The runs of this scenario that can be undone, newest first."""
        return [run for run in probes.undoable(self.sandbox.dsn) if run.started_at >= self.began]

    def _filled(self, value: t.Any) -> t.Any:
        """Variables with the facts in their places."""
        if isinstance(value, dict):
            entries = t.cast("dict[str, t.Any]", value)
            return {name: self._filled(each) for name, each in entries.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in t.cast("list[t.Any]", value)]
        if not isinstance(value, str):
            return value
        whole = PLACE.fullmatch(value)
        return self._fact(whole) if whole else PLACE.sub(lambda found: str(self._fact(found)), value)

    def _fact(self, place: re.Match[str]) -> t.Any:
        name = place[1]
        if name not in self.facts:
            raise BadInput(
                f"{place[0]} has no value in scenario {self.scenario.name}",
                next_step=f"use one of {', '.join(f'{{{fact}}}' for fact in self.facts)}",
            )
        return self.facts[name]


def _as_variable(value: t.Any) -> t.Any:
    """As a variable of a playbook can be."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        return [_as_variable(each) for each in t.cast("list[t.Any]", value)]
    return value
