# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way back is rehearsed where the database has much that is its host's, which the role neither sees nor may own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session, Settings
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from tests.integration import everything_schema
from tests.integration.release.planner.test_plan import ROWS
from tests.integration.release.restore.test_rehearsal import ONLY, SCRATCH, Rehearsed, rehearsed, value
from tests.integration.release.restore.test_transaction import BAD_RELEASE, JOB_OFF
from tests.integration.releases import capture, rich, run

TEMPLATE = "hosted_template"
_numbers = itertools.count(1)

#: What a host keeps beside: schemas that nobody else sees into, schemas that only its roles own, an extension nobody may make.
HOST = """
CREATE SCHEMA auth AUTHORIZATION release_host;
CREATE SCHEMA storage AUTHORIZATION release_host;
CREATE SCHEMA vault;
CREATE EXTENSION pg_stat_statements SCHEMA vault;
SET ROLE release_host;
CREATE TABLE auth.users (id int PRIMARY KEY, mail text);
CREATE FUNCTION auth.uid() RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT USAGE ON SCHEMA storage TO PUBLIC;
CREATE TABLE storage.objects (id int PRIMARY KEY);
GRANT SELECT ON storage.objects TO PUBLIC;
RESET ROLE;
CREATE FUNCTION extensions.of_host() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE CAST (shop.code AS shop.status) WITH INOUT;
ALTER TABLE shop."order" NO FORCE ROW LEVEL SECURITY
"""


@dataclass(frozen=True)
class Hosted:
    """A database of a host, as its superuser sees it and as a member of the pipeline's owner does, with the capture."""

    dsn: str
    settings: Settings
    document: captures_document.Document

    def rehearsed(self, *, required: bool = False) -> Rehearsed:
        return rehearsed(self.dsn, self.document, settings=self.settings, required=required)


@pytest.fixture(scope="module")
def template(pg_server: Server) -> Iterator[str]:
    with rich(pg_server, TEMPLATE, ROWS) as dsn:
        run(dsn, "CREATE ROLE release_host")
        run(dsn, HOST)
        yield dsn
    run(pg_server.dsn("postgres"), "DROP ROLE release_host")


@pytest.fixture
def hosted(pg_server: Server, template: str) -> Iterator[Hosted]:
    """A copy of it, with a role that has CREATEDB and the rights of the release's owner, and no others."""
    name = f"hosted_{next(_numbers)}"
    dsn = everything_schema.clone(pg_server, TEMPLATE, name)
    role = sql.Identifier(name).as_string()
    run(
        dsn,
        f"""CREATE ROLE {role} LOGIN CREATEDB; GRANT release_owner TO {role};
            GRANT USAGE ON SCHEMA supabase_migrations TO release_owner;
            GRANT SELECT, INSERT, DELETE ON supabase_migrations.schema_migrations TO release_owner""",
    )
    yield Hosted(dsn, Settings(make_conninfo(dsn, user=name)), capture(dsn))
    assert value(template, SCRATCH) is None
    pg_server.drop_database(name)
    run(template, f"DROP ROLE {role}")


#: As the release's owner; of the last one a column comes back that has its type from an extension.
MIGRATIONS = (
    BAD_RELEASE,
    JOB_OFF,
    "ALTER TABLE shop.customer SET SCHEMA elsewhere; ALTER TABLE elsewhere.customer RENAME COLUMN name TO n",
    "ALTER TABLE shop.customer DROP COLUMN attributes",
)


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_what_the_release_needs_is_copied_where_not_everything_can_be(migration: str, hosted: Hosted) -> None:
    """That there is a cast, and who has an extension, is beside the point."""
    run(hosted.dsn, f"SET ROLE release_owner; {migration}")
    found = hosted.rehearsed(required=True)
    assert (found.result.done, found.result.reason, found.result.undo) == (True, "", "")
    only, unlike = [line for line in found.lines if "copied" in line]
    assert only == f"{ONLY}pg_dump: query failed: ERROR:  permission denied for schema auth"
    assert "5 objects could not be copied exactly, among them cast (shop.code AS shop.status), default" in unlike


def nowhere(_: Session, __: transaction.Way) -> None:
    """Goes no way at all."""


def test_a_way_that_does_not_arrive_fails_there_too(hosted: Hosted) -> None:
    run(hosted.dsn, f"SET ROLE release_owner; {BAD_RELEASE}")
    with pytest.raises(
        errors.NotConverged,
        match=r"rehearsal did not reach the captured state.*function shop\.total\(integer,integer\) \(definition\)",
    ):
        rehearsed(hosted.dsn, hosted.document, settings=hosted.settings, go=nowhere)


def test_a_way_about_what_is_not_in_the_copy_is_not_gone_there(hosted: Hosted) -> None:
    """Casts are in no schema, so the copy has none, and a step that drops one would fail on it alone."""
    run(hosted.dsn, "CREATE CAST (shop.status AS shop.code) WITH INOUT")
    found = hosted.rehearsed()
    reason = "the plan touches what could not be copied exactly: cast (shop.status AS shop.code)"
    assert (found.result.done, found.result.reason) == (False, reason)
    with pytest.raises(errors.NotConverged, match="could not rehearse, and that was required") as raised:
        hosted.rehearsed(required=True)
    assert raised.value.said == reason
