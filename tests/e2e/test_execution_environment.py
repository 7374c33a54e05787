# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-builder makes a context of deploy/execution-environment.yml, and finds in the installed collection what that needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import docker
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, environment

#: In place of an image of a registry: Debian's Python, with what deploy/Containerfile takes from PyPI.
STAND_IN = """
FROM {base}
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && python3 -m venv /usr/local
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""
NAVIGATOR = "ansible-navigator~=26.10.0"


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


def run(*words: str, cwd: Path | None = None, **env: str) -> str:
    """What a command prints."""
    done = subprocess.run(words, cwd=cwd, env=environment(CHECKOUT, env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_is_built_and_ansible_navigator_runs_a_playbook_in_it(
    installed: Path, healthy: Pipeline, tmp_path: Path
) -> None:
    extras = str(CHECKOUT / "requirements" / "extras.txt")
    stand_in, context = tmp_path / "stand-in", tmp_path / "context"
    for folder in (stand_in, context / "dist", context / "requirements"):
        folder.mkdir(parents=True)
    run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--require-hashes",
        "-r",
        extras,
        "-d",
        str(stand_in / "wheels"),
    )
    (stand_in / "Dockerfile").write_text(STAND_IN.format(base=docker._base_image()))
    run("docker", "build", "--quiet", "--tag", "scout-recovery/python:3.13", str(stand_in))
    shutil.copy(extras, context / "requirements")
    for archive in installed.glob("scout-*.tar.gz"):
        shutil.copy(archive, context / "dist")
    deployed = (CHECKOUT / "deploy" / "Containerfile").read_text()
    assert deployed.count("FROM python:3.13-slim-trixie\n") == 1
    (context / "Dockerfile").write_text(deployed.replace("python:3.13-slim-trixie", "scout-recovery/python:3.13"))
    run("docker", "build", "--quiet", "--tag", "scout-recovery/ee:test", str(context))

    run(sys.executable, "-m", "venv", str(tmp_path / "navigator"))
    run(str(tmp_path / "navigator" / "bin" / "pip"), "install", "--quiet", NAVIGATOR)
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"scout": {"hosts": {"luzon": {"ansible_connection": "local"}}}})
    )
    folder = str(conninfo_to_dict(healthy.dsn).get("host", ""))
    mounted = ["--eev", f"{folder}:{folder}"] if folder.startswith("/") else []
    said = run(
        str(tmp_path / "navigator" / "bin" / "ansible-navigator"), "run", "scout.recovery.assess", "-i", "hosts.yml",
        "--mode", "stdout", "--ce", "docker", "--eei", "scout-recovery/ee:test", "--pp", "never", "--pae", "false",
        "--penv", "SCOUT_DSN", "--penv", "SCOUT_ALLOW_SUPERUSER", *mounted,
        cwd=tmp_path, SCOUT_DSN=healthy.dsn,
    )  # fmt: skip
    assert "found  healthy" in said, said
    assert "ingestion is running, nothing is failing" in said, said
