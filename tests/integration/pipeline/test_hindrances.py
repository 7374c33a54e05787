# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the toolkit or the pipeline from working, and is no fault of the other: each is told by name, with what ends it, which
does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gates import judge
from tests.integration.modules import call, connect, fingerprint, one

ETL = "bronze-to-silver-etl"
LOAD = "SELECT scout.load_silver_from_bronze(2000)"
FREEZE = """
CREATE FUNCTION public.no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'frozen until Monday: %', tg_tag; END $$;
CREATE EVENT TRIGGER "DDL freeze" ON ddl_command_start EXECUTE FUNCTION public.no_ddl();
"""
TOLD = "event trigger DDL freeze refuses temporary functions: frozen until Monday: CREATE FUNCTION"
THAW = 'ALTER EVENT TRIGGER "DDL freeze" DISABLE'

EXHAUSTED = """
CREATE TABLE scout.audit_log (number serial, what text);
CREATE FUNCTION scout.note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO scout.audit_log (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.note();
GRANT INSERT ON scout.audit_log TO loader; GRANT USAGE ON SEQUENCE scout.audit_log_number_seq TO loader;
SELECT setval('scout.audit_log_number_seq', {last});
"""
FORCED = "ALTER TABLE scout.silver_transactions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
PENDING = """
WITH gone AS (DELETE FROM scout.etl_processed WHERE event_id IN (
    SELECT event_id FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY ingested_at DESC LIMIT 20) RETURNING event_id)
DELETE FROM scout.silver_transactions WHERE source_event_id IN (SELECT event_id FROM gone)
"""
#: As pg_cron records it.
FAILS = """
INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, (SELECT max(runid) + 1 FROM cron.job_run_details), database, username, command, 'failed', %s, now(), now()
FROM cron.job WHERE jobname = %s
"""


@pytest.fixture
def frozen(scout_db: str) -> str:
    """A database in which nobody may make or change anything."""
    with connect(scout_db) as session:
        session.execute(FREEZE.encode())
    return scout_db


def test_a_freeze_is_told_before_anything_is_paused(frozen: str) -> None:
    before = fingerprint(frozen)
    refused = call("scout_preflight_info", frozen, actions=["pause", "drain"], required=True)
    assert refused["failed"]
    assert TOLD in refused["msg"]
    assert THAW in refused["msg"]
    assert fingerprint(frozen) == before
    # A pause needs no function.
    assert not call("scout_preflight_info", frozen, actions=["pause"], required=True).get("failed")
    with connect(frozen) as session:
        session.execute(THAW.encode())
    assert not call("scout_preflight_info", frozen, actions=["pause", "drain"], required=True).get("failed")


def test_a_freeze_says_nothing_of_the_pipeline(frozen: str) -> None:
    """It works, and the gate cannot tell by a sale of its own: no failure."""
    result = judge(frozen, smoke=True)
    assert (result["smoke"]["status"], result["verdict"]) == ("inconclusive", "inconclusive")
    assert TOLD in result["smoke"]["reason"]
    proof = call("scout_proof_info", frozen)
    assert proof["status"] == "unknown"
    assert TOLD in proof["error"]["said"]
    assert THAW in proof["error"]["next_step"]


def message(dsn: str) -> str:
    """With what the pipeline's own load fails now."""
    with connect(dsn, user="loader") as session, pytest.raises(Exception, match=r".") as e:
        session.execute(LOAD)
    return str(e.value).splitlines()[0]


CASES: dict[str, tuple[str, str]] = {
    "no number left in a serial": (
        EXHAUSTED.format(last=2147483647), 'ALTER SEQUENCE "scout"."audit_log_number_seq" AS bigint NO MAXVALUE;'
    ),
    "no number left below a bound": (
        EXHAUSTED.format(last=7).replace("SELECT setval", "ALTER SEQUENCE scout.audit_log_number_seq MAXVALUE 7; SELECT setval"),
        'ALTER SEQUENCE "scout"."audit_log_number_seq" NO MAXVALUE;',
    ),
    "policies that bind the owner": (FORCED, 'ALTER TABLE "scout"."silver_transactions" NO FORCE ROW LEVEL SECURITY;'),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_pipeline_meets_is_told_with_the_statement_that_ends_it(name: str, scout_db: str) -> None:
    planted, statement = CASES[name]
    with connect(scout_db) as session:
        session.execute(PENDING)
        session.execute(planted.encode())
    said = message(scout_db)
    drained: dict[str, Any] = call("scout_drain", scout_db, require_pause=False)
    assert drained["failed"]
    assert drained["error"]["next_step"] == f"{statement} then run the same command again"
    with connect(scout_db) as session:
        session.execute(FAILS, [f"ERROR:  {said}", ETL])
    causes = {each["cause"]: each["next_command"] for each in call("scout_health_info", scout_db)["diagnoses"]}
    assert causes["the ETL job fails"].startswith(f"{statement} then ")
    assert not any("DISABLE TRIGGER" in command for command in causes.values())
    with connect(scout_db) as session:
        # A serial's column is as narrow as its numbers.
        session.execute("ALTER TABLE IF EXISTS scout.audit_log ALTER number TYPE bigint")
        session.execute(statement.encode())
        session.execute("SET ROLE loader")
        session.execute(LOAD)
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1' "
                         "AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)") == 0  # fmt: skip
