# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of an incident: one text for them, from a template, and one document for machines."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import re
import typing as t
import unicodedata
import uuid
import zoneinfo

from ..core.text import in_words
from ..core.times import aware
from ..core.values import as_list

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT: t.Final = "scout-recovery-notification/1"
#: What can be told, and what the runbook's template calls the state then.
STATUS: t.Final = {
    "opened": "investigating",
    "update": "mitigating",
    "recovered": "recovered, being watched",
    "closed": "resolved",
}
EVENTS: t.Final = tuple(STATUS)
#: What a caller may say in words; each is a name in the templates too.
WORDS: t.Final = ("happened", "status", "impact", "done", "next_step", "eta", "commander")
TIMES: t.Final = ("opened_at", "closed_at", "next_update_at")
LONGEST_TITLE: t.Final = 200
LONGEST_TEXT: t.Final = 8000
#: PagerDuty takes no longer one.
LONGEST_KEY: t.Final = 255
#: With these a text can be made to read backwards.
TURNING: t.Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MONTHS: t.Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Facts = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Notice:
    """One message, the same for every channel; how it looks there is the channel's."""

    event: str
    severity: str
    database: str
    dedup_key: str
    title: str
    text: str
    document: Facts
    warnings: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """Title and text, as a person reads them."""
        return f"{self.title}\n\n{self.text}".rstrip()


def make(
    event: str,
    incident: Mapping[str, t.Any],
    words: Mapping[str, str | None],
    *,
    database: str = "",
    time_zone: str = "",
    folders: Sequence[str] = (),
    now: dt.datetime,
) -> Notice:
    """The message about an event; a template or a zone that cannot be used costs a warning, never the message."""
    zone, complaint = _zone(time_zone)
    facts = _facts(event, incident, words, database, now)
    title, text, more = _rendered(event, facts, zone, folders)
    if facts["audit"] and facts["audit"] not in text:
        # Whoever rewrites the trail cannot rewrite what others were told, whatever a team's template says.
        text += f"\n\nAudit trail: {facts['audit']}"
    document = {
        "format": FORMAT,
        "id": str(uuid.uuid4()),
        **facts,
        "subject": title,
        "text": text,
    }
    return Notice(
        event=event,
        severity=facts["severity"],
        database=facts["database"],
        dedup_key=facts["dedup_key"],
        title=title,
        text=text,
        document=document,
        warnings=(*complaint, *more),
    )


def when(value: t.Any, zone: dt.tzinfo | None = None) -> str:
    """A time as people write it, in UTC and in the team's zone: 25 Nov 2026, 14:05 UTC (22:05 Asia/Manila)."""
    moment = aware(value)
    if moment is None:
        return clean(str(value or ""), one_line=True)
    utc = moment.astimezone(dt.UTC)
    text = f"{utc.day} {MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"
    if zone is None:
        return text
    local = moment.astimezone(zone)
    day = "" if local.date() == utc.date() else f"{local.day} {MONTHS[local.month - 1]}, "
    return f"{text} ({day}{local:%H:%M} {zone})"


def clean(text: str, *, one_line: bool = False, longest: int = LONGEST_TEXT) -> str:
    """What somebody typed, without what could break a line, a header or the direction of reading, and not too long."""
    kept = "".join(
        c
        for c in text.replace("\r\n", "\n")
        if c in "\n\t" or not (unicodedata.category(c) in ("Cc", "Cs") or c in TURNING)
    )
    kept = " ".join(kept.split()) if one_line else re.sub(r"\n{3,}", "\n\n", kept).strip()
    return kept if len(kept) <= longest else kept[: longest - 1].rstrip() + "…"


