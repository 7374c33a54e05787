#!/usr/bin/env python3
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that needs the real pg_cron: the Molecule scenarios, then the tests marked pg_cron or docker."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = CHECKOUT / ".molecule"
sys.path.insert(0, str(CHECKOUT / ".collections"))

# The collection is on the path only from here on.
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container, docker  # noqa: E402

# They mostly wait for the scheduler; two at a time show only what failed, and one failure does not hide another.
TOGETHER = ("--workers", "2", "--continue-on-failure")
NO_TESTS_SELECTED = 5
#: A task, an action or a scenario that failed, and how much of that is said again.
FAILURE = re.compile(r"fatal:|FAILED!|ERROR|CRITICAL|failed=[1-9]")
MOST = 2000


def environment(**more: str) -> dict[str, str]:
    """Ours, with the tools of this interpreter's virtual environment first: they call each other by name."""
    found = os.environ | {"MOLECULE_EPHEMERAL_DIRECTORY": str(STATE)} | more
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


def scenarios(names: list[str], words: list[str]) -> int:
    """Run the named scenarios, or all, from a clean state; molecule's exit code is the only thing believed."""
    shutil.rmtree(STATE, ignore_errors=True)
    container.stop_all("molecule-")
    chosen = [word for name in names for word in ("--scenario-name", name)] or [*TOGETHER, "--all"]
    command = ["molecule", "test", *chosen, *words]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment(), start_new_session=True, **pipe) as molecule:
        try:
            return told(molecule.stdout or (), molecule.wait)
        finally:
            # An interrupted molecule leaves its workers and all that it created; ansible wants to be asked first.
            if molecule.poll() is None:
                os.killpg(molecule.pid, signal.SIGINT)
                time.sleep(2)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(molecule.pid, signal.SIGKILL)
            container.stop_all("molecule-")


def told(lines: Iterable[str], end: Callable[[], int]) -> int:
    """Pass on what it says, and say again what failed where it did: with two at a time that stands far apart."""
    failed: list[str] = []
    for line in lines:
        sys.stdout.write(line)
        failed += [line[:MOST]] if FAILURE.search(line) else []
    code = end()
    if code:
        sys.stdout.write("".join(["what failed in the scenarios:\n", *failed[-20:]]))
    return code


def marked_tests() -> int:
    """Run the tests that need a scheduler, on a container of their own."""
    command = [sys.executable, "-m", "pytest", "-m", "pg_cron or docker"]
    with container.running() as box:
        done = subprocess.run(command, cwd=CHECKOUT, env=environment(SCOUT_TEST_SERVER=box.dsn), check=False)
    return 0 if done.returncode == NO_TESTS_SELECTED else done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME", help="only this one (repeatable)")
    parser.add_argument("--skip-tests", action="store_true", help="only the scenarios")
    parser.add_argument("--skip-scenarios", action="store_true", help="only the tests")
    given, words = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        docker.ensure()
        docker.image(install=docker.set_up())
    except docker.Unavailable as problem:
        sys.exit(f"molecule cannot run here: {problem}")
    codes = {}
    if not given.skip_scenarios:
        codes["scenarios"] = scenarios(given.scenario, words)
    if not given.skip_tests and not given.scenario:
        codes["tests"] = marked_tests()
    outcome = [f"{name} {'passed' if code == 0 else f'failed with exit code {code}'}" for name, code in codes.items()]
    sys.stdout.write(f"{', '.join(outcome)} in {time.monotonic() - began:.0f} s\n")
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main())
