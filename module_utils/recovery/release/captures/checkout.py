# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit of an application that a folder has checked out."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

from ...core.errors import BadInput

SECONDS: t.Final = 20
COMMIT: t.Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def checked(commit: str) -> str:
    """A whole commit id, as git writes it. Raises BadInput for anything else."""
    if not COMMIT.fullmatch(commit.lower()):
        raise BadInput(
            f"git_commit {commit[:80]!r} is not usable",
            next_step="give the whole id, as `git rev-parse HEAD` prints it",
        )
    return commit.lower()


def read(folder: str) -> dict[str, t.Any]:
    """The commit, the branch, and whether files differ from it: what was deployed may then be in no commit. Raises
    BadInput where the folder is not a readable checkout."""
    path = Path(folder).expanduser()
    commit = _git(path, "rev-parse", "--verify", "HEAD^{commit}")
    branch = _git(path, "rev-parse", "--abbrev-ref", "HEAD")
    changed = _git(path, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": None if branch == "HEAD" else branch,
        "described": _git(path, "describe", "--tags", "--always", commit),
        "changed_files": len(changed.splitlines()),
    }


def _git(path: Path, *arguments: str) -> str:
    """What git says, whatever repository the environment names, and without taking locks."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(path), *arguments],
            env=clean | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as e:
        raise _unreadable(path, str(e)) from e
    if done.returncode:
        raise _unreadable(path, done.stderr.strip() or f"git exited with {done.returncode}")
    return done.stdout.strip()


def _unreadable(path: Path, said: str) -> BadInput:
    return BadInput(
        f"could not read the commit of git_dir {path}",
        said=said,
        next_step="give a folder with a checkout that this user may read, or the commit itself as git_commit",
    )
