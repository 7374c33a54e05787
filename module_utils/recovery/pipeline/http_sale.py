# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A synthetic sale that is sent over HTTP as a till sends one, to an edge function or to PostgREST, and removed again.

The other side commits it, so it cannot be rolled back. It is known by its transaction_id, which nobody else has, and is removed from
bronze, the ETL's ledger, silver and its lines however the test ends; what a test that was killed left is removed by the next.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
import uuid

from ..core.errors import BadInput, RecoveryError
from ..core.text import in_words, printable
from ..postgres import privileges
from ..postgres.driver import Jsonb, psycopg, sql
from ..postgres.failures import words_of
from ..postgres.session import open_session
from ..scout import contract, event_queue
from ..scout.judging import foreign_code
from . import expected, trial_sale

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from ..core.progress import Progress
    from ..postgres.session import Row, Session

URL: t.Final = "SCOUT_SMOKE_URL"
TOKEN: t.Final = "SCOUT_SMOKE_TOKEN"
PREFIX: t.Final = "SMOKE-HTTP-"
LOCAL: t.Final = ("localhost", "127.0.0.1", "::1")
PORTS: t.Final = {"https": 443, "http": 80}
#: So much of an answer is read, and so much of it shown.
ANSWER_BYTES: t.Final = 2000
SHOWN: t.Final = 200
#: How long it is looked for where nobody knows whether it was stored, how long removing it is tried, and how long a lock is waited for.
GRACE_SECONDS: t.Final = 3.0
REMOVE_SECONDS: t.Final = 20.0
LOCK_SECONDS: t.Final = 1.0
PAUSE_SECONDS: t.Final = 0.1

#: What a till would store by PostgREST, as JSON; the database says when it came.
ROW: t.Final = """
SELECT to_jsonb(r) AS row FROM (
    SELECT %(event_id)s::uuid, %(event_type)s::text, source, d, {hash}{values}
    FROM (SELECT %(payload)s::jsonb AS d) AS given CROSS JOIN ({usual}) AS usual
) AS r (event_id, event_type, source_system, event_data, event_hash{more})
"""
NOW: t.Final = "SELECT now() - interval '1 minute' AS since"

#: The event wherever its payload has the sale; who takes it may store it in another form.
FIND: t.Final = """
SELECT event_id::text AS event_id, event_data FROM {bronze}
WHERE event_id = %(event_id)s::uuid OR (ingested_at >= %(since)s AND position(%(transaction_id)s IN event_data::text) > 0)
"""
#: What tests left that were killed; one that is at work has come since.
LEFT: t.Final = """
SELECT event_id::text AS event_id, event_data ->> 'transaction_id' AS transaction_id FROM {bronze}
WHERE ingested_at BETWEEN now() - interval '7 days' AND now() - interval '10 minutes'
  AND event_data ->> 'transaction_id' ~ %(pattern)s
"""
PATTERN: t.Final = "^" + PREFIX + "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

#: The event first: whoever loads it has locked it, and what he has loaded is seen by the statements after.
REMOVE: t.Final = (
    "DELETE FROM {bronze} WHERE event_id = ANY(%(ids)s::uuid[])",
    "DELETE FROM {etl_ledger} WHERE event_id = ANY(%(ids)s::uuid[])",
    "DELETE FROM {line_items} WHERE transaction_id = %(transaction_id)s",
    "DELETE FROM {transactions} WHERE transaction_id = %(transaction_id)s",
)
#: The same by hand.
BY_HAND: t.Final = (
    "DELETE FROM {etl_ledger} WHERE event_id IN (SELECT event_id FROM {bronze} WHERE position('{sale}' IN event_data::text) > 0); "
    "DELETE FROM {bronze} WHERE position('{sale}' IN event_data::text) > 0; "
    "DELETE FROM {line_items} WHERE transaction_id = '{sale}'; DELETE FROM {transactions} WHERE transaction_id = '{sale}'"
)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where a sale is sent: to PostgREST's table of events, or to a function that takes the sale itself."""

    url: str
    table: bool
    token: str | None = dataclasses.field(default=None, repr=False)

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return urllib.parse.urlsplit(self.url).hostname in LOCAL


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of a request: the status, None without one, and what was said, without secrets."""

    status: int | None
    said: str

    @property
    def good(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it went: pass, fail or inconclusive, why, what was done, and what of the sale is left, with the command that removes it."""

    status: str
    reason: str
    transaction_id: str
    http_status: int | None = None
    remains: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """For a result."""
        return dataclasses.asdict(self)


