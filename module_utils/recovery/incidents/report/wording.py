# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a report: times, names of steps, and texts of people as Markdown that says only what they say; pure."""

from __future__ import annotations

import datetime
import re
import typing as t

from ...ledger import actions

if t.TYPE_CHECKING:
    import zoneinfo
    from collections.abc import Mapping

#: What a run of each action is called.
STEPS: t.Final = {action.name: action.done for action in actions.TABLE}
#: What an entry or a sample is called on the timeline.
ENTRIES: t.Final = {
    "opened": "Incident opened",
    "update": "Update",
    "adopted": "Runs adopted",
    "closed": "Incident closed",
    "sample": "Seen",
}
#: A path that begins at the root, and the address of a server's socket.
PATH: t.Final = re.compile(r"(?<![\w.:/~])~?/(?:[^\s/;,:()]+/)+([^\s/;,:()]+)/?")
SOCKET: t.Final = re.compile(r" on /[^\s;,]*")
#: What of a run is not well, and what is, as the page colours it.
BAD: t.Final = ("failing", "fail", "inconclusive", "not_passed")
GOOD: t.Final = ("healthy", "pass", "passed")


def stamp(at: datetime.datetime | str, zone: zoneinfo.ZoneInfo | None) -> dict[str, t.Any]:
    """A moment as a report shows it, in UTC and in the zone of the team, by its offset: the PST of Manila is not that of others."""
    moment = datetime.datetime.fromisoformat(at) if isinstance(at, str) else at
    utc = moment.astimezone(datetime.UTC)
    local = moment.astimezone(zone) if zone else None
    other_day = f"{local:%d %b} " if local and local.date() != utc.date() else ""
    return {
        "at": utc.isoformat(timespec="seconds"),
        "day": f"{utc:%Y-%m-%d}",
        "time": f"{utc:%H:%M:%S}",
        "utc": f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        "local": f"{other_day}{local:%H:%M:%S %:z}" if local else None,
        "local_time": f"{other_day}{local:%H:%M:%S}" if local else None,
    }


def step(action: str) -> str:
    """`Gold refreshed` for `refresh`."""
    return STEPS.get(action) or action.replace("_", " ").capitalize()


def heading(event: Mapping[str, t.Any]) -> str:
    """What an event of the timeline is called."""
    if event["kind"] == "run":
        return step(event["what"])
    if event["kind"] == "note":
        item = str(event["what"]).removeprefix("noted").strip()
        return f"Noted: {item}" if item else "Note"
    return ENTRIES.get(event["kind"]) or str(event["what"]).capitalize()


def tone(event: Mapping[str, t.Any]) -> str:
    """good, bad, word or plain: how the page colours an event."""
    verdict = str(event["effect"]).partition(":")[0].partition(",")[0].strip()
    if event["status"] in ("failed", "stopped", "interrupted") or verdict in BAD or event["kind"] == "opened":
        return "bad"
    if verdict in GOOD or event["kind"] == "closed" or (event["kind"], event["what"]) == ("run", "resume"):
        return "good"
    return "word" if event["kind"] in ("note", "update", "adopted") else "plain"


def money(amount: t.Any, currency: str = "") -> str:
    """`1,234.50`, with the currency where one is named: `1,234.50 EUR`."""
    return f"{amount:,.2f} {currency}".rstrip()


def without_paths(text: str) -> str:
    """Of a path that only one machine has, its last part; a socket is where it is."""
    return PATH.sub(r"\1", SOCKET.sub(" on a local socket", text))


def joined(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
