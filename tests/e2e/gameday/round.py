# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One round of a game day: its script is played, an operator follows the screen, and the oracle judges."""

from __future__ import annotations

import dataclasses
import time
import typing as t
import uuid

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scenario_run import TROUBLE, in_short
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import measures
from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words
from tests.e2e.gameday import claims, followed, ground, values
from tests.e2e.gameday.stage import INCIDENT, Stage

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import PlaybookRunner
    from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.measures import Check
    from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.base import Sandbox
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
    from tests.e2e.gameday.claims import Typed
    from tests.e2e.gameday.script import Script
    from tests.e2e.gameday.stage import Play

Document = dict[str, t.Any]

#: How often the operator types what the screen says, after the first emergency reset.
MOST_TYPED: t.Final = 6
FIRST: t.Final = "emergency_reset"
TICK_SECONDS: t.Final = 0.05
#: An undo and nothing else: what it puts back is not loaded or quarantined at once, so that it can be compared.
BARE: t.Final = {"drain": False, "resume": False, "proof": False}


@dataclasses.dataclass
class Round:
    """One script in its sandbox; `document` has what is known of it at any time."""

    script: Script
    sandbox: Sandbox
    runner: PlaybookRunner
    folder: Path
    progress: Progress
    document: Document

    def __post_init__(self) -> None:
        self.typed: list[Typed] = []
        self._checks: list[Check] = []
        self._before: values.Values = {}
        self._name = self.document["name"]

    def run(self) -> None:
        """Fills the document; a round that could not be played is an error, and says nothing of the toolkit."""
        began = time.monotonic()
        try:
            self._play()
            broken = [check.broken for check in self._checks if not check.passed]
            self.document["verdict"] = "failed" if broken else "passed"
            self.document["why"] += broken
        except RecoveryError as e:
            if e.kind == "stopped":
                raise
            self._error(str(e))
        except TROUBLE as e:
            self._error(in_short(e))
        finally:
            self.document["seconds"] = round(time.monotonic() - began, 2)
            self.document["checks"] = [dataclasses.asdict(check) for check in self._checks]

    def _error(self, why: str) -> None:
        self.document["verdict"] = "error"
        self.document["why"].append(why)

    def _play(self) -> None:
        secret = f"anna.{uuid.uuid4().hex[:12]}@example.org"
        with Stage(self.script, self.sandbox, self.runner, self.folder, self.progress) as stage:
            before = ground.look(self.sandbox.dsn)
            with ground.connect(self.sandbox.dsn) as connection:
                sale = generator.transaction(time.time_ns() % 10**9, 0, customer_email=secret)
                generator.insert(connection, sale)
            stage.note_arrivals()
            self._acts(stage)
            for play in list(stage.plays):
                self._ended(stage, play)
            self._follow(stage)
            stage.rest()
            written = stage.written()
            found = oracle.where(self.sandbox.dsn, written)
            self.document["events"] = measures.events(written, found, stage.load.doubtful)
            self._keep(measures.no_event_lost(found, stage.load.doubtful))
            for check in claims.judge(stage, before, self.typed, secret):
                self._keep(check)
            # Those of the oracle itself.
            stage.note_arrivals()
            self._take_back(stage)

    def _acts(self, stage: Stage) -> None:
        """Each at its time; playbooks go on meanwhile."""
        began = time.monotonic()
        for act in self.script.acts:
            while time.monotonic() < began + act.at:
                stage.look()
                self.progress.wait(TICK_SECONDS)
            started = time.monotonic()
            try:
                said, rc = stage.act(act), 0
            except (*TROUBLE,) as e:
                if isinstance(e, RecoveryError) and e.kind == "stopped":
                    raise
                said, rc = f"did not happen: {in_short(e)}", 1
            if act.name != "play" or rc:
                self._say(f"{act}: {said}")
                self._step(act.words, None, time.monotonic() - started, said)

    def _ended(self, stage: Stage, play: Play) -> Typed:
        played = stage.ended(play)
        typed = claims.Typed(play, played)
        self.typed.append(typed)
        code = "killed" if played.rc is None else f"exit code {played.rc}"
        self._say(f"{play.name}.yml: {code}, {in_words(played.seconds)}; {played.said[:160]}")
        self._step(play.name, played.rc, played.seconds, played.said, played, play)
        return typed

    def _step(
        self, name: str, rc: int | None, seconds: float, said: str,
        played: t.Any = None, play: Play | None = None,
    ) -> None:  # fmt: skip
        self.document["steps"].append(
            {
                "playbook": name,
                "rc": rc,
                "seconds": round(seconds, 2),
                "changed": played.changed if played else None,
                "run_ids": list(played.run_ids) if played else [],
                "artifacts": str(play.folder.relative_to(self.folder.parent)) if play else "",
                "said": said,
            }
        )

    def _follow(self, stage: Stage) -> None:
        """Types the reset, and then whatever the screen says next, until all is well or nothing is left to type."""
        last = self._next(stage, followed.Typed(FIRST, {"incident": INCIDENT}))
        done: set[str] = set()
        for _ in range(MOST_TYPED):
            if last.played.rc == 0 and last.result.get("ingestion") == "running":
                return
            text = next((each for each in last.result.get("commands", ()) if each not in done), None)
            try:
                # Who reads no command tries what he knows once more.
                typed = followed.command(text) if text else followed.Typed(FIRST, {"incident": INCIDENT})
            except followed.NotTyped:
                # The oracle says so.
                return
            if not text and done:
                return
            done.add(text or FIRST)
            self._say(f"typed as it was printed: {text}" if text else f"{FIRST}.yml once more")
            last = self._next(stage, typed)

    def _next(self, stage: Stage, typed: followed.Typed) -> Typed:
        """One command, with all values as they were before it."""
        self._before = values.look(stage.sandbox.dsn)
        return self._ended(stage, stage.type(typed.playbook, typed.variables, check=typed.check))

    def _take_back(self, stage: Stage) -> None:
        """The undo that the last playbook offers is accepted and exact, and so is the undo of that undo; where it offers
        none, the latest run that moved rows is undone, which may be refused.

        Nobody else is at work any more, so that every value of every table can be compared."""
        done = values.look(stage.sandbox.dsn)
        last = self.typed[-1]
        offered = last.result.get("undo_commands", ()) if last.played.rc == 0 else ()
        undone = self.type_undos(stage, offered or stage.latest_undo(), required=bool(offered))
        if undone is None:
            return
        found = oracle.where(stage.sandbox.dsn, stage.written())
        self._keep(measures.no_event_lost(found, stage.load.doubtful, " after the undo"))
        if undone.played.rc != 0:
            # One that failed later, over what is still broken, has undone it; no event is lost by that either.
            if undone.played.changed == 0:
                same = values.differences(done, values.look(stage.sandbox.dsn))
                self._hold("an undo that is refused changes nothing", same)
            return
        back = values.look(stage.sandbox.dsn)
        self._hold("the undo puts back what was taken", values.not_back(self._before, done, back))
        offered = undone.result.get("undo_commands", ())
        again = self.type_undos(stage, offered, required=True)
        if again is not None and again.played.rc == 0:
            same = values.differences(done, values.look(stage.sandbox.dsn))
            self._hold("undone and undone again, every value is as it was", same)

    def type_undos(self, stage: Stage, texts: t.Sequence[str], *, required: bool) -> Typed | None:
        """Undos, typed in their order until one is refused; the last of them, or None where there is none."""
        undone: Typed | None = None
        for text in texts:
            try:
                typed = followed.command(text)
            except followed.NotTyped:
                # The oracle says so.
                return undone
            undone = self._ended(stage, stage.type(typed.playbook, {**typed.variables, **BARE}))
            wrong = f"exit code {undone.played.rc}: {undone.played.said}" if undone.played.rc != 0 else ""
            if required or not wrong:
                self._hold("the undo that is offered is accepted", wrong)
            if wrong:
                break
        return undone

    def _hold(self, check: str, wrong: str) -> None:
        self._keep(measures.Check(check, "yes", wrong or "yes", not wrong))

    def _keep(self, check: Check) -> None:
        if not check.passed:
            self._say(f"CLAIM BROKEN: {check.broken}")
        self._checks.append(check)

    def _say(self, line: str) -> None:
        self.progress.say(f"{self._name}: {line}")