def dedup_key(database: str, incident: str) -> str:
    """The name under which all notices of an incident are one for PagerDuty."""
    key = re.sub(r"\s+", "-", f"scout-{database}-{incident}")
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 17]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _facts(
    event: str, incident: Mapping[str, t.Any], words: Mapping[str, str | None], database: str, now: dt.datetime
) -> Facts:
    """What the templates know, and the document for machines is made of."""

    def line(name: str) -> str:
        return clean(str(incident.get(name) or ""), one_line=True, longest=500)

    said = {name: clean(words.get(name) or "", longest=2000) for name in WORDS}
    where = clean(database, one_line=True) or line("database").partition(" on ")[0]
    opened, closed = aware(incident.get("opened_at")), aware(incident.get("closed_at"))
    name = line("incident") or "adhoc"
    return {
        "event": event,
        "sent_at": now.isoformat(),
        "incident": name,
        "title": line("title"),
        "severity": line("severity"),
        "state": line("state"),
        "database": where,
        "dedup_key": dedup_key(where, name),
        **{at: _iso(incident.get(at)) for at in TIMES},
        "seconds": None if opened is None else round(((closed or now) - opened).total_seconds()),
        "overdue": _entries(incident.get("overdue")),
        "missing": [clean(str(part), one_line=True, longest=100) for part in as_list(incident.get("missing"))],
        "escalation": [clean(str(part), one_line=True, longest=100) for part in as_list(incident.get("escalation"))],
        "root_cause": clean(str(incident.get("root_cause") or ""), longest=2000),
        **said,
        "status": said["status"] or STATUS[event],
        "commander": said["commander"] or line("opened_by"),
        "audit": line("audit"),
    }


def _entries(value: t.Any) -> list[Facts]:
    """What is overdue, each with what, due_at and seconds."""
    return [
        {
            "what": clean(str(entry.get("what") or ""), one_line=True, longest=100),
            "due_at": _iso(entry.get("due_at")),
            "seconds": entry.get("seconds"),
        }
        for entry in t.cast("list[Facts]", [part for part in as_list(value) if isinstance(part, dict)])
    ]


def _rendered(
    event: str, facts: Facts, zone: dt.tzinfo | None, folders: Sequence[str]
) -> tuple[str, str, tuple[str, ...]]:
    """Title and text from the first folder whose template works, and why others did not."""
    warnings: list[str] = []
    name = f"{event}.j2"
    # A template may include one of the folders behind it.
    for usable in [folders[number:] for number in range(len(folders))]:
        try:
            text = _template(usable, name, zone).render(facts).strip()
            why = "" if text else "it says nothing"
        except Exception as e:  # noqa: BLE001  # a template of a team can raise anything, and people must be told all the same
            text, why = "", _why(e)
        if text:
            first, _, rest = text.partition("\n")
            return clean(first, one_line=True, longest=LONGEST_TITLE), clean(rest), tuple(warnings)
        warnings.append(f"template {name} in {usable[0]} cannot be used: {why}")
    title = " ".join(filter(None, ["Scout pipeline incident", facts["incident"], facts["status"]]))
    plain = "\n".join(filter(None, [facts["title"], facts["happened"], facts["commander"]]))
    return clean(title, one_line=True, longest=LONGEST_TITLE), clean(plain), tuple(warnings)


def _template(folders: Sequence[str], name: str, zone: dt.tzinfo | None) -> t.Any:
    # Ansible brings it; a host on which a module is executed may have none.
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    made = SandboxedEnvironment(
        loader=FileSystemLoader(list(folders)), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = t.cast("dict[str, t.Any]", made.filters)
    filters["when"] = functools.partial(when, zone=zone)
    filters["in_words"] = in_words
    return made.get_template(name)


def _why(error: Exception) -> str:
    """What is wrong with a template, with the line."""
    number = getattr(error, "lineno", None)
    line = f"line {number}: " if number else ""
    if type(error).__name__ == "TemplateNotFound":
        return f"{getattr(error, 'name', 'it')} is not there"
    return line + clean(str(error), one_line=True, longest=200)


def _zone(name: str) -> tuple[dt.tzinfo | None, tuple[str, ...]]:
    if not name or name == "UTC":
        return None, ()
    try:
        return zoneinfo.ZoneInfo(name), ()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None, (f"time zone {name[:80]!r} is not known: times are in UTC only",)


def _iso(value: t.Any) -> str | None:
    """A time for machines; what is none, as it was given."""
    moment = aware(value)
    return moment.isoformat() if moment is not None else clean(str(value or ""), one_line=True, longest=100) or None
