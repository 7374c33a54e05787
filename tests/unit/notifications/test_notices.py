# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an incident, in which words, by whose template; and what a channel may look like."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import channels, delivery
from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import (
    notice as notifications_notice,
)
from ansible_collections.scout.recovery.plugins.modules import scout_notify
from tests import CHECKOUT

ROOT = CHECKOUT
TEMPLATES = str(ROOT / "roles" / "notify" / "templates")
NOW = dt.datetime(2026, 11, 25, 15, 0, tzinfo=dt.UTC)
MANILA = zoneinfo.ZoneInfo("Asia/Manila")
URL = "https://hooks.example.org/services/T0SECRET1/xoxSECRETxSECRET"

WORDS = {
    "happened": "The refresh hangs", "impact": "Store managers see yesterday's sales", "done": "Paused ingestion",
    "next_step": "Refresh by hand", "eta": "in half an hour",
}  # fmt: skip


def made(event: str = "opened", folders: list[str] | None = None, **fields: Any) -> notifications_notice.Notice:
    incident = {
        "incident": "INC-2041", "title": "Gold is old", "severity": "critical", "state": "open",
        "database": "scout on db1:5432", "opened_at": "2026-11-25T14:05:00+00:00", "opened_by": "maria@laptop",
        "next_update_at": "2026-11-25T22:05:00+07:00", "escalation": ["incident commander", "stakeholders"],
    }  # fmt: skip
    words = {**WORDS, **fields.pop("words", {})}
    return notifications_notice.make(
        event, {**incident, **fields}, words, time_zone="Asia/Manila",
        folders=[TEMPLATES] if folders is None else folders, now=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "zone", "text"),
    [
        ("2026-11-25T14:05:00+00:00", None, "25 Nov 2026, 14:05 UTC"),
        ("2026-11-25T14:05:00+00:00", MANILA, "25 Nov 2026, 14:05 UTC (22:05 Asia/Manila)"),
        ("2026-11-25T22:05:00.123+08:00", None, "25 Nov 2026, 14:05 UTC"),
        ("2026-12-31T20:00:00Z", MANILA, "31 Dec 2026, 20:00 UTC (1 Jan, 04:00 Asia/Manila)"),
        (NOW, None, "25 Nov 2026, 15:00 UTC"),
        ("2026-11-25T14:05:00", MANILA, "2026-11-25T14:05:00"),
        ("tonight\r\nBcc: x", MANILA, "tonight Bcc: x"),
        (None, MANILA, ""),
    ],
)
def test_times(value: Any, zone: Any, text: str) -> None:
    assert notifications_notice.when(value, zone) == text


def test_opened() -> None:
    notice = made()
    assert notice.title == "CRITICAL: Scout pipeline incident INC-2041: Gold is old"
    assert notice.text.splitlines() == [
        "Status: investigating",
        "What happened: The refresh hangs",
        "Impact: Store managers see yesterday's sales",
        "Done: Paused ingestion",
        "Next: Refresh by hand",
        "Expected to be over: in half an hour",
        "Since: 25 Nov 2026, 14:05 UTC (22:05 Asia/Manila)",
        "Next update: 25 Nov 2026, 15:05 UTC (23:05 Asia/Manila)",
        "Incident commander: maria@laptop",
        "Escalation: incident commander, stakeholders",
        "Database: scout",
    ]
    assert notice.warnings == ()


def test_update_tells_what_is_overdue() -> None:
    late = [{"what": "next update", "due_at": "2026-11-25T14:35:00+00:00", "seconds": 1500}, "nonsense"]
    lines = made("update", overdue=late, words={"commander": "Ana", "status": "mitigated"}).whole.splitlines()
    assert lines[0] == "CRITICAL: Scout pipeline incident INC-2041, update: Gold is old"
    assert "Status: mitigated" in lines
    assert "Since: 25 Nov 2026, 14:05 UTC (22:05 Asia/Manila), for 55 min" in lines
    assert "Overdue: next update, was due 25 Nov 2026, 14:35 UTC (22:35 Asia/Manila)" in lines
    assert "Incident commander: Ana" in lines


def test_recovered() -> None:
    notice = made("recovered")
    assert notice.title == "CRITICAL: Scout pipeline incident INC-2041, recovered: Gold is old"
    assert notice.text.startswith("The pipeline works again.")


def test_closed() -> None:
    lines = made(
        "closed", closed_at="2026-11-25T16:05:00+00:00", missing=["root_cause", "retrospective"]
    ).whole.splitlines()
    assert "Status: resolved" in lines
    assert "Closed: 25 Nov 2026, 16:05 UTC (26 Nov, 00:05 Asia/Manila), after 2 h 0 min" in lines
    assert "Still to be written: root cause, retrospective" in lines
    assert not any(line.startswith("Next update") for line in lines)
    assert "Root cause: A forgotten session" in made("closed", root_cause="A forgotten session").text


