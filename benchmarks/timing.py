# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs cases in turn, round after round, and compares them: the ratio carries over to another machine, the time does not."""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to time: `run` returns the seconds it took."""

    name: str
    run: Callable[[], float]


def compare(cases: Sequence[Case], rounds: int) -> str:
    """Return a Markdown table with the median of each case, and of its ratios to the first case of the same round."""
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(1 + rounds):
        for case in cases:
            seconds = case.run()
            if number:
                times[case.name].append(seconds)
    base = times[cases[0].name]
    rows = ["| what | median | ratio to the first | lowest to highest |", "|---|---:|---:|---:|"]
    for name, measured in times.items():
        ratios = [seconds / first for seconds, first in zip(measured, base, strict=True)]
        shown = f"{statistics.median(measured) * 1000:,.0f} ms | {statistics.median(ratios):.2f}"
        rows.append(f"| {name} | {shown} | {min(ratios):.2f} to {max(ratios):.2f} |")
    return "\n".join(rows)


def inventory(folder: Path, dsn: str) -> str:
    """Write an inventory with one local host for this database, and return its path."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"scout": {"hosts": {"db": {**local, "scout_dsn": dsn}}}}))
    return str(path)


def environment() -> dict[str, str]:
    """Return what a shell has after `. ./activate`; the databases belong to a superuser, created a moment ago."""
    left_out = {"PYTHONDONTWRITEBYTECODE", "SCOUT_DSN", "PGURI"}
    return {
        **{name: value for name, value in os.environ.items() if name not in left_out},
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "SCOUT_ALLOW_SUPERUSER": "1",
        "SCOUT_EVIDENCE": tempfile.gettempdir() + "/scout-bench-evidence",
    }


def command(*words: str) -> float:
    """Return the seconds that a command takes; raises RuntimeError if it fails."""
    began = time.monotonic()
    done = subprocess.run(
        words, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr}")
    return seconds
