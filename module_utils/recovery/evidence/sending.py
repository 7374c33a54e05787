# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a snapshot to a place that outlives this machine: to a bucket by HTTP PUT, or by a command."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import shlex
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ..core import subprocesses
from ..core.errors import BadInput
from ..core.text import first_line, printable
from .archive import MANIFEST

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

URL: t.Final = "SCOUT_EVIDENCE_URL"
TOKEN: t.Final = "SCOUT_EVIDENCE_TOKEN"  # the name of a variable
LOCAL: t.Final = ("localhost", "127.0.0.1", "::1")
#: How long one file, and how long the command, may take.
SECONDS: t.Final = 600.0
SHOWN: t.Final = 200
#: What no command of somebody else needs to know.
OURS: t.Final = ("SCOUT_", "PG")


@dataclasses.dataclass(frozen=True)
class Target:
    """Where to: an address below which each file is put, or the words of a command."""

    url: str = ""
    command: tuple[str, ...] = ()
    token: str | None = dataclasses.field(default=None, repr=False)


def target(given: str | None, environment: Mapping[str, str]) -> Target | None:
    """Where evidence is sent to; None where nothing is said. Raises BadInput for an address that holds a secret, or is neither
    https nor of this machine, for a command that is none, and for the token of another server."""
    given = given or environment.get(URL)
    if not given:
        return None
    if "://" not in given:
        try:
            words = tuple(shlex.split(given))
        except ValueError as e:
            raise BadInput("evidence_url is not a command", said=str(e), next_step="correct its quotes") from e
        return Target(command=words)
    parts = _parts(given)
    host = parts.hostname if parts else None
    if parts is None or not host or not given.isascii() or not given.isprintable() or " " in given:
        raise BadInput("evidence_url is not a URL", next_step="give https://HOST/PATH, or a command")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInput(
            f"evidence_url of {printable(host)[:100]} is not usable: it has more than a host and a path",
            next_step=f"leave it out; a token belongs in the environment, as {TOKEN}",
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL):
        raise BadInput(f"evidence_url of {printable(host)[:100]} is not https", next_step="give https://HOST/PATH")
    token = environment.get(TOKEN) or None
    known = _parts(environment.get(URL, ""))
    if token and (known is None or (known.scheme, known.netloc) != (parts.scheme, parts.netloc)):
        raise BadInput(
            f"evidence_url of {printable(host)[:100]} is not told the token in {TOKEN}",
            said=f"{URL} does not name that server, and the token is for the one that it names",
            next_step=f"export {URL} with the address of the server that the token is for",
        )
    return Target(url=given.rstrip("/"), token=token)


def _parts(url: str) -> urllib.parse.SplitResult | None:
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
        return parts
    return None


def send(folder: Path, to: Target, checkpoint: Callable[[], None]) -> str | None:
    """Sends a finished snapshot, its manifest last, so that one without it is not whole. None, or why it was not sent."""
    if to.command:
        return _command(folder, to.command, checkpoint)
    for path in sorted(folder.iterdir(), key=lambda each: (each.name == MANIFEST, each.name)):
        checkpoint()
        if problem := _put(
            path, f"{to.url}/{urllib.parse.quote(folder.name)}/{urllib.parse.quote(path.name)}", to.token
        ):
            return f"{path.name}: {problem}"
    return None


def _command(folder: Path, words: tuple[str, ...], checkpoint: Callable[[], None]) -> str | None:
    filled = [word.replace("{folder}", str(folder)).replace("{name}", folder.name) for word in words]
    if not any("{folder}" in word for word in words):
        filled.append(str(folder))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    try:
        done = subprocesses.run(
            filled,
            cwd=folder.parent,
            environment=environment,
            seconds=SECONDS,
            checkpoint=checkpoint,
            limit=4096,
            tail=True,
        )
    except OSError as e:
        return f"{words[0]}: {e.strerror or e}"
    if done.code == 0:
        return None
    said = first_line(printable(subprocesses.text(done.err)))[:SHOWN]
    how = f"took longer than {SECONDS:.0f} s" if done.code is None else f"ended with {done.code}"
    return f"{words[0]} {how}{f': {said}' if said else ''}"


class _Stay(urllib.request.HTTPRedirectHandler):
    """A token is for one server: nothing is followed elsewhere."""

    def redirect_request(self, *_args: t.Any, **_more: t.Any) -> None:
        """Makes every redirect an answer like others."""


def _put(path: Path, url: str, token: str | None) -> str | None:
    headers = {"Content-Type": "application/octet-stream", "User-Agent": "scout-recovery"}
    headers |= {"Content-Length": str(path.stat().st_size)} | ({"Authorization": f"Bearer {token}"} if token else {})
    handlers: list[urllib.request.BaseHandler] = [
        _Stay(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    # What is on this machine is asked without a proxy, which would be told the token.
    handlers += [urllib.request.ProxyHandler({})] if urllib.parse.urlsplit(url).hostname in LOCAL else []
    try:
        with path.open("rb") as data:
            request = urllib.request.Request(url, data, headers, method="PUT")  # its scheme was checked
            with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS):
                return None
    except urllib.error.HTTPError as e:
        with e:
            return f"HTTP {e.code}{': redirects are not followed' if 300 <= e.code < 400 else ''}"
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        said = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or type(reason).__name__
        return f"no response: {printable(str(said))[:SHOWN]}"
