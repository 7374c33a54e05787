# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that is given up once nobody answers any more: no timeout of PostgreSQL's ends what it does not run."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
import typing as t

from ..core.text import in_words
from .driver import import_error, psycopg, sql

if t.TYPE_CHECKING:
    from collections.abc import Generator

    Statement = t.LiteralString | sql.SQL | sql.Composed
    Base = psycopg.Connection[dict[str, t.Any]]
else:
    Base = object if import_error else psycopg.Connection

#: The first statement of every transaction, and a utility: so nothing that others made is ever found by its bare name, be it
#: a function, an operator, a type or a table.
PIN: t.Final = "SET LOCAL search_path = pg_catalog, pg_temp"

#: After so many seconds without a word the server is asked whether it is there, and after as many again once more.
SILENT_SECONDS = 15.0
#: How long its answer to that may take.
PROBE_SECONDS = 5.0
#: How many such questions in a row have to remain without an answer.
PROBES = 2
#: How much longer than its timeout a statement may take, in seconds, before its session is taken for dead.
GRACE_SECONDS = 60.0
#: What every server and pooler answers with one byte before anybody has logged in: whether it speaks TLS.
SSL_REQUEST: t.Final = struct.pack("!II", 8, 80877103)


class Watched(Base):
    """A connection of which each wait ends: with what came, or with an OperationalError where nobody answers."""

    #: The timeout that PostgreSQL has for the statement, in seconds; None where it is not known.
    limit_seconds: float | None = None
    #: Whether nothing may be run but in a transaction whose search path is pinned.
    pinned_only: bool = True

    #: Statements that go with the next one, in one message.
    _unsent: tuple[Statement, ...] = ()
    #: How many savepoints there are, one in the other.
    _depth: int = 0

    def execute(self, query: t.Any, params: t.Any = None, **options: t.Any) -> psycopg.Cursor[dict[str, t.Any]]:
        """As in any connection, but in a transaction alone, and with all in the same message that was to go before it."""
        self._require_pin()
        if not self._unsent:
            return super().execute(query, params, **options)
        first, self._unsent = self._unsent, ()
        last = query if params is None else psycopg.ClientCursor(self).mogrify(query, params)
        answers = super().execute(sql.SQL("; ").join(map(_composable, (*first, last))))
        for _ in first:
            answers.nextset()
        return answers

    def later(self, *statements: Statement) -> None:
        """Utilities that go with the next statement: far from the server, a message takes as long as what it asks. Each is one
        statement."""
        self._unsent = (*self._unsent, *statements)

    def send(self) -> None:
        """Sends what was to go with the next statement: before something else than a statement is sent."""
        if self._unsent:
            first, self._unsent = self._unsent, ()
            super().execute(sql.SQL("; ").join(map(_composable, first)))

    def cursor(self, *args: t.Any, **options: t.Any) -> t.Any:
        """As in any connection."""
        self.send()
        return super().cursor(*args, **options)

    def outside(self, message: Statement) -> psycopg.Cursor[dict[str, t.Any]]:
        """Outside of transactions: a utility such as CREATE DATABASE, or a whole transaction that begins with the pin."""
        return super().execute(message)

    @contextlib.contextmanager
    def pinned(self, *first: Statement, last: tuple[Statement, ...] = ()) -> Generator[None]:
        """A transaction that begins with the pin and what else is to come before any query, sent with the first one, and has
        `last` sent with its COMMIT. It is rolled back where the block raises, and psycopg.Rollback ends it in silence."""
        if not self.is_idle:
            raise psycopg.ProgrammingError("refused to begin a transaction within another one")
        self._unsent = ("BEGIN", PIN, *first)
        try:
            yield
        except BaseException as e:
            self._roll_back()
            if not isinstance(e, psycopg.Rollback) or e.transaction is not None:
                raise
        else:
            self._commit(last)

    def _commit(self, last: tuple[Statement, ...]) -> None:
        """Commits the transaction, if it has come to one; rolls it back where what comes with that fails."""
        self._unsent, self._depth = (), 0
        if self.closed or self.is_idle:
            return
        try:
            super().execute(sql.SQL("; ").join(map(_composable, (*last, "COMMIT"))))
        except psycopg.Error:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Ends the transaction, if it has come to one; what has gone wrong before is what matters."""
        self._unsent, self._depth = (), 0
        if not (self.closed or self.is_idle):
            with contextlib.suppress(psycopg.Error):
                super().execute("ROLLBACK")

    @contextlib.contextmanager
    def transaction(self, *args: t.Any, **options: t.Any) -> Generator[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A savepoint, in a transaction alone; begun with its first statement, and released with the one that follows."""
        self._require_pin()
        if self.is_idle:
            with super().transaction(*args, **options):
                yield
            return
        self._depth += 1
        name = sql.Identifier(f"scout_recovery_{self._depth}")
        begun = sql.SQL("SAVEPOINT {}").format(name)
        self._unsent = (*self._unsent, begun)
        try:
            yield
        except BaseException as e:
            if not self._took_back(begun) and not (self.closed or self.is_idle):
                self._unsent = ()
                with contextlib.suppress(psycopg.Error):
                    super().execute(sql.SQL("ROLLBACK TO SAVEPOINT {0}; RELEASE SAVEPOINT {0}").format(name))
            if not isinstance(e, psycopg.Rollback) or e.transaction is not None:
                raise
        else:
            if not self._took_back(begun):
                self._unsent = (*self._unsent, sql.SQL("RELEASE SAVEPOINT {}").format(name))
        finally:
            self._depth -= 1

    def _took_back(self, begun: Statement) -> bool:
        """Whether a savepoint in which nothing was asked has not been sent, and will not be."""
        at = next((number for number, each in enumerate(self._unsent) if each is begun), None)
        if at is not None:
            self._unsent = self._unsent[:at]
        return at is not None

    def opened_with(self, setting: str) -> bool:
        """Whether the connection's own options, or PGOPTIONS, set it."""
        given = next((option.val for option in self.pgconn.info if option.keyword == b"options"), None)
        return setting in (given or b"").decode(errors="replace")

    @property
    def is_idle(self) -> bool:
        """Whether it is outside of transactions."""
        return not self._unsent and self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def _require_pin(self) -> None:
        if self.pinned_only and self.is_idle:
            raise psycopg.ProgrammingError(
                "refused to run a statement outside of a transaction that pins its search path"
            )

    def wait(self, gen: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """As in any connection, but not for ever."""
        return super().wait(_watched(gen, self), *args, **kwargs)


def _composable(statement: t.Any) -> sql.Composable:
    """A statement as a part of a message; a text, or bytes of UTF-8, is as it stands."""
    if isinstance(statement, sql.Composable):
        return statement
    return sql.SQL(t.cast("t.LiteralString", statement.decode() if isinstance(statement, bytes) else statement))


def _watched(gen: t.Any, connection: Watched) -> Generator[t.Any, t.Any, t.Any]:
    """What `gen` does; raises where the server has been silent for too long, with the connection closed."""
    began = heard = time.monotonic()
    unanswered = 0
    try:
        state = next(gen)
        while True:
            ready = yield state
            now = time.monotonic()
            if ready:
                heard, unanswered = now, 0
            elif connection.limit_seconds is not None and now - began > connection.limit_seconds + GRACE_SECONDS:
                _give_up(
                    connection, f"its session has not answered for {in_words(now - began)}, and passed its timeout"
                )
            elif now - heard > SILENT_SECONDS:
                unanswered = 0 if answers(connection.info) else unanswered + 1
                heard = time.monotonic()
                if unanswered >= PROBES:
                    _give_up(connection, f"the server has not answered for {in_words(heard - began)}")
            state = gen.send(ready)
    except StopIteration as e:
        return e.value


def _give_up(connection: Watched, why: str) -> t.NoReturn:
    # Nothing is said to a server that does not listen, or closing would wait for it as well.
    connection.pgconn.finish()
    raise psycopg.OperationalError(why)


def answers(info: psycopg.ConnectionInfo) -> bool:
    """Whether somebody is there: who refuses us is, and so is one that cannot be asked."""
    host, port = info.hostaddr or info.host, info.port
    try:
        if host.startswith(("/", "@")):
            with socket.socket(socket.AF_UNIX) as asked:
                path = f"{host}/.s.PGSQL.{port}"
                asked.settimeout(PROBE_SECONDS)
                asked.connect(f"\0{path[1:]}" if host.startswith("@") else path)
                return _answered(asked)
        with socket.create_connection((host, port), PROBE_SECONDS) as asked:
            asked.settimeout(PROBE_SECONDS)
            return _answered(asked)
    except TimeoutError:
        return False
    except OSError:
        # A refusal, an unknown name: what becomes of our own connection is for it to say.
        return True


def _answered(asked: socket.socket) -> bool:
    asked.sendall(SSL_REQUEST)
    asked.recv(1)
    return True
