# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a session, bounds every transaction in it, and turns PostgreSQL's errors into ours."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
import typing as t

from ..core.errors import BadInput, ConnectionFailed, RecoveryError, WrongDatabase
from ..core.text import first_line
from . import closing, identity, loaders, lock_table
from .driver import psycopg, rows, sql
from .dsn import (
    connection_advice,
    describe,
    guarded,
    is_unverified,
    parse_dsn,
    to_set,
    unverified,
    without_shells_time_zone,
    without_time_zone,
)
from .failures import OUT_OF_MEMORY, SET_BY, limits_named, translate, writable_again
from .watched import PIN, Watched

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Generator, Sequence

    Query = t.LiteralString | sql.SQL | sql.Composed
    Known = tuple[int, datetime.datetime | None, str | None]

Row = dict[str, t.Any]

MINIMUM_SERVER_VERSION = 140000
POOLED = (
    "connected through a connection pooler: cancelling our own statements may not work; a direct connection is better"
)
#: What libpq says before it comes to the point; the address stands in our own words already.
PREAMBLE = re.compile(r"^connection failed: (?:connection to server (?:at|on socket) .*? failed: )?(?:FATAL:\s+)?")
#: What stands where nobody named an incident.
ADHOC: t.Final = "adhoc"
INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#@+-]{0,63}")

#: How times are written, whatever the database is set to: as they are read again.
TIMES = ("SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'", "SET LOCAL IntervalStyle = 'postgres'")
#: What bounds every transaction: utilities all of them, sent with its beginning, so that none takes its snapshot.
BOUNDS = (
    "SET LOCAL statement_timeout = {statement}",
    "SET LOCAL lock_timeout = {lock}",
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",
    "SET LOCAL client_connection_check_interval = '2s'",
    # Of a machine that lost its power, or its network, nothing comes: neither its statement nor what it locked outlives it for long.
    "SET LOCAL tcp_keepalives_idle = 10",
    "SET LOCAL tcp_keepalives_interval = 5",
    "SET LOCAL tcp_keepalives_count = 2",
    "SET LOCAL tcp_user_timeout = '20s'",
    *TIMES,
    "SET LOCAL jit = off",
)

#: A transaction that holds the lease's row keeps others from it.
IDLE_WRITING = "SET LOCAL idle_in_transaction_session_timeout = '30s'"

#: Whatever the database is set to, values are written so that PostgreSQL reads them back exactly; a policy that would hide
#: rows is an error; and large values are compressed the fast way where the server can.
EXACTLY = """
SELECT set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
       set_config('IntervalStyle', 'postgres', true), set_config('row_security', 'off', true),
       (SELECT set_config('default_toast_compression', 'lz4', true) FROM pg_catalog.pg_settings
        WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals))
"""

#: The first statement of a session, bounded by us: a role or a database may be set to milliseconds.
FACTS = """
BEGIN READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL statement_timeout = '60s';
WITH settings AS MATERIALIZED (
    SELECT name, setting, reset_val, source FROM pg_catalog.pg_settings
    WHERE name IN ('statement_timeout', 'default_transaction_read_only', 'transaction_timeout', 'idle_session_timeout',
                   'idle_in_transaction_session_timeout')
)
SELECT current_database() AS database,
       (SELECT reset_val::float8 / 1000 FROM settings WHERE name = 'statement_timeout') AS timeout_seconds,
       current_setting('default_transaction_read_only') = 'on' OR pg_catalog.pg_is_in_recovery() AS read_only,
       current_user::text AS role, session_user::text AS login,
       current_setting('server_version_num')::int AS server_version,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       (SELECT source FROM settings WHERE name = 'default_transaction_read_only') AS read_only_by,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
       pg_catalog.pg_backend_pid() AS backend_pid,
       ARRAY(SELECT name FROM settings WHERE setting <> '0' AND name IN
             ('transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')) AS ending;
COMMIT
"""

ALONE = f"BEGIN {{}}; {PIN}; SET LOCAL statement_timeout = {{}}; SET LOCAL lock_timeout = {{}}; {'; '.join(TIMES)}; "

#: By what a server is known: its copies have its system identifier, but were not started at the same moment.
SERVER = """
SELECT pg_catalog.pg_postmaster_start_time() AS started,
       (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = %(database)s) AS database
"""

#: How long a transaction under the lease may last without renewing it at its end.
RENEWED_AFTER_SECONDS = 5.0

#: How often the first statement of a session is tried, which has the limit of its role.
FIRST_TRIES = 20

#: What is done outside of a transaction has our limit too, unless a pooler would hand it on to others.
OWN_TIMEOUT = "SELECT pg_catalog.set_config('statement_timeout', %(limit)s, false)"
#: What ends sessions that are idle or at work for long: ours wait for the scheduler and for people, bounded by ourselves.
OWN_ENDS = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.unnest(%(names)s::text[]) AS name"
#: Through a pooler too.
UNENDED = "SET LOCAL transaction_timeout = 0"
UNENDED_SINCE = 170000


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to reach a database and how long anything in it may take (seconds)."""

    dsn: str
    password: str | None = None
    incident: str = ADHOC
    action: str = "assess"
    connect_timeout_seconds: int = 10
    statement_timeout_seconds: float = 60.0
    lock_timeout_seconds: float = 5.0
    #: For how long the kernel sends what nobody acknowledges.
    unanswered_seconds: int = 60
    #: Of a database that we have just made: only there may statements come outside of transactions.
    just_made: bool = False
    #: How to reach the database that has pg_cron, where that is named besides.
    cron: Settings | None = None
    cron_source: str = "scout_cron_dsn"
    #: Whether nobody works on a server of another machine that is not verified.
    verified: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the server says of itself and of us."""

    database: str
    role: str
    server_version: int
    superuser: bool
    backend_pid: int
    pooled: bool
    #: Who logged in: the role, but for a connection that begins with SET ROLE.
    login: str = ""


def application_name(incident: str, action: str) -> str:
    """`scout-recovery/<incident>/<action>`, within PostgreSQL's 63 bytes."""
    return f"scout-recovery/{incident[:29]}/{action[:18]}"


def check_incident(incident: str) -> None:
    """Raises BadInput for an incident name that cannot be used in a session's name, a path or a log line."""
    if not INCIDENT.fullmatch(incident):
        raise BadInput(
            f"incident {incident[:80]!r} is not usable",
            next_step="use 1 to 64 letters, digits and . _ : # @ + - (for example INC-2041)",
        )


class Session:
    """One connection in which every transaction is bounded; works without session state, so also through a pooler."""

    def __init__(self, connection: Watched, settings: Settings, facts: Facts) -> None:
        self.connection = connection
        self.settings = settings
        self.facts = facts
        connection.limit_seconds = settings.statement_timeout_seconds
        connection.pinned_only = not settings.just_made
        #: Called first in every writing transaction; the ledger sets it to check and renew the lease.
        self.fence: Callable[[], object] | None = None
        #: Called last in those that took long, with the lease's row locked by their fence; the ledger sets it, too.
        self.renew: Callable[[], object] | None = None
        #: The token of the lease that it works under.
        self.lease: int | None = None
        #: Pid, start and role of the sessions that are ours; the ledger sets it, for it alone knows them.
        self.known: Callable[[], frozenset[Known]] | None = None
        #: The ledger (its oid) that was found to be ours, and until when that is believed (seconds of the monotonic clock).
        self.ours, self.ours_until = 0, 0.0
        #: Ends what was opened beside it.
        self.ending = contextlib.ExitStack()
        self.opened_beside: Session | None = None
        self._refused: RecoveryError | None = None

    @property
    def where(self) -> str:
        """`scout on db1:5432`, for messages; holds no secret."""
        info = self.connection.info
        if self.connection.closed:
            return self.facts.database
        return f"{self.facts.database} on {_place(info.host)}:{info.port}"

    def rows(self, query: Query, **values: t.Any) -> list[Row]:
        """All rows of a query, as dicts: within the transaction, else in a READ ONLY one of its own."""
        if self.connection.is_idle:
            return self._alone(query, values, "READ ONLY")
        return self.connection.execute(query, values).fetchall()

    def row(self, query: Query, **values: t.Any) -> Row:
        """The first row of a query that always returns one. Raises LookupError where it returns none."""
        found = self.rows(query, **values)
        if not found:
            raise LookupError("a query that always returns a row returned none")
        return found[0]

    def execute(self, query: Query, **values: t.Any) -> int:
        """Runs a statement; returns the number of rows it touched."""
        return self.connection.execute(query, values).rowcount

    def at_once(self, query: Query, **values: t.Any) -> list[Row]:
        """What a statement that writes returns, in a transaction of its own that is one message: whoever is frozen between two
        messages leaves no lock behind. Outside of transactions only; no fence is asked."""
        return self._alone(query, values, "READ WRITE")

    def _alone(self, query: Query, values: dict[str, t.Any], mode: t.LiteralString) -> list[Row]:
        """A query and the transaction that it is, as one message."""
        asked = psycopg.ClientCursor(self.connection).mogrify(query, values)
        limits = (self.settings.statement_timeout_seconds, self.settings.lock_timeout_seconds)
        begin = sql.SQL(ALONE).format(sql.SQL(mode), *(sql.Literal(_milliseconds(seconds)) for seconds in limits))
        try:
            answers = self.connection.outside(begin + sql.SQL(t.cast("t.LiteralString", asked)) + sql.SQL("; COMMIT"))
        except psycopg.Error:
            if self.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                self.connection.outside("ROLLBACK")
            raise
        return _answer(answers)

    @contextlib.contextmanager
    def read(
        self, *, statement_timeout_seconds: float | None = None, lock_timeout_seconds: float | None = None
    ) -> Generator[Session]:
        """A READ ONLY transaction on one snapshot: PostgreSQL itself refuses any write in it."""
        first = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        with self._transaction(statement_timeout_seconds, lock_timeout_seconds, first):
            yield self

    @contextlib.contextmanager
    def write(
        self,
        *,
        statement_timeout_seconds: float | None = None,
        lock_timeout_seconds: float | None = None,
        fence_last: bool = False,
    ) -> Generator[Session]:
        """A READ COMMITTED transaction, fenced by the lease when one is held: from its start, which locks the lease,
        or just before it commits. Raises LeaseLost, rolled back, where the lease is no longer ours."""
        first = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"
        with self._transaction(
            statement_timeout_seconds, lock_timeout_seconds, first, IDLE_WRITING, last=(PIN, closing.look())
        ):
            if fence_last:
                yield self
                if self.fence is not None:
                    self.fence()
            else:
                with self._fenced():
                    yield self

    @contextlib.contextmanager
    def move(self, *, closed: Sequence[str], written: Sequence[str] = ()) -> Generator[Session]:
        """A REPEATABLE READ transaction, fenced by the lease, whose one snapshot is taken once nobody else can write the
        tables `closed`, or alter those `written`: what it reads of them stays true until it commits."""
        first = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"
        # No query before the locks: the first one takes the snapshot.
        locks = [
            sql.SQL("LOCK TABLE {} IN {} MODE").format(
                sql.SQL(", ").join(sql.Identifier(*table.split(".")) for table in tables), mode
            )
            for tables, mode in ((closed, sql.SQL("SHARE ROW EXCLUSIVE")), (written, sql.SQL("ROW EXCLUSIVE")))
            if tables
        ]
        with self._transaction(None, None, first, IDLE_WRITING, *locks, last=(PIN, closing.look([*closed, *written]))):
            self.connection.execute(EXACTLY)
            with self._fenced():
                yield self

    @contextlib.contextmanager
    def _fenced(self) -> Generator[None]:
        """A block that begins with the fence. Nobody else can renew the lease while it lasts, so that a long one does so itself."""
        began = time.monotonic()
        if self.fence is not None:
            self.fence()
        yield
        if self.fence is not None and self.renew is not None and time.monotonic() - began > RENEWED_AFTER_SECONDS:
            self.renew()

    @contextlib.contextmanager
    def _transaction(
        self,
        statement_timeout_seconds: float | None,
        lock_timeout_seconds: float | None,
        characteristics: t.LiteralString,
        *more: Query,
        last: tuple[Query, ...] = (),
    ) -> Generator[None]:
        """A transaction that is bounded from its beginning, which is one message, and whose connection is given up where a statement
        takes much longer than PostgreSQL would let it."""
        usual = self.connection.limit_seconds
        longer = (usual, statement_timeout_seconds, self.settings.lock_timeout_seconds, lock_timeout_seconds)
        self.connection.limit_seconds = max(seconds for seconds in longer if seconds is not None)
        try:
            wanted = BOUNDS
            if self.facts.pooled and self.facts.server_version >= UNENDED_SINCE:
                wanted = (*BOUNDS, UNENDED)
            bounds = self._bounds(wanted, statement_timeout_seconds, lock_timeout_seconds)
            with self.connection.pinned(*bounds, characteristics, *more, last=last):
                yield
        except psycopg.Error as e:
            if e.sqlstate != closing.SQLSTATE:
                raise
            raise closing.refused(e, self.facts.role, self.where) from e
        finally:
            self.connection.limit_seconds = usual

    def limit_statements(self, seconds: float, *, lock_timeout_seconds: float | None = None) -> None:
        """Until the transaction ends no statement takes longer, or waits longer for a lock, than these seconds."""
        self.connection.later(*self._bounds(BOUNDS[:2], seconds, lock_timeout_seconds))
        lock = self.settings.lock_timeout_seconds if lock_timeout_seconds is None else lock_timeout_seconds
        self.connection.limit_seconds = max(seconds, lock, self.connection.limit_seconds or 0.0)

    def beside(self) -> Session | None:
        """The session with the database that has pg_cron, where that is another one of this server; opened when it is first
        asked for. Raises ConnectionFailed, BadInput as a superuser or unverified, and WrongDatabase on another server; the same
        again whenever it is asked for later."""
        if self.settings.cron is None:
            return None
        if self._refused is not None:
            raise self._refused
        if self.opened_beside is None or self.opened_beside.connection.closed:
            try:
                with contextlib.ExitStack() as opened:
                    other = opened.enter_context(open_session(self.settings.cron, self.settings.cron_source))
                    self._require_same(other)
                    self.ending.push(opened.pop_all())
            except RecoveryError as e:
                self._refused = e
                raise
            self.opened_beside = other
        return None if self.opened_beside.facts.database == self.facts.database else self.opened_beside

    def _require_same(self, other: Session) -> None:
        """Refuses a session beside this one that leads to another server, to one that nobody knows, or to more rights."""
        source = self.settings.cron_source
        if self.settings.verified and is_unverified(other.connection.pgconn):
            raise unverified(other.where, source)
        here, there = (each.row(SERVER, database=self.facts.database) for each in (self, other))
        if here != there:
            raise WrongDatabase(
                f"refused to look for pg_cron on another server than that of {self.where}",
                on=other.where,
                said="they were not started at the same moment, or have not the same databases",
                next_step=f"point {source} at the database of the same server that has pg_cron, as {source}='dbname=postgres'",
            )
        if other.facts.superuser and not self.facts.superuser:
            raise BadInput(
                f"refused to alter jobs as superuser {other.facts.role}",
                on=other.where,
                next_step=f"name role {self.facts.role} in {source}, or none, which is the same",
            )

    @contextlib.contextmanager
    def at_cron(self, *, writing: bool = False) -> Generator[Session]:
        """Where pg_cron is: this session, in the caller's transaction; else the one beside it, in one of its own, which ends with
        the outermost such block. Raises as beside() does."""
        other = self.beside()
        if other is None:
            yield self
        elif other.connection.is_idle:
            with other.write() if writing else other.read():
                yield other
        else:
            yield other

    @contextlib.contextmanager
    def savepoint(self) -> Generator[None]:
        """A part of a transaction that may fail alone."""
        with self.connection.transaction():
            yield

    def cancel(self) -> None:
        """Asks the server to stop what this session runs; never raises."""
        with contextlib.suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=2.0)

    def _bounds(
        self,
        wanted: Sequence[t.LiteralString],
        statement_timeout_seconds: float | None,
        lock_timeout_seconds: float | None,
    ) -> list[sql.Composed]:
        usual = (self.settings.statement_timeout_seconds, self.settings.lock_timeout_seconds)
        given = (statement_timeout_seconds, lock_timeout_seconds)
        seconds = (always if other is None else other for always, other in zip(usual, given, strict=True))
        limits = dict(zip(("statement", "lock"), (sql.Literal(_milliseconds(each)) for each in seconds), strict=True))
        return [sql.SQL(each).format(**limits) for each in wanted]


