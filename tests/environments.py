# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments of their own below .cache, for Python packages that fit beside nothing; nothing is installed on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.debian import CACHE, Unavailable


class Environment(NamedTuple):
    """Packages of PyPI, and the Pythons that they are released for, the first that is there."""

    name: str
    packages: tuple[str, ...]
    pythons: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Its folder."""
        return CACHE / self.name

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.home / "bin" / "python")

    def make_ready(self) -> None:
        """Return once it is installed; raises Unavailable."""
        if self.installed():
            return
        python = next((found for name in self.pythons if (found := shutil.which(name))), None)
        if python is None:
            raise Unavailable(f"{self.name} cannot be installed: none of {', '.join(self.pythons)} is there")
        shutil.rmtree(self.home, ignore_errors=True)
        install = [self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *self.packages]
        for command in ([python, "-m", "venv", str(self.home)], install):
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""}
            )
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
                raise Unavailable(f"{self.name} cannot be installed: {said[-1]}")
        (self.home / "made-of").write_text(" ".join(self.packages), encoding="utf-8")

    def installed(self) -> bool:
        """Whether it is there, of these versions."""
        stamp = self.home / "made-of"
        return stamp.exists() and stamp.read_text(encoding="utf-8") == " ".join(self.packages)
