# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder in which git works, as somebody who writes, commits and merges there."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Clone:
    """A folder in which git works."""

    path: Path

    def git(self, *words: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *words], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, **files: str | None) -> None:
        """Files by path; None removes one."""
        for name, text in files.items():
            path = self.path / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, newline="")

    def commit(self, message: str, files: dict[str, str | None]) -> str:
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def merge(self, message: str, branch: str, files: dict[str, str | None]) -> str:
        """A branch with one commit, and the merge that brings it."""
        self.git("checkout", "--quiet", "-b", branch)
        self.commit(f"work on {branch}", files)
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", message, branch)
        return self.git("rev-parse", "HEAD")

    def push(self, *refs: str) -> None:
        self.git("push", "--quiet", "origin", *(refs or ("main",)))

    def tree(self, commit: str) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def state(self) -> dict[str, str]:
        """What belongs to the person who works there: checkout, index, stash, branches, HEAD, configuration."""
        folder = Path(self.git("rev-parse", "--absolute-git-dir"))
        names = (
            "HEAD",
            "index",
            "config",
            "ORIG_HEAD",
            "FETCH_HEAD",
            "logs/HEAD",
            "logs/refs/heads/main",
            "refs/stash",
        )
        found = {name: digest(folder / name) for name in names if (folder / name).exists()}
        found["heads"] = self.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash")
        files = [path for path in self.path.rglob("*") if path.is_file() and ".git" not in path.parts]
        return found | {str(path.relative_to(self.path)): digest(path) for path in files}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