def _answer(answers: psycopg.Cursor[Row]) -> list[Row]:
    """What the one query of a message with several statements returned."""
    while answers.description is None and answers.nextset():
        pass
    return answers.fetchall()


def _place(host: str) -> str:
    """A host's name; `localhost` for a socket, whose path would tell nobody anything."""
    return "localhost" if not host or host.startswith("/") else host


def _milliseconds(seconds: float) -> str:
    """A timeout as PostgreSQL takes it; at least 1 ms, because 0 would mean no limit."""
    return f"{max(1, round(seconds * 1000))}ms"


def _connected(settings: Settings, parts: Row, source: str, **more: t.Any) -> Watched:
    """A connection as these settings have it, and `more`; raises BadInput, UnicodeError and what psycopg does."""
    given: dict[str, t.Any] = {
        "application_name": application_name(settings.incident, settings.action),
        # JSON is read as UTF-8, whatever the encoding of the database is.
        "client_encoding": "UTF8",
        "connect_timeout": parts.get("connect_timeout") or settings.connect_timeout_seconds,
        "keepalives_idle": parts.get("keepalives_idle") or 30,
        "keepalives_interval": parts.get("keepalives_interval") or 10,
        "keepalives_count": parts.get("keepalives_count") or 3,
        "tcp_user_timeout": parts.get("tcp_user_timeout") or 1000 * settings.unanswered_seconds,
        **without_time_zone(parts),
        **guarded(parts, source, os.environ),
    }
    if settings.password:
        if "\0" in settings.password:
            raise BadInput("the password contains a NUL character", next_step="correct scout_password")
        given["password"] = settings.password
    with without_shells_time_zone():
        return Watched.connect(
            settings.dsn, autocommit=True, prepare_threshold=None, row_factory=rows.dict_row, **given | more
        )


def require_right_host(session: Session, source: str) -> list[str]:
    """What is to be said of the other hosts that this connection names, each of which is looked at. Raises WrongDatabase where one of
    them is the server that should be worked on."""

    def open_other(at: dict[str, str]) -> Watched:
        settings = session.settings
        more = {"target_session_attrs": "any", "connect_timeout": identity.LOOK_SECONDS, **at}
        connection = _connected(settings, parse_dsn(settings.dsn, source), source, **more)
        if settings.verified and is_unverified(connection.pgconn):
            connection.close()
            raise psycopg.OperationalError("not verified")
        loaders.read_all(connection)
        return connection

    parts = parse_dsn(session.settings.dsn, source)
    return identity.require_right(session.connection, parts, source, session.rows, open_other)


@contextlib.contextmanager
def open_session(settings: Settings, source: str = "scout_dsn", *, only_read: bool = False) -> Generator[Session]:
    """A session on a writable primary. Raises WrongDatabase on a standby, naming how to reach the right server, or
    where transactions are read-only; ConnectionFailed where there is no connection. A read-only session may also
    be on a standby."""
    parts = parse_dsn(settings.dsn, source)
    try:
        connection = _connected(settings, parts, source)
    except UnicodeError as e:
        raise BadInput("the password cannot be sent: it is not text", next_step="correct scout_password") from e
    except psycopg.Error as e:
        raise ConnectionFailed(
            "could not open a session",
            on=describe(parts, source),
            said=PREAMBLE.sub("", first_line(str(e))),
            sqlstate=e.sqlstate,
            next_step=connection_advice(e, source),
        ) from e
    loaders.read_all(connection)
    try:
        about = connection.info
        with limits_named(about.user, about.dbname, f"{settings.action} failed", on=describe(parts, source)):
            facts, timeout_seconds, ending = _in_spite_of_a_limit(
                connection, lambda: _facts(connection, source, only_read=only_read)
            )
            if 0 < timeout_seconds < settings.statement_timeout_seconds and not facts.pooled:
                limit = _milliseconds(settings.statement_timeout_seconds)
                _in_spite_of_a_limit(connection, lambda: _lift(connection, limit))
            if ending and not facts.pooled:
                with connection.pinned("SET LOCAL statement_timeout = '60s'"):
                    connection.execute(OWN_ENDS, {"names": ending})
            with _hoarder_named(connection, f"{settings.action} failed", on=describe(parts, source)):
                session = Session(connection, settings, facts)
                with session.ending:
                    yield session
    except BaseException:
        if not connection.closed and connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=2.0)
        raise
    finally:
        connection.close()


