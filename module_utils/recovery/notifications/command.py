# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that sends a title and a text to each URL through apprise. A URL is a secret and appears in no text."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import typing as t

from ..core.results import ModuleResult

if t.TYPE_CHECKING:
    from ..invoke import Params, WithoutSession

#: How long all channels together may take.
SECONDS: t.Final = 20.0
#: How apprise logs the HTTP status of a refused message.
STATUS: t.Final = re.compile(r"error=(\d{3})\b")


class NotifyResult(ModuleResult):
    """What scout_notify returns."""

    sent: list[str]
    unsent: list[str]
    warnings: list[str]


class Channel:
    """One URL of the list, named by its position and its service."""

    def __init__(self, number: int, service: t.Any) -> None:
        self.name = f"channel {number} ({service.service_name if service else 'unknown service'})"
        self.problem = f"no response within {SECONDS:g} s" if service else "apprise does not know this URL"
        self._service = service

    def start(self, title: str, body: str) -> threading.Thread:
        """Send the notice in a thread that does not outlive the process."""
        thread = threading.Thread(target=self._send, args=(title, body), daemon=True)
        thread.start()
        return thread

    def _send(self, title: str, body: str) -> None:
        statuses = _Statuses()
        logging.getLogger("apprise").addHandler(statuses)
        try:
            accepted = self._service.notify(title=title, body=body, body_format="text")
            self.problem = "" if accepted else statuses.last or "the service cannot be reached"
        except Exception as e:  # noqa: BLE001  # a service can raise anything, and its text may contain the URL
            self.problem = type(e).__name__
        finally:
            logging.getLogger("apprise").removeHandler(statuses)


class _Statuses(logging.Handler):
    """Keeps the last HTTP status that apprise logs in this thread; apprise returns only whether it succeeded."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        status = STATUS.search(record.getMessage())
        if status and record.thread == self._thread:
            self.last = f"HTTP {status[1]}"


def notify(call: WithoutSession, params: Params) -> NotifyResult:
    """Send the notice to each channel, in check mode to none. A channel that fails is a warning; nothing is raised for it."""
    if not params["urls"]:
        return _result([], [], [], "notified nobody: there are no URLs")
    try:
        # It takes longer to load than most tasks last.
        from apprise import Apprise, AppriseAsset
    except ImportError:
        warning = f"nobody was notified: apprise is not installed. Next: {sys.executable} -m pip install apprise"
        return _result([], [f"channel {n}" for n in range(1, len(params["urls"]) + 1)], [warning], "notified nobody")
    # Ansible's log would otherwise contain what apprise logs.
    logging.getLogger("apprise").propagate = False
    asset = AppriseAsset(app_id="Scout Recovery", app_desc="Scout Recovery", app_url="", async_mode=False)
    known: t.Any = Apprise
    services = [known.instantiate(url, asset=asset, suppress_exceptions=True) for url in params["urls"]]
    channels = [Channel(number, service) for number, service in enumerate(services, 1)]
    usable = [channel for channel, service in zip(channels, services, strict=True) if service]
    if call.check:
        names = [channel.name for channel in usable]
        return _result(names, *_unsent([c for c in channels if c not in usable]), f"would notify {_listed(names)}")
    deadline = time.monotonic() + SECONDS
    for thread in [channel.start(params["title"], params["body"]) for channel in usable]:
        thread.join(max(0.0, deadline - time.monotonic()))
    failed = [channel for channel in channels if channel.problem]
    names = [channel.name for channel in channels if channel not in failed]
    return _result(names, *_unsent(failed), f"notified {_listed(names)}")


def _unsent(channels: list[Channel]) -> tuple[list[str], list[str]]:
    """The names of channels that failed, and a warning for each."""
    return [c.name for c in channels], [f"{c.name} was not notified: {c.problem}" for c in channels]


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nobody"


def _result(sent: list[str], unsent: list[str], warnings: list[str], summary: str) -> NotifyResult:
    return {"changed": bool(sent), "sent": sent, "unsent": unsent, "warnings": warnings, "summary": summary}
