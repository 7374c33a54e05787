# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A door as tests/door.py has one, behind which a playbook is played in this process, for scripts that are tested with many of them."""

from __future__ import annotations

import os
import threading
import traceback
import unittest.mock
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.door import Door
from tests.e2e.drilling import controller
from tests.e2e.in_process import InProcess
from tests.e2e.play import Stage


class InnerDoor(Door):
    """One playbook at a time, for each has the environment of whoever calls."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Lock()

    def _begin(self, order: Mapping[str, Any], screen: int, _errors: int) -> Any:
        """Its screen comes at its end."""
        copy = os.dup(screen)

        def play() -> int:
            with os.fdopen(copy, "w") as out, self._turn:
                try:
                    code, text = _played(order)
                except BaseException:
                    out.write(traceback.format_exc())
                    raise
                out.write(text)
                return code

        return Run(play)


class Run:
    """A playbook on its way, as what is forked is told of."""

    def __init__(self, play: Callable[[], int]) -> None:
        self._code: int | None = None
        self._ended = os.eventfd(0)
        self._thread = threading.Thread(target=self._play, args=[play], daemon=True)
        self._thread.start()

    def _play(self, play: Callable[[], int]) -> None:
        try:
            self._code = play()
        finally:
            os.eventfd_write(self._ended, 1)

    def fileno(self) -> int:
        """Can be read from once it has ended."""
        return self._ended

    def poll(self) -> int | None:
        """Its exit code, once it has one; one that broke down has that of a program that was not found."""
        return None if self._thread.is_alive() else self.wait()

    def wait(self) -> int:
        """Waits for its end."""
        self._thread.join()
        return 127 if self._code is None else self._code

    def send_signal(self, number: int) -> None:
        """Nothing ends a thread."""
        raise AssertionError(f"a playbook that gets signal {number} has to be forked")


def _played(order: Mapping[str, Any]) -> tuple[int, str]:
    words: list[str] = order["command"][1:]
    options: dict[str, Any] = {}
    for given in _after("-e", words):
        assert given.startswith("@"), given
        options |= yaml.safe_load(Path(given[1:]).read_text()) or {}
    [playbook] = [word for word in words if Path(word).parent.name == "playbooks"]
    stage = Stage(Path(options["result_file"]).parent)
    with unittest.mock.patch.dict(os.environ, order["env"], clear=True), controller() as pid:
        driver = InProcess(stage, order["env"]["SCOUT_DSN"], check="--check" in words, controller=pid, **options)
        played = driver.play(str(Path(playbook).resolve()))
    return played.rc, played.text


def _after(option: str, words: Iterable[str]) -> list[str]:
    found = list(words)
    return [found[number + 1] for number, word in enumerate(found) if word == option]
