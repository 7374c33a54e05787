# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the faults; a fault that holds sessions waits here, or in a process of its own with --detach."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from ..server import places
from .library import FAULTS, lacking
from .registry import require_mark
from .stuck_sessions import Held

HOLDERS = places.state() / "faults"


def main(arguments: list[str] | None = None) -> int:
    """Inject one fault, list them, or release the ones that are held in the background."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {places.PACKAGE}.faults.cli",
        description="Breaks a Scout pipeline.",
    )
    parser.add_argument(
        "name", nargs="?", choices=sorted(FAULTS), metavar="NAME", help="the fault; without one: list them"
    )
    parser.add_argument("options", nargs="*", metavar="key=value", help="keywords of the fault")
    parser.add_argument(
        "--dsn", help="superuser's dsn of a database that make reference has made; - reads it from the input"
    )
    parser.add_argument("--detach", action="store_true", help="hold the sessions in the background until --release")
    parser.add_argument("--release", action="store_true", help="end the background holders, of NAME or all")
    parser.add_argument("--holder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.release:
        return _release(given.name)
    if not given.name:
        for name, fault in sorted(FAULTS.items()):
            print(f"{name:26}{fault.about}")
            if fault.options:
                print(f"{'':26}[{' '.join(map(str, fault.options.values()))}]")
        return 0
    if not given.dsn:
        parser.error("--dsn is needed; no variable of the environment stands for it")
    given.dsn = sys.stdin.readline().rstrip("\n") if given.dsn == "-" else given.dsn
    if given.detach:
        return _detach(given)
    try:
        options = dict(map(_keyword, given.options))
        require_mark(given.dsn)
        _complain(given.dsn, given.name, options)
        outcome = FAULTS[given.name](given.dsn, **options)
    except (AssertionError, LookupError, TypeError, ValueError, psycopg.Error) as error:
        print(f"{given.name}: {error}", file=sys.stderr)
        return 1
    if isinstance(outcome, Held):
        _hold(outcome, given.holder)
    else:
        print(f"{given.name}: done{f', {outcome}' if outcome is not None else ''}")
    return 0


def _keyword(option: str) -> tuple[str, Any]:
    name, separator, value = option.partition("=")
    if not separator:
        raise LookupError(f"{option!r} is not key=value")
    return name, int(value) if value.lstrip("-").isdigit() else value


def _complain(dsn: str, name: str, options: dict[str, Any]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        lacks = lacking(connection, name, **options)
    if lacks:
        raise LookupError(f"the database has no {', no '.join(lacks)}")


def _hold(held: Held, holder: Path | None) -> None:
    """Keep the sessions until a signal comes, or nothing is left of them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    line = f"{held.name}: held by {', '.join(f'{label} (pid {pid})' for label, pid in held.pids.items())}"
    with held:
        if holder:
            with holder.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                print(os.getpid(), line, file=lock, flush=True)
                _wait(held)
            holder.unlink(missing_ok=True)
        else:
            print(f"{line}; Ctrl-C ends it", flush=True)
            _wait(held)


def _leave(*_: object) -> None:
    sys.exit(0)


def _wait(held: Held) -> None:
    while held.alive():
        time.sleep(0.5)


def _detach(given: argparse.Namespace) -> int:
    HOLDERS.mkdir(parents=True, exist_ok=True)
    holder = HOLDERS / f"{given.name}-{time.time_ns()}"
    # The dsn may hold a password: nobody sees what is read from a pipe.
    process = subprocess.Popen(
        [sys.executable, "-m", f"{places.PACKAGE}.faults.cli", given.name, *given.options, "--dsn=-", "--holder", str(holder)],
        env=places.environment(), start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(f"{given.dsn}\n".encode())
    process.stdin.close()
    while process.poll() is None:
        text = holder.read_text() if holder.exists() else ""
        if text.endswith("\n"):
            print(text.partition(" ")[2], end="")
            process.returncode = 0
            return 0
        time.sleep(0.05)
    assert process.stdout
    print(process.stdout.read().decode(), end="")
    return process.returncode


def _release(name: str | None) -> int:
    for holder in sorted(HOLDERS.glob(f"{name or '*'}-*")):
        with holder.open() as lock:
            try:
                # A holder that lives keeps its file locked, so a reused process id is never signalled.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(lock.read().split()[0]), signal.SIGTERM)
                fcntl.flock(lock, fcntl.LOCK_EX)
                print(f"released {holder.name}")
        holder.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
