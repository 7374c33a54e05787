# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse to drill on a database that may be somebody's production; no option and no inventory overrides it."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import re
import socket
import time
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError, WrongDatabase
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.dsn import defaults, endpoints, parse_dsn

from ...reference import builder

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

#: `product` and `deliver` do not mean production.
NAMED: t.Final = re.compile(r"prod(?!u(?!ction))|(?<![a-z])(?:prd|live)(?![a-z])", re.IGNORECASE)
#: The scheduler of a restored database may be at work; its sessions have this name.
OTHERS: t.Final = """
SELECT count(*)::int AS sessions, coalesce(min(usename)::text, '?') AS role FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
  AND application_name IS DISTINCT FROM 'pg_cron' AND pid <> pg_catalog.pg_backend_pid()
"""
#: The sessions of the scenario before may still be closing.
LEAVING_SECONDS: t.Final = 3.0
MARKED: t.Final = f"SELECT EXISTS ({builder.MARKED}) AS marked"


@dataclasses.dataclass(frozen=True)
class Host:
    """A host of the inventory, and how its database is reached."""

    name: str
    dsn: str


def require_drillable(session: Session, dsn: str, hosts: Sequence[Host]) -> None:
    """Raises WrongDatabase unless the database is marked for drills, and nothing about it looks like production."""
    reasons = [*_in_the_inventory(session, dsn, hosts), *_by_name(session, dsn), *_in_use(session)]
    if reasons:
        raise WrongDatabase(
            "refused to drill there, because it may be a production database",
            on=session.where,
            said="; ".join(reasons),
            next_step="restore a copy that nobody else uses and name it as drill_dsn, or leave out drill_dsn",
        )
    with session.read():
        marked = session.row(MARKED)["marked"]
    if not marked:
        raise WrongDatabase(
            "refused to drill there, because nobody has marked the database for drills",
            on=session.where,
            said=f"it has no schema {builder.MARK} of its owner",
            next_step=f"if its data may be destroyed, run there as its owner: CREATE SCHEMA {builder.MARK}",
        )


def _in_the_inventory(session: Session, dsn: str, hosts: Sequence[Host]) -> Iterator[str]:
    """A database of the inventory is one that somebody operates."""
    here = _addresses(_parts(dsn)) | _addresses(_reached(session))
    for host in hosts:
        with contextlib.suppress(RecoveryError):
            parts = _parts(host.dsn)
            if (parts.get("dbname") or parts.get("user")) == session.facts.database and _addresses(parts) & here:
                yield f"it is the database of inventory host {host.name}"


def _by_name(session: Session, dsn: str) -> Iterator[str]:
    parts = _parts(dsn)
    hosts = [name for name in (parts.get("host") or "").split(",") if not name.startswith("/")]
    for name in dict.fromkeys((*hosts, parts.get("service") or "", session.facts.database)):
        if found := NAMED.search(name):
            yield f"the name {name!r} contains {found[0]!r}"


def _in_use(session: Session) -> Iterator[str]:
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        with session.read():
            others = session.row(OTHERS)
        if not others["sessions"] or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if others["sessions"]:
        yield f"it has {count(others['sessions'], 'other session')}, one of them of role {others['role']}"


def _reached(session: Session) -> dict[str, str]:
    to = session.connection.pgconn
    return {
        name: os.fsdecode(value) for name, value in (("host", to.host), ("hostaddr", to.hostaddr), ("port", to.port))
    }


def _parts(dsn: str) -> dict[str, str]:
    given = {name: str(value) for name, value in parse_dsn(dsn, "drill_dsn").items() if value}
    return defaults(given.get("service")) | given


def _addresses(parts: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Each host by its name and by its addresses, with its port; every name of this machine is one."""
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
