# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh costs a run, by the CPU of everything it starts: the same assessments by one ansible-playbook and over nodes."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import timing
from benchmarks.timing import Case, Line
from tests.mesh import mesh as meshes
from tests.mesh.mesh import Mesh, job

NODES = ("luzon", "visayas", "mindanao", "palawan")
SIZE = 8


def compare(home: Path, dsns: Sequence[str], alone: Sequence[str], rounds: int) -> tuple[list[Line], list[str]]:
    """The lines of the table, and how many bytes a job was each way."""
    sent: list[str] = []
    with meshes.opened(home, NODES) as mesh:
        cases = [Case("one ansible-playbook, no mesh", lambda: _children(lambda: timing.command(alone)))]
        for count in (1, 2, 4):
            name = f"{count} execution node{'s' if count > 1 else ''}"
            cases.append(Case(name, lambda count=count: _over(mesh, NODES[:count], dsns, sent)))
        return timing.compare(cases, rounds), sent


def _children(run: Callable[[], object]) -> float:
    """The CPU of what this process starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _over(mesh: Mesh, nodes: Sequence[str], dsns: Sequence[str], sent: list[str]) -> float:
    """The CPU of a run in as many slices: of the controller's own steps, of all receptors, and of what these started."""
    before = mesh.cpu_seconds()

    def run() -> None:
        slices = [
            job(mesh.home, "assess", {f"shop{at}": dsn for at, dsn in enumerate(dsns) if at % len(nodes) == place})
            for place in range(len(nodes))
        ]
        units = [mesh.submit(node, payload) for node, payload in zip(nodes, slices, strict=True)]
        for unit, payload in zip(units, slices, strict=True):
            into = mesh.home / f"back-{unit['unitid']}"
            into.mkdir()
            came = mesh.results(unit, into)
            if (into / "artifacts" / "job" / "rc").read_text() != "0":
                raise RuntimeError((into / "artifacts" / "job" / "stdout").read_text())
            sent.append(f"{len(slices)}: {payload.stat().st_size:,} there, {came:,} back")

    return _children(run) + mesh.cpu_seconds() - before
