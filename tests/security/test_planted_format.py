# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody made in public, or in a schema of the caller's name, is not what the scripts of docs/ call as a superuser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import connect, one, rows
from tests.security.roles import drop_roles

SCRIPTS = ("pipeline_owner.sql", "operator_role.sql")

#: An exact match beats what pg_catalog has for any types; each says who called it, and what it gives goes to \gexec.
PLANTED = """
CREATE FUNCTION {schema}.caught() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN ALTER ROLE mallory SUPERUSER; END IF;
    RETURN 'ALTER ROLE mallory SUPERUSER';
END $$;
CREATE FUNCTION {schema}.format(text, name, name, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.caught()';
CREATE FUNCTION {schema}.format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT {schema}.caught()';
CREATE FUNCTION {schema}.format(text, name, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.caught()';
CREATE FUNCTION {schema}.format(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.caught()';
CREATE FUNCTION {schema}.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.caught()';
CREATE FUNCTION {schema}.pg_get_userbyid(oid) RETURNS name LANGUAGE sql AS 'SELECT {schema}.caught()::name';
CREATE FUNCTION {schema}.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT NULL::regclass WHERE {schema}.caught() IS NULL';
CREATE FUNCTION {schema}.same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT {schema}.caught() IS NOT NULL';
CREATE OPERATOR {schema}.= (LEFTARG = name, RIGHTARG = text, FUNCTION = {schema}.same);
CREATE OPERATOR {schema}.<> (LEFTARG = name, RIGHTARG = text, FUNCTION = {schema}.same);
CREATE VIEW {schema}.pg_proc AS SELECT {schema}.caught();
CREATE VIEW {schema}.pg_roles AS SELECT {schema}.caught();
"""


@pytest.fixture
def planted(deployed_db: str) -> Iterator[str]:
    """A superuser's pipeline in whose database anybody makes functions in public, and who may make schemas has made one of the
    superuser's name; the path finds both before pg_catalog."""
    with connect(deployed_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
        superuser.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        database = superuser.info.dbname
        superuser.execute(f'GRANT CREATE ON DATABASE "{database}" TO mallory')  # type: ignore[call-overload]
        superuser.execute(
            f"ALTER DATABASE \"{database}\" SET search_path = '$user', public, pg_catalog"  # type: ignore[call-overload]
        )
        user = superuser.info.user
    with connect(deployed_db, user="mallory") as mallory:
        mallory.execute(f'CREATE SCHEMA "{user}"')  # type: ignore[call-overload]
        for schema in ("public", f'"{user}"'):
            mallory.execute("SET search_path = pg_catalog")
            mallory.execute(PLANTED.format(schema=schema))  # type: ignore[call-overload]
    yield deployed_db
    drop_roles(deployed_db, "mallory", "scout_operator", "scout_owner")


def test_a_planted_format_gains_nothing(planted: str) -> None:
    """The attack works on whoever calls it without care, and not on the scripts."""
    with connect(planted) as careless, careless.transaction(force_rollback=True):
        [[given]] = careless.execute("SELECT format('%s %s', 'a'::name, 'b'::name)").fetchall()
        assert given == "ALTER ROLE mallory SUPERUSER"
    for script in SCRIPTS:
        command = [psql(), "-X", "-q", "-d", planted, "-f", str(CHECKOUT / "docs" / script)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stderr) == (0, ""), script
        assert (
            one(planted, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'mallory'")
            is False
        )
        assert "mallory" not in done.stdout
    members = (
        "SELECT r.rolname::text FROM pg_catalog.pg_auth_members AS m "
        "JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) m.roleid"
    )
    assert "postgres" not in {name for [name] in rows(planted, members)}


def test_the_role_has_a_path_of_its_own(planted: str) -> None:
    for script in SCRIPTS:
        subprocess.run(
            [psql(), "-X", "-q", "-d", planted, "-f", str(CHECKOUT / "docs" / script)], capture_output=True, check=True
        )
    with psycopg.connect(planted, user="scout_operator") as operator:
        [path] = operator.execute("SHOW search_path").fetchone() or []
    assert path == "pg_catalog, pg_temp"


@pytest.mark.parametrize("path", sorted((CHECKOUT / "docs").glob("*.sql")), ids=lambda path: path.name)
def test_the_first_statement_pins_the_path(path: Path) -> None:
    """Whatever psql sends first: its own commands send nothing."""
    text = re.sub(r"^(--|\\).*\n", "", path.read_text(), flags=re.MULTILINE)
    assert text.strip().startswith("SET search_path = pg_catalog, pg_temp;\n")
