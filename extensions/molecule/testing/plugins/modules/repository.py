#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: a bare remote and a clone of it, with a good release, or a bad one on top; or the remote's branch has the tree of one.

The clone has a tag for each, `good` and `bad`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["good", "bad", "same"], "required": True},
    "release": {"type": "str", "choices": ["good", "bad"]},
}


class Story:
    """The two folders under a path, in which git works."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remote, self.clone = path / "remote.git", path / "clone"

    def git(self, *words: str, folder: Path | None = None) -> str:
        command = ["git", "-C", str(folder or self.clone), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> None:
        for name, text in files.items():
            (self.clone / f"{name}.py").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

    def push(self, tag: str) -> None:
        self.git("tag", tag)
        self.git("push", "--quiet", "origin", "main")

    def good(self) -> None:
        """Begins anew, with two commits."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.clone.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.git("clone", "--quiet", str(self.remote), ".")
        self.git("checkout", "--quiet", "-B", "main")
        for name, value in (
            ("user.name", "On Call"),
            ("user.email", "oncall@example.com"),
            ("commit.gpgsign", "false"),
        ):
            self.git("config", name, value)
        self.commit("Begin", main="one\n", gone="there\n")
        self.commit("Release v5.2.1", main="two\n")
        self.push("good")

    def bad(self) -> None:
        """A commit, a merge with another one, and a commit."""
        self.git("rm", "--quiet", "gone.py")
        self.commit("Begin v5.3.0", main="broken\n")
        self.git("checkout", "--quiet", "-b", "loyalty")
        self.commit("Add loyalty", loyalty="points\n")
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", "Merge loyalty", "loyalty")
        self.commit("Release v5.3.0", main="worse\n")
        self.push("bad")

    def differs(self, release: str) -> str:
        """What is not as in the release; nothing where all of it is."""
        self.git("fetch", "--quiet", "origin")
        return self.git("diff", "--name-status", release, "origin/main")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_if=[("state", "same", ["release"])])
    story, state = Story(Path(module.params["path"])), module.params["state"]
    try:
        if state == "same":
            if differs := story.differs(module.params["release"]):
                module.fail_json(msg=f"the branch has not the tree of {module.params['release']}", differs=differs)
            module.exit_json(changed=False)
        (story.good if state == "good" else story.bad)()
    except (OSError, RuntimeError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
