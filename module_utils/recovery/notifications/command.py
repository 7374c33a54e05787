# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that tells people and machines of an incident, from options to a result."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ..core.errors import BadInput
from ..core.results import ModuleResult
from . import channels
from . import notice as notices

if t.TYPE_CHECKING:
    from ..invoke import Params, WithoutSession
    from .channels import Channel
    from .notice import Notice


class NotifyResult(ModuleResult):
    """What scout_notify returns."""

    sent: list[str]
    unsent: list[dict[str, str]]
    not_subscribed: list[str]
    deliveries: list[dict[str, t.Any]]
    message: str
    document: dict[str, t.Any]
    warnings: list[str]


def notify(call: WithoutSession, params: Params) -> NotifyResult:
    """Those told who want to know: each channel with its seconds and attempts, those not told and why, and the message itself.

    In check mode shows the message and sends nothing. Raises BadInput for an event, a number of attempts or seconds that
    cannot be used; what could not be told is part of the result, without the secrets of the channels.
    """
    # All modules are loaded at every start, and HTTP and TLS take long to load.
    from . import delivery

    notice = _notice(params)
    usable, unsent = _chosen(params)
    wanted = [channel for channel in usable if channel.wants(notice)] if params["enabled"] else []
    if call.check:
        _show(notice, [channel.name for channel in wanted], call.progress.say)
    deliveries = [] if call.check else delivery.deliver(wanted, notice)
    unsent += [{"channel": d.channel, "error": d.error} for d in deliveries if d.error]
    sent = [channel.name for channel in wanted] if call.check else [d.channel for d in deliveries if not d.error]
    hidden = {secret for raw in params["channels"] for secret in channels.secrets(raw)}
    return {
        "changed": bool(sent),
        "sent": sent,
        "unsent": unsent,
        "not_subscribed": [channel.name for channel in usable if channel not in wanted],
        "deliveries": [dataclasses.asdict(d) for d in deliveries],
        "message": channels.hide(notice.whole, hidden),
        "document": channels.hide_within(notice.document, hidden),
        "warnings": [*notice.warnings, *(f"{u['channel']} was not notified: {u['error']}" for u in unsent)],
        "summary": _summary(notice, sent, unsent, params, check=call.check),
    }


def _notice(params: Params) -> Notice:
    if not params["timeout_seconds"] > 0 or params["attempts"] < 1:
        raise BadInput(
            "timeout_seconds or attempts is not usable", next_step="give more than 0 seconds and at least 1 attempt"
        )
    return notices.make(
        params["event"],
        params["incident"],
        {name: params[name] for name in notices.WORDS},
        database=params["database"],
        time_zone=params["time_zone"],
        folders=params["template_dirs"],
        now=dt.datetime.now(dt.UTC),
    )


def _chosen(params: Params) -> tuple[list[Channel], list[dict[str, str]]]:
    """The channels that can be used, and why others cannot; of those that are named, where any are."""
    usable, unsent = _read(params)
    if only := set(params["only"]):
        usable = [channel for channel in usable if channel.name in only]
        unsent = [each for each in unsent if each["channel"] in only]
    return usable, unsent if params["enabled"] else []


def _read(params: Params) -> tuple[list[Channel], list[dict[str, str]]]:
    usable: list[Channel] = []
    unsent: list[dict[str, str]] = []
    for number, raw in enumerate(params["channels"], 1):
        try:
            usable.append(
                channels.read(raw, number, timeout_seconds=params["timeout_seconds"], attempts=params["attempts"])
            )
        except BadInput as e:
            error = channels.hide(str(e), channels.secrets(raw))
            unsent.append({"channel": channels.name_of(raw, number), "error": error})
    return usable, unsent


def _show(notice: Notice, names: list[str], say: t.Callable[[str], None]) -> None:
    """The message as it would go out."""
    say(f"would notify {', '.join(names) or 'nobody'}:")
    for line in notice.whole.splitlines():
        say(f"  {line}".rstrip())


def _summary(notice: Notice, sent: list[str], unsent: list[dict[str, str]], params: Params, *, check: bool) -> str:
    about = f"of {notice.document['incident']}, {notice.event}"
    if not params["enabled"]:
        return f"notified nobody {about}: notifications are disabled"
    if not sent and not unsent:
        return f"notified nobody {about}: no channel {'wants it' if params['channels'] else 'is set up'}"
    told = ("would notify" if check else "notified") + f" {', '.join(sent) or 'nobody'} {about}"
    return told + (f"; not {', '.join(u['channel'] for u in unsent)}" if unsent else "")
