# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A game day: rounds from a seed, or one script; what fails is made smaller, and kept so that it can be played again."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time
import typing as t
from pathlib import Path

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count, in_words

from ...reference.server import places
from ..execution import drill_run, probes
from ..execution.scenario_run import STOPPED
from ..sandbox.factory import open_sandbox
from . import script as scripts
from .kinds import KINDS
from .round import Round

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

    from ..execution.playbook_process import PlaybookRunner
    from .script import Script

Document = dict[str, t.Any]

#: Scripts that once failed and must not do so again.
KEPT: t.Final = places.ROOT / "gamedays"
#: How many smaller scripts are tried of one that fails.
MOST_SMALLER: t.Final = 25
SEVERITY: t.Final = "game day"


@dataclasses.dataclass(frozen=True)
class Game:
    """What is to be played."""

    seed: int = 1
    rounds: int = 20
    #: No round begins later than this many seconds after the first; None for as long as it takes.
    seconds: float | None = None
    #: A kept script by its name, or one of a file, or `kept` for all of them; played instead of generated ones.
    script: str | None = None
    #: Whether what fails is made smaller.
    shrink: bool = True


class _Broken(Exception):
    """A round failed in the way that is looked for; Hypothesis then tries smaller ones."""


class _Enough(BaseException):
    """A round failed, and as many smaller scripts were tried as may be."""


class _Over(BaseException):
    """Nothing more is to be played. No `Exception`, so that nobody tries smaller ones."""


def require() -> None:
    """Refuses where the library that makes scripts is missing."""
    if importlib.util.find_spec("hypothesis") is None:
        raise BadInput("a game day needs the Python package hypothesis", next_step="python -m pip install hypothesis")


def named(wanted: str) -> dict[str, Script]:
    """The scripts of `kept`, of a kept one's name or of a file, by name."""
    kept = {path.stem: path for path in sorted(KEPT.glob("*.json"))}
    if wanted == "kept":
        return {name: scripts.read(path, KINDS) for name, path in kept.items()}
    path = kept.get(wanted) or Path(wanted).expanduser().absolute()
    if not path.is_file():
        raise BadInput(
            f"there is no script {wanted!r}",
            next_step=f"-e script=… names a script.json, or one of {', '.join(kept) or 'none that is kept'}, or kept for all",
        )
    return {path.stem: scripts.read(path, KINDS)}


def run(game: Game, request: drill_run.Request, progress: Progress) -> drill_run.Done:
    """Plays it; the document is there whatever happens, also where it was interrupted."""
    chosen = named(game.script) if game.script else None
    document = drill_run.begun(request)
    document["gameday"] = {"seed": None if chosen else game.seed, "rounds": len(chosen) if chosen else game.rounds}
    folder = drill_run.new_folder(request.output, document["drill"])
    drill_run.save(document, folder)
    with drill_run.playbook_runner(request) as runner, progress.unbroken():
        played = _Played(game, request, runner, folder, progress, document)
        try:
            if chosen is None:
                played.generated()
            else:
                for name, script in chosen.items():
                    played.one(script, name)
        except _Over:
            pass
    return drill_run.end(document, request, folder)


