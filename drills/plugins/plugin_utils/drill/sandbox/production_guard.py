# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses to drill on what looks like production, by a few rules that it names; only the inventory can say otherwise."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import re
import socket
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    RecoveryError,
    WrongDatabase,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.dsn import defaults, endpoints, parse_dsn
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

MARK: t.Final = "scout_drill_target"
#: `product` and `deliver` are no production.
NAMED: t.Final = re.compile(r"prod(?!u(?!ction))|(?<![a-z])(?:prd|live)(?![a-z])", re.IGNORECASE)
RECENT_HOURS: t.Final = 24
#: An answer that takes longer comes from something large.
ASK_SECONDS: t.Final = 5.0

CLUSTER: t.Final = "SELECT current_setting('cluster_name') AS name"
#: Who may not see what others do sees that they are there.
OTHERS: t.Final = """
SELECT a.datname::text AS database, count(*)::int AS sessions, coalesce(min(r.rolname)::text, '?') AS role
FROM pg_catalog.pg_stat_activity AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname IS NOT NULL AND a.usesysid IS NOT NULL
  AND coalesce(a.backend_type, 'client backend') = 'client backend' AND r.rolname IS DISTINCT FROM session_user
GROUP BY a.datname ORDER BY a.datname LIMIT 5
"""
DATABASES: t.Final = "SELECT datname::text AS name FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY datname"
#: From the catalog, because to_regclass fails on a schema one may not use.
THERE: t.Final = """
SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = %(bronze)s
"""
RECENT: t.Final = """
SELECT EXISTS (SELECT FROM scout.bronze_events WHERE ingested_at > now() - make_interval(hours => %(hours)s)) AS found
"""


@dataclasses.dataclass(frozen=True)
class Host:
    """A host of the inventory, how its database is reached, and whether the inventory marks it as a target of drills."""

    name: str
    dsn: str
    marked: bool = False
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a connection string leads: every address by which that server may be known, and the names in it."""

    addresses: frozenset[tuple[str, str]]
    database: str
    names: tuple[str, ...]


def refuse(session: Session, dsn: str, hosts: Sequence[Host]) -> None:
    """Raises unless it is safe to make a scratch database on the session's server. A host there that the inventory marks makes
    it safe, unless the server also holds the database of one that is not marked, or one by the name of production."""
    here = _here(session, dsn)
    known = [(host, place) for host in hosts if (place := _known(host)) and place.addresses & here.addresses]
    reasons = [
        f"it is the database of inventory host {host.name}, which is not marked as a target of drills"
        for host, place in known
        if not host.marked and place.database == here.database
    ]
    if not reasons:
        reasons = [
            f"inventory host {host.name} is on this server and is not marked as a target of drills"
            for host, _ in known
            if not host.marked
        ]
    marked = {place.database for host, place in known if host.marked}
    beside = [name for name in _databases(session) if name != here.database and name not in marked]
    if marked:
        reasons += _by_name(beside)
    else:
        reasons += _by_name((*here.names, _cluster(session), *beside))
        reasons += _by_what_is_there(session)
    if reasons:
        raise WrongDatabase(
            "refused to drill there, since it looks like production",
            on=session.where,
            said="; ".join(reasons),
            next_step=f"if it is a server for drills, the inventory has to say so: {MARK}: true for a host whose scout_dsn"
            " is on this server (-e does not count); else name another sandbox_dsn, or drill with -e sandbox=embedded",
        )


def _by_name(names: Iterable[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if found := NAMED.search(name):
            yield f"the name {name!r} has {found[0]!r} in it"


def _cluster(session: Session) -> str:
    with session.read():
        return session.row(CLUSTER)["name"] or ""


def _databases(session: Session) -> list[str]:
    with session.read():
        return [row["name"] for row in session.rows(DATABASES)]


def _by_what_is_there(session: Session) -> Iterator[str]:
    """What goes on on the server, and in the database that was named; others may not be looked into."""
    with session.read():
        others = session.rows(OTHERS)
    for each in others:
        said = count(each["sessions"], "session")
        yield f"other people are in database {each['database']}: {said}, among them one of {each['role']}"
    with session.read(statement_timeout_seconds=ASK_SECONDS):
        there = session.rows(THERE, bronze=contract.DEFAULT.bronze)
        if not there:
            return
        if not there[0]["readable"]:
            yield f"database {session.facts.database} holds a pipeline that role {session.facts.role} may not look into"
            return
        try:
            with session.savepoint():
                recent = session.row(RECENT, hours=RECENT_HOURS)["found"]
        except errors.QueryCanceled:
            yield f"database {session.facts.database} holds a pipeline too large to see whether it is in use"
        else:
            if recent:
                yield f"events came into {contract.DEFAULT.bronze} of database {session.facts.database} within {RECENT_HOURS} hours"


def _here(session: Session, dsn: str) -> _Place:
    """By what was asked for, and by where that led."""
    found = pg_dump.address(session)
    asked = _place(_parts(dsn))
    host = "" if found["host"].startswith("/") else found["host"]
    led = _addresses(found)
    return _Place(asked.addresses | led, session.facts.database, (*asked.names, host, session.facts.database))


def _known(host: Host) -> _Place | None:
    """Where its database is, as far as its connection string tells."""
    try:
        return _place(_parts(host.dsn)) if host.dsn else None
    except RecoveryError:
        return None


def _parts(dsn: str) -> dict[str, str]:
    given = {name: str(value) for name, value in parse_dsn(dsn, "sandbox_dsn").items() if value}
    return defaults(given.get("service")) | given


def _place(parts: Mapping[str, str]) -> _Place:
    hosts = (name for name in parts.get("host", "").split(",") if not name.startswith("/"))
    database = parts.get("dbname") or parts.get("user", "")
    return _Place(_addresses(parts), database, tuple(filter(None, (*hosts, database, parts.get("service", "")))))


def _addresses(parts: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Each host by its name and by its addresses, with its port; this machine has one name only."""
    found: set[tuple[str, str]] = set()
    for name, address, port in endpoints(parts):
        given = [each for each in (name, address) if each] or [""]
        found |= {(_normal(each), port) for one in given for each in (one, *_resolved(one))}
    return frozenset(found)


def _resolved(name: str) -> list[str]:
    if not name or name.startswith(("/", "@")):
        return []
    with contextlib.suppress(OSError, UnicodeError):
        return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    return []


def _normal(name: str) -> str:
    if not name or name.startswith(("/", "@")) or name.lower() == "localhost":
        return "this machine"
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.lower().rstrip(".")
    return "this machine" if address.is_loopback else str(address)
