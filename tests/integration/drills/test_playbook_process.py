# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks as a drill runs them: what is kept of one, how one is ended, and that no password is among it."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import (
    PlaybookCall,
    PlaybookProcess,
    PlaybookRunner,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from tests import CHECKOUT

#: Every refresh of this view takes as long as a test likes.
SLOW = """
CREATE MATERIALIZED VIEW scout.gold_slow AS SELECT 1 AS id, pg_sleep(60)::text AS slept WITH NO DATA
"""


@pytest.fixture
def stage(tmp_path: Path) -> PlaybookRunner:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    return PlaybookRunner([str(CHECKOUT / ".collections")], secrets, str(CHECKOUT / "ansible.cfg"))


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., PlaybookCall]:
    def make(playbook: str, dsn: str, actor: str | None = None, **variables: Any) -> PlaybookCall:
        folder = tmp_path / "passed" / f"01-{playbook}"
        folder.mkdir(parents=True)
        return PlaybookCall(CHECKOUT / "playbooks" / f"{playbook}.yml", folder, dsn, variables, actor)

    return make


def ended(playing: PlaybookProcess, seconds: float = 90) -> None:
    assert playing.wait(seconds), "the playbook did not end"


def test_what_is_kept_of_a_playbook(scout_db: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall]) -> None:
    tasks: list[str] = []
    asked = order("pause_ingestion", scout_db, "maria", scout_incident="INC-7")
    playing = stage.start(asked, tasks.append)
    ended(playing)
    played = playing.played()
    assert (played.rc, played.said) == (0, "done, ingestion paused"), (
        asked.folder / "artifacts/run/stdout"
    ).read_text()
    assert played.changed
    assert any("Pause ingestion" in task for task in tasks)
    assert tuple(tasks) == played.tasks
    assert (played.result["operation"], played.result["incident"]) == ("pause_ingestion", "INC-7")
    with psycopg.connect(scout_db) as connection:
        pauses = connection.execute("SELECT run_id::text, actor FROM scout_ops.pauses").fetchall()
    assert [actor.partition("@")[0] for _, actor in pauses] == ["maria"]
    assert pauses[0][0] in played.run_ids
    assert (asked.folder / "artifacts" / "run" / "rc").read_text() == "0"


def test_a_password_is_in_nothing_that_is_kept(
    scout_db: str, pg_server: Server, stage: PlaybookRunner, order: Callable[..., PlaybookCall]
) -> None:
    if pg_server.external:
        pytest.skip("the password of another server is not known")
    dsn = pg_server.tcp_dsn(str(conninfo_to_dict(scout_db)["dbname"]))
    password = str(conninfo_to_dict(dsn)["password"])
    asked = order("assess", dsn)
    playing = stage.start(asked)
    seen = ""
    while playing.running:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen += command.read_text(errors="replace")
            except OSError:
                continue
        time.sleep(0.2)
    assert playing.played().rc == 0
    kept = [path for path in asked.folder.rglob("*") if path.is_file()]
    assert len(kept) > 20
    assert not [path for path in kept if password in path.read_text(errors="replace")]
    assert password not in seen
    [secret] = stage.secrets.iterdir()
    assert secret.stat().st_mode & 0o077 == 0
    assert password in secret.read_text()


@pytest.mark.parametrize("name", ["sslpassword", "oauth_client_secret"])
def test_a_secret_that_no_file_takes_is_refused(
    name: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall]
) -> None:
    with pytest.raises(BadInput, match=f"a connection with {name}"):
        stage.start(order("assess", f"postgresql://localhost/x?{name}=s3cret"))


def test_nothing_of_the_shell_reaches_it(
    scout_db: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SCOUT_DSN", "PGHOST", "ANSIBLE_CHECK_MODE_MARKERS", "SOMEBODYS_TOKEN"):
        monkeypatch.setenv(name, "nowhere")
    asked = order("preflight", scout_db)
    playing = stage.start(asked)
    ended(playing)
    assert playing.played().rc == 0
    command = (asked.folder / "artifacts" / "run" / "command").read_text()
    assert "nowhere" not in command


@pytest.fixture
def refreshing(scout_db: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall]) -> PlaybookProcess:
    """A playbook in the middle of a refresh that takes a minute."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute(SLOW)
        library.FAULTS["gold_stale"](scout_db)
        playing = stage.start(order("refresh_gold", scout_db))
        deadline = time.monotonic() + 60
        asking = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        while connection.execute(asking).fetchone() is None:
            assert playing.running
            assert time.monotonic() < deadline
            time.sleep(0.1)
    return playing


def ours(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        asking = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'scout-recovery/%' AND datname = current_database()"
        [(number,)] = connection.execute(asking).fetchall()
    return int(number)


def none_left(dsn: str) -> bool:
    deadline = time.monotonic() + 15
    while ours(dsn):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_a_controller_that_is_killed_has_no_exit_code(scout_db: str, refreshing: PlaybookProcess) -> None:
    refreshing.kill_controller()
    ended(refreshing)
    played = refreshing.played()
    assert (played.rc, played.changed, played.result) == (None, None, {})
    assert none_left(scout_db)


def test_one_that_is_interrupted_ends_by_itself(scout_db: str, refreshing: PlaybookProcess) -> None:
    refreshing.interrupt()
    ended(refreshing)
    assert refreshing.played().rc not in (0, None)
    assert none_left(scout_db)


def test_one_that_is_stopped_leaves_nothing(scout_db: str, refreshing: PlaybookProcess) -> None:
    refreshing.stop()
    assert not refreshing.running
    assert none_left(scout_db)
    refreshing.stop()


def test_one_that_cannot_be_run_says_why(
    scout_db: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall]
) -> None:
    playing = stage.start(order("no_such_playbook", scout_db))
    ended(playing)
    played = playing.played()
    assert played.rc not in (0, None)
    assert re.search(r"no_such_playbook\.yml", played.said)


def test_a_playbook_of_their_own_is_quoted_by_its_error(
    scout_db: str, stage: PlaybookRunner, order: Callable[..., PlaybookCall], tmp_path: Path
) -> None:
    """Its last line says how many tasks failed, which tells nobody why."""
    book = tmp_path / "theirs.yml"
    book.write_text("- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.fail: {msg: the oven is cold}}]\n")
    playing = stage.start(dataclasses.replace(order("assess", scout_db), playbook=book))
    ended(playing)
    assert "the oven is cold" in playing.played().said
