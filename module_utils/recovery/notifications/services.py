# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apprise sends: mail, and a notice to any of its services; it is imported only where something is sent by it."""

from __future__ import annotations

import logging
import re
import threading
import typing as t

from ..core.text import printable
from ..core.values import is_loopback
from .channels import without_mentions

if t.TYPE_CHECKING:
    from .channels import Channel
    from .notice import Notice

SECURITY: t.Final = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}
#: How apprise quotes what an SMTP server said.
SMTP_ANSWER: t.Final = re.compile(r"\((\d{3}), b(['\"])(.*?)\2")
#: How it quotes the status of a service.
STATUS: t.Final = re.compile(r"error=(\d{3})")
#: How a service shows a notice; what is not listed is a warning, or a failure where the incident is critical.
KINDS: t.Final = {"update": "info", "recovered": "success", "closed": "success"}
LACKING: t.Final = (
    "this Python has no apprise: python -m pip install apprise for the interpreter that runs ansible-playbook"
)


class Undelivered(Exception):
    """An attempt failed; `again` says whether another one makes sense, `after` when at the earliest."""

    def __init__(self, why: str, *, again: bool, after: float | None = None) -> None:
        super().__init__(why)
        self.again = again
        self.after = after


class _Heard(logging.Handler):
    """Keeps what apprise says of this thread's message: it tells why only there."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        super().__init__(level)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(record.getMessage())


def mail(channel: Channel, notice: Notice, pending: list[str], lost: list[str], seconds: float) -> None:
    """Sends to each pending address, and removes it from there. Raises Undelivered if any is left, or lost for good."""
    # They take longer to load than most tasks last.
    try:
        from apprise import AppriseAsset, NotifyFormat
        from apprise.plugins.email import NotifyEmail
    except ImportError:
        raise Undelivered(LACKING, again=False) from None
    settings = channel.settings
    logger = _quiet(logging.DEBUG)
    asset = AppriseAsset(app_id="Scout Recovery", app_desc="Scout Recovery", app_url="", async_mode=False)
    waiting: list[str] = []
    for address in list(pending):
        heard = _Heard()
        logger.addHandler(heard)
        try:
            server: t.Any = NotifyEmail(
                smtp_host=settings["host"],
                host=settings["host"],
                port=settings["port"],
                secure_mode=SECURITY[settings["security"]],
                secure=settings["security"] != "none",
                user=settings["user"] or None,
                password=settings["password"] or None,
                from_addr=settings["from"],
                targets=[address],
                format="text",
                asset=asset,
            )
            server.socket_connect_timeout = seconds
            told = server.send(body=notice.text or notice.title, title=notice.title, body_format=NotifyFormat.TEXT)
        finally:
            logger.removeHandler(heard)
        failure = None if told else _unmailed(address, heard.lines)
        if failure is None or not failure.again:
            pending.remove(address)
        if failure is not None:
            (waiting if failure.again else lost).append(str(failure))
    if waiting or lost:
        raise Undelivered("; ".join([*lost, *waiting]), again=bool(waiting))


def _unmailed(address: str, lines: list[str]) -> Undelivered:
    """Why a message did not go out, from what apprise said."""
    said = next((line for line in reversed(lines) if line.startswith("Socket Exception: ")), "") or (lines or [""])[-1]
    said = said.removeprefix("Socket Exception: ")
    code = SMTP_ANSWER.search(said)
    why = f"{code[1]} {code[3]}" if code else said
    final = bool(code and code[1].startswith("5")) or "not supported" in said or "certificate verify failed" in said
    return Undelivered(f"{address}: {' '.join(printable(why).split())[:200] or 'not sent'}", again=not final)


def notify(channel: Channel, notice: Notice, seconds: float) -> None:
    """Sends to the service that the channel's url names, as apprise knows it. Raises Undelivered where it was not taken."""
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat
    except ImportError:
        raise Undelivered(LACKING, again=False) from None
    url = str(channel.settings["url"])
    logger, heard = _quiet(logging.DEBUG), _Heard(logging.WARNING)
    logger.addHandler(heard)
    try:
        asset = AppriseAsset(app_id="Scout Recovery", app_desc="Scout Recovery", app_url="", async_mode=False)
        known: t.Any = Apprise
        service = known.instantiate(url, asset=asset, suppress_exceptions=True)
        _refuse_unsafe(service, url)
        service.socket_connect_timeout = service.socket_read_timeout = seconds
        # An address with a secret in it is followed nowhere else.
        service.redirects = False
        told = service.notify(
            body=without_mentions(notice.text or notice.title),
            title=without_mentions(notice.title),
            notify_type=KINDS.get(notice.event, "failure" if notice.severity == "critical" else "warning"),
            body_format=NotifyFormat.TEXT,
        )
    finally:
        logger.removeHandler(heard)
    if not told:
        said = " ".join(printable((heard.lines or ["not sent"])[-1]).split())[:200]
        status = STATUS.search(said)
        final = bool(status and status[1].startswith(("3", "4")) and status[1] != "429")
        raise Undelivered(said, again=not final)


def _refuse_unsafe(service: t.Any, url: str) -> None:
    """Raises Undelivered where apprise knows no such service, or the notice would travel in the clear."""
    scheme, _, _ = url.partition("://")
    if service is None:
        why = f"apprise cannot use its url, of scheme {scheme[:40]}: https://appriseit.com/services/ says how each is written"
        raise Undelivered(why, again=False)
    if is_loopback(getattr(service, "host", None) or ""):
        return
    if not service.verify_certificate:
        raise Undelivered("its url does without a certificate: leave verify out of it", again=False)
    plain, secure = (_schemes(getattr(service, name, None)) for name in ("protocol", "secure_protocol"))
    if scheme.lower() in plain and scheme.lower() not in secure:
        instead = f"write it as {secure[0]}://…" if secure else "take another service"
        raise Undelivered(f"its url is not encrypted: {instead}", again=False)


def _schemes(value: t.Any) -> list[str]:
    """The schemes of a service, which apprise has as one text or as several."""
    return [value] if isinstance(value, str) else list(value or ())


def _quiet(level: int) -> logging.Logger:
    """The logger of apprise; whoever keeps a log of Ansible keeps no word of a login."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(level)
    return logger
