# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server this is: of which cluster, on which timeline; and whether another host of the same connection is the right one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import socket
import typing as t

from ..core.errors import WrongDatabase
from ..core.values import is_loopback
from .driver import psycopg
from .dsn import DEFAULT_PORT, to_set

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .watched import Watched

    Row = dict[str, t.Any]

#: How long another host may take to let us in, and to answer.
LOOK_SECONDS: t.Final = 2
LIMIT: t.Final[t.LiteralString] = "SET LOCAL statement_timeout = '2s'"

NAMES: t.Final = ("host", "hostaddr", "port")

#: Asked for in a query of its own within this one: whether one may ask is checked before a query begins, whatever it comes to.
SYSTEM: t.Final[t.LiteralString] = """
CASE WHEN pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN pg_catalog.substring(
    pg_catalog.query_to_xml('SELECT system_identifier AS id FROM pg_catalog.pg_control_system()', true, true, '')::text,
    '<id>(\\d+)</id>') END
"""
#: A standby has that of the server it follows, as far as it has come.
TIMELINE: t.Final[t.LiteralString] = """
CASE WHEN NOT pg_catalog.pg_is_in_recovery()
     THEN ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int
     WHEN pg_catalog.has_function_privilege('pg_catalog.pg_control_recovery()', 'EXECUTE') THEN pg_catalog.substring(
    pg_catalog.query_to_xml('SELECT greatest(timeline_id, min_recovery_end_timeline) AS id
        FROM pg_catalog.pg_control_checkpoint(), pg_catalog.pg_control_recovery()', true, true, '')::text,
    '<id>(\\d+)</id>')::int END
"""
WHO: t.Final[t.LiteralString] = f"""
SELECT pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.pg_postmaster_start_time() AS started,
       {SYSTEM} AS system, {TIMELINE} AS timeline
"""
#: When the ledger of a server was written last; nothing where there is none, or where one may not see.
LEDGER: t.Final = """
SELECT CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
            THEN pg_catalog.substring(pg_catalog.query_to_xml(
                'SELECT max(started_at) AS at FROM scout_ops.runs', false, true, '')::text, '<at>(.+)</at>')::timestamptz END AS written
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'scout_ops' AND c.relname = 'runs'
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """What a host is: its name and port, whether a standby, since when it runs, of which cluster, on which timeline; and its address,
    where the name may have others."""

    host: str
    port: str
    standby: bool
    started: dt.datetime
    #: Null where one may not ask.
    system: str | None
    timeline: int | None
    #: When its ledger was written last, as far as one may see.
    written: dt.datetime | None = None
    address: str = ""

    @property
    def name(self) -> str:
        """`db1:5432`, as a person knows it."""
        return _named({"host": self.host, "hostaddr": self.address, "port": self.port})


def _named(at: Mapping[str, str]) -> str:
    host = at["host"] or at["hostaddr"]
    shown = "localhost" if host.startswith(("/", "@")) or is_loopback(host) else host
    more = f" at {at['hostaddr']}" if at["hostaddr"] not in ("", host) else ""
    return f"{shown}:{at['port'] or DEFAULT_PORT}{more}"


def addresses(parts: Mapping[str, t.Any], connection: Watched, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Every host that a connection could have gone to, and each address of its name, as the parameters that lead to it alone."""
    # psycopg tries those of a connection string one after the other; libpq those of a service.
    taken = {option.keyword.decode(): (option.val or b"").decode(errors="replace") for option in connection.pgconn.info}
    named = any(parts.get(name) or environment.get(f"PG{name.upper()}") for name in NAMES[:2]) and not parts.get(
        "service"
    )
    given = {name: str(parts.get(name) or environment.get(f"PG{name.upper()}") or "") for name in NAMES}
    lists = {name: (given if named else taken)[name].split(",") for name in NAMES}
    found: list[dict[str, str]] = []
    for place in range(max(map(len, (lists["host"], lists["hostaddr"])))):
        # One port is that of all.
        at = {name: of[place] if place < len(of) else of[0] if name == "port" else "" for name, of in lists.items()}
        found += [each for each in _of_name(at) if each not in found]
    return found


