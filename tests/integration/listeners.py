# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that listen for what is told: HTTP with answers as a test wants them, SMTP, both with TLS or without."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.policy
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: In place of a status: nothing is answered, the connection ends, or the answer comes byte by byte.
HANG, CLOSE, TRICKLE = -1, -2, -3


@dataclass
class Got:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Answer:
    """How to answer; `echo` sends back what came."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "ok"
    echo: bool = False


class Web:
    """An HTTP server that answers in the order it was told to, the last answer again and again."""

    def __init__(self, *answers: Answer | int, tls: ssl.SSLContext | None = None) -> None:
        self.answers = [a if isinstance(a, Answer) else Answer(a) for a in answers or (200,)]
        self.got: list[Got] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                web._answer(self)

            def do_GET(self) -> None:
                web._answer(self)

            def log_message(self, *_: Any) -> None:
                """Stays silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that goes away is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            body = json.loads(raw) if raw else None
            self.got.append(Got(handler.path, dict(handler.headers), body, time.monotonic()))
            answer = self.answers[min(len(self.got), len(self.answers)) - 1]
        if answer.status == HANG:
            self.stopping.wait(30)
        if answer.status in (HANG, CLOSE):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if answer.status == TRICKLE:
            for byte in b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 1000:
                handler.wfile.write(bytes([byte]))
                if self.stopping.wait(0.1):
                    return
        text = (f"{handler.path} {handler.headers} {raw.decode()}" if answer.echo else answer.text).encode()
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


@dataclass
class Letter:
    """A message as the server got it."""

    sender: str
    to: list[str]
    raw: bytes
    user: str | None

    @property
    def message(self) -> EmailMessage:
        return cast(EmailMessage, email.message_from_bytes(self.raw, policy=email.policy.default))


class Post:
    """What a mail server got, and whom it refuses with which answer, so many times."""

    def __init__(self, refusing: dict[str, tuple[str, int]] | None = None) -> None:
        self.letters: list[Letter] = []
        self.logins: list[str] = []
        self.asked: list[str] = []
        self.refusing = dict(refusing or {})

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        self.asked.append(address)
        answer, left = self.refusing.get(address, ("", 0))
        if left:
            self.refusing[address] = (answer, left - 1)
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        user = session.auth_data.login.decode() if session.authenticated else None
        self.letters.append(Letter(envelope.mail_from, list(envelope.rcpt_tos), envelope.content, user))
        return "250 OK"


@contextlib.contextmanager
def mail_server(
    post: Post, security: str = "none", tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[int]:
    """A mail server on a port of its own; with a login it takes nothing without that."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        post.logins.append(given[0] if given else "")
        if given != login:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=data)

    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": free_port(), "server_hostname": "mail.example.org"}
    if security == "tls":
        options["ssl_context"] = tls
    if security == "starttls":
        options |= {"tls_context": tls, "require_starttls": True}
    if login:
        # aiosmtpd knows of the TLS it began itself, and warns where it is not to demand any.
        own = security == "starttls"
        options |= {"authenticator": authenticate, "auth_required": own, "auth_require_tls": own}
    controller = Controller(post, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority's certificate, and what a server for 127.0.0.1 and localhost needs that it vouches for."""
    now = dt.datetime.now(dt.UTC)

    def sign(
        name: str, issuer: x509.Name, key: Any, by: Any, *more: tuple[x509.ExtensionType, bool]
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )
        for extension, critical in more:
            made = made.add_extension(extension, critical)
        return made.sign(by, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identity = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = sign(
        "test authority",
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")]),
        authority_key,
        authority_key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (identity, False),
        (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True),
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = sign(
        "localhost",
        authority.subject,
        key,
        authority_key,
        (x509.SubjectAlternativeName(names), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), False),
    )
    pem = serialization.Encoding.PEM
    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return ca_file, context
