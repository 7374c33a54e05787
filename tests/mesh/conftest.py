# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The broken pipelines of the playbooks' tests, a mesh, and what comes back over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import CHECKOUT, debian
from tests.e2e.test_crash import another_small, small_template
from tests.mesh import mesh as meshes
from tests.mesh.mesh import Mesh

__all__ = ["another_small", "small_template"]


class Came(NamedTuple):
    """A job that ended: its exit code, its documents by host, its artifacts and its screen."""

    code: int
    made: dict[str, dict[str, Any]]
    artifacts: Path
    screen: str


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """A controller, a hop and two nodes."""
    try:
        with meshes.opened(tmp_path) as made:
            yield made
    except debian.Unavailable as e:
        pytest.skip(str(e))


def came(mesh: Mesh, unit: Any) -> Came:
    """What came back of a job, once it has ended."""
    into = mesh.home / f"back-{unit['unitid']}"
    into.mkdir()
    mesh.results(unit, into)
    artifacts = into / "artifacts" / "job"
    found = artifacts / "result.json"
    made = {each["host"]: each for each in json.loads(found.read_text())["results"]} if found.exists() else {}
    return Came(int((artifacts / "rc").read_text()), made, artifacts, (artifacts / "stdout").read_text())


def promised(section: str) -> dict[str, str]:
    """The rows of a table of docs/mesh.md, by their first cell."""
    page = (CHECKOUT / "docs" / "mesh.md").read_text(encoding="utf-8")
    body = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", body, re.MULTILINE)
    return {first: rest for first, rest in rows if not first.startswith("---")}
