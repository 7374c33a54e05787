# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to start a playbook, from the checkout or installed, and the inventories that come with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, Stage, environment

NOTHING = (
    "did nothing: no change was needed now ingestion is running, nothing is failing proof bronze-to-silver-etl loads "
    "as before, product-linking runs, smart-gold-refresh refreshes 2 views (tried as loader, rolled back)"
)

WAYS = {
    "from the checkout": f"cd '{CHECKOUT}' && . ./activate && ansible-playbook scout.recovery.emergency_reset",
    "from playbooks": f"cd '{CHECKOUT}' && . ./activate && cd playbooks && ansible-playbook emergency_reset.yml",
    "by its name": f"cd '{CHECKOUT}' && . ./activate && ansible-playbook scout.recovery.emergency_reset",
    "by its name from elsewhere": f"cd '{CHECKOUT}' && . ./activate && cd / && ansible-playbook scout.recovery.emergency_reset",
    "with ANSIBLE_CONFIG": (
        f"cd / && ANSIBLE_CONFIG='{CHECKOUT}/ansible.cfg' '{BIN}/ansible-playbook' '{CHECKOUT}/playbooks/emergency_reset.yml'"
    ),
}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Here it is the start that is looked at, so nothing is forked."""
    return Stage(tmp_path, warm=False)


@pytest.mark.parametrize("way", WAYS)
def test_from_the_checkout(way: str, healthy: Pipeline, stage: Stage) -> None:
    """The database comes from SCOUT_DSN; the last line of the screen is the summary's."""
    env = environment(stage.home, {"SCOUT_DSN": healthy.dsn})
    del env["ANSIBLE_CONFIG"]
    done = subprocess.run(["bash", "-c", WAYS[way]], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " ".join(done.stdout.split()).endswith(NOTHING)


def test_installed(installed: Path, broken: Pipeline, stage: Stage) -> None:
    """Without this checkout's settings: no inventory, no callback, no working folder but the user's."""
    env = {"ANSIBLE_CONFIG": str(installed / "ansible.cfg"), "SCOUT_DSN": broken.dsn, "HOME": str(installed)}
    first = stage.play("scout.recovery.emergency_reset", None, env=env, cwd=stage.home, budget_seconds=60)
    assert first.rc == 0, first.text
    assert first.result["outcome"] == "recovered"
    assert "emergency reset of " in first.text
    second = stage.play("scout.recovery.emergency_reset", None, env=env, cwd=stage.home, budget_seconds=60)
    assert (second.rc, second.recap()["changed"]) == (0, 0), second.text
    root = installed / "collections" / "ansible_collections" / "scout" / "recovery"
    assert not [path for path in ("tests", "scripts/setup", ".scout", ".venv", "Makefile") if (root / path).exists()]
    assert str(CHECKOUT) not in first.text


def test_the_example_inventory(pg_server: Server, healthy: Pipeline, stage: Stage) -> None:
    """It lists without a vault password, and its vaulted password opens with the one it names."""
    example = str(CHECKOUT / "inventories" / "example")
    listed = subprocess.run(
        [str(BIN / "ansible-inventory"), "-i", example, "--list"],
        env=environment(stage.home), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    hosts = json.loads(listed.stdout)["_meta"]["hostvars"]
    assert hosts
    for variables in hosts.values():
        assert "scout_dsn" in variables
        assert "__ansible_vault" in variables["scout_password"]
    assert [name for name, variables in hosts.items() if variables.get("ansible_connection") == "ssh"] == ["palawan"]

    secret = stage.home / "vault_password"
    secret.write_text("example\n")
    with_password = pg_server.tcp_dsn(healthy.dsn.rpartition("/")[2], password="", user="vaulted")
    healthy.execute("CREATE ROLE vaulted LOGIN SUPERUSER PASSWORD 'change me'")
    try:
        here = stage.inventory({"staging_a": {"scout_dsn": with_password}})
        words = ("-i", example, "-i", here, "--vault-password-file", str(secret), "-vvv")
        played = stage.play("assess", None, *words, target="staging_a", budget_seconds=60)
    finally:
        healthy.execute("DROP ROLE vaulted")
    assert played.rc == 0, played.text
    assert "change me" not in played.text
    assert "could not decrypt" not in played.text


def test_a_bastion_out_of_reach(healthy: Pipeline, stage: Stage) -> None:
    """Ansible runs no task there, so it is said at the end; the other database is assessed all the same."""
    ssh = stage.home / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host bastion port 22: Connection timed out' >&2\nexit 255\n")
    ssh.chmod(0o755)
    hosts = {
        "here": {"scout_dsn": healthy.dsn},
        "there": {
            "scout_dsn": healthy.dsn,
            "ansible_connection": "ssh",
            "ansible_ssh_executable": str(ssh),
        },
    }
    played = stage.play("assess", None, "-i", stage.inventory(hosts))
    assert played.rc == 4, played.text
    assert "ingestion could not be seen" in played.summary
    assert "Connection timed out" in played.summary
    assert played.results["here"]["outcome"] == "assessed"
