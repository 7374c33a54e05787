# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing begins where a host does not say which database it is, says the same as another, or where no host is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.plugin_utils import standing
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, Played, Stage
from tests.e2e.test_own_plays import PAUSE, own, paused


def refused(played: Played, *sentences: str) -> None:
    """Before any task, in these words."""
    assert played.rc not in (0, 2), played.text
    said = " ".join(played.text.split())
    assert all(sentence in said for sentence in sentences), said
    assert "TASK [" not in played.text
    assert "Traceback" not in said


def test_a_host_that_names_no_database_among_others(broken: Pipeline, healthy: Pipeline, stage: Stage) -> None:
    """The environment's would be taken for it; alone it may be."""
    inventory = stage.inventory({"luzon": {"scout_dsn": healthy.dsn}, "visayas": {}})
    env = {"SCOUT_DSN": broken.dsn}
    before = broken.fingerprint()
    refused(
        stage.play("emergency_reset", None, "-i", inventory, env=env),
        "host visayas has no scout_dsn, and is one of 2",
        "give visayas its scout_dsn in the inventory, or name one host with -e target=HOST",
    )
    assert broken.fingerprint() == before
    assert stage.play("assess", None, "-i", inventory, "-l", "visayas", env=env).rc == 0


def test_two_hosts_that_are_one_database(healthy: Pipeline, stage: Stage) -> None:
    """However each of them writes it."""
    parts = conninfo_to_dict(healthy.dsn)
    other = " ".join(f"{name}={value}" for name, value in parts.items() if name != "dbname")
    hosts = {
        "luzon": {"scout_dsn": healthy.dsn},
        "visayas": {"db": parts["dbname"], "scout_dsn": other + " dbname={{ db }}"},
    }
    refused(
        stage.play("assess", None, "-i", stage.inventory(hosts)),
        "hosts luzon and visayas are one database: both lead to database",
        "-e allow_shared_database=true allows it",
    )


def test_an_own_play_is_held_to_the_same(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """The host that names a database is worked on, the other one fails with its name, unless a task says where it is."""
    one, two = another_broken(), another_broken()
    hosts: dict[str, dict[str, Any]] = {"one": {"scout_dsn": one.dsn}, "two": {"where": two.dsn}}
    played = own(stage, hosts, PAUSE)
    assert played.rc == 2, played.text
    assert "host two has no scout_dsn, and is one of 2" in " ".join(played.text.split())
    assert (paused(one), paused(two)) == (True, False)
    task = {"scout.recovery.scout_ingestion": {"state": "paused", "dsn": "{{ where | default(scout_dsn) }}"}}
    assert own(stage, hosts, task).rc == 0
    assert paused(two)
    misspelt = own(stage, {"one": {"scout_dns": one.dsn}}, PAUSE)
    assert misspelt.rc == 2, misspelt.text
    assert "did you mean scout_dsn?" in " ".join(misspelt.text.split())


def test_what_a_vault_encrypts(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """Each host works on the database that its vault names, with the password that the vault has; the shell names another."""
    pipelines = {host: another_broken() for host in ("luzon", "visayas", "elsewhere")}
    secret = stage.home / "vault password"
    secret.write_text("letmein\n")
    encrypt = [str(BIN / "ansible-vault"), "encrypt_string", "--vault-password-file", str(secret), "--name"]

    def vaulted(name: str, value: str) -> str:
        done = subprocess.run([*encrypt, name, value], capture_output=True, text=True, check=True, env={**os.environ})
        return "".join(f"      {line}\n" for line in done.stdout.splitlines())

    text = "scout:\n  hosts:\n"
    for host in ("luzon", "visayas"):
        text += f"    {host}:\n{vaulted('scout_dsn', pipelines[host].dsn)}{vaulted('scout_password', 'unused')}"
    inventory = Path(stage.inventory({}))
    inventory.write_text(text)
    env = {"SCOUT_DSN": pipelines["elsewhere"].dsn}
    played = stage.play("pause_ingestion", None, "-i", str(inventory), "--vault-password-file", str(secret), env=env)
    assert played.rc == 0, played.text
    assert {host: paused(each) for host, each in pipelines.items()} == {
        "luzon": True,
        "visayas": True,
        "elsewhere": False,
    }
    assert "letmein" not in played.text


def test_a_database_that_cannot_be_told_is_not_looked_at(healthy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """How another one stands is not how this one does."""
    monkeypatch.setenv("SCOUT_DSN", healthy.dsn)
    monkeypatch.setenv("SCOUT_ALLOW_SUPERUSER", "1")
    assert standing.of({"scout_allow_superuser": "yes"})["state"] == "running"
    assert standing.of({"scout_dsn": "{{ of_somewhere }}", "scout_allow_superuser": "yes"})["state"] == "unknown"