def endpoint(url: str, environment: Mapping[str, str]) -> Endpoint:
    """The address, checked. Raises BadInput for one that holds a secret, that is neither https nor on this machine, and for one that is
    not the token's."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadInput("smoke_url is not a URL", next_step="give https://HOST/PATH") from None
    shown = f"smoke_url of {printable(host or '')[:100] or 'no host'}"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise BadInput(
            f"{shown} is not usable: it has more than a host and a path",
            next_step=f"leave it out; a token belongs in the environment, as {TOKEN}",
        )
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput("smoke_url is not a URL", next_step="give https://HOST/PATH")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL):
        raise BadInput(f"{shown} is neither https nor on this machine", next_step="give https://HOST/PATH")
    token = environment.get(TOKEN) or None
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise BadInput(f"{TOKEN} holds no token", next_step="export it anew, without spaces and line breaks")
    if token and _server(url) != _server(environment.get(URL, "")):
        raise BadInput(
            f"{shown} is not told the token in {TOKEN}",
            said=f"{URL} names {'another server' if environment.get(URL) else 'no server'}, and the token is for that one",
            next_step=f"export {URL} with the address of the server that the token is for",
        )
    table = parts.path.rstrip("/").rpartition("/")[2] == contract.bare(contract.names().bronze)
    return Endpoint(url, table, token)


def _server(url: str) -> tuple[str, str | None, int | None] | None:
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)
    return None


def run(session: Session, to: Endpoint, seconds: float, progress: Progress) -> Outcome:
    """Sends a sale and looks for it in bronze, for so many seconds, then removes it, for some more. What PostgreSQL says against it is in
    the outcome; only the loss of the session before anything was sent is raised."""
    sale = f"{PREFIX}{uuid.uuid4()}"
    trial = _Sent(session, to, sale, str(uuid.uuid4()))
    try:
        if why := trial.prepare():
            return Outcome("inconclusive", f"not sent: {why}", sale)
    except (psycopg.Error, RecoveryError) as e:
        if session.connection.closed:
            raise
        return Outcome("inconclusive", f"not sent: {_in_words(e)}", sale)
    outcome, remains = Outcome("inconclusive", "interrupted", sale), ""
    try:
        outcome = trial.go(seconds)
    except (psycopg.Error, RecoveryError) as e:
        outcome = dataclasses.replace(outcome, reason=f"the sale was sent, and then: {_in_words(e)}")
    finally:
        with progress.unbroken():
            remains = trial.removed()
        if remains:
            progress.say(remains)
    return (
        dataclasses.replace(outcome, status="fail", reason=f"{outcome.reason}; {remains}", remains=remains)
        if remains
        else outcome
    )


def _in_words(error: psycopg.Error | RecoveryError) -> str:
    return words_of(error) if isinstance(error, psycopg.Error) else str(error)


class _Sent:
    """One sale, from before it is sent until nothing of it is left."""

    def __init__(self, session: Session, to: Endpoint, sale: str, event_id: str) -> None:
        self._session, self._to, self._sale = session, to, sale
        self._event_id = event_id
        self._since: datetime.datetime | None = None
        self._payload: dict[str, t.Any] = {}
        self._body: dict[str, t.Any] = {}
        #: Whether it may come later, and whether it has come.
        self._unknown = self._seen = False
        self._remove_seconds = REMOVE_SECONDS

    def prepare(self) -> str:
        """What is sent, having removed what others left; why nothing is to be sent, as it could not be removed."""
        session, names = self._session, contract.names()
        with session.read():
            removes = [privileges.Need("TABLE", name, "DELETE") for name in trial_sale.written()]
            if lacked := privileges.lacked(session, removes):
                return "it could not be removed again: " + "; ".join(f"`{need.grant(session)}`" for need in lacked)
            # A call of the ETL holds what it loads until its end.
            self._remove_seconds = expected.limit(None, REMOVE_SECONDS, expected.call_seconds(session))
            self._since = session.row(NOW)["since"]
            self._payload = trial_sale.Trial(session, 1.0, "").payload(self._sale)
            self._body = self._payload
            if self._to.table:
                more, values = event_queue.filled_by_senders(session)
                made = contract.compose(
                    ROW,
                    hash=event_queue.hash_of(session, sql.Identifier("d")),
                    more=more,
                    values=values,
                    usual=contract.compose(event_queue.USUAL_SOURCE),
                )
                known = {"event_id": self._event_id, "event_type": names.transaction_event}
                self._body = session.row(made, payload=Jsonb(self._payload), **known)["row"]
            left = session.rows(contract.compose(LEFT), pattern=PATTERN)
        with session.write(lock_timeout_seconds=LOCK_SECONDS):
            foreign_code.shut_out(session, trial_sale.written())
            for row in left:
                _remove(session, [row["event_id"]], row["transaction_id"])
        return ""

    def go(self, seconds: float) -> Outcome:
        """Sends it and looks for it."""
        deadline = time.monotonic() + seconds
        self._unknown = True
        answer = post(self._to, self._body, seconds)
        self._unknown = answer.status is None or answer.status >= 500
        where = contract.names().bronze
        if not answer.good:
            status = "inconclusive" if answer.status in (401, 403) else "fail"
            token = f"; {TOKEN} holds no token that it takes" if status == "inconclusive" else ""
            return Outcome(status, f"could not send a sale over HTTP: {answer.said}{token}", self._sale, answer.status)
        while not (found := self._found(self._session)):
            if time.monotonic() + PAUSE_SECONDS > deadline:
                said = f"the sale was taken ({answer.said}), and {where} has none of it after {in_words(seconds)}"
                return Outcome("fail", said, self._sale, answer.status)
            time.sleep(PAUSE_SECONDS)
        if len(found) > 1:
            return Outcome("fail", f"{where} has the sale {len(found)} times", self._sale, answer.status)
        if wrong := [name for name, value in self._payload.items() if not _holds(found[0]["event_data"], name, value)]:
            said = f"{where} has the sale without, or with another {', '.join(sorted(wrong))}"
            return Outcome("fail", said, self._sale, answer.status)
        return Outcome(
            "pass", "a sale that was sent over HTTP reached bronze, and was removed", self._sale, answer.status
        )

    def _found(self, session: Session) -> list[Row]:
        with session.read():
            return session.rows(
                contract.compose(FIND), event_id=self._event_id, since=self._since, transaction_id=self._sale
            )

    def removed(self) -> str:
        """Removes it, and says what is left, or may still come, with the command for it; empty where nothing is. Never raises."""
        until = time.monotonic() + self._remove_seconds
        grace = time.monotonic() + (GRACE_SECONDS if self._unknown else 0.0)
        said = ""
        while True:
            try:
                said = self._remove_once()
            except (psycopg.Error, RecoveryError) as e:
                said = _in_words(e)
                if not isinstance(e, psycopg.OperationalError):
                    break
            over = until if said else grace
            if time.monotonic() + PAUSE_SECONDS > over:
                break
            time.sleep(PAUSE_SECONDS)
        if said:
            return f"the synthetic sale {self._sale} may not be removed: {said}; to remove it: `{by_hand(self._sale)}`"
        if self._unknown and not self._seen:
            return f"the synthetic sale {self._sale} may still arrive; to remove it then: `{by_hand(self._sale)}`"
        return ""

    def _remove_once(self) -> str:
        """Says what is left after one try."""
        session = self._session
        if session.connection.closed:
            with open_session(session.settings) as other:
                return self._in(other)
        return self._in(session)

    def _in(self, session: Session) -> str:
        ids = [row["event_id"] for row in self._found(session)]
        self._seen = self._seen or bool(ids)
        with session.write(lock_timeout_seconds=LOCK_SECONDS):
            foreign_code.shut_out(session, trial_sale.written())
            _remove(session, ids or [self._event_id], self._sale)
        with session.read():
            left = session.row(
                contract.compose(trial_sale.REMAINS), ids=[*ids, self._event_id], transaction_id=self._sale
            )["rows"]
        return f"{left} rows are left" if left else ""


def _remove(session: Session, ids: list[str], sale: str) -> None:
    for statement in REMOVE:
        session.execute(contract.compose(statement), ids=ids, transaction_id=sale)


def by_hand(sale: str) -> str:
    """The statements that remove a sale, for psql."""
    return contract.words(BY_HAND.replace("{sale}", sale))


def _holds(found: t.Any, name: str, value: t.Any) -> bool:
    """Whether a payload, wherever in what was stored it is, has this."""
    if not isinstance(found, dict):
        return False
    stored = t.cast("dict[str, t.Any]", found)
    if name in stored:
        return bool(stored[name] == value) or (name == "items" and len(stored[name]) == len(value))
    return any(_holds(each, name, value) for each in stored.values())


# --- the request


class _Stay(urllib.request.HTTPRedirectHandler):
    """A token is for one server: nothing is followed elsewhere."""

    def redirect_request(self, *_args: t.Any, **_more: t.Any) -> None:
        """Makes every redirect an answer like others."""


def post(to: Endpoint, body: Mapping[str, t.Any], seconds: float) -> Answer:
    """Sends JSON, and never takes longer than this; a server that sends its answer byte by byte keeps a thread, and nobody else."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(_post(to, body, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else Answer(None, f"no response within {in_words(seconds)}")


