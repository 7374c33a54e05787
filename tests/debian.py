# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that tests use: the one on PATH, or on Debian one unpacked into .cache; nothing is installed, no service started."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache"
SECONDS = 120


class Unavailable(RuntimeError):
    """There is none and none can be had; the text is one line that says why."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A program, and what its environment must have for it to find its libraries."""

    path: str
    environment: dict[str, str]


@functools.cache
def program(name: str, *packages: str) -> Program:
    """The program of this name, else out of these Debian packages (its own and its libraries'); raises Unavailable."""
    if found := shutil.which(name) or shutil.which(name, path="/usr/sbin"):
        return Program(found, {})
    root = CACHE / name
    if not root.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Unavailable(f"no {name} on PATH, and no Debian to take its package from")
        _unpack(name, packages, root)
    path = next(path for path in (root / "usr" / "bin" / name, root / "usr" / "sbin" / name) if path.exists())
    libraries = sorted({str(file.parent) for file in root.glob("usr/lib/**/*.so*")})
    return Program(str(path), {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {})


def _unpack(name: str, packages: tuple[str, ...], root: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        done = _apt(folder, "download", *packages)
        if done.returncode and os.geteuid() == 0:
            # The package lists may be absent, as in most images.
            _apt(folder, "update")
            done = _apt(folder, "download", *packages)
        if done.returncode:
            raise Unavailable(f"no {name} on PATH, and apt-get cannot bring it: {done.stderr.strip()[-200:]}")
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), f"{folder}/root"], check=True, timeout=SECONDS)
        # Whoever may run it: the folder above is for its owner alone.
        Path(folder, "root").chmod(0o755)
        Path(folder, "root").rename(root)


def _apt(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["-qq", "-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=60"]
    return subprocess.run(
        ["apt-get", *options, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )
