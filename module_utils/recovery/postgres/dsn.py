# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a connection string leads, where it came from, and what to do where it leads nowhere."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ..core.errors import BadInput
from ..core.values import is_loopback
from .driver import conninfo, errors, psycopg, require, sql

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

#: Where libpq looks by itself; and that nothing at all says where the database is.
LIBPQ: t.Final = "libpq's environment"

UNSET: t.Final = "libpq's defaults, as SCOUT_DSN is not set"

#: The environment's word for the database that has pg_cron.
CRON: t.Final = "SCOUT_CRON_DSN"

DEFAULT_PORT: t.Final = "5432"
NAMES_A_HOST: t.Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
NAMES_A_SERVER: t.Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGPORT")


def to_set(source: str) -> str:
    """What a person sets to connect elsewhere than `source` says."""
    return "SCOUT_DSN" if source == UNSET else source


def choose_dsn(dsn: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The connection string and where it came from: the option, SCOUT_DSN, PGURI, else libpq's own environment."""
    if dsn:
        return dsn, "scout_dsn"
    for name in ("SCOUT_DSN", "PGURI"):
        if environment.get(name):
            return environment[name], name
    return "", LIBPQ if any(environment.get(name) for name in NAMES_A_SERVER) else UNSET


#: Options that name a part of the connection, in words that other collections for PostgreSQL have too.
LOGIN: t.Final = {"login_host": "host", "login_port": "port", "login_user": "user", "login_db": "dbname"}


def with_login(params: Mapping[str, t.Any], environment: Mapping[str, str]) -> tuple[str, str]:
    """The connection string of a module's options, and where it came from. Raises BadInput where `dsn` is none."""
    login = {part: params[option] for option, part in LOGIN.items() if params.get(option) is not None}
    if not login:
        return choose_dsn(params.get("dsn"), environment)
    given = parse_dsn(params.get("dsn") or "", "scout_dsn")
    return conninfo.make_conninfo("", **{**given, **login}), "scout_login_host"


def choose_cron(dsn: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The connection string of the database that has pg_cron, and where it came from; empty where it is not named."""
    if dsn:
        return dsn, "scout_cron_dsn"
    return environment.get(CRON, ""), CRON


def completed(
    dsn: str, source: str, by: str, by_source: str, environment: Mapping[str, str]
) -> tuple[dict[str, t.Any], bool]:
    """The parts of a connection string that leads where it says, and in what it leaves open where `by` leads, unless it names a
    server; and whether that is the same role of the same server, whose password is its own too. No other server gets any that it
    does not name. Raises BadInput."""
    own, other = parse_dsn(dsn, source), parse_dsn(by, by_source)
    names_one = any(own.get(name) for name in ("service", "host", "hostaddr", "port"))
    parts = own if names_one else {**{name: value for name, value in other.items() if name != "password"}, **own}
    here = servers(parts, environment) == servers(other, environment)
    same = here and parts.get("user") == other.get("user")
    if not parts.get("password") and (not here or (same and other.get("password"))):
        # Nothing at all, but not nothing said, for which libpq would take that of the environment.
        parts["password"] = other["password"] if same else ""
    return parts, same


def parse_dsn(dsn: str, source: str) -> dict[str, t.Any]:
    """The parts of a libpq URI or keyword string. Raises BadInput where it is neither or ambiguous, or psycopg is
    missing; never quotes it, since it may hold a password."""
    require()
    try:
        if "\0" in dsn:
            raise ValueError("libpq would use only what comes before the NUL")
        parts = conninfo.conninfo_to_dict(dsn)
    except (psycopg.Error, ValueError, UnicodeError) as e:
        raise BadInput(
            f"{source} is neither a libpq URI (postgresql://user@host:5432/scout) nor a keyword string (host=… dbname=…)",
            next_step=f"correct {source}; special characters of a password in a URI must be percent-encoded",
        ) from e
    host, port, dbname = (str(parts.get(name) or "") for name in ("host", "port", "dbname"))
    if "@" in host or not re.fullmatch(r"[0-9,]*", port) or ("@" in dbname and "user" not in parts):
        raise BadInput(
            f"{source} is ambiguous: part of a password would be taken for the host, the port or the database",
            next_step=f"percent-encode the password in {source}, or give it as scout_password",
        )
    return parts


@contextlib.contextmanager
def without_shells_time_zone() -> Generator[None]:
    """Connects without the time zone of the operator's shell: the pipeline's is read from what a new session has."""
    kept = os.environ.pop("PGTZ", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["PGTZ"] = kept


#: A time zone among the options of a connection, in each way that a server takes one; a backslash escapes a space.
TIME_ZONE: t.Final = re.compile(r"(?:^|(?<=\s))(?:-c\s*|--)timezone=(?:\\.|[^\s\\])*\s*", re.IGNORECASE | re.DOTALL)


def without_time_zone(parts: Mapping[str, t.Any]) -> dict[str, str]:
    """The `options` to connect with in place of the given ones, or of PGOPTIONS, where these set a time zone: it would be
    taken for the one that all sessions of the database have."""
    given = parts.get("options")
    if given is None:
        found = {option.keyword.decode(): option.val for option in psycopg.pq.Conninfo.get_defaults()}
        given = (found.get("options") or b"").decode(errors="surrogateescape")
    kept = TIME_ZONE.sub("", given)
    return {"options": kept} if kept != given else {}


#: The modes of TLS in which libpq knows whom it talks to.
VERIFIED: t.Final = ("verify-ca", "verify-full")
UNVERIFIED: t.Final = (
    "the server was not verified, so anybody between here and there could read and change everything: add sslmode=verify-full "
    "to the connection; require_tls=true refuses such a session"
)
#: The environment's word for the option of that name.
REQUIRE_TLS: t.Final = "SCOUT_REQUIRE_TLS"


def _is_local(host: str, address: str = "") -> bool:
    """Whether a connection stays on this machine: a socket, or loopback."""
    return host.startswith(("/", "@")) or is_loopback(address or host)


def is_unverified(connection: t.Any) -> bool:
    """Whether a libpq connection leads to another machine, and it is not known whose that is."""
    host, address = (os.fsdecode(value or b"") for value in (connection.host, connection.hostaddr))
    mode = next((option.val for option in connection.info if option.keyword == b"sslmode"), None)
    return not _is_local(host, address) and not (connection.ssl_in_use and (mode or b"").decode() in VERIFIED)


def require_verified(parts: Mapping[str, t.Any], source: str, environment: Mapping[str, str]) -> None:
    """Raises BadInput, before a password is sent, where a connection would lead to another machine unverified. Where a
    service says it all, libpq knows better than we do, and the session is looked at once it is there."""
    if _leads_to_anybody(parts, environment):
        raise unverified(describe(dict(parts), source), source)


def _leads_to_anybody(parts: Mapping[str, t.Any], environment: Mapping[str, str]) -> bool:
    """Whether a connection would lead to another machine unverified, as far as no service says it."""
    if parts.get("service") or environment.get("PGSERVICE"):
        return False
    hosts = str(parts.get("host") or environment.get("PGHOST") or "/").split(",")
    addresses = str(parts.get("hostaddr") or environment.get("PGHOSTADDR") or "").split(",")
    local = all(_is_local(host, addresses[at] if at < len(addresses) else "") for at, host in enumerate(hosts))
    system = (parts.get("sslrootcert") or environment.get("PGSSLROOTCERT")) == "system"
    return not local and not system and (parts.get("sslmode") or environment.get("PGSSLMODE")) not in VERIFIED


#: How a server that nobody has verified may not ask for a password: in clear, or as a hash that is soon guessed.
NOT_ASKED_SO: t.Final = "!password,!md5"
REQUIRE_AUTH_SINCE: t.Final = 160000


def guarded(parts: Mapping[str, t.Any], source: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What a connection is given besides, so that no password goes to whom it does not belong: to a server that is not known only by
    a method that does not tell it; and that of the environment not to another server than the environment names."""
    made: dict[str, str] = {}
    said = parts.get("require_auth") or environment.get("PGREQUIREAUTH")
    if not said and psycopg.pq.version() >= REQUIRE_AUTH_SINCE and _leads_to_anybody(parts, environment):
        made["require_auth"] = NOT_ASKED_SO
    if environment.get("PGPASSWORD") and not parts.get("password") and _is_of_another(parts, source, environment):
        # Nothing at all, but not nothing said, for which libpq would take that of the environment.
        made["password"] = ""
    return made


def _is_of_another(parts: Mapping[str, t.Any], source: str, environment: Mapping[str, str]) -> bool:
    """Whether a connection string that was given leads elsewhere than the environment, which names a server too."""
    own, of = choose_dsn(None, environment)
    if source in (of, UNSET) or not (own or any(environment.get(name) for name in NAMES_A_HOST)):
        return False
    try:
        known = parse_dsn(own, of)
    except BadInput:
        return True
    return servers(parts, environment) != servers(known, environment)


def servers(parts: Mapping[str, t.Any], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where a connection string leads, together with what libpq takes from the environment for what it leaves open."""
    open_to = {name: environment.get(f"PG{name.upper()}", "") for name in ("service", "host", "hostaddr", "port")}
    found = {name: str(parts.get(name) or kept) for name, kept in open_to.items()}
    return (found["service"], found["host"].lower(), found["hostaddr"], found["port"] or DEFAULT_PORT)


def endpoints(parts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The host, the address (either may be empty) and the port of each server that libpq may connect to."""
    names, addresses, ports = (parts.get(part, "").split(",") for part in ("host", "hostaddr", "port"))
    for at in range(max(len(names), len(addresses))):
        name, address = (given[at] if at < len(given) else "" for given in (names, addresses))
        yield name, address, (ports[at] if at < len(ports) else ports[-1]) or DEFAULT_PORT


def defaults(service: str | None) -> dict[str, str]:
    """What libpq takes for what a connection string leaves open: a service, the environment, its own defaults."""
    kept = os.environ.get("PGSERVICE")
    try:
        if service:
            os.environ["PGSERVICE"] = service
        found = psycopg.pq.Conninfo.get_defaults()
    finally:
        if service and kept is None:
            del os.environ["PGSERVICE"]
        elif service and kept is not None:
            os.environ["PGSERVICE"] = kept
    return {option.keyword.decode(): os.fsdecode(option.val) for option in found if option.val}


def unverified(where: str, source: str) -> BadInput:
    """The refusal of a session with who knows whom."""
    return BadInput(
        "refused to work without knowing whose server this is",
        on=where,
        said="require_tls is set, and the server would not be verified",
        next_step=f"add sslmode=verify-full, and sslrootcert=FILE where its authority is not a public one, to {to_set(source)}",
    )


def describe(parts: dict[str, t.Any], source: str) -> str:
    """Where a connection string leads, without its secrets."""
    host = parts.get("host") or parts.get("hostaddr")
    service = parts.get("service")
    where = f"service {service}" if service else f"{host or 'the default host'}:{parts.get('port') or 5432}"
    user = f" as {parts['user']}" if parts.get("user") else ""
    return f"{parts.get('dbname') or 'the default database'} on {where}{user} (from {source})"


#: What PostgreSQL says where a role or a database has as many connections as it may.
LIMITED: t.Final = re.compile(r'too many connections for (?P<kind>role|database) "(?P<name>.+)"')
#: What it and a pooler say where no connection is left.
FULL: t.Final = re.compile(r"too many (clients|connections)|connection slots|no more connections allowed")

#: As only a superuser, for whom some are reserved, can still connect.
FREE_SLOTS: t.Final = (
    "as a superuser: SELECT pid, usename, application_name, state_change FROM pg_stat_activity WHERE state = 'idle' "
    "ORDER BY state_change; end unneeded sessions, or raise max_connections (ALTER SYSTEM, then a restart); "
    "from PostgreSQL 16 on reserved_connections keeps some for members of pg_use_reserved_connections; "
    "then run the same command again"
)


#: As nobody at all can connect.
NO_LOCKS: t.Final = (
    "one session has all locks that the server has room for: on its machine, `ps` shows each process with role and state; "
    "kill -TERM (never -KILL) the one that is idle in transaction, or restart PostgreSQL, and raise max_locks_per_transaction; "
    "then run the same command again"
)


def connection_advice(error: psycopg.Error, source: str) -> str:
    """What to do where no session can be opened."""
    text = str(error)
    if source == UNSET:
        return "name the database: export SCOUT_DSN=postgresql://USER@HOST:5432/scout, or add -e scout_dsn=…"
    if "authentication method requirement" in text:
        return (
            f"the server asks for the password in a way that tells it, and nobody knows whose server it is: add sslmode=verify-full to "
            f"{source}, and sslrootcert=FILE where its authority is not a public one; else require_auth=password, or md5, allows it"
        )
    if "no password supplied" in text and os.environ.get("PGPASSWORD"):
        return f"PGPASSWORD belongs to the server that the environment names, and {source} leads to another: give scout_password"
    if isinstance(error, errors.InvalidPassword) or "password" in text:
        return "check scout_password, PGPASSWORD or .pgpass for this host, database and user"
    if isinstance(error, errors.InvalidCatalogName) or "does not exist" in text:
        return f"check the database and role names in {source}"
    if "pg_hba.conf" in text:
        return "ask the server's administrator to allow this user from this host (pg_hba.conf), or connect from an allowed host"
    if full := LIMITED.search(text):
        kind, name = full["kind"].upper(), sql.Identifier(full["name"]).as_string(None)
        return f"ALTER {kind} {name} CONNECTION LIMIT -1, or end unneeded sessions; then run the same command again"
    if "out of shared memory" in text or FULL.search(text) or error.sqlstate == "53300":
        return NO_LOCKS if "out of shared memory" in text else FREE_SLOTS
    if isinstance(error, errors.CannotConnectNow) or "the database system is" in text:
        return "the server is starting or stopping: run the same command again as soon as it answers"
    return (
        f"check the host, the port and the network; the address came from {source}. "
        "If the server was only restarting, run the same command again"
    )
