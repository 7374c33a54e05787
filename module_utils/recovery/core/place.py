# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this runs: whether what is written here is gone with it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

#: What Docker and Podman put into each of theirs.
CONTAINER: t.Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
#: Where ansible-runner has what travels to whoever started it, and what AWX, which keeps none of that, gives each job.
ARTIFACTS: t.Final = "AWX_ISOLATED_DATA_DIR"
OF_AWX: t.Final = "JOB_ID"


def in_container() -> bool:
    """Whether this is a container, of Docker, Podman or Kubernetes."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) or any(mark.exists() for mark in CONTAINER)


def artifacts() -> Path | None:
    """The folder of ansible-runner that whoever started this run gets; None without ansible-runner."""
    folder = os.environ.get(ARTIFACTS)
    return Path(folder) if folder else None


def kept_only_here(path: Path) -> str | None:
    """What is to be said of a path that is gone with this container; None for one on a volume, one that travels with
    ansible-runner, and outside of containers."""
    if not in_container():
        return None
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    runner = artifacts()
    of_runner = runner is not None and there.resolve().is_relative_to(runner.parent.parent.resolve())
    if (of_runner and OF_AWX not in os.environ) or (not of_runner and there.stat().st_dev != Path("/").stat().st_dev):
        return None
    return f"{path} is kept only in this container, and is gone with it"
