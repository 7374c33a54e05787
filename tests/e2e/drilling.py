# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills as they are, but for what takes time: databases are copies, playbooks are played in this process, and a scheduler's minute is
a second."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
import time
import traceback
import unittest.mock
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import drill_run, live_load
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import (
    PlaybookCall,
    PlaybookProcess,
    PlaybookRunner,
)
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.base import Sandbox
from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.e2e.in_process import InProcess
from tests.e2e.play import Stage

if TYPE_CHECKING:
    import pytest

    from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

#: The stand-in for pg_cron has its own minute, by which whatever waits for a run is waited for.
MINUTE_SECONDS = 1.0
#: Enough of a past for a pipeline to be healthy; each costs time when it is built, and again when silver is made from bronze.
EVENTS = 1100
#: How long a playbook in this process may go on after its drill has given it up: nothing can kill a thread.
END_SECONDS = 120.0

_numbers = itertools.count(1)


class Copies:
    """Sandboxes by what is in them; `kept` are the templates they are copied from."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.kept: dict[tuple[tuple[str, Any], ...], builder.Template] = {}

    @contextlib.contextmanager
    def opened(self, _progress: object, *, events: int, variant: str = "faithful") -> Iterator[Sandbox]:
        """One with such a pipeline, gone with the block."""
        small: dict[str, Any] = {"variant": variant, "events": min(events, EVENTS)}
        key = tuple(sorted(small.items()))
        template = self.kept.setdefault(key, builder.template(self.server, **small))
        name = f"{template.name}_drill_{next(_numbers)}"
        try:
            yield Sandbox(template.clone(name))
        finally:
            self.server.drop_database(name)

    def drop(self) -> None:
        """Drops all templates."""
        for template in self.kept.values():
            template.drop()


class _Work:
    """A thread as the process that it stands for."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def poll(self) -> int | None:
        return None if self._thread.is_alive() else 0

    def wait(self, timeout: float | None = None) -> int:
        self._thread.join(END_SECONDS if timeout is None else timeout)
        assert not self._thread.is_alive(), "a playbook in this process does not end"
        return 0

    def kill(self) -> None:
        """It comes to its end by itself."""


class Playing(PlaybookProcess):
    """A playbook on its way in this process; in the end it is read as any other."""

    def __init__(self, order: PlaybookCall, on_task: Callable[[str], None]) -> None:
        self._order, self._on_task = order, on_task
        self._told, self._tasks = {}, []
        self._controller, self._killed = None, False
        self.started_at, self._began = time.time(), time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._process = cast("subprocess.Popen[str]", _Work(self._reader))
        self._reader.start()

    def _read(self) -> None:
        order, folder = self._order, self._order.folder
        # It looks at once, which no playbook does, and who is stuck has to be so for that long.
        time.sleep(float(order.variables.get("stuck_after_seconds", 0)))
        try:
            with acting_as(order.actor), controller() as pid:
                driver = InProcess(
                    Stage(folder),
                    order.dsn,
                    on_task=self._started,
                    controller=pid,
                    check=order.check,
                    **order.variables,
                )
                played = driver.play(str(order.playbook))
        except BaseException:
            (folder / "player.log").write_text(traceback.format_exc())
            raise
        screen = folder / "artifacts" / "run" / "stdout"
        screen.parent.mkdir(parents=True)
        screen.write_text(played.text)
        self._told = {"rc": played.rc, "changed": driver.recap["changed"]}

    def _started(self, task: str) -> None:
        self._tasks.append(task)
        self._on_task(task)


@contextlib.contextmanager
def controller() -> Iterator[int]:
    """A process that is there as long as a playbook: by that others know whether its lease is still somebody's."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextlib.contextmanager
def acting_as(actor: str | None) -> Iterator[None]:
    """Whoever drills types commands as somebody else."""
    with unittest.mock.patch.dict(os.environ, {"SUDO_USER": actor} if actor else {}):
        yield


def drill_in_process(patch: pytest.MonkeyPatch, copies: Copies) -> None:
    """From now on drills are played in this process, on copies."""

    def start(
        _runner: PlaybookRunner, order: PlaybookCall, on_task: Callable[[str], None] = lambda _task: None
    ) -> PlaybookProcess:
        return Playing(order, on_task)

    patch.setattr(drill_run, "open_embedded", copies.opened)
    patch.setattr(PlaybookRunner, "start", start)
    patch.setattr(live_load, "MINUTE_SECONDS", MINUTE_SECONDS)
