# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus's own checker."""

from __future__ import annotations

import os
import subprocess

from tests import debian
from tests.debian import Unavailable

__all__ = ["Unavailable", "promtool", "run"]


def promtool() -> str:
    """Its path; raises Unavailable."""
    return debian.program("promtool", "promtool").path


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What it says."""
    tool = debian.program("promtool", "promtool")
    return subprocess.run(
        [tool.path, *arguments],
        input=text,
        env={**os.environ, **tool.environment},
        capture_output=True,
        text=True,
        timeout=debian.SECONDS,
        check=False,
    )
