# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox in a container: a PostgreSQL with the real pg_cron for each scenario, gone with it."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
import typing as t
from pathlib import Path

from ...reference.server import container, docker
from . import scratch_names
from .base import Sandbox, Unavailable, await_answer

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

LABEL: t.Final = "scout-recovery.drill"
#: A socket's path has about a hundred characters.
SHORT: t.Final = 50
INSTEAD: t.Final = "fix that, or drill without pg_cron: -e sandbox=embedded"


class Boxed(Sandbox):
    """A database in a container that is the drill's own."""

    kind = "docker"

    def __init__(self, box: container.Box, dsn: str, lacks: tuple[str, ...] = ()) -> None:
        """A sandbox in the container, which somebody else removes."""
        super().__init__(dsn, lacks)
        self._box = box

    def restart_server(self, *, immediate: bool = False) -> None:
        """Returns when the server answers again, at the same address."""
        with _docker("could not restart the server in its container"):
            container.restart(self._box.name, immediate=immediate)
        await_answer(self.dsn)


@contextlib.contextmanager
def opened(progress: Progress) -> Generator[container.Box]:
    """A container with an empty database in which pg_cron lives, after those that killed drills left are removed."""
    name = scratch_names.new_name()
    try:
        with _docker("could not have a container with pg_cron"):
            # Before anything else asks Docker, which would say less about what is missing.
            docker.ready()
            _sweep()
            box = _start(name)
        yield box
    finally:
        with progress.unbroken():
            try:
                _remove(name)
            except docker.Unavailable as e:
                progress.say(f"could not remove container {container.PREFIX}{name}, a later drill does: {e}")


def _sweep() -> None:
    """Removes the containers whose makers are dead."""
    now = datetime.datetime.now(datetime.UTC)
    for name, said, running in container.labelled(LABEL):
        if scratch_names.is_leftover(name, said, now, occupied=running):
            _remove(name)


def _start(name: str) -> container.Box:
    label = {LABEL: scratch_names.comment(scratch_names.maker(), datetime.datetime.now(datetime.UTC))}
    _folder(name).mkdir(mode=0o700)
    return container.start(name, labels=label, sockets=_folder(name))


def _remove(name: str) -> None:
    try:
        container.stop(name)
    finally:
        shutil.rmtree(_folder(name), ignore_errors=True)


def _folder(name: str) -> Path:
    """Where the container of that name has its socket."""
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) <= SHORT else "/tmp") / name


@contextlib.contextmanager
def _docker(attempted: str) -> Generator[None]:
    try:
        yield
    except docker.Unavailable as e:
        raise Unavailable(attempted, said=str(e), next_step=INSTEAD) from e
