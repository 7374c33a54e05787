# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: somebody else makes the audit trail first, or becomes the role that it belongs to."""

from __future__ import annotations

import subprocess

from psycopg import sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect
from tests.security.roles import drop_roles


def verify(dsn: str) -> Result:
    return call("scout_audit_info", dsn)


def test_a_planted_trail_is_not_called(scout_db: str) -> None:
    """Somebody who may make schemas makes one of this name; nothing in it runs, and nobody is kept from working."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
        superuser.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO mallory").format(sql.Identifier(superuser.info.dbname))
        )
        superuser.execute("CREATE TABLE public.caught (who text); GRANT INSERT ON public.caught TO PUBLIC")
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute("""
            CREATE SCHEMA scout_audit;
            GRANT USAGE ON SCHEMA scout_audit TO PUBLIC;
            CREATE FUNCTION scout_audit.append(text, uuid, text, text, text, text, text) RETURNS bigint LANGUAGE sql AS
                $$ INSERT INTO public.caught VALUES (current_user) RETURNING 1::bigint $$;
            CREATE TABLE scout_audit.entries (number bigint, entry json, hash bytea);
            CREATE VIEW scout_audit.head AS SELECT scout_audit.append('', NULL, '', '', '', '', '') AS number, ''::bytea AS hash;
            GRANT SELECT ON scout_audit.entries, scout_audit.head TO PUBLIC;
        """)
    script = [psql(), "-X", "-q", "-d", scout_db, "-f", str(CHECKOUT / "docs" / "operator_role.sql")]
    try:
        refused = subprocess.run(script, capture_output=True, text=True)
        assert refused.returncode != 0
        assert "schema scout_audit belongs to mallory" in refused.stderr
        assert "-v audit=off" in refused.stderr
        made = subprocess.run([*script, "-v", "audit=off"], capture_output=True, text=True)
        assert (made.returncode, made.stderr) == (0, "")
        with connect(scout_db) as superuser:
            dsn = make_conninfo(scout_db, user="scout_operator")
            assert call("scout_ingestion", dsn, state="paused")["changed"]
            assert "is not as docs/operator_role.sql makes it" in verify(dsn)["msg"]
            looked = call("scout_preflight_info", dsn, job_rights=True)
            assert any("scout_audit" in warning for warning in looked["warnings"])
            assert superuser.execute("SELECT count(*) FROM public.caught").fetchone() == (0,)
    finally:
        drop_roles(scout_db, "mallory", "scout_operator")


def test_the_role_of_the_trail_has_to_be_nobody(scout_db: str) -> None:
    """Where somebody may log in as it, or is a member of it, it is neither made nor used."""
    dsn = builder.operator(scout_db)
    script = [psql(), "-X", "-q", "-d", scout_db, "-f", str(CHECKOUT / "docs" / "operator_role.sql")]
    try:
        for made, undone in (
            ("ALTER ROLE scout_audit LOGIN", "ALTER ROLE scout_audit NOLOGIN"),
            ("GRANT scout_audit TO loader", "REVOKE scout_audit FROM loader"),
            ("GRANT INSERT ON scout_audit.entries TO loader", "REVOKE INSERT ON scout_audit.entries FROM loader"),
        ):
            with connect(scout_db) as superuser:
                superuser.execute(made)
                try:
                    assert verify(dsn)["failed"], made
                    done = subprocess.run(script, capture_output=True, text=True)
                    assert ("refused: role scout_audit" in done.stderr) == ("INSERT" not in made)
                finally:
                    superuser.execute(undone)
        assert "scout_audit" not in verify(dsn).get("msg", "")
        done = subprocess.run(script, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), "again, after an upgrade"
    finally:
        drop_roles(scout_db, "scout_operator")
