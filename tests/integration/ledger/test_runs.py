# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the ledger: runs that begin, end and are gone on with, pauses, and what a reader finds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import (
    bootstrap,
    controller,
    history,
    lease,
    pauses,
    runs,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.ledger import Ledger
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import connect, one, rows

ASKED = {"window": "1h"}
LINES = "SELECT run_id::text, status, effects, error FROM scout_ops.runs ORDER BY started_at"


@pytest.fixture
def ledger(scout_db: str) -> Iterator[Ledger]:
    """The ledger of a database, on a session of its own."""
    with open_session(Settings(scout_db, incident="INC-1", action="test")) as session:
        yield bootstrap.ensure(session, incident="INC-1", controller=controller.this_controller(None))


@contextlib.contextmanager
def operation(ledger: Ledger, *given: Any, **options: Any) -> Iterator[runs.Run]:
    """A run as on a session of its own: the fence of the one before ends with its session."""
    ledger.session.fence = None
    with runs.operation(ledger, *given, **options) as run:
        yield run


def broken_off(ledger: Ledger, action: str = "quarantine", asked: Any = ASKED, **effects: Any) -> str:
    """The id of a run that recorded these effects and then failed."""

    def fail() -> None:
        nonlocal begun
        with operation(ledger, action, {"first": True}, asked=asked) as begun:
            if effects:
                with ledger.session.write():
                    begun.record(**effects)
            raise NotConverged("could not go on", said="no")

    begun = runs.Run(ledger, "")
    with pytest.raises(NotConverged) as raised:
        fail()
    run = begun
    told = {"changed": True, "run_id": run.run_id, "effects": effects} if effects else {}
    assert raised.value.result == told
    return run.run_id


def done(ledger: Ledger, action: str = "quarantine", asked: Any = ASKED, **effects: Any) -> runs.Run:
    """A run that came to its end."""
    with operation(ledger, action, {"first": False}, asked=asked) as run, ledger.session.write():
        run.record(**effects)
    return run


def test_a_run_that_was_interrupted_is_gone_on_with_by_the_same_words(ledger: Ledger, scout_db: str) -> None:
    first = broken_off(ledger, moved=1)
    assert rows(scout_db, LINES) == [
        (first, "failed", {"moved": 1}, {"kind": "not_reached", "attempted": "could not go on", "on": "", "said": "no",
                                         "sqlstate": None, "next_step": "", "advice": [], "commands": []}),
    ]  # fmt: skip
    again = done(ledger, more=2)
    assert (again.run_id, again.effects) == (first, {"moved": 1, "more": 2})
    assert again.interrupted is not None
    assert (again.interrupted["parameters"], again.interrupted["status"]) == ({"first": True}, "failed")
    assert rows(scout_db, LINES) == [(first, "succeeded", {"moved": 1, "more": 2}, None)]
    other = done(ledger)
    assert (other.run_id == first, other.interrupted) == (False, None)


@pytest.mark.parametrize(
    "why", ["other words", "another action", "no words", "nothing done", "undone", "closed", "a later one"]
)
def test_what_is_not_gone_on_with(ledger: Ledger, scout_db: str, why: str) -> None:
    effects = {} if why == "nothing done" else {"moved": 1}
    asked = None if why == "no words" else ASKED
    first = broken_off(ledger, asked=asked, **effects)
    if why == "undone":
        with connect(scout_db) as connection:
            connection.execute("UPDATE scout_ops.runs SET undone_by = gen_random_uuid()")
    if why == "closed":
        with ledger.session.write():
            runs.Run(ledger, first).close()
    if why == "a later one":
        with connect(scout_db) as connection:
            connection.execute(
                "INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller, parameters, asked, status) "
                "SELECT gen_random_uuid(), action, incident, actor, controller, parameters, asked, 'succeeded' FROM scout_ops.runs"
            )
    action = "cleanup" if why == "another action" else "quarantine"
    run = done(ledger, action, {"window": "2h"} if why == "other words" else asked)
    assert (run.run_id == first, run.interrupted) == (False, None)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "stopped"), (ValueError, "failed"), (SystemExit, "failed")]
)
def test_however_it_ends_its_line_says_so(
    ledger: Ledger, scout_db: str, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), operation(ledger, "cleanup", {}):
        raise error
    [(_, ended, effects, said)] = rows(scout_db, LINES)
    assert (ended, effects, said) == (status, {}, {"kind": error.__name__})
    assert one(scout_db, "SELECT finished_at IS NOT NULL FROM scout_ops.runs")
    assert one(scout_db, "SELECT owner FROM scout_ops.leases") is None, "its lease is given back"