def _of_name(at: dict[str, str]) -> list[dict[str, str]]:
    """A host by each of its addresses, where its name has several: they may be as many servers."""
    if at["hostaddr"] or not at["host"] or at["host"].startswith(("/", "@")):
        return [at]
    try:
        known = {str(each[4][0]) for each in socket.getaddrinfo(at["host"], None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return [at]
    return [{**at, "hostaddr": address} for address in sorted(known)] if len(known) > 1 else [at]


def require_right(
    connection: Watched,
    parts: Mapping[str, t.Any],
    source: str,
    ask: Callable[[t.LiteralString], list[Row]],
    open_other: Callable[[dict[str, str]], Watched],
) -> list[str]:
    """What is to be said of the other hosts of a connection, `ask` being how a query is asked on it. Raises WrongDatabase where one of
    them is the server that should be worked on: it is a primary too, and came after this one, or nobody can tell which of both did."""
    known = addresses(parts, connection, os.environ)
    if len(known) < 2:
        return []
    info = connection.info
    at_work = {"host": info.host, "hostaddr": info.hostaddr, "port": str(info.port)}
    here = _server(next((at for at in known if _is(at, at_work)), at_work), ask(WHO)[0], ask(LEDGER))
    heard = [at_work]
    others: list[Server] = []
    quiet: list[dict[str, str]] = []
    for at in known:
        if _is(at, at_work):
            continue
        found = _look(at, open_other)
        if found is None:
            quiet.append(at)
            continue
        heard.append(at)
        if found.started != here.started:
            others.append(found)
    silent = [_named(at) for at in quiet if not any(_is_other_family(at, each) for each in heard)]
    told = [line for other in others if (line := beside(here, other, source))]
    if silent:
        told.append(
            f"{', '.join(silent)} of {to_set(source)} did not answer, so nobody knows whether it takes writes too: see that an old "
            "primary stays stopped"
        )
    return told


def _is(at: Mapping[str, str], there: Mapping[str, str]) -> bool:
    """Whether parameters lead to where a connection is."""
    name = "hostaddr" if at["hostaddr"] else "host"
    return (at[name], at["port"] or DEFAULT_PORT) == (there[name], there["port"])


def _is_other_family(at: Mapping[str, str], heard: Mapping[str, str]) -> bool:
    """Whether two addresses are of one name, but of IPv4 and IPv6: a server that answers by one of them often does not by the other."""
    same = (at["host"], at["port"] or DEFAULT_PORT) == (heard["host"], heard["port"] or DEFAULT_PORT)
    return same and {":" in each["hostaddr"] for each in (at, heard) if each["hostaddr"]} == {True, False}


def _look(at: dict[str, str], open_other: Callable[[dict[str, str]], Watched]) -> Server | None:
    """What another host says of itself; None where it does not."""
    try:
        with contextlib.closing(open_other(at)) as connection:
            connection.limit_seconds = LOOK_SECONDS
            with connection.pinned("SET TRANSACTION READ ONLY", LIMIT):
                who = connection.execute(WHO).fetchall()[0]
                ledger = connection.execute(LEDGER).fetchall()
    except (psycopg.Error, OSError):
        return None
    return _server(at, who, ledger)


def _server(at: Mapping[str, str], who: Row, ledger: Sequence[Row]) -> Server:
    written = ledger[0]["written"].astimezone(dt.UTC) if ledger and ledger[0]["written"] else None
    named = (at["host"] or at["hostaddr"], at["port"] or DEFAULT_PORT)
    return Server(*named, who["standby"], who["started"], who["system"], who["timeline"], written, at["hostaddr"])


def beside(here: Server, other: Server, source: str) -> str:
    """What is to be said of another host while this one is worked on; empty where nothing is. Raises WrongDatabase where that one
    should be. Pure."""
    option = to_set(source)
    if here.system is None or other.system is None or here.timeline is None or other.timeline is None:
        if other.standby:
            return ""
        return f"{other.name} of {option} takes writes as well, and nobody may see which of both came after the other"
    if here.system != other.system:
        return _foreign(here, other, option)
    if other.timeline > here.timeline:
        leads = "takes writes" if not other.standby else "is a standby of a server"
        raise WrongDatabase(
            "refused to work on the old primary of a failover",
            on=here.name,
            said=f"it is on timeline {here.timeline}, and {other.name} {leads} on timeline {other.timeline}",
            next_step=(
                f"stop PostgreSQL on {here.name}, where jobs and writers may still be at work, name the new primary alone in {option}, "
                "and run the same command again; "
                "what was written on the old one since is in its own tables and in evidence: docs/failover.md"
            ),
        )
    if other.standby:
        return ""
    if other.timeline < here.timeline:
        return (
            f"{other.name} of {option} is the old primary (timeline {other.timeline}, here {here.timeline}) and still takes writes: "
            "stop it, its jobs run there as well"
        )
    raise WrongDatabase(
        "refused to choose between two primaries",
        on=here.name,
        said=f"{other.name} takes writes as well, of the same cluster and on the same timeline, {here.timeline}",
        next_step=(
            f"find out which one the application writes to, stop the other, name the right one alone in {option}, and run the same "
            "command again: docs/failover.md"
        ),
    )


def _foreign(here: Server, other: Server, option: str) -> str:
    """Of a server of another cluster: the one whose ledger was written later is the pipeline's."""
    if other.written and not other.standby and (here.written is None or other.written > here.written):
        raise WrongDatabase(
            "refused to work on a server whose ledger is older than that of another host",
            on=here.name,
            said=f"{other.name} is of another cluster, and its ledger was last written at {other.written:%Y-%m-%d %H:%M:%S} UTC",
            next_step=f"name the right server alone in {option}, and run the same command again: docs/failover.md",
        )
    return f"{other.name} of {option} is not of the same cluster: name the right server alone"
