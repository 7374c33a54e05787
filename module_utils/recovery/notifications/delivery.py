# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a notice to all channels at once, each within its own time; a failure is a result, never an error."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.message
import email.utils
import http.client
import json
import random
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.request

from ..core.text import printable
from .channels import hide, posted, secrets
from .services import Undelivered, mail, notify

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .channels import Channel, Posted
    from .notice import Notice

FIRST_WAIT: t.Final = 0.5
LONGEST_WAIT: t.Final = 8.0
#: How long one attempt may go without a sign of life.
ATTEMPT_SECONDS: t.Final = 10.0
#: It ends so much before the channel's time does, so that it can say why.
SPARE_SECONDS: t.Final = 0.2
#: So much of an answer is read.
ANSWER: t.Final = 500
#: So much of one that is of use.
LONGEST: t.Final = 8 << 20


@dataclasses.dataclass(frozen=True)
class Delivery:
    """The outcome for one channel."""

    channel: str
    kind: str
    attempts: int
    seconds: float
    error: str = ""


@dataclasses.dataclass
class _Course:
    """How far a channel has come; written by its thread, read when its time is up."""

    channel: Channel
    began: float
    attempts: int = 0
    ended: float | None = None
    error: str = ""

    def as_delivery(self) -> Delivery:
        if self.ended is None:
            why = f"no reply within {self.channel.timeout_seconds:g} s; it may still arrive"
            seconds, error = time.monotonic() - self.began, f"{why} ({self.error})" if self.error else why
        else:
            seconds, error = self.ended - self.began, self.error
        return Delivery(self.channel.name, self.channel.kind, self.attempts, round(seconds, 3), error)


def deliver(channels: Sequence[Channel], notice: Notice, first_wait: float = FIRST_WAIT) -> list[Delivery]:
    """Notifies every channel in parallel; takes no longer than the longest timeout of any of them."""
    courses = [_Course(channel, time.monotonic()) for channel in channels]
    # A pool would wait at the end for a thread that hangs.
    threads = [threading.Thread(target=_go, args=(c, notice, first_wait), daemon=True) for c in courses]
    for thread in threads:
        thread.start()
    for course, thread in zip(courses, threads, strict=True):
        thread.join(max(0.0, course.began + course.channel.timeout_seconds - time.monotonic()))
    return [course.as_delivery() for course in courses]


def _go(course: _Course, notice: Notice, first_wait: float) -> None:
    """One channel, until it is told or its patience ends."""
    channel = course.channel
    hidden = secrets(channel.settings)
    try:
        _persist(course, _sender(channel, notice), first_wait, hidden)
    except Undelivered as e:
        course.error = hide(str(e), hidden)
    except Exception as e:  # noqa: BLE001  # nothing that happens to a message may stop a recovery; its text may hold a secret
        course.error = f"unexpected error: {type(e).__name__}"
    course.ended = time.monotonic()


def _persist(course: _Course, send: Callable[[float], None], first_wait: float, hidden: set[str]) -> None:
    """Tries again what may work later, a little later each time, within the channel's time."""
    deadline = course.began + course.channel.timeout_seconds
    while True:
        course.attempts += 1
        try:
            send(max(0.1, min(ATTEMPT_SECONDS, deadline - SPARE_SECONDS - time.monotonic())))
            course.error = ""
            return
        except Undelivered as e:
            course.error = hide(str(e), hidden)
            if not e.again or course.attempts >= course.channel.attempts:
                raise
            pause = backoff(course.attempts, first_wait) if e.after is None else e.after
            if time.monotonic() + pause >= deadline - SPARE_SECONDS:
                asked = f", and it asks to wait {e.after:.0f} s" if e.after else ""
                why = f"{e}{asked}; its {course.channel.timeout_seconds:g} s leave no time for another attempt"
                raise Undelivered(why, again=False) from e
        time.sleep(pause)


def backoff(attempt: int, first: float = FIRST_WAIT) -> float:
    """How long to wait after so many attempts, in seconds: twice as long each time, with jitter."""
    return min(LONGEST_WAIT, first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def _sender(channel: Channel, notice: Notice) -> Callable[[float], None]:
    if channel.kind == "email":
        pending, lost = list(channel.settings["to"]), list[str]()
        return lambda seconds: mail(channel, notice, pending, lost, seconds)
    if channel.kind == "apprise":
        return lambda seconds: notify(channel, notice, seconds)
    request = posted(channel, notice)
    return lambda seconds: post(request, seconds)


class _Stay(urllib.request.HTTPRedirectHandler):
    """An address with a secret in it is followed nowhere else."""

    def redirect_request(self, *_args: t.Any, **_more: t.Any) -> None:
        """Makes every redirect an answer like others."""


class Reply(t.NamedTuple):
    """An answer of 2xx: its body, cut to a length, and its cookies as a request sends them back."""

    body: bytes
    cookies: str


def post(request: Posted, seconds: float) -> None:
    """Sends JSON. Raises Undelivered unless the response is 2xx."""
    exchange(request, seconds, most=0)


def exchange(request: Posted, seconds: float, *, method: str = "POST", most: int = LONGEST) -> Reply:
    """Sends JSON, and gets so much of what is answered, in bytes; a GET sends none. Raises Undelivered unless the response is 2xx."""
    # Superset refuses a GET that says it is JSON and has none.
    typed = {} if method == "GET" else {"Content-Type": "application/json"}
    headers = {**typed, "User-Agent": "scout-recovery", **request.headers}
    try:
        context = ssl.create_default_context(cafile=request.ca_file)
        made = urllib.request.Request(  # the scheme was checked when the channel was read
            request.url,
            None if method == "GET" else json.dumps(request.body, default=str).encode(),
            headers,
            method=method,
        )
        opener = urllib.request.build_opener(_Stay(), urllib.request.HTTPSHandler(context=context))
        with opener.open(made, timeout=seconds) as reply:
            given: list[str] = reply.headers.get_all("Set-Cookie") or []
            return Reply(reply.read(most), "; ".join(each.partition(";")[0] for each in given))
    except urllib.error.HTTPError as e:
        with e:
            raise _refused(e.code, e.headers, _answer(e)) from None
    except (OSError, http.client.HTTPException) as e:
        raise _unreached(e, seconds) from None
    except ValueError:
        raise Undelivered("address or headers are not usable", again=False) from None


def _refused(status: int, headers: email.message.Message, answer: str) -> Undelivered:
    """What an answer that is not 2xx comes to."""
    said = f"HTTP {status}" + (f": {answer}" if answer else "")
    if 300 <= status < 400:
        return Undelivered(f"HTTP {status}: redirects are not followed", again=False)
    return Undelivered(said, again=status == 429 or status >= 500, after=_asked(headers.get("Retry-After")))


def _asked(value: str | None) -> float | None:
    """The seconds a Retry-After asks for, given as such or as a date."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=dt.UTC)
    return max(0.0, (then - dt.datetime.now(dt.UTC)).total_seconds())


def _answer(answer: t.Any) -> str:
    try:
        text = answer.read(ANSWER).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    return " ".join(printable(text).split())[:200]


def _unreached(error: Exception, seconds: float) -> Undelivered:
    """Why there was no answer, in words without the address, which libraries put into theirs."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Undelivered(f"its certificate is not trusted: {reason.verify_message}", again=False)
    if isinstance(reason, TimeoutError):
        return Undelivered(f"no response within {seconds:.1f} s", again=True)
    if isinstance(reason, ssl.SSLError):
        return Undelivered(f"TLS failed: {reason.reason or type(reason).__name__}", again=True)
    if isinstance(reason, ConnectionError | http.client.HTTPException):
        said = getattr(reason, "strerror", None) or "it closed the connection without a response"
        return Undelivered(f"no response: {said}", again=True)
    if isinstance(reason, FileNotFoundError | PermissionError):
        return Undelivered(f"ca_file cannot be read: {reason.strerror}", again=False)
    said = (getattr(reason, "strerror", None) if isinstance(reason, OSError) else None) or type(error).__name__
    return Undelivered(f"no connection: {said}", again=True)
