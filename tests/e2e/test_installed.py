# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill needs comes with the installed collection: the reference pipeline, its server, its faults; and says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container, docker, places
from tests.e2e.play import environment


@pytest.fixture
def root(installed: Path) -> Path:
    """Where the installed collection of drills is."""
    return installed / "collections" / "ansible_collections" / "scout" / "drills"


def shell(home: Path, collections: Path, *more: Path, **extra: str) -> dict[str, str]:
    """A shell of somebody who has nothing but the installed collection."""
    path = os.pathsep.join(map(str, (*more, collections)))
    return environment(home, {"PYTHONPATH": path, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **extra})


def python(env: dict[str, str], name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the pipeline's, from a folder that has nothing to do with it."""
    command = [sys.executable, "-m", f"{places.PACKAGE}.{name}", *words]
    return subprocess.run(command, env=env, cwd=os.sep, capture_output=True, text=True, check=False)


def test_all_its_files_come_along(root: Path) -> None:
    pipeline = Path("plugins", "plugin_utils", "reference")
    for folder in ("", "schema", "server", "server/image", "events", "load", "faults", "release"):
        here = {path.name for path in (places.ROOT / pipeline / folder).iterdir() if path.is_file()}
        assert here
        assert {path.name for path in (root / pipeline / folder).iterdir() if path.is_file()} == here


@pytest.mark.skipif("SCOUT_TEST_SERVER" in os.environ, reason="another server is given")
def test_the_reference_is_built_on_a_server_of_the_user(installed: Path, root: Path, tmp_path: Path) -> None:
    env = shell(tmp_path, installed / "collections")
    try:
        built = python(env, "builder", "--events", "200", "--database", "drill")
        assert built.returncode == 0, built.stderr
        dsn = built.stdout.splitlines()[-2].partition("=")[2]
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM scout.bronze_events").fetchone() == (200,)
        broken = python(env, "faults.cli", "lock_holder", "--detach", "--dsn", dsn)
        assert broken.stdout.startswith("lock_holder: held by holder (pid "), broken.stdout + broken.stderr
        assert python(env, "faults.cli", "--release").stdout.startswith("released lock_holder-")
    finally:
        python(env, "server.local", "remove")
    assert not [path for path in (root / ".scout", tmp_path / "state" / "scout-recovery" / "postgres") if path.exists()]


def test_without_a_server_it_says_so_on_one_line(installed: Path, tmp_path: Path) -> None:
    found = python(shell(tmp_path, installed / "collections", SCOUT_PG_BIN=str(tmp_path)), "server.local", "start")
    assert found.returncode != 0
    assert f"SCOUT_PG_BIN={tmp_path}: no postgres there" in found.stderr
    assert len(found.stderr.splitlines()) == 1, found.stderr


def test_without_docker_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "answers", lambda: False)
    with pytest.raises(docker.Unavailable, match="Install Docker"):
        container.start("no-docker")
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(docker.Unavailable, match="pip install docker"):
        container.stop("no-docker")
