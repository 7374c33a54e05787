# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that tests use: the one on PATH, or on Debian one unpacked into .cache; nothing is installed, no service started."""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache"
SECONDS = 240


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
    root = unpacked(name, *packages)
    path = next(path for path in (root / "usr" / "bin" / name, root / "usr" / "sbin" / name) if path.exists())
    return Program(str(path), libraries_of(root))


def unpacked(name: str, *packages: str, whole: bool = False) -> Path:
    """The folder with these packages unpacked, if `whole` with all they need that is not installed; raises Unavailable."""
    root = CACHE / name
    if not root.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Unavailable(f"no {name} on PATH, and no Debian to take its package from")
        CACHE.mkdir(parents=True, exist_ok=True)
        # Tests that run side by side may all be in want of it.
        with (CACHE / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                _unpack(name, packages, root, whole=whole)
    return root


def libraries_of(root: Path) -> dict[str, str]:
    """What the environment of an unpacked program must have."""
    libraries = sorted({str(file.parent) for file in root.glob("usr/lib/**/*.so*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}


def _unpack(name: str, packages: tuple[str, ...], root: Path, *, whole: bool) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        if whole:
            packages = _with_needs(folder, packages)
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


def _with_needs(folder: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """These and what installing them would bring; without what only compilers need."""
    asked = ("install", "--simulate", "--no-install-recommends", *packages)
    planned = _apt(folder, *asked)
    if planned.returncode and os.geteuid() == 0:
        _apt(folder, "update")
        planned = _apt(folder, *asked)
    brought = (line.split()[1] for line in planned.stdout.splitlines() if line.startswith("Inst "))
    return tuple(dict.fromkeys([*packages, *(package for package in brought if not package.endswith("-dev"))]))


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
