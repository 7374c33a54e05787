# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How other programs are run: their input and output, a bound in time, and a folder for them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses


def program(script: str, folder: Path, **options: object) -> subprocesses.Done:
    argv = [sys.executable, "-c", script]
    return subprocesses.run(argv, cwd=folder, environment=os.environ, **{"seconds": 20.0, **options})  # type: ignore[arg-type]


def test_a_program_gets_its_input_and_its_output_is_kept_apart(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)"
    done = program(script, tmp_path, stdin=b"given")
    assert (done.code, done.out, done.err) == (3, b"given\n", b"e\n")


@pytest.mark.parametrize(("tail", "kept"), [(False, b"abc"), (True, b"xyz")])
def test_too_much_output_is_cut(tmp_path: Path, tail: bool, kept: bytes) -> None:
    script = "import sys; sys.stdout.write('abc' + 'o' * 1_000_000 + 'xyz')"
    done = program(script, tmp_path, limit=1000, tail=tail)
    assert (len(done.out), kept in done.out) == (1000, True)


def test_a_program_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    script = "import subprocess; print('up', subprocess.Popen(['sleep', '5']).pid)"
    done = program(script, tmp_path)
    assert time.monotonic() - began < 4
    assert done.out.startswith(b"up ")


def test_a_program_that_ignores_being_asked_is_ended(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    done = program(script, tmp_path, seconds=1.0)
    assert (done.code, done.out) == (None, b"on\n")
    assert done.seconds < 6


def test_a_folder_is_gone_afterwards_and_those_of_the_dead_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "x-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (tmp_path / "x-strange").mkdir()
    (tmp_path / "x-link").symlink_to(dead)
    unused, fresh = tmp_path / ".x-old", tmp_path / ".x-new"
    for folder in (unused, fresh):
        folder.mkdir()
    os.utime(unused, (1, 1))
    os.utime(fresh, (time.time(), time.time()))
    with subprocesses.scratch("x") as outer, subprocesses.scratch("x") as inner:
        assert outer != inner
        assert {path.name for path in tmp_path.iterdir()} == {outer.name, inner.name, "x-strange", "x-link", ".x-new"}
    assert {path.name for path in tmp_path.iterdir()} == {"x-strange", "x-link", ".x-new"}
