# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels, on real servers: what arrives there, what is tried again, and that nothing that fails is more than a result."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import channels, delivery
from ansible_collections.scout.recovery.plugins.modules import scout_notify
from tests import CHECKOUT
from tests.integration.clones import executed
from tests.integration.listeners import CLOSE, HANG, TRICKLE, Answer, Post, Web, certificates, free_port, mail_server
from tests.integration.modules import ad_hoc

ROOT = CHECKOUT
TEMPLATES = str(ROOT / "roles" / "notify" / "templates")
SECRET = "/services/T0SECRET1/B0SECRET2/xoxSECRETxSECRET"
KEY = "R0UTINGKEYR0UTINGKEYR0UTINGKEY00"
WRONG = "wr0ng-passw0rd"
INCIDENT = {
    "incident": "INC-2041",
    "title": "Gold shows yesterday's figures",
    "severity": "critical",
    "state": "open",
    "database": "scout on db1:5432",
    "opened_at": "2026-11-25T14:05:00+00:00",
    "opened_by": "maria@laptop",
    "next_update_at": "2026-11-25T16:35:00+00:00",
    "overdue": [],
    "missing": ["root_cause"],
}


def tell(*channels: Any, check: bool = False, say: Any = lambda _line: None, **fields: Any) -> dict[str, Any]:
    """The module's result; whatever is said in it is fit for a machine, and holds no secret."""
    defaults = {name: option.get("default") for name, option in scout_notify.SPEC.items()}
    given = {"event": "opened", "incident": INCIDENT, "template_dirs": [TEMPLATES], **fields}
    params = {**defaults, **given, "channels": list(channels)}
    result = invoke(scout_notify.run, "scout_notify", params, check=check, progress=Progress(say))
    text = json.dumps(result)
    for secret in (SECRET, "xoxSECRETxSECRET", KEY, WRONG, "s3cr3t"):
        assert secret not in text
    assert not result.get("failed")
    return result


def slack(web: Web, **more: Any) -> dict[str, Any]:
    return {"name": "team", "kind": "slack", "url": web.url(SECRET), **more}


def unsent(result: dict[str, Any]) -> str:
    """Why the only channel that failed did."""
    assert result["sent"] == []
    assert result["changed"] is False
    (only,) = result["unsent"]
    assert result["warnings"] == [f"{only['channel']} was not notified: {only['error']}"]
    assert f"not {only['channel']}" in result["summary"]
    return only["error"]


def test_a_slack_channel_is_told() -> None:
    with Web() as web:
        result = tell(slack(web), happened="The refresh hangs", time_zone="Asia/Manila")
    (got,) = web.got
    assert got.path == SECRET
    assert got.body["text"].splitlines() == [
        "CRITICAL: Scout pipeline incident INC-2041: Gold shows yesterday's figures",
        "",
        "Status: investigating",
        "What happened: The refresh hangs",
        "Since: 25 Nov 2026, 14:05 UTC (22:05 Asia/Manila)",
        "Next update: 25 Nov 2026, 16:35 UTC (26 Nov, 00:35 Asia/Manila)",
        "Incident commander: maria@laptop",
        "Database: scout",
    ]
    assert got.body["mrkdwn"] is False
    assert (result["sent"], result["unsent"], result["changed"]) == (["team"], [], True)
    assert result["message"] == got.body["text"]
    assert result["summary"] == "notified team of INC-2041, opened"
    assert result["deliveries"][0]["attempts"] == 1


