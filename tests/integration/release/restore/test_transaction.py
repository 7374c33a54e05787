# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A captured release is restored in one transaction or not at all, whoever is at work meanwhile."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import job as engine_job
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import store as captures_store
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.target import Target
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from tests.integration import everything_schema
from tests.integration.modules import call
from tests.integration.release.planner.test_plan import ROWS, canonical
from tests.integration.releases import capture, rich_template, run

TEMPLATE = "restoring_template"
_numbers = itertools.count(1)

#: A bad release: a function that does something else, columns that come and go, a view replaced, a grant revoked, a job disabled.
BAD_RELEASE = """
CREATE OR REPLACE FUNCTION shop.total(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * b';
ALTER TABLE shop.customer ADD COLUMN phone text;
DROP VIEW shop.named_orders;
ALTER TABLE shop."order" DROP COLUMN "two words";
CREATE VIEW shop.named_orders AS SELECT o.id, c.phone FROM shop."order" AS o JOIN shop.customer AS c ON c.id = o.customer;
REVOKE SELECT ON shop.by_day FROM release_reader;
INSERT INTO supabase_migrations.schema_migrations VALUES ('20250301000000', ARRAY['x'], 'bad')
"""
JOB_OFF = "SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'by-day'"

template = rich_template(TEMPLATE, ROWS)


@pytest.fixture
def captured(pg_server: Server, template: str) -> Iterator[tuple[str, captures_document.Document]]:
    """A copy of it, with its capture."""
    name = f"restoring_{next(_numbers)}"
    dsn = everything_schema.clone(pg_server, TEMPLATE, name)
    yield dsn, capture(dsn)
    pg_server.drop_database(name)


def target_of(session: Session, document: captures_document.Document) -> Target:
    with session.read():
        return Target(document, captures_store.origin(session).is_that_of(document))


def planned(session: Session, target: Target) -> transaction.Way:
    with session.read():
        return transaction.survey(session, target)


def restored(
    dsn: str,
    document: captures_document.Document,
    patience: transaction.Patience | None = None,
    progress: Progress | None = None,
    **more: Any,
) -> int:
    """Plans and goes; gives the attempts that gave way."""
    with open_session(Settings(dsn)) as session:
        way = planned(session, target_of(session, document))
        transaction.refuse(session.where, way, allow_lossy=True)
        return transaction.restore(
            session, way, patience or transaction.Patience(), progress or Progress(), **more
        ).attempts


def test_what_moved_to_another_schema_comes_back_with_its_rows(
    captured: tuple[str, captures_document.Document],
) -> None:
    dsn, document = captured
    run(dsn, "ALTER TABLE shop.customer SET SCHEMA elsewhere; ALTER TABLE elsewhere.customer RENAME COLUMN name TO n")
    restored(dsn, document)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT array_agg(name ORDER BY id) FROM shop.customer").fetchone() == (
            ["Ana", "Ben"],
        )


def test_a_capture_restores_another_database(
    captured: tuple[str, captures_document.Document], pg_server: Server, template: str
) -> None:
    """Addresses of another database mean nothing: it goes by names."""
    _, document = captured
    name = f"restoring_{next(_numbers)}"
    dsn = everything_schema.clone(pg_server, TEMPLATE, name)
    try:
        run(dsn, BAD_RELEASE)
        restored(dsn, document)
        assert canonical(dump(dsn, "--schema-only")) == canonical(dump(template, "--schema-only"))
    finally:
        pg_server.drop_database(name)


def test_a_way_that_does_not_arrive_is_rolled_back(captured: tuple[str, captures_document.Document]) -> None:
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    before = dump(dsn)
    with open_session(Settings(dsn)) as session:
        way = planned(session, target_of(session, document))
        short = dataclasses.replace(way, plan=dataclasses.replace(way.plan, steps=way.plan.steps[:-1]))
        with pytest.raises(errors.NotConverged, match="post-rollback verification failed"):
            transaction.restore(session, short, transaction.Patience(), Progress())
    assert dump(dsn) == before


def test_a_statement_that_is_refused_changes_nothing(captured: tuple[str, captures_document.Document]) -> None:
    """A row that the captured schema does not allow."""
    dsn, document = captured
    run(dsn, "ALTER TABLE shop.customer DROP CONSTRAINT named; UPDATE shop.customer SET name = ''")
    run(dsn, BAD_RELEASE)
    before = dump(dsn)
    with pytest.raises(errors.RecoveryError, match=r"could not create constraint named on shop\.customer") as raised:
        restored(dsn, document)
    assert "violated by some row" in raised.value.said
    assert raised.value.result["failed_step"]["key"] == "constraint:named on shop.customer"
    assert dump(dsn) == before


def test_it_waits_for_a_reader_without_keeping_others_waiting(captured: tuple[str, captures_document.Document]) -> None:
    """While somebody reads for long, attempts give way: no other reader waits longer than an attempt's lock timeout."""
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    patience = transaction.Patience(lock_timeout_seconds=0.3, patience_seconds=60)
    waits: list[float] = []
    done = threading.Event()

    def keep_reading() -> None:
        with psycopg.connect(dsn, autocommit=True) as reader:
            while not done.is_set():
                began = time.monotonic()
                reader.execute("SELECT count(*) FROM shop.customer").fetchone()
                waits.append(time.monotonic() - began)

    attempts: list[int] = []
    yielded: list[str] = []
    with psycopg.connect(dsn) as slow:
        slow.execute("SELECT count(*) FROM shop.customer").fetchone()
        other = threading.Thread(target=keep_reading)
        progress = Progress(yielded.append, every_seconds=0)
        restoring_thread = threading.Thread(target=lambda: attempts.append(restored(dsn, document, patience, progress)))
        other.start()
        restoring_thread.start()
        try:
            wait_for(lambda: bool(yielded) and any(wait > 0.1 for wait in waits))
        finally:
            slow.rollback()
            restoring_thread.join(60)
            done.set()
            other.join(60)
    assert attempts
    assert attempts[0] >= 1
    assert capture(dsn)["digest"] == document["digest"]


def test_patience_ends(captured: tuple[str, captures_document.Document]) -> None:
    dsn, document = captured
    run(dsn, BAD_RELEASE)
    before = dump(dsn)
    patience = transaction.Patience(lock_timeout_seconds=0.1, patience_seconds=1)
    with psycopg.connect(dsn) as slow:
        slow.execute("SELECT count(*) FROM shop.customer").fetchone()
        with pytest.raises(errors.RecoveryError, match="others hold locks") as raised:
            restored(dsn, document, patience)
        assert f"locks are held by pid {slow.info.backend_pid} (" in raised.value.said
    assert raised.value.sqlstate == "55P03"
    assert dump(dsn) == before


def test_who_keeps_a_lock_from_the_plan_is_named(scout_db: str) -> None:
    """A migration in flight keeps one on a table that no ETL writes; one that renews the lease has only the lease's."""
    call("scout_lease", scout_db)
    with psycopg.connect(scout_db) as renewing, psycopg.connect(scout_db, application_name="a migration") as other:
        renewing.execute("UPDATE scout_ops.leases SET expires_at = now()")
        other.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
        with (
            open_session(dataclasses.replace(Settings(scout_db), lock_timeout_seconds=0.1)) as session,
            pytest.raises(errors.RecoveryError, match="could not plan") as raised,
            engine_job.reading(session, "could not plan the rollback"),
        ):
            session.rows("SELECT FROM scout.alerts")
        assert f"locks are held by pid {other.info.backend_pid} (postgres, a migration, idle in" in raised.value.said
        assert str(renewing.info.backend_pid) not in raised.value.said


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
