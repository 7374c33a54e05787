# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A superuser is refused as operator, even to look: what others wrote would run with his rights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CHECKOUT
from tests.e2e.play import environment
from tests.integration.modules import call, one
from tests.security.roles import drop_roles

LOOKS = ("scout_health_info", "scout_preflight_info", "scout_runs_info")


@pytest.mark.parametrize("name", LOOKS)
def test_a_superuser_is_refused_even_to_look(scout_db: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("SCOUT_ALLOW_SUPERUSER")
    refused = call(name, scout_db)
    assert refused["failed"]
    assert refused["msg"].startswith("refused to work as superuser postgres on ")
    assert "-f docs/operator_role.sql" in refused["error"]["next_step"]
    assert not call(name, scout_db, allow_superuser=True).get("failed")


@pytest.mark.parametrize(("said", "works"), [("1", True), ("true", True), ("0", False), ("", False), ("maybe", False)])
def test_the_environment_may_allow_it(scout_db: str, monkeypatch: pytest.MonkeyPatch, said: str, works: bool) -> None:
    monkeypatch.setenv("SCOUT_ALLOW_SUPERUSER", said)
    assert call("scout_health_info", scout_db).get("failed", False) is not works


def test_nothing_is_written_as_a_superuser(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCOUT_ALLOW_SUPERUSER")
    assert call("scout_ingestion", scout_db, state="paused")["failed"]
    assert one(scout_db, "SELECT count(*) FROM cron.job WHERE NOT active") == 0
    assert one(scout_db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'scout_ops'") == 0


def test_the_pasted_command_makes_the_role_that_works(scout_db: str, tmp_path: Path) -> None:
    """From the refusal on the screen to a reset that works, with the playbooks."""
    env = environment(tmp_path)
    del env["SCOUT_ALLOW_SUPERUSER"]

    def play(dsn: str, **more: object) -> subprocess.CompletedProcess[str]:
        variables = json.dumps({"scout_dsn": dsn, **more})
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/assess.yml", "-e", variables]
        return subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    refused = play(scout_db)
    assert refused.returncode == 2
    assert "refused to work as superuser postgres" in " ".join(refused.stdout.split())
    assert "refused to work" not in " ".join(play(scout_db, scout_allow_superuser=True).stdout.split())
    try:
        from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder

        done = play(builder.operator(scout_db))
        assert done.returncode == 0, done.stdout
    finally:
        drop_roles(scout_db, "scout_operator")
