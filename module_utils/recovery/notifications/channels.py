# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a channel of a team is, which notices it wants, and how a notice looks there."""

from __future__ import annotations

import base64
import dataclasses
import re
import typing as t
import urllib.parse

from ..core.errors import BadInput
from ..core.values import is_loopback
from .notice import EVENTS

if t.TYPE_CHECKING:
    from .notice import Notice

PAGERDUTY: t.Final = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_SUMMARY: t.Final = 1024
#: Slack cuts a text at 40,000 characters, Mattermost refuses one of more than 16,383; escaping makes it longer.
CHAT: t.Final = 3000
PORTS: t.Final = {"starttls": 587, "tls": 465, "none": 25}
#: A page is over when the pipeline works; the record of the incident may stay open for days. A second resolve does nothing.
ACTIONS: t.Final = {"opened": "trigger", "update": "acknowledge", "recovered": "resolve", "closed": "resolve"}
SEVERITIES: t.Final = {"critical": "critical", "high": "error", "medium": "warning"}

#: Of each kind what it needs, and what it may have besides.
KINDS: t.Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "slack": (("url",), ("ca_file",)),
    "webhook": (("url",), ("headers", "ca_file")),
    "pagerduty": (("routing_key",), ("url", "actions", "ca_file")),
    "email": (("host", "from", "to"), ("port", "security", "user", "password")),
    "apprise": (("url",), ()),
}
EVERY: t.Final = ("name", "kind", "events", "severities", "timeout_seconds", "attempts")
#: Settings that stand in no message.
SECRET: t.Final = ("url", "routing_key", "password", "headers")
HIDDEN: t.Final = "********"


@dataclasses.dataclass(frozen=True)
class Channel:
    """A way to people, checked; `settings` hold secrets and stand in no text."""

    name: str
    kind: str
    events: tuple[str, ...]
    severities: tuple[str, ...]
    timeout_seconds: float
    attempts: int
    settings: dict[str, t.Any] = dataclasses.field(repr=False)

    def wants(self, notice: Notice) -> bool:
        """Whether it is to be notified of this."""
        return notice.event in self.events and (not self.severities or notice.severity in self.severities)


@dataclasses.dataclass(frozen=True)
class Posted:
    """What goes to an address by HTTP."""

    url: str = dataclasses.field(repr=False)
    body: dict[str, t.Any] = dataclasses.field(repr=False)
    headers: dict[str, str] = dataclasses.field(repr=False, default_factory=dict[str, str])
    ca_file: str | None = None


def name_of(raw: t.Any, number: int) -> str:
    """What a channel is called in results, also one that cannot be used."""
    given = t.cast("dict[str, t.Any]", raw if isinstance(raw, dict) else {})
    name = given.get("name") or given.get("kind")
    return " ".join(str(name).split())[:80] if name else f"channel {number}"


def read(raw: t.Any, number: int, *, timeout_seconds: float, attempts: int) -> Channel:
    """A channel as it stands in the inventory. Raises BadInput where it cannot be used, without any of its secrets."""
    if not isinstance(raw, dict):
        raise BadInput("it is not a dictionary", next_step="give it name, kind and what the kind needs")
    given = {str(k): v for k, v in t.cast("dict[t.Any, t.Any]", raw).items() if v is not None and v != ""}
    kind = str(given.get("kind", ""))
    if kind not in KINDS:
        raise BadInput(f"kind {kind[:40]!r} is not known", next_step=f"give one of {', '.join(KINDS)}")
    needed, further = KINDS[kind]
    unknown = sorted(set(given) - {*EVERY, *needed, *further})
    if unknown:
        known = ", ".join((*EVERY, *needed, *further))
        raise BadInput(f"{kind} has no {', '.join(unknown)}", next_step=f"it knows {known}")
    lacking = [name for name in needed if not given.get(name)]
    if lacking:
        raise BadInput(f"{', '.join(lacking)} is missing", next_step=f"{kind} needs {', '.join(needed)}")
    return Channel(
        name=name_of(given, number),
        kind=kind,
        events=_among("events", given.get("events", list(EVENTS)), EVENTS),
        severities=tuple(texts("severities", given.get("severities", []))),
        timeout_seconds=at_most("timeout_seconds", given.get("timeout_seconds", timeout_seconds), 600),
        attempts=round(at_most("attempts", given.get("attempts", attempts), 20)),
        settings=READERS[kind](given),
    )