def test_a_webhook_gets_the_document_and_its_headers() -> None:
    headers = {"Authorization": "Bearer s3cr3t-t0ken", "X-Team": "data"}
    with Web() as web:
        result = tell({"kind": "webhook", "url": web.url("/in?key=s3cr3tkey"), "headers": headers})
    (got,) = web.got
    assert got.path == "/in?key=s3cr3tkey"
    assert got.headers["Authorization"] == "Bearer s3cr3t-t0ken"
    assert got.headers["X-Team"] == "data"
    assert got.headers["Content-Type"] == "application/json"
    schema = json.loads((ROOT / "docs" / "notification.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(got.body, schema, format_checker=jsonschema.FormatChecker())
    assert set(got.body) == set(schema["properties"])
    assert got.body == result["document"]


def test_pagerduty_has_one_key_for_the_whole_incident() -> None:
    channel = {"kind": "pagerduty", "routing_key": KEY}
    with Web(202) as web:
        for event in ("opened", "update", "recovered", "closed"):
            assert tell({**channel, "url": web.url()}, event=event)["sent"] == ["pagerduty"]
    bodies = [got.body for got in web.got]
    assert [b["event_action"] for b in bodies] == ["trigger", "acknowledge", "resolve", "resolve"]
    assert {b["dedup_key"] for b in bodies} == {"scout-scout-INC-2041"}
    assert {b["routing_key"] for b in bodies} == {KEY}
    assert bodies[0]["payload"] | {"custom_details": None} == {
        "summary": "CRITICAL: Scout pipeline incident INC-2041: Gold shows yesterday's figures",
        "source": "scout",
        "severity": "critical",
        "component": "scout",
        "custom_details": None,
    }
    assert bodies[0]["payload"]["custom_details"]["incident"] == "INC-2041"
    assert all("payload" not in body for body in bodies[1:])


def test_a_team_may_want_other_actions() -> None:
    with Web(202) as web:
        tell(
            {"kind": "pagerduty", "routing_key": KEY, "url": web.url(), "actions": {"update": "trigger"}},
            event="update",
        )
    assert web.got[0].body["event_action"] == "trigger"


def test_it_is_tried_again_where_that_may_help() -> None:
    with Web(500, 503, 200) as web:
        result = tell(slack(web))
    assert result["sent"] == ["team"]
    assert result["deliveries"][0]["attempts"] == 3
    ids = [got.body for got in web.got]
    assert ids[0] == ids[1] == ids[2]
    first, second = (web.got[i + 1].at - web.got[i].at for i in (0, 1))
    assert 0.24 < first < 1.2
    assert 0.49 < second < 2.0


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "a date"])
def test_it_waits_as_long_as_it_is_asked_to(date: bool) -> None:
    then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)
    asked = email.utils.format_datetime(then, usegmt=True) if date else "2"
    with Web(Answer(429, {"Retry-After": asked}), 200) as web:
        result = tell(slack(web))
    assert result["deliveries"][0]["attempts"] == 2
    assert 1.5 < web.got[1].at - web.got[0].at < 5


def test_it_does_not_wait_longer_than_it_has() -> None:
    began = time.monotonic()
    with Web(Answer(429, {"Retry-After": "120"}, "slow down")) as web:
        error = unsent(tell(slack(web, timeout_seconds=5)))
    assert error == "HTTP 429: slow down, and it asks to wait 120 s; its 5 s leave no time for another attempt"
    assert len(web.got) == 1
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_is_refused_is_not_tried_again(status: int) -> None:
    with Web(Answer(status, text="no_such_hook")) as web:
        assert unsent(tell(slack(web))) == f"HTTP {status}: no_such_hook"
    assert len(web.got) == 1


def test_attempts_come_to_an_end() -> None:
    with Web(Answer(502, text="")) as web:
        result = tell(slack(web, attempts=2))
    assert unsent(result) == "HTTP 502"
    assert len(web.got) == 2
    assert result["deliveries"][0]["attempts"] == 2


def test_a_redirect_is_not_followed() -> None:
    with Web() as elsewhere, Web(Answer(307, {"Location": elsewhere.url()})) as web:
        error = unsent(tell(slack(web)))
    assert error == "HTTP 307: redirects are not followed"
    assert (len(web.got), len(elsewhere.got)) == (1, 0)


@pytest.mark.parametrize(
    ("how", "said"), [(HANG, "no response within"), (TRICKLE, "no reply within 1.5 s; it may still arrive")]
)
def test_one_that_hangs_has_its_time_and_no_more(how: int, said: str) -> None:
    began = time.monotonic()
    with Web(how) as web:
        error = unsent(tell(slack(web, timeout_seconds=1.5)))
        assert time.monotonic() - began < 30
    assert said in error


def test_one_that_closes_is_tried_again() -> None:
    with Web(CLOSE, 200) as web:
        assert tell(slack(web))["deliveries"][0]["attempts"] == 2
    with Web(CLOSE) as web:
        assert unsent(tell(slack(web, attempts=2))).startswith("no response: ")
    assert len(web.got) == 2