def _in_spite_of_a_limit[T](connection: Watched, ask: Callable[[], T]) -> T:
    """The answer to the first question that is quick enough: until ours is set, a statement has the limit of its role or
    database, of a millisecond perhaps, which a busy server does not always keep."""
    for _ in range(FIRST_TRIES - 1):
        try:
            return ask()
        except psycopg.errors.QueryCanceled:
            if not connection.is_idle:
                connection.outside("ROLLBACK")
    return ask()


def _lift(connection: Watched, limit: str) -> None:
    """Gives the session our limit of a statement."""
    with connection.pinned(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(limit))):
        connection.execute(OWN_TIMEOUT, {"limit": limit})


@contextlib.contextmanager
def _hoarder_named(connection: Watched, attempted: str, *, on: str) -> Generator[None]:
    """Raises what ended for want of memory with who keeps most of that for locks, where somebody does."""
    try:
        yield
    except (psycopg.Error, RecoveryError) as e:
        found: lock_table.Hoarder | None = None
        if e.sqlstate == OUT_OF_MEMORY and not connection.closed:
            with contextlib.suppress(psycopg.Error), connection.pinned("SET LOCAL statement_timeout = '10s'"):
                found = lock_table.hoarder(connection.execute(lock_table.MOST).fetchall())
        if found is None:
            raise
        error = e if isinstance(e, RecoveryError) else translate(e, attempted, on=on)
        error.said, error.next_step = f"{error.said}; {found.said}", found.next_step
        if error is e:
            raise
        raise error from e


def _facts(connection: Watched, source: str, *, only_read: bool) -> tuple[Facts, float, list[str]]:
    """What the server says, the timeout that statements of this session would have, and the settings that would end it."""
    answers = connection.outside(FACTS)
    [found] = _answer(answers)
    info = connection.info
    where = f"{found['database']} on {_place(info.host)}:{info.port}"
    if found["in_recovery"] and not only_read:
        raise WrongDatabase(
            "refused to work on a standby",
            on=where,
            next_step=f"point {to_set(source)} at the primary (target_session_attrs=read-write lets libpq choose among hosts)",
        )
    if found["read_only"] and not only_read:
        raise WrongDatabase(
            "refused to work where transactions are read-only by default",
            on=where,
            said=f"default_transaction_read_only is set {SET_BY.get(found['read_only_by'], 'for this server')}",
            next_step=f"if the primary is elsewhere, point {to_set(source)} at it; else {writable_again(found)}",
        )
    if found["server_version"] < MINIMUM_SERVER_VERSION:
        raise WrongDatabase(
            f"refused PostgreSQL {found['server_version'] // 10000}",
            on=where,
            next_step="PostgreSQL 14 or later is needed",
        )
    facts = Facts(
        database=found["database"],
        role=found["role"],
        server_version=found["server_version"],
        superuser=bool(found["superuser"]),
        backend_pid=found["backend_pid"],
        # A pooler hands out its own cancel key, so the pid in it is not the server process's.
        pooled=connection.info.backend_pid != found["backend_pid"],
        login=found["login"],
    )
    return facts, found["timeout_seconds"], found["ending"]
