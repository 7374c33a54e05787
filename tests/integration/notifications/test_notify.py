# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_notify against real servers: what arrives, what a failing channel costs, and that no URL is shown."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import command
from tests.integration.clones import executed, run
from tests.integration.listeners import TRICKLE, Web, free_port

SECRET = "T0SECRETxSECRETxSECRET"
TITLE, BODY = "Scout: überfällig", "gold is stale\nnext: ansible-playbook scout.recovery.assess"


def notify(*urls: str, **options: Any) -> dict[str, Any]:
    """The module's result, which contains no secret."""
    result = run("scout_notify", urls=list(urls), title=TITLE, body=BODY, **options)
    assert SECRET not in json.dumps(result)
    return result


def dead() -> str:
    """A URL at which nobody listens."""
    return f"json://127.0.0.1:{free_port()}/{SECRET}"


def test_title_and_body_arrive_at_each_channel() -> None:
    with Web() as one, Web() as two:
        result = notify(one.url(f"/{SECRET}"), two.url())
    assert [(got.path, got.body["title"], got.body["message"]) for got in one.got] == [(f"/{SECRET}", TITLE, BODY)]
    assert [got.body["title"] for got in two.got] == [TITLE]
    assert (result["changed"], result["unsent"], result["warnings"]) == (True, [], [])
    assert result["sent"] == ["channel 1 (JSON)", "channel 2 (JSON)"]


def test_a_channel_that_fails_is_a_warning_and_the_others_are_notified() -> None:
    with Web() as alive, Web(404) as refusing:
        result = notify(dead(), refusing.url(f"/{SECRET}"), f"nobody://{SECRET}", f"opsgenie:{SECRET}", alive.url())
    assert not result.get("failed")
    assert len(alive.got) == 1
    assert result["sent"] == ["channel 5 (JSON)"]
    services = ["JSON", "JSON", "unknown service", "unknown service"]
    assert result["unsent"] == [f"channel {number} ({service})" for number, service in enumerate(services, 1)]
    assert [text.partition(" was not")[0] for text in result["warnings"]] == result["unsent"]
    assert "HTTP 404" in result["warnings"][1]


def test_a_channel_that_never_finishes_does_not_delay_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SECONDS", 5.0)
    began = time.monotonic()
    with Web(TRICKLE) as slow, Web() as alive:
        result = notify(slow.url(f"/{SECRET}"), alive.url())
        assert time.monotonic() - began < 30
    assert (result["sent"], result["unsent"]) == (["channel 2 (JSON)"], ["channel 1 (JSON)"])


def test_check_mode_sends_nothing() -> None:
    with Web() as web:
        planned = notify(web.url(), f"nobody://{SECRET}", check=True)
        assert web.got == []
    assert (planned["sent"], planned["unsent"]) == (["channel 1 (JSON)"], ["channel 2 (unknown service)"])


def test_without_a_url_nobody_is_notified() -> None:
    result = notify()
    assert (result["changed"], result["warnings"]) == (False, [])


def test_without_apprise_the_warning_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    result = notify(dead())
    assert not result.get("failed")
    assert f"{sys.executable} -m pip install apprise" in result["warnings"][0]


def test_executed_as_a_module() -> None:
    with Web() as web:
        result = executed("scout_notify", urls=[web.url(f"/{SECRET}"), dead()], title=TITLE, body=BODY)
    assert len(web.got) == 1
    assert (result["sent"], result["unsent"]) == (["channel 1 (JSON)"], ["channel 2 (JSON)"])
    assert SECRET not in json.dumps(result)
