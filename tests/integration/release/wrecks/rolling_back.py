# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a small pipeline, and what is done to them: releases, rollbacks and their undo."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator

from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import Result, call, connect
from tests.integration.release.wrecks.state import State

TEMPLATE, OWNER, RELEASE = "wrecks_template", "wreck_owner", "v1"
_numbers = itertools.count(1)


@contextlib.contextmanager
def copied(server: Server) -> Iterator[str]:
    """The dsn of a copy, gone with the block."""
    name = f"wrecked_{next(_numbers)}"
    dsn = server.create_database(name, TEMPLATE)
    with connect(dsn) as connection:
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO loader").format(sql.Identifier(name)))
        connection.execute("UPDATE cron.job SET database = current_database()")
    yield dsn
    server.drop_database(name)


def run(dsn: str, statements: str) -> None:
    """Runs statements, as a release does."""
    with connect(dsn, options="-c client_min_messages=warning") as connection:
        connection.execute(statements.encode())


def rolled_back(dsn: str, **options: object) -> Result:
    """What the module says of the way back."""
    return call(
        "scout_rollback",
        dsn,
        **{
            "release": RELEASE,
            "rehearse": False,
            "allow_owners": ["postgres", OWNER],
            "pg_dump": program("pg_dump"),
            **options,
        },
    )


def undone(dsn: str, result: Result) -> Result:
    """The run taken back."""
    return done(call("scout_undo", dsn, run_id=result["run_id"], allow_owners=["postgres", OWNER], rehearse=False))


def done(result: Result) -> Result:
    """A result that is no refusal."""
    assert not result.get("failed"), result["msg"]
    return result


def same_definitions(one: State, other: State, listed: Collection[str] = ()) -> None:
    """Asserts that definitions and jobs are the same, but for which of their columns some tables have from their parents alone."""
    first, second = (sorted(without_columns(text, listed) for text in each.schema) for each in (one, other))
    assert first == second
    assert one.jobs == other.jobs


def without_columns(definition: str, tables: Collection[str]) -> str:
    """The same, without the columns and checks of these tables."""
    if not any(f"CREATE TABLE {table} (" in definition for table in tables):
        return definition
    return "\n".join(line for line in definition.splitlines() if not line.startswith("    "))
