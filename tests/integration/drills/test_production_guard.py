# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill runs on a restored database that its owner marked, and is refused on everything that may be production."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.production_guard import Host
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.restored import open_restored
from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import WrongDatabase
from tests.e2e.pipeline import Pipeline

_numbers = itertools.count(1)


def name_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


def refusal(dsn: str, *hosts: Host) -> str:
    """Why it is refused; nothing has changed by then."""
    before = Pipeline(dsn).fingerprint()
    with pytest.raises(WrongDatabase) as refused:
        open_restored(dsn, hosts)
    assert Pipeline(dsn).fingerprint() == before
    return str(refused.value)


def test_a_marked_database_is_drilled(scout_db: str) -> None:
    with open_restored(scout_db, [Host("elsewhere", "host=127.0.0.1 port=1 dbname=scout")]) as sandbox:
        assert sandbox.dsn == scout_db
        assert sandbox.since is not None
        assert set(oracle.bronze(scout_db, sandbox.since)) == set(oracle.bronze(scout_db))


@pytest.mark.parametrize("mark", ["SELECT", "CREATE SCHEMA scout_sandbox AUTHORIZATION loader"])
def test_a_database_that_its_owner_did_not_mark_is_refused(scout_db: str, mark: str) -> None:
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("DROP SCHEMA scout_sandbox")
        connection.execute(mark.encode())
    assert "CREATE SCHEMA scout_sandbox" in refusal(scout_db)


def test_a_database_of_the_inventory_is_refused_however_it_is_spelled(scout_db: str, pg_server: Server) -> None:
    socket, tcp = scout_db, pg_server.tcp_dsn(name_of(scout_db))
    for here, known in ((socket, socket), (tcp, tcp), (tcp, make_conninfo(tcp, host="localhost"))):
        assert "inventory host scout-manila" in refusal(here, Host("scout-manila", known))


def test_a_database_that_somebody_uses_is_refused(scout_db: str) -> None:
    with psycopg.connect(scout_db, autocommit=True, application_name="dashboard") as connection:
        connection.execute("SELECT 1")
        with pytest.raises(WrongDatabase, match="1 other session"):
            open_restored(scout_db, [])
    with psycopg.connect(scout_db, autocommit=True, application_name="pg_cron") as connection:
        connection.execute("SELECT 1")
        with open_restored(scout_db, []):
            pass


@pytest.fixture
def named(scout_db: str, pg_server: Server) -> Iterator[list[str]]:
    """Names that databases get; they are dropped afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        pg_server.drop_database(name)


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [("scout_prod", True), ("production", True), ("scout_live", True), ("products", False), ("deliveries", False)],
)
def test_a_name_of_production_is_refused(
    name: str, is_refused: bool, scout_db: str, pg_server: Server, named: list[str]
) -> None:
    named.append(f"{name}_{next(_numbers)}_{name_of(scout_db)[-6:]}")
    dsn = pg_server.create_database(named[-1], template=name_of(scout_db))
    if is_refused:
        assert f"the name {named[-1]!r} contains" in refusal(dsn)
    else:
        with open_restored(dsn, []):
            pass


def test_a_host_of_production_is_refused(scout_db: str, pg_server: Server) -> None:
    dsn = make_conninfo(pg_server.tcp_dsn(name_of(scout_db)), host="db1.prod.example.org", hostaddr="127.0.0.1")
    with pytest.raises(WrongDatabase, match=r"the name 'db1\.prod\.example\.org' contains 'prod'"):
        open_restored(dsn, [])
