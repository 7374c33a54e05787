# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-builder makes a context of deploy/execution-environment.yml, and finds in the installed collection what that needs."""

from __future__ import annotations

import re
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

EXTRAS = CHECKOUT / "requirements" / "extras.txt"
#: In place of an image of a registry: Debian's Python, with what both ways take from PyPI.
STAND_IN = """
FROM {base}
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && python3 -m venv /usr/local
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""
PYTHON = "scout-recovery/python:3.13"
#: What ansible-builder itself installs in an image.
OF_BUILDER = ("bindep", "pyyaml", "packaging", "dumb-init==1.2.5")
#: What of deploy/execution-environment.yml is of another distribution than the stand-in.
OF_CENTOS = {
    "registry.example.com/centos/centos:stream10": PYTHON,
    "/usr/bin/dnf": "/usr/bin/apt-get",
    "/usr/bin/python3": "/usr/local/bin/python3",
}
NAVIGATOR = "ansible-navigator~=26.10.0"


def builder(home: Path, *words: str) -> str:
    """What ansible-builder prints."""
    done = subprocess.run(
        [str(BIN / "ansible-builder"), *words], cwd=home, env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    """All files below it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_context_with_both_archives_is_made(installed: Path, tmp_path: Path) -> None:
    for folder in ("deploy", "dist"):
        (tmp_path / folder).mkdir()
    definition = shutil.copy(CHECKOUT / "deploy" / "execution-environment.yml", tmp_path / "deploy")
    archives = sorted(installed.glob("scout-*.tar.gz"))
    for archive in archives:
        shutil.copy(archive, tmp_path / "dist")
    for name in ("context", "again"):
        into = str(tmp_path / name)
        builder(tmp_path, "create", "-f", str(definition), "-c", into, "--output-filename", "Containerfile")
    assert contents(tmp_path / "context") == contents(tmp_path / "again"), "the same archives make the same image"
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
    assert "cronsim>=2.6,<3" in python
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


def pip(*words: str, python: str = sys.executable) -> None:
    """Has pip do it."""
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The base image."""
    home = tmp_path_factory.mktemp("stand-in")
    pip("download", "--require-hashes", "-r", str(EXTRAS), "-d", str(home / "wheels"))
    pip("download", *OF_BUILDER, "-d", str(home / "wheels"), "--find-links", str(home / "wheels"))
    (home / "Dockerfile").write_text(STAND_IN.format(base=docker._base_image()))
    run("docker", "build", "--quiet", "--tag", PYTHON, str(home))
    return PYTHON


@pytest.fixture(scope="module")
def navigator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program, in an environment of its own."""
    home = tmp_path_factory.mktemp("navigator")
    run(sys.executable, "-m", "venv", str(home))
    pip("install", NAVIGATOR, python=str(home / "bin" / "python"))
    return str(home / "bin" / "ansible-navigator")


def assessed(image: str, navigator: str, dsn: str, home: Path) -> str:
    """What ansible-navigator shows of a playbook in this image."""
    (home / "hosts.yml").write_text(yaml.safe_dump({"scout": {"hosts": {"luzon": {"ansible_connection": "local"}}}}))
    folder = str(conninfo_to_dict(dsn).get("host", ""))
    mounted = ["--eev", f"{folder}:{folder}"] if folder.startswith("/") else []
    return run(
        navigator, "run", "scout.recovery.assess", "-i", "hosts.yml", "--mode", "stdout", "--ce", "docker", "--eei", image,
        "--pp", "never", "--pae", "false", "--penv", "SCOUT_DSN", "--penv", "SCOUT_ALLOW_SUPERUSER", *mounted,
        cwd=home, SCOUT_DSN=dsn,
    )  # fmt: skip


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("by", ["Containerfile", "ansible-builder"])
def test_the_image_is_built_and_ansible_navigator_runs_a_playbook_in_it(
    by: str, stand_in: str, navigator: str, installed: Path, healthy: Pipeline, tmp_path: Path
) -> None:
    image = f"scout-recovery/ee:{by.lower()}"
    for folder in ("dist", "requirements", "deploy"):
        (tmp_path / folder).mkdir()
    for archive in installed.glob("scout-*.tar.gz"):
        shutil.copy(archive, tmp_path / "dist")
    shutil.copy(EXTRAS, tmp_path / "requirements")
    if by == "Containerfile":
        deployed = replaced(by, {"python:3.13-slim-trixie": stand_in})
        (tmp_path / "Dockerfile").write_text(deployed)
        run("docker", "build", "--quiet", "--tag", image, str(tmp_path))
    else:
        (tmp_path / "deploy" / "ee.yml").write_text(replaced("execution-environment.yml", OF_CENTOS))
        way = ("--container-runtime", "docker", "-v", "0")
        builder(tmp_path, "build", "-f", "deploy/ee.yml", "-c", "context", "-t", image, *way)
    said = assessed(image, navigator, healthy.dsn, tmp_path)
    assert "found  healthy" in said, said
    assert "ingestion is running, nothing is failing" in said, said


def replaced(name: str, there: dict[str, str]) -> str:
    """A file of deploy with other names; each stands in it once."""
    text = (CHECKOUT / "deploy" / name).read_text(encoding="utf-8")
    for old, new in there.items():
        assert len(re.findall(rf"{re.escape(old)}$", text, re.MULTILINE)) == 1, old
        text = re.sub(rf"{re.escape(old)}$", new, text, flags=re.MULTILINE)
    return text