@pytest.mark.parametrize("event", notifications_notice.EVENTS)
def test_an_incident_of_which_nothing_is_known(event: str) -> None:
    notice = notifications_notice.make(event, {}, {}, folders=[TEMPLATES], now=NOW)
    assert notice.warnings == ()
    assert notice.title.startswith("INCIDENT: Scout pipeline incident adhoc")
    assert notice.text.splitlines()
    assert "None" not in notice.whole


def test_every_event_has_a_template_and_the_module_knows_it() -> None:
    assert {f"{event}.j2" for event in notifications_notice.EVENTS} <= {
        path.name for path in Path(TEMPLATES).glob("*.j2")
    }
    assert set(channels.ACTIONS) == set(notifications_notice.EVENTS)


def test_a_team_replaces_one_template(tmp_path: Path) -> None:
    (tmp_path / "opened.j2").write_text("Alarm {{ incident }}\n{% include 'footer.j2' %}", encoding="utf-8")
    folders = [str(tmp_path), TEMPLATES]
    assert made(folders=folders).whole.splitlines()[:3] == [
        "Alarm INC-2041", "", "Next update: 25 Nov 2026, 15:05 UTC (23:05 Asia/Manila)",
    ]  # fmt: skip
    assert made("closed", folders).title.startswith("CRITICAL")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ nobody }}", "'nobody' is undefined"),
        ("ok\n{% if %}", "line 2: "),
        ("{% include 'no.j2' %}", "no.j2 is not there"),
        ("  \n\n", "it says nothing"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("\udcff", "codec"),
    ],
)
def test_a_template_that_is_broken_silences_nobody(template: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "opened.j2").write_bytes(template.encode("utf-8", "surrogateescape"))
    notice = made(folders=[str(tmp_path), TEMPLATES])
    assert notice.title.startswith("CRITICAL")
    (warning,) = notice.warnings
    assert warning.startswith(f"template opened.j2 in {tmp_path} cannot be used: ")
    assert why in warning


def test_without_any_template_the_essence_is_told(tmp_path: Path) -> None:
    notice = made(folders=[str(tmp_path)])
    assert (
        notice.whole == "Scout pipeline incident INC-2041 investigating\n\nGold is old\nThe refresh hangs\nmaria@laptop"
    )
    assert notice.warnings == (f"template opened.j2 in {tmp_path} cannot be used: opened.j2 is not there",)


def test_a_zone_nobody_knows() -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd"):
        notice = notifications_notice.make(
            "opened", {"opened_at": NOW}, {}, time_zone=zone, folders=[TEMPLATES], now=NOW
        )
        assert "25 Nov 2026, 15:00 UTC\n" in notice.text + "\n"
        assert notice.warnings == (f"time zone {zone!r} is not known: times are in UTC only",)


def test_what_was_typed_is_never_a_template() -> None:
    notice = made(title="{{ 7 * 7 }} {% raw %}", words={"happened": "{{ cycler }}"})
    assert "{{ 7 * 7 }} {% raw %}" in notice.title
    assert "{{ cycler }}" in notice.text


@pytest.mark.parametrize(
    ("text", "one_line", "kept"),
    [
        ("a\r\nBcc: b\0\x1b[31m", True, "a Bcc: b[31m"),
        ("a\r\nb\n\n\n\nc\t d ", False, "a\nb\n\nc\t d"),
        ("\u202egnp\u2066", True, "gnp"),
        ("a\udcffb", True, "ab"),
        ("naïve 店 👍", True, "naïve 店 👍"),
    ],
)
def test_clean(text: str, one_line: bool, kept: str) -> None:
    assert notifications_notice.clean(text, one_line=one_line) == kept


def test_nothing_is_longer_than_it_may_be() -> None:
    notice = made(title="y" * 9000, words=dict.fromkeys(WORDS, "z" * 9000))
    assert len(notice.title) <= notifications_notice.LONGEST_TITLE
    assert len(notice.text) <= notifications_notice.LONGEST_TEXT


def test_the_key_of_an_incident() -> None:
    assert notifications_notice.dedup_key("scout", "INC-2041") == "scout-scout-INC-2041"
    assert notifications_notice.dedup_key("scout in Luzon", "INC-1") == "scout-scout-in-Luzon-INC-1"
    long = [notifications_notice.dedup_key("d" * 300, f"INC-{n}") for n in (1, 1, 2)]
    assert long[0] == long[1] != long[2]
    assert max(map(len, long)) <= 255


GOOD: dict[str, dict[str, Any]] = {
    "slack": {"kind": "slack", "url": URL},
    "webhook": {"kind": "webhook", "url": URL, "headers": {"Authorization": "Bearer s3cr3tt0ken"}},
    "pagerduty": {"kind": "pagerduty", "routing_key": "R0UTINGKEY"},
    "email": {"kind": "email", "host": "mail.example.org", "from": "a@example.org", "to": ["b@example.org"]},
}


def read(raw: Any) -> channels.Channel:
    return channels.read(raw, 1, timeout_seconds=20, attempts=4)


