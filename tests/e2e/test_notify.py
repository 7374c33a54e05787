# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role notify in a playbook: what arrives, what the screen and the summary say, and that no secret is anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.play import Played, Stage
from tests.integration.listeners import TRICKLE, Answer, Post, Web, free_port, mail_server

SECRETS = ("xoxSECRETxSECRET", "T0SECRET1", "R0UTINGKEY", "s3cr3t-t0ken", "s3cr3t-pass")
INCIDENT = {
    "incident": "INC-2041",
    "title": "Gold shows yesterday's figures {{ lookup('env', 'HOME') }}",
    "severity": "critical",
    "database": "scout on db1:5432",
    "opened_at": "2026-11-25T14:05:00+00:00",
    "opened_by": "maria@laptop",
}


@pytest.fixture
def playbook(stage: Stage) -> str:
    """Tells it, goes on with the recovery, and sums up."""
    # As the result of a module, which Ansible takes for no template.
    known = {"ansible.builtin.slurp": {"src": "{{ incident_file }}"}, "register": "known", "name": "Read"}
    tell = {"ansible.builtin.import_role": {"name": "scout.recovery.notify"}, "name": "Tell the team"}
    go_on = {"ansible.builtin.debug": {"msg": "the recovery goes on"}, "name": "Go on"}
    told = {
        "ansible.builtin.copy": {"content": "{{ notify_result | to_json }}", "dest": "{{ told }}", "mode": "0600"},
        "name": "Keep",
    }
    end = {
        "ansible.builtin.import_role": {"name": "scout.recovery.summary"},
        "name": "Summary",
        "vars": {"summary_operation": "incident_open", "summary_steps": [{"notify": "{{ notify_result }}"}]},
    }
    play = {
        "name": "Tell",
        "hosts": "scout",
        "connection": "local",
        "gather_facts": False,
        "vars": {"notify_event": "opened", "notify_incident": "{{ known.content | b64decode | from_json }}"},
        "tasks": [known, tell, go_on, {**told, "check_mode": False}, end],
    }
    path = stage.home / "tell.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    return str(path)


def play(stage: Stage, playbook: str, channels: Any, *arguments: str, **options: Any) -> tuple[Played, dict[str, Any]]:
    """The screen, and notify_result; nothing that was written down, a log of Ansible's too, holds a secret."""
    variables, known = stage.home / "vars.yml", stage.home / "incident.json"
    variables.write_text(yaml.safe_dump({"notify_channels": channels}), encoding="utf-8")
    known.write_text(json.dumps(INCIDENT), encoding="utf-8")
    log, told = stage.home / "ansible.log", stage.home / "told.json"
    options = {"told": str(told), "incident_file": str(known), "incident": "INC-2041", **options}
    played = stage.play(
        playbook, None, "-e", f"@{variables}", *arguments, env={"ANSIBLE_LOG_PATH": str(log)}, **options
    )
    for text in (played.text, log.read_text(), told.read_text(), str(played.results)):
        for secret in SECRETS:
            assert secret not in text
    return played, json.loads(told.read_text())


def channels(web: Web, port: int) -> list[dict[str, Any]]:
    return [
        {"name": "team", "kind": "slack", "url": web.url("/services/T0SECRET1/xoxSECRETxSECRET")},
        {"name": "hub", "kind": "webhook", "url": web.url("/hub"), "headers": {"Authorization": "Bearer s3cr3t-t0ken"}},
        {"name": "oncall", "kind": "pagerduty", "routing_key": "R0UTINGKEY", "url": web.url("/pager")},
        {"name": "mail", "kind": "email", "host": "127.0.0.1", "port": port, "security": "none",
         "from": "scout@example.org", "to": ["lead@example.org"]},
    ]  # fmt: skip


def test_everybody_is_told_and_no_secret_shown(stage: Stage, playbook: str) -> None:
    post = Post()
    end = {"name": "end", "kind": "slack", "url": "http://127.0.0.1:1/", "events": ["closed"]}
    with Web() as web, mail_server(post) as port:
        played, told = play(
            stage, playbook, [*channels(web, port), end], "-vvvv", notify_impact="Managers see old sales"
        )
    assert played.rc == 0, played.text
    assert told["sent"] == ["team", "hub", "oncall", "mail"]
    assert told["unsent"] == []
    assert told["not_subscribed"] == ["end"]
    assert played.result["warnings"] == []
    assert "[WARNING]" not in played.text
    assert {got.path for got in web.got} == {"/services/T0SECRET1/xoxSECRETxSECRET", "/hub", "/pager"}
    document = next(got.body for got in web.got if got.path == "/hub")
    assert document["title"] == INCIDENT["title"]
    assert document["impact"] == "Managers see old sales"
    assert "Impact: Managers see old sales" in post.letters[0].message.get_content()
    assert "notified team, hub, oncall, mail of INC-2041, opened" in played.summary


def test_channels_that_fail_stop_nothing_and_are_named_last(stage: Stage, playbook: str) -> None:
    with Web(Answer(404, echo=True)) as web, Web(TRICKLE) as slow:
        failing = channels(web, free_port())
        hanging = {"name": "slow", "kind": "slack", "url": slow.url(), "timeout_seconds": 2}
        failing[3] |= {"attempts": 1, "user": "scout", "password": "s3cr3t-pass"}
        played, told = play(stage, playbook, [*failing, {"kind": "pigeon"}, hanging], "-vvvv")
    assert played.rc == 0, played.text
    assert played.recap()["failed"] == 0
    assert "the recovery goes on" in played.text
    assert told["sent"] == []
    assert [u["channel"] for u in told["unsent"]] == ["pigeon", "team", "hub", "oncall", "mail", "slow"]
    assert "notified nobody of INC-2041, opened; not pigeon, team, hub, oncall, mail, slow" in played.summary
    assert "pigeon was not notified: kind 'pigeon' is not known" in played.summary
    assert played.result["ok"] is True
    assert len([w for w in played.result["warnings"] if "was not notified: " in w]) == 6


def test_a_check_prints_the_message(stage: Stage, playbook: str) -> None:
    with Web() as web:
        played, told = play(stage, playbook, channels(web, free_port()), "--check", time_zone="Asia/Manila")
    assert played.rc == 0, played.text
    assert web.got == []
    assert "[local] would notify team, hub, oncall, mail:" in played.lines
    assert "[local]   Since: 25 Nov 2026, 14:05 UTC (22:05 Asia/Manila)" in played.lines
    assert "[local]   Incident commander: maria@laptop" in played.lines
    assert told["sent"] == ["team", "hub", "oncall", "mail"]


def test_switched_off_and_with_a_template_of_the_team(stage: Stage, playbook: str, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "opened.j2").write_text("Alarm in {{ database }}\n{{ title }}", encoding="utf-8")
    with Web() as web:
        chosen = channels(web, free_port())[:1]
        off, told = play(stage, playbook, chosen, notify_enabled=False)
        assert (off.rc, web.got, told["sent"], told["changed"]) == (0, [], [], False)
        on, _ = play(stage, playbook, chosen, notify_template_dir=str(folder))
    assert on.rc == 0, on.text
    assert web.got[0].body["text"].splitlines() == ["Alarm in scout", "", INCIDENT["title"]]
