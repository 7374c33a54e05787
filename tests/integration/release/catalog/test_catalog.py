# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog reads the same from the same schema, however it came to be; each change shows in exactly what it changes."""

from __future__ import annotations

import contextlib
import graphlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import entries, stability
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from tests.integration import everything_schema
from tests.integration.releases import SCOPE, Entries, copies_of, differs, digest, read, restore, rich_template, run
from tests.scout.migrations import MIGRATIONS, UNSEEN

TEMPLATE = "release_template"
_numbers = itertools.count(1)

template = rich_template(TEMPLATE)


@pytest.fixture(scope="module")
def before(template: str) -> Entries:
    """Its catalog."""
    return read(template)


@pytest.fixture(scope="module")
def dumped(template: str) -> str:
    """What pg_dump says of it."""
    return dump(template, "--schema-only")


another = copies_of(TEMPLATE)


@pytest.fixture
def empty(pg_server: Server) -> Iterator[str]:
    """The dsn of an empty database."""
    name = f"release_empty_{next(_numbers)}"
    yield pg_server.create_database(name)
    pg_server.drop_database(name)


def test_one_of_everything_is_captured(before: Entries) -> None:
    kinds = {entry.kind for entry in before.values()}
    assert kinds == {
        *("schema", "table", "column", "constraint", "index", "statistics", "sequence", "enum", "domain", "composite"),
        *("range", "function", "aggregate", "view", "materialized_view", "trigger", "rule", "policy", "extension"),
        *("default_privileges", "cron_job", "migration"),
    }
    secret = before["function:shop.secret(shop.price,integer)"]
    assert "SECURITY DEFINER" in secret.facts["definition"]
    assert "SET search_path TO 'shop', 'pg_temp'" in secret.facts["definition"]
    assert (secret.owner, secret.grants) == (
        "release_owner",
        (("release_owner", "EXECUTE", False, "release_owner"), ("release_reader", "EXECUTE", False, "release_owner")),
    )
    assert before["column:shop.customer.id"].facts["identity"] == {
        "generated": "always", "sequence": "shop.customer_id_seq", "type": "bigint", "start": "100", "increment": "2",
        "minimum": "1", "maximum": "9223372036854775807", "cache": "1", "cycle": False, "unlogged": False,
    }  # fmt: skip
    assert before["column:shop.customer.name_upper"].facts["generated"] == "upper(name)"
    assert before["table:shop.sale_2026_ncr"].facts["partition_of"] == {
        "table": "shop.sale_2026",
        "bound": "FOR VALUES IN ('NCR', 'R''03')",
    }
    assert before["view:shop.open_orders"].facts["options"] == ["check_option=cascaded", "security_barrier=true"]
    assert before['trigger:"Off" on shop."order"'].facts["enabled"] == "disabled"
    assert before['policy:own on shop."order"'].facts["roles"] == ["release_reader", "release_writer"]
    assert before["migration:20250101000000"].facts["statements"] == ('{"CREATE SCHEMA shop","it\'s, \\"quoted\\""}')
    assert before["cron_job:off of release_owner"].facts["active"] is False
    assert 'role "release' not in str(before)


def test_the_same_schema_in_another_order_and_database_has_the_same_digest(empty: str, before: Entries) -> None:
    forwards, backwards = everything_schema.order(), everything_schema.order(backwards=True)
    assert forwards != backwards
    made = read(everything_schema.build(empty, backwards=True))
    assert differs(before, made) == ()
    assert digest(made) == digest(before)
    assert [e.address for e in made.values()] != [e.address for e in before.values()]


def test_the_same_schema_restored_from_pg_dump_has_the_same_digest(template: str, empty: str, before: Entries) -> None:
    restore(empty, dump(template))
    everything_schema.adopt(empty)
    made = read(empty)
    assert differs(before, made) == ()
    assert digest(made) == digest(before)


def test_needs_come_first_and_never_run_in_a_circle(before: Entries) -> None:
    ordered = list(graphlib.TopologicalSorter({key: entry.needs for key, entry in before.items()}).static_order())
    assert set(ordered) == set(before)
    assert {"column:shop.customer.name", "view:shop.open_orders"} <= set(before["view:shop.named_orders"].needs)
    assert "function:shop.total(integer,integer)" in before["view:shop.open_orders"].needs
    assert "extension:btree_gist" in before['constraint:one_at_a_time on shop."order"'].needs
    assert 'constraint:order_pkey on shop."order"' in before["constraint:last_order on shop.customer"].needs
    assert "sequence:shop.order_id_seq" in before['column:shop."order".id'].needs


def test_what_others_need_is_captured_and_nothing_else(template: str) -> None:
    with open_session(Settings(template)) as session, session.read():
        found = catalog_reader.read(session, SCOPE)
    assert {key for key in found.beyond if not key.startswith(("column:", "constraint:"))} == {
        "schema:elsewhere", "table:elsewhere.region", "enum:elsewhere.kind", "function:elsewhere.used(integer)",
    }  # fmt: skip
    assert [key for key in found.entries if "unused" in key] == []
    assert [key for key in found.entries if "hstore_" in key] == []
    only = read(template, entries.Scope(('Ünï "q" shop',)))
    assert {e.kind for e in only.values()} >= {"table", "view", "extension"}
    assert not any("shop.customer" in key for key in only)


