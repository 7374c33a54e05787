# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever may push a tag, or start the rollback by hand, names it so that the deployment prints its secrets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import CHECKOUT

SCRIPT = CHECKOUT / "scripts" / "ci" / "deploy_release.sh"
SECRET = "hunter2-of-the-database"
EVIL = [
    "{{ lookup('pipe', 'touch ran; echo $PGPASSWORD') }}",
    "v5.3.0{%set x=lookup('pipe','touch\\tran')%}",
    "$(touch ran)",
    "`touch ran`",
    "-e@ran.yml",
    "v5.3.0\nv5.3.1",
    "v5.3.0\x1b[2J",
]


@pytest.mark.parametrize("option", ["--from", "--to", "--commit"])
@pytest.mark.parametrize("mode", ["--check", "--rollback", ""])
@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_refused_before_anything_is_done(name: str, mode: str, option: str, tmp_path: Path) -> None:
    given = {"--from": "v5.2.1", "--to": "v5.3.0", "--commit": "3f2a9c1e", option: name}
    words = [word for pair in given.items() for word in pair]
    done = subprocess.run(
        [str(SCRIPT), *words, "--migrate", "true", *([mode] if mode else [])],
        cwd=tmp_path,
        env={**os.environ, "PGPASSWORD": SECRET, "SCOUT_DSN": "postgresql://nobody@127.0.0.1:1/scout"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 60, done.stdout + done.stderr
    assert "is not usable" in done.stderr or "is not the id of a commit" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
