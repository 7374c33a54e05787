# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A screen without what nobody has to know, a bell where somebody sits, and lines of JSON for a program."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage, environment

ESCAPE = "\x1b["


def test_what_changed_nothing_is_shown_to_who_asks_for_more(broken: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", broken.dsn, proof=False)
    assert played.rc == 0, played.text
    assert "ok: [" not in played.text
    assert "TASK [Summary" not in played.text
    assert "TASK [(8/11) Drain the backlog" in played.text
    assert "changed: [local]" in played.text
    assert re.search(r"^TASK \[\(\d+/11\) .*\] \d+ s \*+$", played.text, re.MULTILINE), played.text
    assert "ok: [local]" in stage.play("assess", broken.dsn, "-v").text


def test_what_others_do_is_shown_as_ansible_shows_it(healthy: Pipeline, stage: Stage) -> None:
    playbook = stage.home / "mine.yml"
    tasks = [{"name": "Mine", "ansible.builtin.debug": {"msg": "seen"}}]
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    played = stage.play(str(playbook), healthy.dsn)
    assert "TASK [Mine] ***" in played.text
    assert "ok: [localhost]" in played.text


def events(stage: Stage, playbook: str, dsn: str | None, *words: str, **options: Any) -> list[dict[str, Any]]:
    """Standard output of a run, of which each line is JSON."""
    done = subprocess.run(
        stage.command(playbook, dsn, options, *words), cwd=CHECKOUT, env=environment(stage.home, {"SCOUT_OUTPUT": "json"}),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_of_json(broken: Pipeline, stage: Stage) -> None:
    found = events(stage, "emergency_reset", broken.dsn, proof=False)
    kinds = [each["event"] for each in found]
    assert kinds[0] == "play"
    assert kinds[-2:] == ["recap", "summary"]
    assert {"phase", "progress", "changed", "ok"} <= set(kinds)
    # The summary is made before the recap is shown.
    assert [each["seconds"] for each in found[:-1]] == sorted(each["seconds"] for each in found[:-1])
    progress = [each for each in found if each["event"] == "progress"]
    assert {each["host"] for each in progress} == {found[-1]["host"]}
    assert any("refreshing scout.gold" in each["text"] for each in progress)
    summary = found[-1]
    assert summary["verdict"] == "RUNNING, UNPROVED"
    assert summary["lines"][0].startswith("emergency reset of ")


def test_lines_of_json_of_what_fails(stage: Stage) -> None:
    found = events(stage, "assess", "postgresql://nobody@127.0.0.1:1/scout")
    failed = next(each for each in found if each["event"] == "failed")
    assert failed["error"]["kind"] == "connection_failed"
    assert found[-1]["event"] == "summary"


def on_a_terminal(stage: Stage, dsn: str, **env: str) -> str:
    """What a terminal is sent."""
    reader, writer = pty.openpty()
    given = environment(stage.home, {"TERM": "xterm", **env})
    given.pop("ANSIBLE_NOCOLOR")
    with subprocess.Popen(
        stage.command("assess", dsn, {}), cwd=CHECKOUT, env=given, stdin=writer, stdout=writer, stderr=writer
    ) as running:
        os.close(writer)
        said = b""
        while True:
            try:
                part = os.read(reader, 65536)
            except OSError:
                break
            said += part
        running.wait(timeout=60)
    os.close(reader)
    return said.decode()


def test_a_terminal_is_rung_and_coloured_unless_it_is_not_to_be(healthy: Pipeline, stage: Stage) -> None:
    shown = on_a_terminal(stage, healthy.dsn)
    assert shown.rstrip("\r\n").endswith("\a")
    assert ESCAPE in shown
    shown = on_a_terminal(stage, healthy.dsn, SCOUT_BELL="0", NO_COLOR="1")
    assert "\a" not in shown
    assert ESCAPE not in shown
    assert "\a" not in stage.play("assess", healthy.dsn).text


def test_of_many_hosts_each_step_is_shown_once(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    hosts = {f"shop-{at}": {"scout_dsn": another_broken().dsn} for at in range(1, 5)}
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), proof=False)
    assert played.rc == 0, played.text
    headers = re.findall(r"^TASK \[(\(\d+/11\) .*?)\]", played.text, re.MULTILINE)
    assert len(headers) == len(set(headers))
    assert "[shop-3] " in played.text


def test_another_output_is_said_not_to_be_known(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("assess", healthy.dsn, env={"SCOUT_OUTPUT": "jsno"})
    assert played.rc == 0, played.text
    assert "SCOUT_OUTPUT is 'jsno', which is not known" in " ".join(played.text.split())


@pytest.mark.parametrize("callback", ["ansible.builtin.default", "ansible.builtin.minimal", "ansible.builtin.oneline"])
def test_ansibles_own_callbacks_go_on_working(callback: str, healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("assess", healthy.dsn, env={"ANSIBLE_STDOUT_CALLBACK": callback, "SCOUT_OUTPUT": "json"})
    assert played.rc == 0, played.text
    assert "\nassess of " in played.text
    assert '"event"' not in played.text
