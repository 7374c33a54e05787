# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the two collections are, where this one keeps what outlives a process, and how another Python finds it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.scout.recovery.plugins.module_utils import recovery

#: The collection scout.drills, by the path it was found by: a folder of the checkout, or where it is installed.
ROOT: t.Final = Path(__file__).absolute().parents[4]

#: The collection scout.recovery, whose playbooks are drilled.
RECOVERY: t.Final = Path(str(recovery.__file__)).absolute().parents[3]

#: The package of the reference pipeline, for `python -m`.
PACKAGE: t.Final = __name__.rpartition(".")[0].rpartition(".")[0]


def state() -> Path:
    """The folder for servers and holders: the checkout's own, or one of the user's where the collection is installed."""
    if (ROOT / "galaxy.yml").exists():
        return ROOT.resolve().parent / ".scout"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "scout-recovery"


def environment() -> dict[str, str]:
    """Our environment, in which `python -m` finds this collection."""
    above = next((folder for folder in ROOT.parents if folder.name == "ansible_collections"), None)
    found = str(above.parent if above else ROOT.parent / ".collections")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [found, os.environ.get("PYTHONPATH", "")]))}
