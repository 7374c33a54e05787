# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of releases share: a database with the rich schema, reading its catalog, and what pg_dump says of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import KEY_OF_DUMP, program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import environment
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import store as captures_store
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry, Scope
from tests.integration import everything_schema

SCOPE = Scope(everything_schema.SCHEMAS, "supabase_migrations.schema_migrations")

Entries = dict[str, Entry]
_numbers = itertools.count(1)


def read(dsn: str, scope: Scope = SCOPE) -> Entries:
    """The catalog of a database, in one reading."""
    with open_session(Settings(dsn)) as session, session.read():
        return catalog_reader.read(session, scope).entries


def digest(entries: Entries) -> str:
    """The digest of a release of these entries."""
    return captures_document.digest(captures_document.digests(entries.values()))


def differs(before: Entries, after: Entries, *, same_database: bool = False) -> tuple[str, ...]:
    """The differences as tests/scout/migrations.py writes them."""
    found = captures_document.compare(before, after, same_database=same_database)
    return (
        *(f"+{key}" for key in found.added),
        *(f"-{key}" for key in found.dropped),
        *(f"{old} > {new.partition(':')[2]}" for old, new in found.renamed),
        *(f"~{key} ({', '.join(parts)})" for key, parts in found.changed.items()),
    )


@contextlib.contextmanager
def rich(server: Server, name: str, statements: str = "") -> Iterator[str]:
    """The dsn of a database with the rich schema, from which others are copied; gone afterwards."""
    server.drop_database(name)
    dsn = everything_schema.build(server.create_database(name))
    if statements:
        run(dsn, statements)
    yield dsn
    server.drop_database(name)


def rich_template(name: str, statements: str = "") -> Any:
    """The fixture of a module: the dsn of the rich schema, with what these statements add, from which databases are copied."""

    @pytest.fixture(scope="module", name="template")
    def template(pg_server: Server) -> Iterator[str]:
        with rich(pg_server, name, statements) as dsn:
            yield dsn

    return template


def copies_of(of: str) -> Any:
    """The fixture that makes copies of such a template, and gives the dsn of each."""

    @pytest.fixture
    def copies(pg_server: Server, template: str) -> Iterator[Callable[[], str]]:
        made: list[str] = []

        def make() -> str:
            made.append(f"{of}_copy_{next(_numbers)}")
            return everything_schema.clone(pg_server, of, made[-1])

        yield make
        for name in made:
            pg_server.drop_database(name)

    return copies


def globals_of(dsn: str) -> str:
    """What pg_dumpall writes of roles and tablespaces."""
    done = subprocess.run(
        [program("pg_dumpall"), "--globals-only", "-d", dsn],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return KEY_OF_DUMP.sub("", done.stdout)


def capture(dsn: str) -> captures_document.Document:
    """What the module would keep, without its name; that works in databases of a Scout alone."""
    with open_session(Settings(dsn)) as session, session.read():
        found, here = catalog_reader.read(session, SCOPE), captures_store.origin(session)
    scope = {"schemas": list(SCOPE.schemas), "migrations_table": SCOPE.migrations_table, "beyond": list(found.beyond)}
    about = {"database": here.database, "database_oid": here.database_oid, "system_identifier": here.system_identifier}
    return json.loads(json.dumps(captures_document.document(found.entries.values(), {"scope": scope, **about})))


def restore(dsn: str, text: str) -> None:
    """Runs a dump in an empty database."""
    subprocess.run(
        [program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", dsn],
        env=environment() | {"PGOPTIONS": "-c client_min_messages=warning"},
        input=text,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )


def run(dsn: str, statements: str) -> None:
    """Runs statements, those about jobs as their owner."""
    options = "-c client_min_messages=warning -c client_encoding=UTF8"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        if "cron." in statements:
            connection.execute("SET ROLE release_owner")
        connection.execute(statements.encode())
