# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare remote, clones of it, and all that must not change in a clone."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from tests import CHECKOUT
from tests.integration.modules import as_declared

Result = dict[str, Any]
MODULES = "ansible_collections.scout.recovery.plugins.modules"

CONFIG = """
[user]
    name = On Call
    email = oncall@example.com
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
"""

RUNNER = """
import json, sys
from tests.integration.clones import run
print(json.dumps(run(sys.argv[1], **json.loads(sys.argv[2]))))
"""


def everything(folder: Path) -> dict[str, str]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@dataclasses.dataclass(frozen=True)
class Story:
    """A remote whose branch main went on, badly, after a good commit; and a clone that has seen all of it."""

    remote: Clone
    clone: Clone
    good: str
    tip: str

    @property
    def head(self) -> str:
        """Where the remote's branch is now."""
        return self.remote.git("rev-parse", "refs/heads/main")

    def history(self) -> list[str]:
        return self.remote.git("log", "--first-parent", "--format=%s", "refs/heads/main").splitlines()

    def another_clone(self, name: str = "colleague") -> Clone:
        path = self.remote.path.parent / name
        subprocess.run(["git", "clone", "--quiet", str(self.remote.path), str(path)], check=True)
        return Clone(path)

    def hook(self, name: str, script: str) -> Path:
        """A hook of the remote."""
        return hook(self.remote.path / "hooks" / name, script)


def hook(path: Path, script: str) -> Path:
    """A shell script that can be executed."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def story(tmp_path: Path, quiet_git: None) -> Story:
    """Good: two commits. Bad: a commit, a merge with a commit, a commit. Names with spaces and umlauts."""
    remote = tmp_path / "remote of the team.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    path = tmp_path / "the clone ü"
    subprocess.run(["git", "clone", "--quiet", str(remote), str(path)], check=True, stderr=subprocess.DEVNULL)
    clone = Clone(path)
    clone.commit("Begin", {"app/main.py": "one\n", "docs/ünï cödé.md": "old\n", "run.sh": "#!/bin/sh\n"})
    good = clone.commit("Good release", {"app/main.py": "one\ntwo\n", "app/gone.py": "x\n", "place": "a file\n"})
    clone.commit("Bad change", {"app/main.py": "one\nbroken\n", "app/gone.py": None, "docs/ünï cödé.md": "new\n"})
    clone.merge("Merge feature", "feature", {"app/feature.py": "f\n"})
    clone.write(place=None)
    tip = clone.commit("Worse change", {"app/main.py": "one\nworse\n", "place/inside": "a folder\n"})
    clone.push()
    return Story(Clone(remote), clone, good, tip)


@pytest.fixture
def quiet_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git as on a machine of its own."""
    config = tmp_path / "gitconfig"
    config.write_text(CONFIG)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def run(name: str, *, check: bool = False, **options: Any) -> Result:
    """The module's result in this process, its options validated as the action plugin does."""
    module: Any = importlib.import_module(f"{MODULES}.{name}")
    validated = ArgumentSpecValidator(module.SPEC, **getattr(module, "RULES", {})).validate(options)
    assert not validated.error_messages, validated.error_messages
    return as_declared(name, invoke(module.run, name, validated.validated_parameters, check=check))


def executed(name: str, *, check: bool = False, **options: Any) -> Result:
    """The result that the module itself prints when Ansible executes it on a target."""
    module: Any = importlib.import_module(f"{MODULES}.{name}")
    out = io.StringIO()
    arguments = {**options, "_ansible_check_mode": check}
    with patch_module_args(arguments), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        module.main()
    return json.loads(out.getvalue())


def started(name: str, **options: Any) -> subprocess.Popen[str]:
    """The same in a process of its own."""
    path = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / ".collections")])
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, name, json.dumps(options)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