def posted(channel: Channel, notice: Notice) -> Posted:
    """What a channel that is reached by HTTP is sent."""
    settings = channel.settings
    body = BODIES[channel.kind](channel, notice)
    return Posted(settings["url"], body, settings.get("headers", {}), settings.get("ca_file"))


def secrets(raw: t.Any) -> set[str]:
    """Every spelling of a secret of a channel that an answer or an error could contain."""
    given = t.cast("dict[str, t.Any]", raw if isinstance(raw, dict) else {})
    found: set[str] = set()
    for name in SECRET:
        value = given.get(name)
        if isinstance(value, dict):
            for part in t.cast("dict[t.Any, t.Any]", value).values():
                # A short one, such as the name of a team, is found in any text.
                found |= {word for word in (str(part), *str(part).split()) if len(word) >= 8}
        elif value:
            found.add(str(value))
    found |= _parts(str(given.get("url") or ""))
    if password := str(given.get("password") or ""):
        # As SMTP sends it, and a server may quote it.
        plain = f"\0{given.get('user', '')}\0{password}"
        found |= {base64.b64encode(form.encode()).decode() for form in (password, plain)}
    spellings = {s for v in found for s in (v, urllib.parse.quote(v, safe=""), urllib.parse.unquote(v))}
    return {value for value in spellings if len(value) > 2 and value != PAGERDUTY}


def hide(text: str, hidden: set[str]) -> str:
    """A text of others without the secrets."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def hide_within(value: t.Any, hidden: set[str]) -> t.Any:
    """A value as JSON has it without the secrets, wherever in it they stand; names of fields stay."""
    if isinstance(value, dict):
        return {name: hide_within(part, hidden) for name, part in t.cast("dict[t.Any, t.Any]", value).items()}
    if isinstance(value, list):
        return [hide_within(part, hidden) for part in t.cast("list[t.Any]", value)]
    shown = hide(str(value), hidden)
    return shown if isinstance(value, str) or shown != str(value) else value


def for_chat(text: str) -> str:
    """A text that Slack, and what understands its messages, shows as it was written: no mention, link or markup of it acts."""
    return without_mentions(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def without_mentions(text: str) -> str:
    """A text that calls nobody and links nowhere: services such as Mattermost heed these in plain text as well."""
    text = re.sub(r"@(?=(?:channel|here|all|everyone)\b)", "@\u200b", text, flags=re.IGNORECASE)
    return re.sub(r"<(?=[!@#])", "<\u200b", text).replace("](", "]\u200b(")


def _slack(_channel: Channel, notice: Notice) -> dict[str, t.Any]:
    whole = notice.whole
    text = whole if len(whole) <= CHAT else whole[: CHAT - 1].rstrip() + "…"
    return {"text": for_chat(text), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _webhook(_channel: Channel, notice: Notice) -> dict[str, t.Any]:
    return notice.document


def _pagerduty(channel: Channel, notice: Notice) -> dict[str, t.Any]:
    action = channel.settings["actions"][notice.event]
    body: dict[str, t.Any] = {
        "routing_key": channel.settings["routing_key"],
        "event_action": action,
        "dedup_key": notice.dedup_key,
    }
    if action == "trigger":
        body["client"] = "Scout Recovery"
        body["payload"] = {
            "summary": notice.title[:PAGERDUTY_SUMMARY],
            "source": notice.database or "scout",
            "severity": SEVERITIES.get(notice.severity, "warning"),
            "component": "scout",
            "custom_details": notice.document,
        }
    return body


BODIES: t.Final = {"slack": _slack, "webhook": _webhook, "pagerduty": _pagerduty}


def read_http(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Address, headers and certificates of something that is reached by HTTP. Raises BadInput where they cannot be used."""
    made: dict[str, t.Any] = {"url": _url(given["url"])}
    if given.get("ca_file"):
        made["ca_file"] = str(given["ca_file"])
    headers = given.get("headers", {})
    if not isinstance(headers, dict):
        raise BadInput("headers is not a dictionary", next_step="give headers by name")
    made["headers"] = {str(k): str(v) for k, v in t.cast("dict[t.Any, t.Any]", headers).items()}
    if any(re.search(r"[^\x20-\x7e]", part) for entry in made["headers"].items() for part in entry):
        raise BadInput("a header contains a forbidden character", next_step="give printable ASCII")
    return made


