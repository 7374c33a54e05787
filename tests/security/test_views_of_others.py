# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a materialized view beside the pipeline's, or one of its own that was made of what others offered, whose query, or the types
of whose columns, act with the rights of whoever looks whether it is fresh. A transaction that is READ ONLY does not keep a function
from ending a session of the operator's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs, gold_views
from tests.integration.modules import call, connect, one, operator
from tests.security.roles import drop_roles

MALLORY = "mallory"

#: Ends each other session of whoever runs it, unless it is mallory herself, who fills the view.
PLANTED = """
CREATE ROLE mallory LOGIN;
GRANT CREATE, USAGE ON SCHEMA scout TO mallory;
GRANT SELECT ON ALL TABLES IN SCHEMA scout TO mallory;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
SET ROLE mallory;
CREATE FUNCTION mallory.ends(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'mallory' THEN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary';
    END IF;
    RETURN n;
END $$;
"""
VIEWS = {
    "its query calls a function": """
CREATE MATERIALIZED VIEW scout.gold_mood AS
SELECT current_date AS day, mallory.ends(count(*)) AS txn_count, now() AS last_refresh FROM scout.silver_transactions
""",
    "its query reads a view that calls one": """
CREATE VIEW mallory.counted AS SELECT mallory.ends(count(*)) AS txn_count FROM scout.silver_transactions;
CREATE MATERIALIZED VIEW scout.gold_mood AS SELECT current_date AS day, txn_count, now() AS last_refresh FROM mallory.counted
""",
    "its query has an operator": """
CREATE FUNCTION mallory.both(a bigint, b bigint) RETURNS bigint LANGUAGE sql AS 'SELECT mallory.ends(a)';
CREATE OPERATOR mallory.+ (FUNCTION = mallory.both, LEFTARG = bigint, RIGHTARG = bigint);
CREATE MATERIALIZED VIEW scout.gold_mood AS
SELECT current_date AS day, count(*) OPERATOR(mallory.+) 0::bigint AS txn_count, now() AS last_refresh
FROM scout.silver_transactions
""",
    "its query checks a domain": """
CREATE FUNCTION mallory.holds(n bigint) RETURNS boolean LANGUAGE sql AS 'SELECT mallory.ends(n) IS NOT NULL';
CREATE DOMAIN mallory.number AS bigint CHECK (mallory.holds(VALUE));
CREATE MATERIALIZED VIEW scout.gold_mood AS
SELECT current_date AS day, count(*)::mallory.number AS txn_count, now() AS last_refresh FROM scout.silver_transactions
""",
    "its column has a cast": """
CREATE TYPE mallory.mood AS ENUM ('ok');
CREATE FUNCTION mallory.said(m mallory.mood) RETURNS text LANGUAGE sql AS 'SELECT mallory.ends(1)::text';
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.said(mallory.mood);
CREATE MATERIALIZED VIEW scout.gold_mood AS
SELECT current_date AS day, 'ok'::mallory.mood AS mood, count(*) AS txn_count, now() AS last_refresh FROM scout.silver_transactions
""",
}


@pytest.fixture(params=[(view, owner) for view in VIEWS for owner in (MALLORY, "loader")], ids=" by ".join)
def attacked(scout_db: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The dsn of an operator who looks at gold, of which one view is mallory's, or was made with what is hers."""
    view, owner = request.param
    with connect(scout_db) as session:
        session.execute((PLANTED + VIEWS[view]).encode())
        session.execute(f"RESET ROLE; ALTER MATERIALIZED VIEW scout.gold_mood OWNER TO {owner}".encode())
    with operator(scout_db) as dsn:
        name = conninfo_to_dict(dsn)["user"]
        with connect(scout_db) as session:
            session.execute(f'GRANT SELECT ON scout.gold_mood TO "{name}"'.encode())
        yield dsn
    with connect(scout_db) as session:
        session.execute("DROP SCHEMA mallory CASCADE; DROP OWNED BY mallory")
    drop_roles(scout_db, MALLORY)


def test_what_looks_at_gold_runs_nothing_of_it(attacked: str, subtests: Any) -> None:
    for module in ("scout_health_info", "scout_gate_info", "scout_proof_info", "scout_refresh_gold"):
        options: dict[str, Any] = {"smoke": True} if module == "scout_gate_info" else {}
        with subtests.test(module), psycopg.connect(attacked, application_name="canary", autocommit=True) as canary:
            call(module, attacked, **options)
            time.sleep(0.2)
            assert canary.execute("SELECT 1").fetchone() == (1,)
    with open_session(Settings(attacked)) as session, session.read():
        found = [each for each in gold_views.read(session) if each.view.name == "gold_mood"]
    # What is mallory's is none of the pipeline's views.
    assert [each.view.owner for each in found] == ([] if _owner(attacked) == MALLORY else ["loader"])
    # Rows are read as they are stored, without a cast.
    cast = [column for view in found for column in view.view.columns if column == "mood"]
    assert cast or all(" of mallory with our rights" in each.why for each in found)


def _owner(dsn: str) -> str:
    return one(dsn, "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'gold_mood'")


@pytest.mark.parametrize(("owner", "counts"), [("stranger_of_views", False), ("loader", True)])
def test_whose_view_makes_a_job_one_of_the_pipelines(scout_db: str, owner: str, *, counts: bool) -> None:
    """Attack: a view over bronze by the name of a table that some job writes, so that a reset stops that job."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE stranger_of_views")
        try:
            superuser.execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (total int)")
            superuser.execute("CREATE VIEW public.orders AS SELECT * FROM scout.bronze_events")
            superuser.execute(f"ALTER VIEW public.orders OWNER TO {owner}".encode())
            superuser.execute(
                "INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)"
                " SELECT '0 1 * * *', 'UPDATE shop.orders SET total = 1', nodename, nodeport, database, username, true, 'of-the-shop'"
                " FROM cron.job WHERE jobname = 'bronze-to-silver-etl'"
            )
            with open_session(Settings(scout_db)) as session, session.read():
                found = {job.jobname for job in cron_jobs.ingestion_jobs(session)}
            assert ("of-the-shop" in found) is counts
        finally:
            superuser.execute("DROP VIEW IF EXISTS public.orders; DROP ROLE stranger_of_views")