def test_a_channel_has_defaults() -> None:
    for kind, raw in GOOD.items():
        channel = read({**raw, "name": None, "severities": None})
        assert (channel.name, channel.events, channel.attempts) == (kind, notifications_notice.EVENTS, 4)
        assert URL not in repr(channel)
    assert read(GOOD["pagerduty"]).settings["url"] == channels.PAGERDUTY
    assert read(GOOD["email"]).settings["port"] == 587
    assert read({**GOOD["email"], "security": "tls"}).settings["port"] == 465


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (URL, "it is not a dictionary"),
        ({"kind": "slak"}, "kind 'slak' is not known. Next: give one of slack, webhook, pagerduty, email"),
        ({"kind": "slack"}, "url is missing"),
        ({"kind": "slack", "url": ""}, "url is missing"),
        ({**GOOD["slack"], "chanel": "x"}, "slack has no chanel"),
        ({"kind": "slack", "url": "file:///etc/passwd"}, "url is not usable"),
        ({"kind": "slack", "url": "https://"}, "url is not usable"),
        ({"kind": "slack", "url": "https://h:port/s3cr3tpath"}, "url is not usable"),
        ({"kind": "slack", "url": f"{URL}\r\nX: y"}, "url is not usable"),
        ({"kind": "slack", "url": "https://u:s3cr3t@h/"}, "url contains a user"),
        ({**GOOD["slack"], "events": ["open"]}, "events contains one that is not known"),
        ({**GOOD["slack"], "events": {}}, "events is not a list"),
        ({**GOOD["slack"], "timeout_seconds": 0}, "timeout_seconds 0 is not usable"),
        ({**GOOD["slack"], "attempts": "many"}, "attempts many is not usable"),
        ({**GOOD["webhook"], "headers": {"X-A": "b\r\nX-C: d"}}, "a header contains a forbidden character"),
        ({**GOOD["webhook"], "headers": "X-A: b"}, "headers is not a dictionary"),
        ({**GOOD["pagerduty"], "actions": {"update": "shout"}}, "actions contains one"),
        ({**GOOD["pagerduty"], "actions": {"upd": "trigger"}}, "actions is not usable"),
        ({**GOOD["email"], "to": []}, "to is missing"),
        ({**GOOD["email"], "to": ["b@example.org\nBcc: c@example.org"]}, "is not an address"),
        ({**GOOD["email"], "from": "nobody"}, "is not an address"),
        ({**GOOD["email"], "security": "ssl3"}, "security 'ssl3' is not known"),
        ({**GOOD["email"], "user": "u"}, "user and password go together"),
        ({**GOOD["email"], "port": 70000}, "port 70000 is not usable"),
    ],
)
def test_a_channel_that_cannot_be_used(raw: Any, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(raw)
    assert why in str(caught.value)
    for secret in ("xoxSECRET", "s3cr3t", "R0UTINGKEY"):
        assert secret not in str(caught.value)


def test_the_module_documents_what_channels_know() -> None:
    known = {name for needed, further in channels.KINDS.values() for name in (*needed, *further)}
    assert set(scout_notify.CHANNEL) == {*known, *channels.EVERY}
    assert {name for name, option in scout_notify.CHANNEL.items() if option.get("no_log")} == set(channels.SECRET)


def test_secrets_in_every_spelling() -> None:
    raw = {
        "url": "https://h/in/aB%2Fcdefgh?key=s3cr3t%20key",
        "password": "p@ss",
        "headers": {"A": "Bearer t0kent0ken"},
    }
    hidden = channels.secrets(raw)
    for text in (
        raw["url"],
        "/in/aB%2Fcdefgh",
        "aB/cdefgh",
        "s3cr3t key",
        "p@ss",
        "p%40ss",
        "t0kent0ken",
        "Bearer t0kent0ken",
    ):
        assert channels.hide(f"<{text}>", hidden) in (f"<{channels.HIDDEN}>", f"<https://h{channels.HIDDEN}>"), text
    assert (
        channels.secrets("nonsense")
        == channels.secrets({"url": "http://["}) - {"http://[", "http%3A%2F%2F%5B"}
        == set()
    )


def test_words_that_are_in_any_text_are_no_secrets() -> None:
    assert channels.secrets({"headers": {"X-Team": "data"}}) == set()
    hidden = channels.secrets({"url": "https://h/services/T0SECRET1"})
    assert channels.hide("all services of T0SECRET1", hidden) == f"all services of {channels.HIDDEN}"


def test_a_chat_shows_what_was_written() -> None:
    text = channels.for_chat("a<b & <!here> <@U1> @ALL user@here.org @allison [x](y) &lt;")
    assert text == (
        "a&lt;b &amp; &lt;!here&gt; &lt;@U1&gt; @\u200bALL user@\u200bhere.org @allison [x]\u200b(y) &amp;lt;"
    )


def test_pauses_grow_and_differ() -> None:
    for attempt, most in [(1, 0.5), (2, 1.0), (3, 2.0), (9, delivery.LONGEST_WAIT)]:
        pauses = {delivery.backoff(attempt) for _ in range(50)}
        assert len(pauses) > 10
        assert most / 2 <= min(pauses) <= max(pauses) <= most