def _read_pagerduty(given: dict[str, t.Any]) -> dict[str, t.Any]:
    actions = given.get("actions", {})
    if not isinstance(actions, dict) or not set(t.cast("dict[str, t.Any]", actions)) <= set(EVENTS):
        raise BadInput("actions is not usable", next_step=f"give it as a dictionary by event: {', '.join(EVENTS)}")
    made: dict[str, t.Any] = {**ACTIONS, **actions}
    if not {str(action) for action in made.values()} <= set(ACTIONS.values()):
        raise BadInput(
            "actions contains one that PagerDuty does not know", next_step="give trigger, acknowledge or resolve"
        )
    http = read_http({**given, "url": given.get("url", PAGERDUTY)})
    return {**http, "routing_key": str(given["routing_key"]), "actions": made}


def _read_email(given: dict[str, t.Any]) -> dict[str, t.Any]:
    security = str(given.get("security", "starttls"))
    if security not in PORTS:
        raise BadInput(f"security {security[:40]!r} is not known", next_step=f"give one of {', '.join(PORTS)}")
    if bool(given.get("user")) != bool(given.get("password")):
        raise BadInput("user and password go together", next_step="give both or none")
    if given.get("password") and security == "none" and not is_loopback(str(given["host"])):
        raise BadInput(
            "its password would travel in clear",
            next_step="give security: starttls or tls, or leave out user and password",
        )
    to = texts("to", given["to"])
    for address in (str(given["from"]), *to):
        if not re.fullmatch(r"[^@\s,;:<>\"()\x00-\x1f]+@[\w.-]+", address):
            raise BadInput(f"{address[:80]!r} is not an address", next_step="give name@example.org")
    return {
        "host": str(given["host"]),
        "port": round(at_most("port", given.get("port", PORTS[security]), 65535)),
        "security": security,
        "user": str(given.get("user", "")),
        "password": str(given.get("password", "")),
        "from": str(given["from"]),
        "to": to,
    }


def _read_apprise(given: dict[str, t.Any]) -> dict[str, t.Any]:
    url = str(given["url"])
    if not re.fullmatch(r"[A-Za-z][\w+.-]*://[\x21-\x7e]*", url):
        raise BadInput(
            "url is not usable", next_step="give it as apprise has it: msteams://…, opsgenie://…, without blanks"
        )
    return {"url": url}


READERS: t.Final = {
    "slack": read_http,
    "webhook": read_http,
    "pagerduty": _read_pagerduty,
    "email": _read_email,
    "apprise": _read_apprise,
}


def _url(value: t.Any) -> str:
    try:
        parts = urllib.parse.urlsplit(str(value))
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        usable, parts = False, urllib.parse.urlsplit("")
    if not usable or re.search(r"[^\x21-\x7e]", str(value)):
        raise BadInput("url is not usable", next_step="give it as https://…, without blanks")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise BadInput("url is not encrypted", next_step="give it as https://…; http:// is for 127.0.0.1 and ::1 alone")
    if "@" in parts.netloc:
        raise BadInput(
            "url contains a user", next_step="give it in headers as Authorization, on a channel of kind webhook"
        )
    return str(value)


def _parts(url: str) -> set[str]:
    """Of an address what lets others write to it, as it may stand in an error."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return set()
    words = [*parts.path.split("/"), *(value for _, value in urllib.parse.parse_qsl(parts.query))]
    if parts.scheme not in ("http", "https"):
        # A service of apprise may have a token where others have a host.
        words += re.split("[:@]", parts.netloc)
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    long = {word for word in (*words, rest, parts.path, parts.query) if len(word) >= 8}
    # Words such as services and incoming are in many an address, and in many a text.
    return {word for word in long if len(word) >= 16 or not (word.isalpha() and word.islower())}


def texts(name: str, value: t.Any) -> list[str]:
    """A list of texts, without blanks around them. Raises BadInput, naming it, for anything else."""
    values = t.cast("list[t.Any]", value if isinstance(value, list) else [value])
    if not all(isinstance(part, str) for part in values):
        raise BadInput(f"{name} is not a list of texts", next_step=f"give {name} as a list of texts")
    return [part.strip() for part in values]


def _among(name: str, value: t.Any, known: tuple[str, ...]) -> tuple[str, ...]:
    found = texts(name, value)
    if not set(found) <= set(known):
        raise BadInput(f"{name} contains one that is not known", next_step=f"known are {', '.join(known)}")
    return tuple(found)


def at_most(name: str, value: t.Any, most: float) -> float:
    """A number above 0. Raises BadInput, naming it, for anything else, or more than `most`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number <= most:
        raise BadInput(f"{name} {str(value)[:40]} is not usable", next_step=f"give a number above 0, at most {most:g}")
    return number
