# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs commands in turn, many times, and compares them round by round; the ratio is the claim, not the time."""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to time: `run` returns the seconds it took, or that matter of it."""

    name: str
    run: Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table: the median of a case, and of its ratios to the first case of the same round."""

    name: str
    seconds: float
    ratio: float
    spread: tuple[float, float]


def compare(cases: Sequence[Case], rounds: int, warmups: int = 1) -> list[Line]:
    """Times all cases in turn, round after round, so that a drift of the machine's speed meets all of them alike."""
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(warmups + rounds):
        for case in cases:
            seconds = case.run()
            if number >= warmups:
                times[case.name].append(seconds)
    base = times[cases[0].name]
    lines: list[Line] = []
    for case in cases:
        ratios = [seconds / first for seconds, first in zip(times[case.name], base, strict=True)]
        spread = (min(ratios), max(ratios))
        lines.append(Line(case.name, statistics.median(times[case.name]), statistics.median(ratios), spread))
    return lines


def table(lines: Sequence[Line], first: str = "what") -> str:
    """A Markdown table of a comparison."""
    rows = [f"| {first} | median | ratio to the first | lowest to highest |", "|---|---:|---:|---:|"]
    rows += [
        f"| {line.name} | {_shown(line.seconds)} | {line.ratio:.2f} | {line.spread[0]:.2f} to {line.spread[1]:.2f} |"
        for line in lines
    ]
    return "\n".join(rows)


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a person's shell has after `. ./activate`, without a screen to draw on."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONDONTWRITEBYTECODE", "SCOUT_DSN", "PGURI"}
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        # The databases are a superuser's of this machine, made a moment ago.
        "SCOUT_ALLOW_SUPERUSER": "1",
        "SCOUT_EVIDENCE": tempfile.gettempdir() + "/scout-bench-evidence",
        **(extra or {}),
    }


def command(arguments: Sequence[str], *, env: Mapping[str, str] | None = None, expect: int | None = 0) -> float:
    """Seconds from start to end of a command; raises when it ends otherwise than expected."""
    began = time.monotonic()
    done = subprocess.run(
        arguments, env=environment(env), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    seconds = time.monotonic() - began
    if expect is not None and done.returncode != expect:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        )
    return seconds


def until(arguments: Sequence[str], reached: Callable[[], bool], *, env: Mapping[str, str] | None = None) -> float:
    """Seconds from the start of a command until `reached` holds; the command then runs to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        arguments, env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not reached():
        if process.poll() is not None and not reached():
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode} and did not get there")
        time.sleep(0.001)
    seconds = time.monotonic() - began
    process.wait()
    return seconds
