# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-builder makes a context of deploy/execution-environment.yml, and finds in the installed collection what that needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from tests.e2e.play import BIN, CHECKOUT, environment


def builder(home: Path, *words: str) -> str:
    """What ansible-builder prints."""
    done = subprocess.run(
        [str(BIN / "ansible-builder"), *words], cwd=home, env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_context_with_both_archives_is_made(installed: Path, tmp_path: Path) -> None:
    for folder in ("deploy", "dist"):
        (tmp_path / folder).mkdir()
    definition = shutil.copy(CHECKOUT / "deploy" / "execution-environment.yml", tmp_path / "deploy")
    archives = sorted(installed.glob("scout-*.tar.gz"))
    for archive in archives:
        shutil.copy(archive, tmp_path / "dist")
    builder(tmp_path, "create", "-f", definition, "-c", str(tmp_path / "context"), "--output-filename", "Containerfile")
    made = tmp_path / "context" / "_build"
    assert sorted(path.name for path in (made / "archives").iterdir()) == [path.name for path in archives]
    wanted = yaml.safe_load((made / "requirements.yml").read_text())["collections"]
    assert sorted(Path(each["name"]).name for each in wanted) == [path.name for path in archives]
    steps = (tmp_path / "context" / "Containerfile").read_text()
    assert steps.index("COPY _build/archives /build/archives") < steps.index("ansible-galaxy collection install")


def test_what_the_collection_needs_is_found_in_it_and_fits_beside_others(installed: Path, tmp_path: Path) -> None:
    found = yaml.safe_load(builder(tmp_path, "introspect", str(installed / "collections")))
    python = " ".join(map(str, found["python"]))
    assert "psycopg[binary]>=3.2,<4" in python
    assert "tzdata" in python
    assert "==" not in python
    assert "--hash" not in python
    system = " ".join(map(str, found["system"]))
    for name in ("git", "postgresql", "openssh-clients"):
        assert name in system
    tree = installed / "collections" / "ansible_collections" / "scout" / "recovery"
    # One at the top, with hashes, would be taken for every package of an environment.
    assert not (tree / "requirements.txt").exists()