def test_one_that_is_not_there() -> None:
    url = f"http://127.0.0.1:{free_port()}{SECRET}"
    assert unsent(tell({"kind": "slack", "url": url, "attempts": 2})) == "no response: Connection refused"
    url = f"https://no-such-host.invalid{SECRET}"
    assert unsent(tell({"kind": "slack", "url": url, "attempts": 1})).startswith("no connection: ")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return certificates(tmp_path_factory.mktemp("tls"))


def test_a_certificate_has_to_be_trusted(authority: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = authority
    with Web(tls=context) as web:
        error = unsent(tell(slack(web)))
        assert error.startswith("its certificate is not trusted: ")
        assert web.got == []
        assert tell(slack(web, ca_file=str(ca_file)))["sent"] == ["team"]
        wrong = tell(slack(web, ca_file="/nowhere/ca.pem"))
    assert unsent(wrong) == "ca_file cannot be read: No such file or directory"


def test_an_answer_that_repeats_the_secret_is_quoted_without() -> None:
    with Web(Answer(400, echo=True)) as web:
        error = unsent(tell(slack(web)))
        assert "********" in error
        headers = {"Authorization": "Bearer s3cr3t-t0ken"}
        error = unsent(tell({"kind": "webhook", "url": web.url("/a/s3cr3tpath"), "headers": headers}))
        assert "********" in error
        assert "********" in unsent(tell({"kind": "pagerduty", "routing_key": KEY, "url": web.url("/")}))


def test_channels_are_told_side_by_side_and_each_by_itself() -> None:
    began = time.monotonic()
    with Web(HANG) as one, Web(HANG) as two, Web(404) as three, Web() as four:
        result = tell(
            slack(one, name="one", timeout_seconds=5),
            slack(two, name="two", timeout_seconds=5),
            slack(three, name="three"),
            slack(four, name="four"),
        )
        assert time.monotonic() - began < 10
    assert result["sent"] == ["four"]
    assert [u["channel"] for u in result["unsent"]] == ["one", "two", "three"]
    assert result["summary"] == "notified four of INC-2041, opened; not one, two, three"
    assert len(result["warnings"]) == 3


def test_a_channel_that_cannot_be_used_stops_no_other() -> None:
    with Web() as web:
        result = tell("https://example.org/s3cr3t", {"kind": "slak"}, {"kind": "slack"}, slack(web))
    assert result["sent"] == ["team"]
    assert [u["channel"] for u in result["unsent"]] == ["channel 1", "slak", "slack"]


def test_what_was_not_foreseen_is_a_result_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(delivery, "post", broken)
    assert unsent(tell({"kind": "slack", "url": f"http://127.0.0.1:1{SECRET}"})) == ("unexpected error: KeyError")


def test_events_and_severities_choose_the_channels() -> None:
    with Web() as web:
        channels = [
            slack(web, name="all"),
            slack(web, name="end", events=["closed"]),
            slack(web, name="bad", severities=["critical"]),
        ]
        assert tell(*channels)["sent"] == ["all", "bad"]
        mild = tell(*channels, incident={**INCIDENT, "severity": "medium"}, event="closed")
    assert mild["sent"] == ["all", "end"]
    assert mild["not_subscribed"] == ["bad"]
    nobody = tell(channels[1])
    assert nobody["summary"] == "notified nobody of INC-2041, opened: no channel wants it"
    assert nobody["changed"] is False
    assert tell()["summary"] == "notified nobody of INC-2041, opened: no channel is set up"


def test_a_check_shows_the_message_and_sends_nothing() -> None:
    shown: list[str] = []
    post = Post()
    with Web() as web, mail_server(post) as port:
        letter = {
            "kind": "email",
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "from": "a@b.org",
            "to": "c@d.org",
        }
        result = tell(slack(web), letter, {"kind": "slack"}, check=True, say=shown.append)
    assert (web.got, post.letters) == ([], [])
    assert shown[0] == "would notify team, email:"
    assert "  Status: investigating" in shown
    assert (result["sent"], result["changed"]) == (["team", "email"], True)
    assert result["unsent"][0]["error"].startswith("url is missing")
    assert result["summary"] == "would notify team, email of INC-2041, opened; not slack"
    assert result["deliveries"] == []


def test_it_can_be_switched_off() -> None:
    with Web() as web:
        result = tell(slack(web), enabled=False)
    assert web.got == []
    assert result["summary"] == "notified nobody of INC-2041, opened: notifications are disabled"
    assert (result["sent"], result["changed"], result["not_subscribed"]) == ([], False, ["team"])


def letter(port: int, **more: Any) -> dict[str, Any]:
    return {
        "name": "mail", "kind": "email", "host": "localhost", "port": port,
        "from": "scout@example.org", "to": ["lead@example.org"], **more,
    }  # fmt: skip


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_mail(security: str, authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, context = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    post = Post()
    with mail_server(post, security, context, login=None if security == "none" else ("scout", "s3cr3t-pass")) as port:
        login = {} if security == "none" else {"user": "scout", "password": "s3cr3t-pass"}
        to = ["lead@example.org", "dev@example.org"]
        result = tell(letter(port, security=security, to=to, **login), happened="Überfällig: naïve 店 ✓")
    assert result["sent"] == ["mail"], result
    assert [one.to for one in post.letters] == [["lead@example.org"], ["dev@example.org"]]
    for one, address in zip(post.letters, to, strict=True):
        assert one.sender == "scout@example.org"
        assert one.user == (login.get("user"))
        assert one.message["To"] == address
        assert one.message["Subject"] == "CRITICAL: Scout pipeline incident INC-2041: Gold shows yesterday's figures"
        assert one.message["Date"] is not None
        assert one.message["Message-ID"] is not None
        assert one.message.get_content_type() == "text/plain"
        assert "What happened: Überfällig: naïve 店 ✓" in one.message.get_content()


def test_a_login_goes_with_a_trusted_certificate_only(authority: tuple[Path, ssl.SSLContext]) -> None:
    _, context = authority
    for security in ("starttls", "tls"):
        post = Post()
        with mail_server(post, security, context, login=("scout", "s3cr3t-pass")) as port:
            error = unsent(tell(letter(port, security=security, user="scout", password="s3cr3t-pass")))
        assert "certificate verify failed" in error
        assert (post.logins, post.letters) == ([], [])


def test_starttls_is_never_given_up() -> None:
    post = Post()
    with mail_server(post) as port:
        result = tell(letter(port))
    assert "STARTTLS extension not supported" in unsent(result)
    assert result["deliveries"][0]["attempts"] == 1
    assert post.letters == []


def test_a_wrong_password(authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, context = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with mail_server(Post(), "starttls", context, login=("scout", "s3cr3t-pass")) as port:
        result = tell(letter(port, user="scout", password=WRONG))
    assert unsent(result).startswith("lead@example.org: 535 ")
    assert result["deliveries"][0]["attempts"] == 1


def test_only_what_may_work_later_is_mailed_again() -> None:
    post = Post({"busy@example.org": ("451 busy", 1), "gone@example.org": ("550 no such user", 9)})
    to = ["busy@example.org", "gone@example.org", "lead@example.org"]
    with mail_server(post) as port:
        result = tell(letter(port, security="none", to=to))
    assert unsent(result) == "gone@example.org: 550 no such user"
    assert [one.to for one in post.letters] == [["lead@example.org"], ["busy@example.org"]]
    assert post.asked == [*to, "busy@example.org"]


def test_no_mail_server() -> None:
    error = unsent(tell(letter(free_port(), security="none", attempts=2)))
    assert "Connection refused" in error


def test_without_apprise_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with Web() as web:
        result = tell(letter(free_port()), {**service("opsgenie://x"), "name": "duty"}, slack(web))
    assert result["sent"] == ["team"]
    assert len(result["unsent"]) == 2
    for each in result["unsent"]:
        assert each["error"].startswith("this Python has no apprise: python -m pip install apprise")


def service(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "team", "kind": "apprise", "url": url, **more}


def test_any_service_that_apprise_knows_is_told() -> None:
    with Web() as web:
        result = tell(
            service(web.url(SECRET).replace("http", "json", 1)), happened="@everyone see [this](https://evil)"
        )
    (got,) = web.got
    assert got.path == SECRET
    assert got.body["title"] == "CRITICAL: Scout pipeline incident INC-2041: Gold shows yesterday's figures"
    assert "What happened: @\u200beveryone see [this]\u200b(https://evil)" in got.body["message"]
    assert got.body["type"] == "failure"
    assert (result["sent"], result["unsent"]) == (["team"], [])


def test_a_service_that_refuses_is_asked_once_and_one_that_is_busy_again() -> None:
    for status, attempts in ((403, 1), (503, 2)):
        with Web(Answer(status), Answer(status)) as web:
            result = tell(service(web.url(SECRET).replace("http", "json", 1), attempts=2))
        assert f"error={status}" in unsent(result)
        assert len(web.got) == attempts


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nobody://R0UTINGKEYR0UTINGKEYR0UTINGKEY00", "apprise cannot use its url, of scheme nobody"),
        ("json://example.org/xoxSECRETxSECRET", "its url is not encrypted: write it as jsons://…"),
        ("jsons://example.org/xoxSECRETxSECRET?verify=no", "its url does without a certificate"),
        ("opsgenie:R0UTINGKEYR0UTINGKEYR0UTINGKEY00", "url is not usable"),
    ],
)
def test_a_service_that_cannot_be_used_says_why_without_its_secret(url: str, says: str) -> None:
    assert says in unsent(tell(service(url)))


def test_a_token_in_place_of_a_host_is_hidden() -> None:
    assert channels.hide(f"no host {KEY}", channels.secrets(service(f"tgram://{KEY}/12345"))) == "no host ********"


def test_a_hostile_title() -> None:
    title = (
        "x\r\nBcc: evil@example.org\r\n\r\n<!channel> <https://evil.example|login> "
        "@channel @here [a](https://evil) *b* \x1b[31m\u202e {{ 7 * 7 }} " + "y" * 5000
    )
    post = Post()
    with Web() as web, Web() as hook, mail_server(post) as port:
        result = tell(
            slack(web), {"kind": "webhook", "url": hook.url()}, letter(port, security="none"),
            {"kind": "pagerduty", "routing_key": KEY, "url": hook.url()},
            incident={**INCIDENT, "title": title}, happened=title * 3,
        )  # fmt: skip
    assert result["unsent"] == []
    (one,) = post.letters
    assert one.to == ["lead@example.org"]
    assert one.message["Bcc"] is None
    assert len(one.message["Subject"]) <= 200
    assert all(len(line) <= 998 for line in one.raw.splitlines())
    text = web.got[0].body["text"]
    assert "&lt;!channel&gt; &lt;https://evil.example|login&gt;" in text
    for acting in ("<", "@channel", "@here", "](", "\x1b", "\u202e", "\r"):
        assert acting not in text
    assert "{{ 7 * 7 }}" in text
    assert len(text) < 16000
    page = next(got.body for got in hook.got if "payload" in got.body)
    assert len(page["payload"]["summary"]) <= 1024
    assert len(json.dumps(page)) < 100_000


def test_executed_as_a_module() -> None:
    with Web() as web:
        given = {"event": "opened", "incident": INCIDENT, "template_dirs": [TEMPLATES]}
        result = executed("scout_notify", **given, channels=[slack(web)])
        planned = executed("scout_notify", check=True, **given, channels=[slack(web)])
    assert len(web.got) == 1
    assert (result["sent"], planned["sent"]) == (["team"], ["team"])
    assert result.keys() == planned.keys()
    assert SECRET not in json.dumps([result, planned])


def test_by_the_ansible_command() -> None:
    with Web(404) as web:
        given = {"event": "opened", "incident": INCIDENT, "template_dirs": [TEMPLATES]}
        result, output = ad_hoc("scout_notify", "-vvvv", **given, channels=[slack(web)])
        assert result["unsent"] == [{"channel": "team", "error": "HTTP 404: ok"}]
        assert not result.get("failed")
        wrong, _ = ad_hoc("scout_notify", **{**given, "event": "exploded"})
        late, _ = ad_hoc("scout_notify", **given, timeout_seconds=0)
    assert SECRET not in output
    assert wrong["msg"].startswith("value of event must be one of: opened, update, recovered, closed")
    assert late["msg"].startswith("timeout_seconds or attempts is not usable")
