# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: code in a team's schema runs a program on the machine of whoever drills it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox import factory

EVENTS = {"events": 200}
#: The text that nobody can look for is put together when it runs.
HIDDEN = """
CREATE FUNCTION scout.innocent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    BEGIN
        EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ' || quote_literal('touch {file}');
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    RETURN NEW;
END $$;
CREATE TRIGGER innocent BEFORE INSERT ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION scout.innocent();
ALTER TABLE scout.bronze_events ALTER COLUMN source_system SET DEFAULT 'x';
"""
MIGHTY = """
SELECT r.rolname FROM pg_roles AS r
WHERE r.rolname !~ '^pg_' AND r.oid <> 10 AND (r.rolsuper OR pg_has_role(r.oid, 'pg_execute_server_program', 'USAGE')
   OR pg_has_role(r.oid, 'pg_read_server_files', 'USAGE') OR pg_has_role(r.oid, 'pg_write_server_files', 'USAGE')
   OR pg_has_role(r.oid, 10, 'MEMBER'))
"""


@pytest.mark.parametrize("owner", ["loader", "mighty_owner"])
def test_nothing_of_a_schema_runs_a_program(scout_db: str, tmp_path: Path, owner: str) -> None:
    """Not even where a superuser owns the pipeline of the team."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith("bt-"):
            folder.chmod(0o755)
    file = tmp_path / "ran"
    with psycopg.connect(scout_db, autocommit=True) as attacker:
        attacker.execute("DROP ROLE IF EXISTS mighty_owner")
        attacker.execute("CREATE ROLE mighty_owner SUPERUSER LOGIN")
        attacker.execute(HIDDEN.format(file=file).encode())
        attacker.execute(f"ALTER FUNCTION scout.innocent() OWNER TO {owner}".encode())
    with (
        factory.open_sandbox("embedded", schema_from=scout_db, pipeline=EVENTS, name="test") as sandbox,
        psycopg.connect(sandbox.dsn, autocommit=True) as looks,
    ):
        assert looks.execute("SELECT count(*) > 100 FROM scout.bronze_events").fetchone() == (True,)
        assert looks.execute("SELECT tgname FROM pg_trigger WHERE tgname = 'innocent'").fetchone()
        assert looks.execute(MIGHTY).fetchall() == []
        assert looks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user").fetchone() == (False,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            looks.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {file}'".encode())
        operator = sandbox.operator_dsn("least_privileged")
        with psycopg.connect(operator) as asks:
            assert asks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user").fetchone() == (False,)
    assert not file.exists()