def test_a_run_whose_end_cannot_be_written_has_not_succeeded(ledger: Ledger, scout_db: str) -> None:
    """Unless it has failed already: then what failed first is said."""

    def spoilt(error: Exception | None) -> None:
        with operation(ledger, "cleanup", {}), connect(scout_db) as connection:
            connection.execute("ALTER TABLE scout_ops.runs RENAME TO elsewhere")
            if error is not None:
                raise error

    for error, raised in ((None, psycopg.errors.UndefinedTable), (ValueError("first"), ValueError)):
        with pytest.raises(raised):
            spoilt(error)
        with connect(scout_db) as connection:
            connection.execute("ALTER TABLE scout_ops.elsewhere RENAME TO runs")
    assert [row[1] for row in rows(scout_db, LINES)] == ["interrupted", "running"]
    assert one(scout_db, "SELECT owner FROM scout_ops.leases") is None


def test_a_line_that_takes_no_lease(ledger: Ledger, scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("INSERT INTO scout_ops.leases (name, token, run_id, owner, expires_at) "
                           "VALUES ('pipeline', 7, gen_random_uuid(), 'bob', now() + interval '1 hour')")  # fmt: skip
    run = runs.begin(ledger, "watch", {"every": 5})
    assert one(scout_db, "SELECT parent_run_id FROM scout_ops.runs") is None, "nor is it part of what holds one"
    assert [row[:2] for row in rows(scout_db, LINES)] == [(run.run_id, "running")]
    assert rows(scout_db, "SELECT owner, token FROM scout_ops.leases") == [("bob", 7)]
    runs.end(run, None)
    assert [row[1:] for row in rows(scout_db, LINES)] == [("succeeded", {}, None)]


def test_a_run_under_the_lease_of_its_playbook_belongs_to_that(ledger: Ledger, scout_db: str) -> None:
    held = lease.acquire(ledger, "5e6f9c1e-0000-4000-8000-000000000001")
    assert held is not None
    with operation(ledger, "cleanup", {"a": 1}, lease_token=held.token, undoes="5e6f9c1e-0000-4000-8000-000000000002"):
        assert one(scout_db, "SELECT status FROM scout_ops.runs") == "running"
    assert rows(scout_db, "SELECT parent_run_id::text, undoes::text, parameters, incident FROM scout_ops.runs") == [
        (held.run_id, "5e6f9c1e-0000-4000-8000-000000000002", {"a": 1}, "INC-1")
    ]
    assert one(scout_db, "SELECT token FROM scout_ops.leases WHERE owner IS NOT NULL") == held.token
    assert lease.release(ledger, held.token)
    done(ledger)
    assert one(scout_db, "SELECT count(*) FROM scout_ops.runs WHERE parent_run_id IS NULL") == 1


def test_a_pause_remembers_each_job_once_and_that_it_called_the_switch(ledger: Ledger, scout_db: str) -> None:
    assert pauses.open_pause(ledger) is None
    with operation(ledger, "pause", {"operation": "undo"}) as run, ledger.session.write():
        pauses.save_pause(ledger, run, [{"jobid": 1, "schedule": "a"}, {"jobid": 2, "schedule": "b"}], switched=True)
        pauses.save_pause(ledger, run, [{"jobid": 2, "schedule": "c"}, {"jobid": 3, "schedule": "d"}], switched=False)
    with ledger.session.read():
        found = pauses.open_pause(ledger)
    assert found
    assert {job["jobid"]: job["schedule"] for job in found.jobs} == {1: "a", 2: "c", 3: "d"}
    assert (found.run_id, found.incident, found.switched, found.operation) == (run.run_id, "INC-1", True, "undo")
    assert 0 <= found.seconds < 600
    with operation(ledger, "resume", {}) as resumed, ledger.session.write():
        pauses.set_pause_jobs(ledger, found, [{"jobid": 1}])
        pauses.close_pause(ledger, resumed, found)
    with ledger.session.read():
        assert pauses.open_pause(ledger) is None
    assert rows(scout_db, "SELECT jobs, switched, resumed_by, resume_run_id::text FROM scout_ops.pauses") == [
        ([{"jobid": 1}], True, ledger.controller.actor, resumed.run_id)
    ]


def test_what_a_reader_finds(ledger: Ledger) -> None:
    """The latest first, without the lines of the lease; a run with those that were done under its lease."""
    first, second = done(ledger, moved={"events": 1}), done(ledger, "cleanup")
    held = done(ledger, "lease")
    with ledger.session.read():

        def ids(**chosen: Any) -> list[str]:
            wanted = {"incident": None, "action": None, "run_id": None, "limit": 9, **chosen}
            return [row["run_id"] for row in history.read(ledger.session, **wanted)]

        assert ids() == [second.run_id, first.run_id]
        assert ids(limit=1) == ids(action="cleanup") == ids(run_id=second.run_id) == [second.run_id]
        assert (ids(incident="INC-1"), ids(incident="INC-2")) == ([second.run_id, first.run_id], [])
        assert history.of_incident(ledger.session, "INC-1") == (first.run_id, second.run_id)
        assert history.of_incident(ledger.session, "INC-2") == ()
    assert held.run_id not in (first.run_id, second.run_id)


def test_a_run_is_named_by_its_first_digits_or_as_the_last(ledger: Ledger) -> None:
    older = broken_off(ledger, moved={"events": 1})
    with operation(ledger, "quarantine", {"second": True}) as newer, ledger.session.write():
        newer.record(moved={"events": 2})
    with operation(ledger, "pause", {}), ledger.session.read():
        pass
    with ledger.session.read():
        for text in (older, older[:8], f" {older[:13].upper()} "):
            assert history.run_named(ledger.session, text) == older
        assert history.run_named(ledger.session, "last") == newer.run_id
        # Whether there is such a run, is asked where it is used.
        assert history.run_named(ledger.session, "0" * 32) == "00000000-0000-0000-0000-000000000000"
    [found] = history.list_runs(ledger, off=False, incident=None, action=None, run_id=older[:8], limit=5)["runs"]
    assert found["run_id"] == older


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yesterday", "run_id 'yesterday' is not a run id: nor its first 8 digits, nor last"),
        ("0000000", "run_id '0000000' is not a run id"),
        ("%", "run_id '%' is not a run id"),
        ("01234567", "run_id '01234567' names no run.*: no run begins so"),
        ("last", "no run can be undone"),
    ],
)
def test_a_text_that_names_no_run_is_refused(text: str, said: str, ledger: Ledger) -> None:
    with ledger.session.read(), pytest.raises(BadInput, match=said):
        history.run_named(ledger.session, text)


def test_digits_with_which_two_runs_begin_name_neither(ledger: Ledger, scout_db: str) -> None:
    with connect(scout_db) as hand:
        for end in "12":
            hand.execute(
                "INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller, parameters) "
                "VALUES (%s, 'pause', 'INC-1', 'me', '{}', '{}')",
                [f"aaaaaaaa-0000-0000-0000-00000000000{end}"],
            )
    with ledger.session.read(), pytest.raises(BadInput, match="2 runs begin so: aaaaaaaa-0000-0000-0000-00000000000"):
        history.run_named(ledger.session, "aaaaaaaa")


def test_a_short_name_needs_a_ledger(scout_db: str) -> None:
    with open_session(Settings(scout_db)) as session, session.read():
        assert history.run_named(session, "0" * 32)
        with pytest.raises(BadInput, match="there is no ledger here"):
            history.run_named(session, "last")
