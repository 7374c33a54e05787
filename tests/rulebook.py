# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real ansible-rulebook, in an environment of its own with a Java that is found or unpacked; nothing is installed on the machine.

python -m tests.rulebook [WORDS]     makes it ready and runs the tests that need it, with these words for pytest
python -m tests.rulebook --ready     only makes it ready, or says in one line why it cannot be had
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import CHECKOUT, debian
from tests.debian import Unavailable

__all__ = ["HOME", "LOCK", "Unavailable", "installed", "java", "make_ready"]

HOME = debian.CACHE / "eda"
LOCK = CHECKOUT / "requirements" / "eda.txt"
STAMP = HOME / "made-of"
OLDEST = 17
PACKAGES = ("openjdk-21-jre-headless", "openjdk-17-jre-headless")
#: What java says of itself.
PROPERTY = re.compile(r"^ *(java\.home|java\.specification\.version) = (\S+)$", re.MULTILINE)


def main(words: list[str]) -> int:
    """Return pytest's exit code, or 0 where it is only to be ready."""
    try:
        make_ready()
    except Unavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    if words == ["--ready"]:
        return 0
    command = [sys.executable, "-m", "pytest", "-m", "eda", "tests/e2e", *words]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


def make_ready() -> None:
    """Return once Java is found and the packages of requirements/eda.txt are installed below .cache; raises Unavailable."""
    java()
    if installed():
        return
    shutil.rmtree(HOME, ignore_errors=True)
    python = [str(HOME / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in (
        [sys.executable, "-m", "venv", str(HOME)],
        [*python, "install", "--compile", "--require-hashes", "-r", str(LOCK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise Unavailable(f"ansible-rulebook cannot be installed: {said[-1]}")
    STAMP.write_text(_key(), encoding="utf-8")


def installed() -> bool:
    """Whether the environment is there, with what is in the lock."""
    return STAMP.exists() and STAMP.read_text(encoding="utf-8") == _key()


@functools.cache
def java() -> dict[str, str]:
    """What the environment must have for Java to be found: the one on PATH if it is new enough, else Debian's, unpacked."""
    if (found := shutil.which("java")) and (home := _home(found, {})):
        return {"JAVA_HOME": home}
    for package in PACKAGES:
        with contextlib.suppress(Unavailable):
            root = debian.unpacked(package, package, whole=True)
            _link_within(root)
            libraries = debian.libraries_of(root)
            for candidate in root.glob("usr/lib/jvm/java-*-openjdk-*/bin/java"):
                if home := _home(str(candidate), libraries):
                    return {**libraries, "JAVA_HOME": home}
    raise Unavailable(f"no Java {OLDEST} or newer on PATH, and apt-get brings none of {', '.join(PACKAGES)}")


def _home(program: str, libraries: dict[str, str]) -> str:
    """The home of a Java that runs and is new enough; empty for another."""
    command = [program, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, **libraries},
            timeout=debian.SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = dict(PROPERTY.findall(done.stderr))
    new = said.get("java.specification.version", "0").partition(".")[0]
    return said.get("java.home", "") if int(new) >= OLDEST else ""


def _link_within(root: Path) -> None:
    """Debian's Java keeps its settings in /etc, and its links lead there: make them lead to what was unpacked."""
    for link in (each for each in root.glob("usr/lib/jvm/**/*") if each.is_symlink()):
        if (target := link.readlink()).is_absolute():
            link.unlink()
            link.symlink_to(root / target.relative_to("/"))


def _key() -> str:
    """The path belongs to it: a virtual environment does not survive being moved."""
    return f"{HOME}\n{sys.version}\n{LOCK.read_text(encoding='utf-8')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
