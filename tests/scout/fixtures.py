# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures: one server a run, and a fresh reference Scout for every test that asks."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import account
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import debian
from tests.scout import partman, planted
from tests.scout.hosted import Host, Hosted

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """A throwaway PostgreSQL, or the one SCOUT_TEST_SERVER names."""
    with Server(folder=memory()) as server:
        yield server


def memory() -> Path | None:
    """A file system in memory with room for a run; making and dropping databases is half the price there."""
    if not MEMORY.is_dir() or not account().may("-w", MEMORY):
        return None
    found = os.statvfs(MEMORY)
    return MEMORY if found.f_bavail * found.f_frsize > ROOM_BYTES else None


@pytest.fixture(scope="session")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """The faithful reference, or the variant that SCOUT_TEST_VARIANT names; `clone(name)` makes a database of it."""
    yield from _planted(pg_server, os.environ.get("SCOUT_TEST_VARIANT", "faithful"))


def small(events: int, *, prepare: Callable[[str], None] | None = None) -> Any:
    """The fixture `scout_template` of a module: a reference of so many events, of whose every copy is `prepared` what is asked."""

    @pytest.fixture(scope="module", name="scout_template")
    def template(pg_server: Server) -> Iterator[builder.Template]:
        made = builder.template(pg_server, events=events)
        if prepare is not None:
            made.prepare = prepare
        yield made
        made.drop()

    return template


@pytest.fixture(scope="session")
def repaired_template(pg_server: Server) -> Iterator[builder.Template]:
    """The repaired reference; `clone(name)` makes a database of it."""
    yield from _planted(pg_server, "repaired")


@pytest.fixture(scope="session")
def deployed_template(pg_server: Server) -> Iterator[builder.Template]:
    """The reference as it was measured where it is deployed; `clone(name)` makes a database of it."""
    yield from _planted(pg_server, "deployed")


@pytest.fixture(scope="session")
def new_template(pg_server: Server) -> Iterator[builder.Template]:
    """The deployed variant before its first event; tests/scout/variants.py makes healthy deployments of its copies."""
    template = builder.template(pg_server, "deployed", events=0)
    yield template
    template.drop()


@pytest.fixture(scope="session")
def partitioned_template(pg_server: Server) -> Iterator[builder.Template]:
    """The reference whose bronze has a partition for each day; `clone(name)` makes a database of it."""
    yield from _planted(pg_server, builder.PARTITIONED)


@pytest.fixture(scope="session")
def partman_template() -> Iterator[builder.Template]:
    """The same whose partitions the real pg_partman keeps, on a server that has it; skips where it cannot be had."""
    if os.environ.get("SCOUT_TEST_SERVER"):
        pytest.skip("SCOUT_TEST_SERVER names a server that may have no pg_partman")
    try:
        with partman.server(memory()) as server:
            template = builder.template(server, builder.PARTITIONED)
            template.prepare = partman.hand_over
            yield template
    except debian.Unavailable as e:
        pytest.skip(str(e))


@pytest.fixture
def scout_db(pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy, faithful reference with 2,000 events."""
    yield from _database(pg_server, scout_template)


@pytest.fixture
def repaired_db(pg_server: Server, repaired_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy reference in which the switch and reprocessing work."""
    yield from _database(pg_server, repaired_template)


@pytest.fixture
def deployed_db(pg_server: Server, deployed_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy reference as it is deployed: owned by a superuser, with a hash of five arguments."""
    yield from _database(pg_server, deployed_template)


@pytest.fixture
def new_db(pg_server: Server, new_template: builder.Template) -> Iterator[str]:
    """The dsn of a deployed Scout that has no events yet."""
    yield from _database(pg_server, new_template)


@pytest.fixture
def partitioned_db(pg_server: Server, partitioned_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy reference whose bronze has a partition for each day, and a default one."""
    yield from _database(pg_server, partitioned_template)


@pytest.fixture
def partman_db(partman_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh, healthy reference whose partitions of bronze the real pg_partman keeps."""
    yield from _database(partman_template.server, partman_template)


@pytest.fixture(params=[f"{variant}_db" for variant in ("scout", *builder.VARIANTS[1:])])
def variant_db(request: pytest.FixtureRequest) -> str:
    """The dsn of a fresh reference of each variant, for what is about how Scout behaves."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def scout(scout_db: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An autocommit superuser session on scout_db."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def hosts() -> Iterator[Callable[[str], Host]]:
    """The server of each kind of hosted service, started when it is first asked for."""
    if os.environ.get("SCOUT_TEST_SERVER"):
        pytest.skip("SCOUT_TEST_SERVER names a server that is not ours to give a service's roles")
    running: dict[str, Host] = {}
    with contextlib.ExitStack() as stack:

        def host(kind: str) -> Host:
            if kind not in running:
                running[kind] = Host(kind, memory())
                stack.callback(running[kind].server.stop)
            return running[kind]

        yield host


@pytest.fixture
def hosted(hosts: Callable[[str], Host], request: pytest.FixtureRequest) -> Iterator[Hosted]:
    """A fresh Scout as it is deployed on a hosted service: of Supabase, or of the kind that the test is parametrized with."""
    with hosts(getattr(request, "param", "supabase")).scout() as found:
        yield found


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


def _planted(server: Server, variant: str) -> Iterator[builder.Template]:
    """A reference in whose schema public somebody lies in wait for every query of ours."""
    template = builder.template(server, variant)
    template.prepare = planted.plant
    yield template
    template.drop()


def _database(server: Server, template: builder.Template) -> Iterator[str]:
    name = f"{template.name}_{next(_numbers)}"
    yield template.clone(name)
    server.drop_database(name)