def _post(to: Endpoint, body: Mapping[str, t.Any], seconds: float) -> Answer:
    headers = {"Content-Type": "application/json", "User-Agent": "scout-recovery"}
    if to.token:
        headers |= {"Authorization": f"Bearer {to.token}", "apikey": to.token}
    if to.table:
        headers |= {"Content-Profile": contract.names().schema, "Prefer": "return=minimal"}
    request = urllib.request.Request(
        to.url, json.dumps(body).encode(), headers, method="POST"
    )  # its scheme was checked
    # What is on this machine is asked without a proxy, which would be told the token.
    handlers: list[urllib.request.BaseHandler] = [
        _Stay(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    handlers += [urllib.request.ProxyHandler({})] if to.local else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=seconds) as response:
            return Answer(response.status, f"HTTP {response.status}")
    except urllib.error.HTTPError as e:
        with e:
            moved = ": redirects are not followed" if 300 <= e.code < 400 else _said(e, to.token)
            return Answer(e.code, f"HTTP {e.code}{moved}")
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        if isinstance(reason, TimeoutError):
            return Answer(None, f"no response within {in_words(seconds)}")
        said = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or type(reason).__name__
        return Answer(None, f"no response: {printable(str(said))[:SHOWN]}")


def _said(answer: urllib.error.HTTPError, token: str | None) -> str:
    """What an error says in the field that such answers have for it, without the token."""
    try:
        found = json.loads(answer.read(ANSWER_BYTES))
        text = next(found[name] for name in ("message", "msg", "error") if isinstance(found.get(name), str))
    except (OSError, http.client.HTTPException, ValueError, AttributeError, StopIteration):
        return ""
    text = " ".join(printable(text).split())
    for secret in filter(None, (token, *re.findall(r"(?<![\w-])ey[\w-]{10,}\.[\w.-]*", text))):
        text = text.replace(secret, "***")
    return f": {text[:SHOWN]}"
