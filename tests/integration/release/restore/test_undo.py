# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration is taken back and brought back: pg_dump, with all data, is after both what it was before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import Call
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import controller
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.undo.command import Undone
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures.document import Document
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import command as restore_command
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import request as restore_request
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from tests.integration import everything_schema
from tests.integration.modules import Result
from tests.integration.release.by_name import shared, together
from tests.integration.release.planner.test_plan import COMPOUND, NO_WAY, ROWS, canonical
from tests.integration.releases import capture, copies_of, rich_template, run
from tests.scout.migrations import MIGRATIONS

TEMPLATE = "undone_template"
_numbers = itertools.count(1)
PARAMETERS: dict[str, Any] = {
    "max_rows": 1000, "look": False, "rehearse": False, "rehearse_rows": 0, "pg_dump": None,
    "require_pause": False, "jobs": None, "lease_token": None, "takeover": False,
    "lock_timeout_seconds": 2.0, "statement_timeout_seconds": 60.0,
    "patience_seconds": 20.0, "column_order": "exact", "new_partitions": "drop", "allow_owners": ["postgres", "release_writer"],
}  # fmt: skip
NAMED = {"release": "v1", "capture_id": "v1", "captured_at": "2026-11-25T10:00", "protected": []}
#: Besides the compound ones, those that make or lose data, and some of all others.
CHOSEN = [
    migration
    for number, migration in enumerate(MIGRATIONS)
    if migration not in COMPOUND
    and (number % 5 == 0 or any(w in migration for w in ("COLUMN", "CREATE TABLE", "DROP TABLE", "VALUE")))
]
#: What was in these is gone when it is gone back.
LOSING = {
    "ALTER TABLE shop.customer DROP COLUMN code": "column:shop.customer.code",
    'DROP TABLE "Ünï ""q"" shop"."Tâble; DROP" CASCADE': 'table:"Ünï ""q"" shop"."Tâble; DROP"',
    "DROP TABLE shop.sale_2026_other": "table:shop.sale_2026_other",
}
#: What makes some others impossible, which PostgreSQL says, and then nothing is changed: another owner of the schema, whom
#: the owner of a table has to ask.
ALONE = [each for each in COMPOUND if each.startswith("ALTER SCHEMA shop OWNER")]
KEEPING = [
    each for each in (*CHOSEN, *COMPOUND) if each not in (*LOSING, *ALONE) and not each.startswith(tuple(NO_WAY))
]

template = rich_template(TEMPLATE, ROWS)


@pytest.fixture
def copy(pg_server: Server, template: str) -> Iterator[str]:
    """A copy of it."""
    name = f"undone_{next(_numbers)}"
    yield everything_schema.clone(pg_server, TEMPLATE, name)
    pg_server.drop_database(name)


copies = copies_of(TEMPLATE)


#: What the module says of a run besides.
ABOUT: Undone = {"undone": {}, "put_back": {}, "taken": {}, "conflicts": [], "conflicting": 0, "warnings": []}


def go_back(dsn: str, order: restore_request.Order) -> Result:
    """What the modules do, in a database that is no Scout's."""
    with open_session(Settings(dsn)) as session:
        call = Call(session, False, Progress(), controller.this_controller(None), "adhoc")
        return restore_command.go_back(call, PARAMETERS, order)


def undo(dsn: str, run_id: str) -> Result:
    """The same for an undo."""
    with open_session(Settings(dsn)) as session:
        call = Call(session, False, Progress(), controller.this_controller(None), "adhoc")
        query = "SELECT *, run_id::text, undoes::text FROM scout_ops.runs WHERE run_id::text = %(run_id)s"
        with session.read():
            undone = session.row(query, run_id=run_id)
        return {**restore_command.undo(call, PARAMETERS, undone, ABOUT)}


def whole(dsn: str) -> list[str]:
    """Definitions and data, in an order no history can tell; jobs are part of the digest alone, for one made again has another number."""
    left_out = ("--exclude-schema=scout_ops", "--exclude-table-data=cron.*")
    return canonical(dump(dsn, *left_out, "--inserts", "--column-inserts"))


@pytest.mark.parametrize("migrations", [*shared(KEEPING, 10), *([each] for each in ALONE)])
def test_there_and_back(migrations: list[str], copies: Callable[[], str], subtests: pytest.Subtests) -> None:
    def go(migrate: Callable[[str], None]) -> None:
        copy = copies()
        document: Document = {**capture(copy), **NAMED}
        before = whole(copy)
        migrate(copy)
        after = whole(copy)
        gone = go_back(copy, restore_request.Order("rollback", document))
        assert gone["changed"]
        assert (gone["empty"], gone["loses"]) == ([], [])
        assert whole(copy) == before
        undone = undo(copy, gone["run_id"])
        assert undone["changed"]
        assert whole(copy) == after
        undo(copy, undone["run_id"])
        assert capture(copy)["digest"] == document["digest"]

    together(subtests, migrations, go)


@pytest.mark.parametrize(("migration", "empty"), LOSING.items())
def test_there_and_back_without_what_was_lost(migration: str, empty: str, copies: Callable[[], str]) -> None:
    """What the migration dropped comes back without its data, and the undo drops it again."""
    copy = copies()
    document: Document = {**capture(copy), **NAMED}
    run(copy, migration)
    after = whole(copy)
    gone = go_back(copy, restore_request.Order("rollback", document, allow_lossy=True))
    assert (gone["empty"], gone["loses"]) == ([empty], [])
    undone = undo(copy, gone["run_id"])
    assert whole(copy) == after
    undo(copy, undone["run_id"])
    assert capture(copy)["digest"] == document["digest"]


#: What goes wrong only together: a table that is copied has another address, columns that come back in an order of their own.
TOGETHER = (
    ("ALTER TYPE shop.status ADD VALUE 'back' AFTER 'sent'", "ALTER TYPE shop.status RENAME TO state"),
    (
        "ALTER TABLE shop.customer ADD COLUMN zeta int, ADD COLUMN alpha text",
        "ALTER TABLE shop.customer RENAME code TO kode",
    ),
    (
        "ALTER TABLE shop.customer DROP COLUMN code CASCADE",
        "ALTER TABLE shop.customer RENAME TO buyer",
    ),
    ("DROP EXTENSION hstore CASCADE", "ALTER TABLE shop.customer RENAME TO buyer"),
    ("ALTER TABLE elsewhere.region ADD COLUMN more int", "COMMENT ON TABLE elsewhere.region IS 'x'"),
)


@pytest.mark.parametrize("migrations", TOGETHER, ids=lambda texts: texts[0][:40])
def test_together(migrations: tuple[str, ...], copy: str) -> None:
    """And once more after that: a capture knows where its objects are now."""
    document: Document = {**capture(copy), **NAMED}
    before = whole(copy)
    for migration in migrations:
        run(copy, migration)
    after = whole(copy)
    gone = go_back(copy, restore_request.Order("rollback", document, allow_lossy=True))
    assert capture(copy)["digest"] == document["digest"]
    if not gone["empty"]:
        assert whole(copy) == before
    undone = undo(copy, gone["run_id"])
    assert whole(copy) == after
    undo(copy, undone["run_id"])
    assert capture(copy)["digest"] == document["digest"]


def test_the_parameters_are_those_of_the_modules() -> None:
    assert {*restore_command.GOING_SPEC} <= {*PARAMETERS}
    assert transaction.Patience().lock_timeout_seconds == PARAMETERS["lock_timeout_seconds"]
