# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each wreck of the table is rolled back and undone, alone and five together: exactly, or it is refused before anything is written."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator

import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import Result, call, connect
from tests.integration.release.wrecks.state import Rows, State, shared, state
from tests.integration.release.wrecks.wrecks import Wreck, table

TEMPLATE, OWNER, EVENTS = "wrecks_template", "wreck_owner", 40
SEEDS = range(6)
WRECKS = table()
#: What five wrecks may be of: whatever is undone in full, and says nothing of the database as a whole.
TOGETHER = [wreck for wreck in WRECKS if wreck.then in ("exact", "rows", "lossy") and wreck.schema == "w"]
RELEASE = "v1"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def template(pg_server: Server) -> Iterator[Server]:
    """A small pipeline, from which databases are copied, and a second role that may own what its owner does."""
    with connect(pg_server.dsn("postgres")) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {0}; CREATE ROLE {0}").format(sql.Identifier(OWNER)))
    dsn = builder.build(pg_server.create_database(TEMPLATE), events=EVENTS)
    with connect(dsn) as connection:
        connection.execute(f"GRANT {OWNER} TO loader")
        connection.execute("GRANT CREATE ON DATABASE wrecks_template TO loader")
    yield pg_server
    pg_server.drop_database(TEMPLATE)


@pytest.fixture
def database(template: Server) -> Iterator[str]:
    """A copy of it."""
    name = f"wrecked_{next(_numbers)}"
    dsn = template.create_database(name, TEMPLATE)
    with connect(dsn) as connection:
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO loader")
        connection.execute("UPDATE cron.job SET database = current_database()")
    yield dsn
    template.drop_database(name)


def built(dsn: str, wrecks: list[Wreck]) -> None:
    """What stands before the release, captured."""
    schemas = [wreck.schema for wreck in wrecks]
    for wreck in wrecks:
        if wreck.schema != "scout":
            run(dsn, f"CREATE SCHEMA {wreck.schema} AUTHORIZATION loader")
        run(dsn, f"SET ROLE loader; {wreck.before}")
    protect = [name for wreck in wrecks for name in wreck.protect]
    done(call("scout_capture", dsn, release=RELEASE, schemas=schemas, protect=protect))


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


def refused(dsn: str, pattern: str, wrecked: State, beside: list[str]) -> None:
    """Asserts that it is refused by what is read alone, that what is in the way is named, and that nothing has been written."""
    for check in (True, False):
        result = rolled_back(dsn, check=check, look=check)
        assert result.get("failed"), result["summary"]
        assert re.search(pattern, result["msg"]), result["msg"]
        assert result["error"]["next_step"]
        assert "run_id" not in result or result["run_id"] is None
    assert state(dsn, *beside) == wrecked


def same_definitions(one: State, other: State) -> None:
    """Asserts that definitions and jobs are the same."""
    assert one.schema == other.schema
    assert one.jobs == other.jobs


def of(wreck: Wreck, found: State) -> Rows:
    """The rows of the tables that it is about."""
    return {
        name: rows for name, rows in found.rows.items() if name.startswith((f"{wreck.schema}.", f"{wreck.schema}_"))
    }


def same_rows(wreck: Wreck, after: Rows, captured: Rows, wrecked: Rows) -> None:
    """Asserts that rows are as the table of wrecks says."""
    if wreck.then in ("exact", "rehearsed"):
        assert after == captured
    else:
        mine, theirs = shared(after, wrecked, wreck.words.split() if wreck.then == "rows" else ())
        assert mine == theirs


@pytest.mark.parametrize("wreck", WRECKS, ids=lambda wreck: wreck.name)
def test_a_wreck(database: str, wreck: Wreck) -> None:
    went_through(database, [wreck])


def went_through(dsn: str, wrecks: list[Wreck]) -> None:
    """Captured, wrecked, rolled back, and undone."""
    built(dsn, wrecks)
    # What no wreck is about costs time to dump.
    beside = ["scout"] if all(wreck.schema != "scout" for wreck in wrecks) else []
    captured = state(dsn, *beside)
    for wreck in wrecks:
        run(dsn, f"SET ROLE loader; {wreck.after}")
    wrecked = state(dsn, *beside)
    then = {wreck.then for wreck in wrecks}
    options = {"rehearse": "rehearsed" in then}
    if refusing := [wreck for wreck in wrecks if wreck.then in ("refused", "lossy", "lost")]:
        refused(dsn, "|".join(wreck.words for wreck in refusing), wrecked, beside)
        if "refused" in then:
            return
        options |= {"allow_lossy": True}
    result = done(rolled_back(dsn, **options))
    after = state(dsn, *beside)
    assert result["changed"] is (then != {"unchanged"})
    same_definitions(after, captured)
    for wreck in wrecks:
        same_rows(wreck, of(wreck, after), of(wreck, captured), of(wreck, wrecked))
    assert not done(rolled_back(dsn))["changed"]
    if result["changed"]:
        undone(dsn, result)
        again = state(dsn, *beside)
        same_definitions(again, wrecked)
        if "lost" not in then:
            assert again.rows == wrecked.rows
            assert again.counters == wrecked.counters


@pytest.mark.parametrize("seed", SEEDS)
def test_five_wrecks_together(database: str, seed: int) -> None:
    chosen = random.Random(seed).sample(TOGETHER, 5)
    went_through(database, [wreck.called(f"w{number}") for number, wreck in enumerate(chosen, 1)])
