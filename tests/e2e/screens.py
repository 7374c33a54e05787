# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demonstration writes, run as a command of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests import CHECKOUT

#: A socket's address cannot be broken, and a command is not, so that it can be copied.
UNFOLDED = re.compile(r"postgresql://|playbooks/(undo|rollback)\.yml")


def screens_of(name: str, *words: str) -> str:
    """All of it, where nobody looks at it with colours; the caller's settings must not matter."""
    odd = {"ANSIBLE_STDOUT_CALLBACK": "nonsense", "PGHOST": "nowhere", "SCOUT_DSN": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.scout.{name}", "--throwaway", *words],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | odd,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def holds(screens: str) -> int:
    """How many facts hold, where none does not."""
    assert "   NO   " not in screens
    return len(re.findall(r"^   yes  ", screens, re.MULTILINE))


def is_plain(screens: str) -> bool:
    """Whether it is for 80 columns, without colour."""
    return "\x1b" not in screens and max(len(line) for line in screens.splitlines() if not UNFOLDED.search(line)) <= 80


def typed(screens: str) -> list[str]:
    """The playbooks a person types, all of which are there."""
    shown = re.findall(r"^\$ ansible-playbook playbooks/(\w+)\.yml", screens, re.MULTILINE)
    assert shown
    assert [name for name in shown if not (CHECKOUT / "playbooks" / f"{name}.yml").is_file()] == []
    return shown