class _Played:
    """A game day while it is played."""

    def __init__(
        self, game: Game, request: drill_run.Request, runner: PlaybookRunner, folder: Path,
        progress: Progress, document: Document,
    ) -> None:  # fmt: skip
        self.game, self.request, self.runner = game, request, runner
        self.folder, self.progress, self.document = folder, progress, document
        self._began = time.monotonic()
        self._number = 0

    def generated(self) -> None:
        """Rounds from the seed; after one that failed the next begin from the seed after it."""
        # Its library is there where drills are, and nowhere else.
        from . import generator

        seed = self.game.seed
        while (left := self.game.rounds - self._number) > 0:
            search = _Search(self)
            try:
                generator.play(seed, left, search.each)
            except (_Broken, _Enough):
                search.report(seed)
            if self._number >= self.game.rounds or not search.new:
                return
            seed += 1

    def one(self, script: Script, name: str) -> Document:
        """A round that counts."""
        if self.game.seconds is not None and time.monotonic() - self._began > self.game.seconds:
            self.progress.say(f"no more rounds after {in_words(self.game.seconds)}")
            self._finish()
            raise _Over
        self._number += 1
        told = drill_run.blank(name, str(script)[:300], SEVERITY)
        self.document["scenarios"].append(told)
        self.progress.say(f"{name}: {script.variant}, {script.operator}: {script}")
        self.play(script, told)
        self.save()
        return told

    def play(self, script: Script, told: Document) -> None:
        """A script in a sandbox of its own, with its files beside it."""
        folder = self.folder / told["name"]
        folder.mkdir()
        files.write(folder / "script.json", _as_text(script))
        try:
            self.progress.checkpoint()
            with open_sandbox(
                self.request.sandbox,
                schema_from=self.request.schema_from,
                cron_dsn=self.request.cron_dsn,
                clone_jobs=self.request.clone_jobs,
                pipeline={"variant": script.variant, "events": script.events, "seed": 1},
                name=told["name"],
                progress=self.progress,
            ) as sandbox:
                self.document["server"] = probes.version(sandbox.dsn)
                Round(script, sandbox, self.runner, folder, self.progress, told).run()
        except RecoveryError as e:
            stopped = e.kind == "stopped"
            told["verdict"] = "interrupted" if stopped else "error"
            told["why"].append(STOPPED if stopped else str(e))
            if stopped or e.kind == "unavailable":
                self.save()
                raise _Over from e
        self.progress.say(f"{told['name']}: {told['verdict'].upper()} in {in_words(told['seconds'])}")

    def next_name(self) -> str:
        """Of the next round that counts."""
        return f"round-{self._number + 1:03d}"

    def save(self) -> None:
        """Writes what is known by now, as if this were its end."""
        self._finish()
        drill_run.save(self.document, self.folder)

    def _finish(self) -> None:
        """What the document says of the whole, as if this were its end."""
        verdicts = {told["verdict"] for told in self.document["scenarios"]}
        self.document["seconds"] = round(time.monotonic() - self._began, 2)
        self.document["finished_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        interrupted = "interrupted" in verdicts
        self.document["verdict"] = "interrupted" if interrupted else "passed" if verdicts == {"passed"} else "failed"


class _Search:
    """The rounds of one seed, up to the first that fails, and the smaller ones that fail in the same way."""

    def __init__(self, played: _Played) -> None:
        self.played = played
        #: How many scripts were played.
        self.new = 0
        self._known: dict[str, Document] = {}
        self._wanted: set[str] = set()
        self._failed: Document | None = None
        self._smallest: Script | None = None
        self._smaller = 0

    def each(self, script: Script) -> None:
        """Plays a script once; raises where it fails in the way that is looked for."""
        told = self._known.get(script.key)
        if told is None:
            if self._failed is not None and (not self.played.game.shrink or self._smaller >= MOST_SMALLER):
                raise _Enough
            told = self._known[script.key] = self._play(script)
        if told["verdict"] == "error" or not _broken(told):
            return
        if not self._wanted:
            self._wanted, self._failed = _broken(told), told
        if self._wanted & _broken(told):
            if self._smallest is None or len(script.acts) <= len(self._smallest.acts):
                self._smallest = script
            raise _Broken

    def _play(self, script: Script) -> Document:
        self.new += 1
        if self._failed is None:
            return self.played.one(script, self.played.next_name())
        self._smaller += 1
        told = drill_run.blank(f"{self._failed['name']}-smaller-{self._smaller:02d}", str(script), SEVERITY)
        self.played.progress.say(f"{told['name']}: {script}")
        self.played.play(script, told)
        return told

    def report(self, seed: int) -> None:
        """Says which script is left, and how it is played again."""
        assert self._failed is not None
        assert self._smallest is not None
        file = self.played.folder / self._failed["name"] / "smallest.json"
        files.write(file, _as_text(self._smallest))
        acts = count(len(self._smallest.acts), "act")
        self._failed["why"].append(
            f"seed {seed}; the smallest script that fails so has {acts}: {self._smallest}; "
            f"play it again: ansible-playbook playbooks/gameday.yml -e script={file}"
        )
        self.played.progress.say(f"{self._failed['name']}: {self._failed['why'][-1]}")
        self.played.save()


def _broken(told: Mapping[str, t.Any]) -> set[str]:
    """The claims that did not hold, whatever they were about."""
    return {check["check"] for check in told["checks"] if not check["passed"]}


def _as_text(script: Script) -> bytes:
    return (json.dumps(script.as_document(), indent=1, ensure_ascii=False) + "\n").encode()