@pytest.mark.parametrize("statements", MIGRATIONS, ids=lambda text: text[:60])
def test_each_change_shows_in_exactly_what_it_changes(
    statements: str, another: Callable[[], str], before: Entries, dumped: str
) -> None:
    """And whenever pg_dump, which nobody here wrote, sees a difference, so does the digest. That the schema was changed at all,
    shows without reading it."""
    dsn = another()
    unchanged = fingerprint(dsn)
    run(dsn, statements)
    after = read(dsn)
    assert (fingerprint(dsn) == unchanged) is statements.startswith(("SELECT cron", "INSERT", "DELETE", "UPDATE"))
    assert differs(before, after, same_database=True) == MIGRATIONS[statements]
    assert digest(after) != digest(before)
    seen = dump(dsn, "--schema-only") != dumped
    assert seen is not statements.startswith(("REFRESH", "SELECT cron", "INSERT", "DELETE", "UPDATE"))
    back = captures_document.compare(after, before, same_database=True)
    assert back.number == captures_document.compare(before, after, same_database=True).number


def fingerprint(dsn: str) -> stability.Fingerprint:
    with open_session(Settings(dsn)) as session:
        return stability.fingerprint(session)


def test_a_change_that_was_taken_back_shows(another: Callable[[], str], before: Entries) -> None:
    dsn = another()
    for statements in (
        "ALTER TABLE shop.customer ADD COLUMN more int; ALTER TABLE shop.customer DROP COLUMN more",
        "ALTER VIEW shop.open_orders RENAME TO orders; ALTER VIEW shop.orders RENAME TO open_orders",
        "ALTER ROLE release_reader RENAME TO release_other",
        "ALTER ROLE release_other RENAME TO release_reader",
    ):
        unchanged = fingerprint(dsn)
        run(dsn, statements)
        assert fingerprint(dsn) != unchanged
    assert differs(before, read(dsn), same_database=True) == ()
    unchanged = fingerprint(dsn)
    run(dsn, "INSERT INTO shop.scratch VALUES (1); SELECT nextval('shop.numbers'); ANALYZE shop.scratch")
    assert fingerprint(dsn) == unchanged


def test_a_schema_is_captured_beside_temporary_tables(another: Callable[[], str], before: Entries) -> None:
    """They stand in the same catalogs, so that two readings have to tell that the schema holds still."""
    dsn, stop = another(), threading.Event()

    def make() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("CREATE TEMPORARY TABLE beside (x int); DROP TABLE beside")

    thread = threading.Thread(target=make)
    thread.start()
    try:
        with open_session(Settings(dsn)) as session:
            found = catalog_reader.settled(session, SCOPE)
    finally:
        stop.set()
        thread.join()
    assert differs(before, found.entries, same_database=True) == ()


def test_what_is_no_part_of_it_changes_nothing(another: Callable[[], str], before: Entries) -> None:
    dsn = another()
    for statements in UNSEEN:
        run(dsn, statements)
    assert differs(before, read(dsn), same_database=True) == ()


def test_explicit_defaults_are_equal_to_none(another: Callable[[], str], before: Entries) -> None:
    """NULL in the catalog, and what it stands for, are the same to everybody."""
    dsn = another()
    for statements in (
        "REVOKE SELECT ON shop.child FROM release_reader; GRANT SELECT ON shop.child TO release_reader",
        "GRANT USAGE ON TYPE shop.span TO PUBLIC; REVOKE USAGE ON TYPE shop.span FROM PUBLIC; GRANT USAGE ON TYPE shop.span TO PUBLIC",
        "GRANT ALL ON SCHEMA elsewhere TO release_owner",
        "GRANT SELECT ON SEQUENCE shop.customer_id_seq TO release_owner",
        "ALTER TABLE shop.customer RESET (fillfactor)",
        'ALTER TABLE shop."order" RESET (fillfactor); ALTER TABLE shop."order" SET (fillfactor = 90)',
    ):
        run(dsn, statements)
    assert differs(before, read(dsn)) == ()


def test_a_reading_locks_nothing_but_access_share(template: str) -> None:
    held = "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
    with open_session(Settings(template)) as session, session.read():
        catalog_reader.read(session, SCOPE)
        assert [row["mode"] for row in session.rows(held)] == ["AccessShareLock"]


def test_a_migration_in_flight_is_a_clear_error_in_bounded_time(another: Callable[[], str]) -> None:
    dsn = another()
    with psycopg.connect(dsn) as other, open_session(Settings(dsn, lock_timeout_seconds=0.5)) as session:
        other.execute("LOCK TABLE shop.open_orders IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(errors.DatabaseError, match="someone is changing an object of the release") as raised:
            catalog_reader.settled(session, SCOPE)
        assert time.monotonic() - began < 30
        assert "wait until the migration has finished" in raised.value.next_step
        assert raised.value.sqlstate == "55P03"


def test_a_schema_that_does_not_hold_still_is_refused(another: Callable[[], str]) -> None:
    dsn = another()
    stop = threading.Event()

    def change() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                connection.execute(f"COMMENT ON TABLE shop.scratch IS '{number}'".encode())
                with contextlib.suppress(psycopg.Error):
                    connection.execute("DROP VIEW IF EXISTS shop.flutter; CREATE VIEW shop.flutter AS SELECT 1 AS x")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with (
            open_session(Settings(dsn)) as session,
            pytest.raises(errors.NotConverged, match="the schema keeps changing"),
        ):
            catalog_reader.settled(session, SCOPE)
    finally:
        stop.set()
        thread.join()
    with open_session(Settings(dsn)) as session:
        assert catalog_reader.settled(session, SCOPE).entries == read(dsn)
