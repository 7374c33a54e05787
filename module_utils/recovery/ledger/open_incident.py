# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which incident a module works for: the one named, else the one open in its database."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.text import visible
from ..core.times import to_the_minute
from ..postgres.driver import psycopg
from ..postgres.session import INCIDENT, application_name
from .trust import known_sessions, ownership

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.session import Row, Session

#: What stands where nobody named an incident.
ADHOC: t.Final = "adhoc"

#: So many characters of a name that cannot be used are shown.
MOST: t.Final = 80

OPEN_INCIDENT = """
SELECT incident, opened_at, next_update_at, coalesce(next_update_at < clock_timestamp(), false) AS late
FROM scout_ops.incidents WHERE closed_at IS NULL
"""

NAME_SESSION = "SELECT pg_catalog.set_config('application_name', %(name)s, false)"


@dataclasses.dataclass(frozen=True)
class Joined:
    """The incident that is worked for, and whether it is the one on record as open."""

    incident: str
    is_open: bool = False
    warnings: tuple[str, ...] = ()
    opened_at: datetime.datetime | None = None


def join(session: Session, *, readable: bool) -> Joined:
    """Takes the open incident where none was named; a record that cannot be read at the moment stops no recovery."""
    given = session.settings.incident
    if not readable:
        return Joined(given)
    try:
        with session.read():
            if ownership.foreign(session) is not None:
                return Joined(given)
            known_sessions.attach(session)
            found = session.rows(OPEN_INCIDENT)
            # Through a pooler the name would stay with a session that serves others next.
            if found and _usable(found[0]["incident"]) and given == ADHOC and not session.facts.pooled:
                session.execute(NAME_SESSION, name=application_name(found[0]["incident"], session.settings.action))
    except psycopg.Error as e:
        if session.connection.closed:
            raise
        said = e.diag.message_primary or type(e).__name__
        return Joined(given, warnings=(f"worked for {given}: the open incident could not be read ({said})",))
    if found and not _usable(found[0]["incident"]):
        name = visible(found[0]["incident"], MOST)
        return Joined(given, warnings=(f"worked for {given}: {name} is open under a name that no incident has",))
    if not found or given not in (ADHOC, found[0]["incident"]):
        return Joined(given)
    incident: str = found[0]["incident"]
    if given == ADHOC:
        session.settings = dataclasses.replace(session.settings, incident=incident)
    return Joined(incident, True, _late(found[0]), found[0]["opened_at"])


def _usable(name: str) -> bool:
    """Whether an incident of the record may be called so: its name goes into commands, paths and the names of sessions."""
    return INCIDENT.fullmatch(name) is not None


def _late(row: Row) -> tuple[str, ...]:
    if not row["late"]:
        return ()
    promised = f"the update of {row['incident']} promised for {to_the_minute(row['next_update_at'])} is overdue"
    return (f"{promised}: incident_update.yml gives it",)
