# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A notice in a play of one's own: it fails nothing and shows no URL."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.play import Played, Stage
from tests.integration.listeners import Web, free_port

SECRET = "T0SECRETxSECRETxSECRET"


@pytest.fixture
def playbook(stage: Stage) -> str:
    """Notifies over a connection that cannot be reached, as another user, and goes on."""
    notify = {
        "name": "Notify the team",
        "scout.recovery.scout_notify": {
            "urls": "{{ notify_urls }}",
            "title": "Gold is stale",
            "body": "{{ '{{' }} 7 * 7 }}",
        },
        "delegate_to": "localhost",
        "become": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    }
    play = {
        "name": "Notify",
        "hosts": "scout",
        "gather_facts": False,
        "vars": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port()},
        "become": True,
        "become_user": "nobody",
        "tasks": [notify, {"name": "Go on", "ansible.builtin.debug": {"msg": "the play goes on"}}],
    }
    path = stage.home / "notify.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    return str(path)


def play(stage: Stage, playbook: str, urls: list[str], *arguments: str) -> Played:
    """A run that succeeds; neither the screen nor Ansible's log contains the secret."""
    variables, log = Path(stage.home / "urls.yml"), Path(stage.home / "ansible.log")
    variables.write_text(yaml.safe_dump({"notify_urls": urls}), encoding="utf-8")
    played = stage.play(playbook, None, "-vvvv", "-e", f"@{variables}", *arguments, env={"ANSIBLE_LOG_PATH": str(log)})
    assert played.rc == 0, played.text
    assert played.recap()["failed"] == 0
    assert "the play goes on" in played.text
    assert SECRET not in played.text + log.read_text()
    return played


def test_a_dead_channel_is_a_warning_and_the_others_are_notified(stage: Stage, playbook: str) -> None:
    with Web() as web:
        played = play(stage, playbook, [f"json://127.0.0.1:{free_port()}/{SECRET}", web.url(f"/{SECRET}")])
    assert [(got.body["title"], got.body["message"]) for got in web.got] == [("Gold is stale", "{{ 7 * 7 }}")]
    assert "channel 1 (JSON) was not notified" in played.text


def test_check_mode_sends_nothing(stage: Stage, playbook: str) -> None:
    with Web() as web:
        play(stage, playbook, [web.url(f"/{SECRET}")], "--check")
        assert web.got == []
