# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this collection is, where it keeps what outlives a process, and how another Python finds it."""

from __future__ import annotations

import os
from pathlib import Path

#: The checkout, or the folder in which the collection is installed.
ROOT = Path(__file__).resolve().parents[3]

#: The package of this folder.
PACKAGE = __name__.rpartition(".")[0]


def state() -> Path:
    """The folder for servers and holders: the checkout's own, or one of the user's where the collection is installed."""
    if (ROOT / "galaxy.yml").exists():
        return ROOT / ".scout"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "scout-recovery"


def environment() -> dict[str, str]:
    """Our environment, in which `python -m` finds this collection."""
    above = next((folder for folder in Path(__file__).absolute().parents if folder.name == "ansible_collections"), None)
    found = str(above.parent if above else ROOT / ".collections")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [found, os.environ.get("PYTHONPATH", "")]))}
