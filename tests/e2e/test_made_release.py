# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/release turns fragments into changelogs with all modules, and writes the version wherever one stands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests import CHECKOUT

VERSION = "97.0.1"
FRAGMENT = "---\nminor_changes:\n  - A fragment that was not told yet.\n"
#: Where the modules of drills are, and those of recovery.
MODULES = ("plugins/modules/scout_*.py", "library/scout_*.py")
LEFT_OUT = (".git", ".cache", ".molecule", ".scout", ".venv", "__pycache__", "dist", "tests")


def release(copy: Path, version: str) -> subprocess.CompletedProcess[str]:
    """What the script says, run in a copy of the checkout."""
    command = [sys.executable, str(copy / "scripts" / "release"), version, "--date", "2097-01-02"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True)


def test_a_release_is_one_command(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    # As before the first release: everything comes with it.
    for home in (copy, copy / "drills"):
        (home / "changelogs" / "changelog.yaml").unlink(missing_ok=True)
    (copy / "changelogs" / "fragments" / "told.yml").write_text(FRAGMENT)
    assert release(copy, "97").returncode == 2

    done = release(copy, VERSION)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (copy / "galaxy.yml", copy / "drills" / "galaxy.yml"):
        assert yaml.safe_load(path.read_text())["version"] == VERSION
    assert yaml.safe_load((copy / "drills" / "galaxy.yml").read_text())["dependencies"] == {
        "scout.recovery": f">={VERSION}"
    }
    assert f'version = "{VERSION}"' in (copy / "pyproject.toml").read_text()
    assert f"scout-recovery-{VERSION}.tar.gz" in (copy / "docs" / "install.md").read_text()
    for home in (copy, copy / "drills"):
        made = yaml.safe_load((home / "changelogs" / "changelog.yaml").read_text())["releases"][VERSION]
        assert made["release_date"] == "2097-01-02"
        assert "v97\\.0\\.1" in (home / "CHANGELOG.md").read_text()
        assert list((home / "changelogs" / "fragments").glob("*.yml")) == []
        if home == copy:
            assert "A fragment that was not told yet." in made["changes"]["minor_changes"]
        modules = {each["name"] for each in made["modules"]}
        assert modules == {path.stem for path in home.glob(MODULES[home == copy])}

    again = release(copy, VERSION)
    assert again.returncode == 2
    assert "is released already" in again.stderr
