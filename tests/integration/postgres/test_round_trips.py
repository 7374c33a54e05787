# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What begins and ends a transaction or a savepoint goes with a query, and means what it would mean by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Budget
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from tests.integration.modules import connect
from tests.integration.postgres.distant import Distant


@pytest.fixture
def session(scout_db: str) -> Iterator[Session]:
    with connect(scout_db) as connection:
        connection.execute("CREATE TABLE public.noted (what text); GRANT ALL ON public.noted TO PUBLIC")
    with open_session(Settings(scout_db)) as opened:
        yield opened


def note(session: Session, what: str) -> None:
    session.execute("INSERT INTO public.noted VALUES (%(what)s)", what=what)


def noted(session: Session) -> list[str]:
    return [row["what"] for row in session.rows("SELECT what FROM public.noted ORDER BY what")]


def failing_after(session: Session, *said: str, within: str = "") -> None:
    """A savepoint that fails once this has been written, some of it in a savepoint of its own."""
    with contextlib.suppress(psycopg.errors.DivisionByZero), session.savepoint():
        for what in said:
            note(session, what)
        if within:
            with session.savepoint():
                note(session, within)
        session.row("SELECT 1 / 0")


@pytest.mark.parametrize("facts", [1, 5])
def test_a_read_takes_one_message_a_query_and_one_to_end(scout_db: str, facts: int) -> None:
    with Distant(scout_db, 0.0) as far, open_session(Settings(far.dsn)) as session:
        before = far.round_trips
        with session.read():
            budget = Budget(session, 30)
            for number in range(facts):
                assert budget.read(f"fact {number}", lambda s: s.row("SELECT 1 AS one")["one"]) == 1
        assert far.round_trips - before == facts + 1
        before = far.round_trips
        with session.write(), session.savepoint():
            pass
        assert far.round_trips == before


def test_what_fails_in_a_savepoint_is_undone_alone(session: Session) -> None:
    with session.write():
        note(session, "before")
        failing_after(session, "within")
        with session.savepoint():
            note(session, "after")
    assert noted(session) == ["after", "before"]


def test_the_first_statement_of_a_transaction_may_fail_in_a_savepoint(session: Session) -> None:
    with session.write():
        with pytest.raises(psycopg.errors.DivisionByZero), session.savepoint():
            session.row("SELECT 1 / %(zero)s", zero=0)
        note(session, "after")
    assert noted(session) == ["after"]


@pytest.mark.parametrize("encoded", [True, False], ids=["bytes", "text"])
def test_several_statements_may_come_first(session: Session, encoded: bool) -> None:
    text = "INSERT INTO public.noted VALUES ('100 % {a}'); INSERT INTO public.noted VALUES ('b')"
    with session.write():
        session.connection.execute(text.encode() if encoded else text)
        note(session, "c")
    assert noted(session) == ["100 % {a}", "b", "c"]


def test_savepoints_within_savepoints(session: Session) -> None:
    with session.write():
        with session.savepoint():
            with session.savepoint():
                note(session, "a")
            failing_after(session, "b", within="c")
            note(session, "d")
        failing_after(session, within="e")
    assert noted(session) == ["a", "d"]


def test_what_is_given_up_in_silence_is_gone(session: Session) -> None:
    with session.write():
        note(session, "kept")
        with session.savepoint():
            note(session, "gone")
            raise psycopg.Rollback
    with session.write():
        note(session, "gone as well")
        raise psycopg.Rollback
    assert noted(session) == ["kept"]


def test_a_transaction_that_fails_leaves_the_session_as_it_was(session: Session) -> None:
    with contextlib.suppress(psycopg.errors.DivisionByZero), session.write():
        note(session, "gone")
        session.row("SELECT 1 / 0")
    with pytest.raises(RuntimeError), session.write(), session.savepoint():
        raise RuntimeError
    with session.write():
        note(session, "kept")
    assert noted(session) == ["kept"]
    with session.read(), pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        note(session, "refused")


def test_limits_hold_from_the_statement_that_follows(session: Session) -> None:
    with session.read():
        session.limit_statements(7, lock_timeout_seconds=3)
        row = session.row("SELECT current_setting('statement_timeout') AS one, current_setting('lock_timeout') AS two")
        assert (row["one"], row["two"]) == ("7s", "3s")
    with session.read(statement_timeout_seconds=9):
        assert session.row("SHOW statement_timeout")["statement_timeout"] == "9s"


def test_no_transaction_within_another_one(session: Session) -> None:
    with session.write():
        with pytest.raises(psycopg.ProgrammingError, match="within another one"), session.read():
            pass
        note(session, "kept")
    assert noted(session) == ["kept"]
