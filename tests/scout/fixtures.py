# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures: one server a run, and a fresh reference Scout for every test that asks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """A throwaway PostgreSQL, or the one SCOUT_TEST_SERVER names."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """The faithful reference; `clone(name)` makes a database of it."""
    template = builder.template(pg_server)
    yield template
    template.drop()


@pytest.fixture(scope="session")
def repaired_template(pg_server: Server) -> Iterator[builder.Template]:
    """The repaired reference; `clone(name)` makes a database of it."""
    template = builder.template(pg_server, "repaired")
    yield template
    template.drop()


@pytest.fixture
def scout_db(pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy, faithful reference with 2,000 events."""
    yield from _database(pg_server, scout_template)


@pytest.fixture
def repaired_db(pg_server: Server, repaired_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy reference in which the switch and reprocessing work."""
    yield from _database(pg_server, repaired_template)


@pytest.fixture
def scout(scout_db: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An autocommit superuser session on scout_db."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        yield connection


@pytest.fixture
def cron_db(pg_server: Server) -> str:
    """The dsn of a reference whose jobs the real pg_cron runs; skips where the server has none."""
    with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
        row = connection.execute("SELECT current_setting('cron.database_name', true)").fetchone()
        name = row[0] if row else None
        if not name:
            pytest.skip("the server has no pg_cron")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            pg_server.create_database(name)
    try:
        return builder.build(pg_server.dsn(name))
    except builder.AlreadyBuilt:
        return pg_server.dsn(name)


def _database(server: Server, template: builder.Template) -> Iterator[str]:
    name = f"{template.name}_{next(_numbers)}"
    yield template.clone(name)
    server.drop_database(name)
