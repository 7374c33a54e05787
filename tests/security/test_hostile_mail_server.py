# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a mail server, or who answers in its place, asks for the password in clear, quotes it back to be shown and logged, sends
escape sequences, and answers without end."""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.notifications.test_delivery import tell, unsent

PASSWORD = "s3cr3t-pass"
PLAIN = base64.b64encode(f"\0scout\0{PASSWORD}".encode()).decode()
NASTY = "\x1b[2J\u202e {{ lookup('pipe', 'id') }} \x07" + "x" * 5000


class Hostile:
    """A server that says what it is told to, and notes what it hears; `answers` by the first word of what was said."""

    def __init__(self, **answers: str) -> None:
        self.heard = b""
        self.answers = {"hello": "220 mail", "EHLO": "250-mail\r\n250 AUTH PLAIN LOGIN", "": "500 what?"} | answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    self._one(client)

    def _one(self, client: socket.socket) -> None:
        self._say(client, "hello")
        while data := client.recv(1 << 16):
            self.heard += data
            word = data.split()[0].decode(errors="replace").upper() if data.split() else ""
            self._say(client, word if word in self.answers else "")

    def _say(self, client: socket.socket, word: str) -> None:
        answer = self.answers[word]
        if answer != "endless":
            client.sendall(f"{answer}\r\n".encode())
        while answer == "endless" and not self._over.is_set():
            client.sendall(b"220-and so on\r\n" * 500)
            time.sleep(0.01)


@pytest.fixture
def hostile(request: pytest.FixtureRequest) -> Iterator[Hostile]:
    made = Hostile(**getattr(request, "param", {}))
    yield made
    made.close()


def letter(port: int, **more: object) -> dict[str, object]:
    login = {"user": "scout", "password": PASSWORD}
    addresses = {"from": "scout@example.org", "to": "lead@example.org"}
    return {
        "kind": "email",
        "host": "127.0.0.1",
        "port": port,
        "attempts": 1,
        "timeout_seconds": 3,
        **login,
        **addresses,
        **more,
    }


def test_no_password_is_sent_where_encryption_is_taken_away(hostile: Hostile) -> None:
    assert "STARTTLS extension not supported" in unsent(tell(letter(hostile.port)))
    assert b"AUTH" not in hostile.heard


@pytest.mark.parametrize("host", ["mail.example.org", "10.0.0.1"])
def test_no_password_is_configured_to_travel_in_clear(host: str) -> None:
    assert "its password would travel in clear" in unsent(tell(letter(25, host=host, security="none")))


LOGIN = base64.b64encode(PASSWORD.encode()).decode()
QUOTES = {form: f"535 no: {text} {NASTY}" for form, text in {"clear": PASSWORD, "plain": PLAIN, "login": LOGIN}.items()}


@pytest.mark.parametrize("hostile", [{"AUTH": said} for said in QUOTES.values()], indirect=True, ids=QUOTES)
def test_what_it_quotes_is_not_shown(hostile: Hostile) -> None:
    result = tell(letter(hostile.port, security="none"))
    assert b"AUTH" in hostile.heard, "it was asked"
    text = json.dumps(result, ensure_ascii=False)
    for hidden in (PASSWORD, PLAIN, LOGIN.rstrip("=")):
        assert hidden not in text
    assert not set("\x1b\x07\u202e") & set(text)
    assert len(unsent(result)) < 400


@pytest.mark.parametrize("hostile", [{"hello": "endless"}, {"EHLO": "endless"}], indirect=True, ids=["hello", "ehlo"])
def test_what_has_no_end_is_bounded(hostile: Hostile) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert "no reply within 1 s" in unsent(tell(letter(hostile.port, security="none", timeout_seconds=1)))
    assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
