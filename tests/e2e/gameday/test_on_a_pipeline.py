# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What game days do to a pipeline, and how they see what was done to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.e2e.gameday import catalog_operators, ground, kinds
from tests.e2e.gameday.proxy import Network
from tests.integration.modules import one


@pytest.fixture
def hand(scout_db: str) -> Iterator[psycopg.Connection]:
    with ground.connect(scout_db) as connection:
        yield connection


def run(dsn: str, statement: str) -> None:
    with ground.connect(dsn) as connection:
        connection.execute(statement.encode())


CASES = [
    (kind.name, dict(zip(kind.options, values, strict=True)))
    for kind in kinds.OPERATORS
    for first in kind.options[next(iter(kind.options))]
    for values in [(first, *(3 for _ in list(kind.options)[1:]))]
]


@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{next(iter(options.values()))}" for name, options in CASES]
)
def test_an_operator_does_what_it_says(name: str, options: dict[str, object], hand: psycopg.Connection) -> None:
    if name == "mutate_function":
        options |= {"pick": 1, "change": 0}
    said = catalog_operators.apply(hand, name, **options)
    first = said.split()[0]
    assert first in ("DROP", "ALTER", "REVOKE", "CREATE", "DELETE", "UPDATE")
    if first in ("DROP", "DELETE"):
        with contextlib.suppress(psycopg.Error, catalog_operators.Nothing):
            assert catalog_operators.apply(hand, name, **options) != said


def test_the_same_pick_is_the_same_object_and_all_are_reached(hand: psycopg.Connection) -> None:
    def made(pick: int) -> str:
        with hand.transaction(force_rollback=True):
            return catalog_operators.apply(hand, "rename_object", kind="table", pick=pick)

    tables = hand.execute(catalog_operators.TABLES.encode()).fetchall()
    assert len({made(pick) for pick in range(len(tables))}) == len(tables)
    assert made(2) == made(2) == made(2 + len(tables))


def test_where_events_are_stays(hand: psycopg.Connection) -> None:
    tables = {name for (name,) in hand.execute(catalog_operators.TABLES.encode())}
    assert "silver_transactions" in tables
    assert not tables & {"bronze_events", "bronze_events_dlq"}


def test_a_mutant_is_almost_the_same(hand: psycopg.Connection) -> None:
    with hand.transaction(force_rollback=True):
        said = {}
        for change in range(6):
            with contextlib.suppress(psycopg.Error, catalog_operators.Nothing), hand.transaction():
                said[change] = catalog_operators.apply(hand, "mutate_function", pick=1, change=change)
    assert len(set(said.values())) == len(said) > 1
    assert all(text.startswith("CREATE OR REPLACE FUNCTION scout.") for text in said.values())


@pytest.mark.parametrize(
    ("statement", "gained"),
    [
        (
            "GRANT DELETE ON scout.bronze_events TO dashboard_reader",
            "dashboard_reader has DELETE on scout.bronze_events",
        ),
        ("GRANT dashboard_reader TO edge_ingest", "edge_ingest is a member of dashboard_reader"),
        ("GRANT CREATE ON SCHEMA scout TO edge_ingest", "edge_ingest has CREATE on scout"),
        (
            "GRANT EXECUTE ON FUNCTION scout.maybe_refresh_gold() TO edge_ingest",
            "edge_ingest has EXECUTE on scout.maybe_refresh_gold()",
        ),
        ("REVOKE ALL ON scout.bronze_events FROM dashboard_reader", ""),
        ("ALTER TABLE scout.silver_transactions RENAME TO silver", ""),
    ],
)
def test_a_right_that_somebody_gained_is_seen(scout_db: str, statement: str, gained: str) -> None:
    before = ground.look(scout_db)
    run(scout_db, statement)
    try:
        found = before.gained(ground.look(scout_db), owners_changed=False)
    finally:
        run(scout_db, "REVOKE dashboard_reader FROM edge_ingest")
    assert bool(found) == bool(gained)
    assert gained in "".join(found)


def test_what_became_of_jobs_is_seen(scout_db: str) -> None:
    before = ground.look(scout_db)
    assert before.other_jobs(ground.look(scout_db)) == []
    run(scout_db, "UPDATE cron.job SET active = false WHERE jobname = 'product-linking'")
    run(scout_db, "DELETE FROM cron.job WHERE jobname = 'smart-gold-refresh'")
    said = before.other_jobs(ground.look(scout_db))
    assert said[0] == "smart-gold-refresh is gone"
    assert said[1].startswith("product-linking was ")


def test_a_network_is_slow_and_can_be_cut(scout_db: str) -> None:
    with Network(scout_db) as network:
        dsn = network.dsn(scout_db)
        assert one(dsn, "SELECT 7") == 7
        with psycopg.connect(dsn, autocommit=True) as connection:
            network.slow(0.2)
            began = time.monotonic()
            connection.execute("SELECT 1")
            assert time.monotonic() - began >= 0.4
            network.slow(0)
            network.cut(0.5)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            one(dsn, "SELECT 1")
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                assert one(dsn, "SELECT 8") == 8
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with pytest.raises(psycopg.OperationalError):
        one(dsn, "SELECT 1")


def test_an_address_in_the_ledger_is_found(scout_db: str, hand: psycopg.Connection) -> None:
    assert ground.ledger_says(scout_db, "anna@example.org") == []
    hand.execute("CREATE SCHEMA scout_ops")
    hand.execute("CREATE TABLE scout_ops.notes (words jsonb)")
    hand.execute(sql.SQL("INSERT INTO scout_ops.notes VALUES ({})").format(sql.Literal('{"to": "anna@example.org"}')))
    assert ground.ledger_says(scout_db, "anna@example.org") == ["scout_ops.notes"]
