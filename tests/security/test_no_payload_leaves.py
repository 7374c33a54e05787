# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No payload and no secret leaves the database: not by a result, a line of progress, evidence, a report or the ledger."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.dead_letters import page
from tests.integration.modules import Result, call, connect, one, rows

#: Stands for a customer in every free field. It has no digit, so nothing that masks digits hides it.
CUSTOMER = "Zanzibar"
SECRET = "hush"

#: Refuses sales in the ways in which PostgreSQL or a function quotes values.
REFUSALS = """
CREATE FUNCTION scout.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.customer_id LIKE 'double%' THEN RAISE EXCEPTION 'customer "%" is blocked', NEW.customer_id; END IF;
    IF NEW.customer_id LIKE 'single%' THEN
        RAISE EXCEPTION 'customer ''%'' is blocked', NEW.customer_id USING DETAIL = format('mail of "%s"', NEW.customer_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.refuse();
CREATE UNIQUE INDEX customer_once ON scout.silver_transactions (customer_id) WHERE customer_id LIKE 'twice%';
ALTER TABLE scout.silver_transactions ADD CONSTRAINT customer_is_known CHECK (customer_id NOT LIKE 'unknown%') NOT VALID;
"""
REFUSED: dict[str, dict[str, Any]] = {
    "a word as amount": {"total_amount": CUSTOMER},
    "quotes in an amount": {"total_amount": f'a" b {CUSTOMER}\n{CUSTOMER} "c'},
    "a word as time": {"ts": f"at noon, {CUSTOMER}"},
    "a quantity": {"items": [{"product_id": "P001", "qty": CUSTOMER, "unit_price": 1, "line_amount": 1}]},
    "RAISE with double quotes": {"customer_id": f'double d"{CUSTOMER}'},
    "RAISE with single quotes": {"customer_id": f"single O'{CUSTOMER}"},
    "a check constraint": {"customer_id": f"unknown, (1). {CUSTOMER}"},
}
TWICE = f"twice (1). {CUSTOMER}) already exists. {CUSTOMER}"
#: What a job reported, as pg_cron keeps it.
REPORTED = (
    f'ERROR:  invalid input syntax for type numeric: "{CUSTOMER}"\nCONTEXT:  PL/pgSQL function scout.load_silver_from_bronze(integer)',
    f"ERROR:  new row violates check constraint\nDETAIL:  Failing row contains (1, {CUSTOMER}, (x)).",
    f'ERROR:  duplicate key value\nDETAIL:  Key (customer_id)=({CUSTOMER}) already exists.\nCONTEXT:  SQL statement "x {CUSTOMER}"',
    f'ERROR:  invalid input syntax for type json\nCONTEXT:  JSON data, line 1: {{"name": {CUSTOMER}...',
    f'ERROR:  invalid input syntax\nCONTEXT:  COPY t, line 1: "{CUSTOMER}\t5"',
)
RAN = """
INSERT INTO cron.job_run_details (jobid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, database, username, command, 'failed', m, now(), now()
FROM (SELECT * FROM cron.job WHERE command ~ 'load_silver' LIMIT 1) AS j, unnest(%s::text[]) AS m
"""
#: Tables of the ledger that hold rows of the pipeline, by design and in the database alone.
IMAGES = ("images", "protected_data", "saved_data")
LEDGER = "SELECT tablename FROM pg_tables WHERE schemaname = 'scout_ops' AND tablename <> ALL (%s)"


class Seen:
    """All texts that left the database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.texts: dict[str, str] = {}
        self.progress = Progress(self._hear, every_seconds=0)

    def _hear(self, line: str) -> None:
        self.texts["progress"] = f"{self.texts.get('progress', '')}\n{line}"

    def run(self, name: str, *, check: bool = False, **options: Any) -> Result:
        """The result of a module, whether it failed or not."""
        result = call(name, self.dsn, check=check, progress=self.progress, **{"incident": "INC-1", **options})
        self.texts[f"{len(self.texts)} {name}"] = json.dumps(result, default=str, ensure_ascii=False)
        return result

    def done(self, name: str, *, check: bool = False, **options: Any) -> Result:
        """The same of a module that must not fail."""
        result = self.run(name, check=check, **options)
        assert not result.get("failed"), (name, result)
        return result

    def read(self, folder: Path) -> None:
        """Files that were written there."""
        self.texts |= {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}

    def read_ledger(self) -> None:
        """The ledger, but for row images."""
        for [table] in rows(self.dsn, LEDGER, list(IMAGES)):
            query = sql.SQL("SELECT coalesce(string_agg(to_jsonb(t)::text, ' '), '') FROM {} AS t")
            with connect(self.dsn) as session:
                [[text]] = session.execute(query.format(sql.Identifier("scout_ops", table))).fetchall()
            self.texts[f"scout_ops.{table}"] = text

    def having(self, word: str) -> dict[str, str]:
        """Where a word is, each with what stands around it."""
        found = {where: text.lower().find(word.lower()) for where, text in self.texts.items()}
        return {where: self.texts[where][max(0, at - 200) : at + 100] for where, at in found.items() if at >= 0}


@pytest.fixture
def seen(scout_db: str) -> Seen:
    """What leaves a pipeline in which many sales have the customer in every field that is free."""
    with connect(scout_db) as superuser:
        for nth in range(60):
            generator.insert(superuser, free() | generator.transaction(7, 800_000 + nth, customer_id=CUSTOMER))
        superuser.execute("SELECT scout.load_silver_from_bronze(1000)")
    return Seen(scout_db)


def free() -> dict[str, Any]:
    """What a store may add to a sale."""
    return {
        "customer_id": CUSTOMER,
        "customer": {"name": CUSTOMER, CUSTOMER: {"phone": CUSTOMER}},
        CUSTOMER: CUSTOMER,
        "note": f"for {CUSTOMER}, password={CUSTOMER}",
        "net_note": f'{{"name": "{CUSTOMER}"}}',
    }


def refuse(dsn: str) -> list[str]:
    """Events that the ETL refuses, each for another reason."""
    with connect(dsn) as superuser:
        superuser.execute(REFUSALS.encode())
        made = [
            str(generator.insert(superuser, free() | generator.transaction(7, 900_000 + nth) | fields))
            for nth, fields in enumerate((*REFUSED.values(), {"customer_id": TWICE}, {"customer_id": TWICE}))
        ]
        superuser.execute(RAN, [[*REPORTED]])
    return made


@contextlib.contextmanager
def session_at_work(dsn: str, statement: str) -> Generator[None]:
    """Another session, idle in a transaction that holds the lock of a refresh."""
    with psycopg.connect(dsn) as other:
        other.execute(f"SELECT pg_advisory_lock({library.REFRESH_LOCK})".encode())
        other.execute(statement.encode())
        yield
        other.close()


def test_no_payload_leaves_the_database(seen: Seen, tmp_path: Path) -> None:
    dsn = seen.dsn
    statement = f"SELECT '{CUSTOMER}', E'\\'{CUSTOMER}', $a${CUSTOMER}$a$ /* {CUSTOMER} */ -- {CUSTOMER}"
    with connect(dsn) as superuser:
        [[etl]] = superuser.execute("SELECT pg_get_functiondef('scout.load_silver_from_bronze'::regproc)").fetchall()
        superuser.execute(etl.replace("e->>'customer_id'", "e->>'customer_id' || '.'"))
        assert "customer_id" in json.dumps(seen.run("scout_proof_info")), "the column that is written differently"
        superuser.execute(etl)
    refused = refuse(dsn)
    with session_at_work(dsn, statement):
        seen.done("scout_health_info")
        seen.done("scout_gate_info", smoke=True)
        health = seen.done("scout_health_info")
        seen.done("scout_evidence", folder=str(tmp_path / "before"), budget_seconds=60, health=health)
        seen.run("scout_refresh_gold")
        seen.done(
            "scout_terminate_sessions", stuck_after_seconds=0.1, cancel_wait_seconds=0.5, terminate_wait_seconds=5
        )
    seen.run("scout_proof_info")
    seen.run("scout_drain", max_poison=1)
    seen.done("scout_drain", check=True)
    seen.done("scout_drain", max_poison=100, max_poison_share=1.0)
    poison = "SELECT count(*) FROM scout.bronze_events_dlq WHERE error_code = 'POISON_EVENT' AND original_payload ? %s"
    assert one(dsn, poison, CUSTOMER) == len(refused) - 1, "all but the first of the two sales of one customer"
    seen.run("scout_redrive", check=True)
    seen.run("scout_redrive", max_failures=0)
    seen.run("scout_redrive", max_replays=1, check=True)

    library.negative_totals(dsn, 3)
    seen.done("scout_health_info")
    seen.done("scout_cleanup", check=True)
    seen.done("scout_cleanup")
    with connect(dsn) as superuser:
        superuser.execute(
            "ALTER TABLE scout.bronze_events_dlq ADD CONSTRAINT no_more CHECK (error_code <> 'QUARANTINE') NOT VALID"
        )
        sale = str(
            one(
                dsn,
                "SELECT event_id FROM scout.bronze_events WHERE event_data ? %s ORDER BY ingested_at LIMIT 1",
                CUSTOMER,
            )
        )
        assert seen.run("scout_quarantine", event_ids=[sale])["failed"]
        superuser.execute("ALTER TABLE scout.bronze_events_dlq DROP CONSTRAINT no_more")
    seen.done("scout_quarantine", event_ids=[sale], check=True)
    moved = seen.done("scout_quarantine", event_ids=[sale])
    seen.done("scout_undo", run_id=moved["run_id"])

    with connect(dsn) as superuser:
        superuser.execute("UPDATE scout.silver_transactions SET customer_id = 'x' WHERE customer_id = %s", [CUSTOMER])
        generator.insert(superuser, free() | generator.transaction(7, 910_000) | REFUSED["RAISE with double quotes"])
    window: dict[str, Any] = {
        "window_start": (datetime.now(UTC) - timedelta(days=4)).isoformat(),
        "max_poison_share": 1.0,
    }
    planned = seen.done("scout_window_recovery", check=True, **window)
    assert planned["plan"]["to_rebuild"]
    recovered = seen.run("scout_window_recovery", **window)
    assert recovered["poison"]

    letters = seen.done("scout_dead_letters_info")
    assert {"22P02", "22007", "P0001", "23514", "23505"} <= {group["sqlstate"] for group in letters["groups"]}
    seen.texts["page of dead letters"] = "\n".join(page(letters))
    seen.done("scout_report_info")
    seen.done("scout_runs_info")
    seen.done("scout_evidence", folder=str(tmp_path / "after"), budget_seconds=60)
    seen.read(tmp_path)
    seen.read_ledger()

    assert "scout_ops.runs" in seen.texts
    assert len(seen.texts["progress"]) > 100
    assert seen.having(CUSTOMER) == {}
    everything = " ".join(seen.texts.values())
    for kept in (
        "customer_once",
        "customer_is_known",
        "type numeric",
        "22P02",
        "SELECT '…', '…', '…'",
        "load_silver_from_bronze",
    ):
        assert kept in everything


def test_no_secret_leaves_the_database(scout_db: str, pg_server: Server, tmp_path: Path) -> None:
    """Neither the password of the connection nor what a job or another session has in a statement."""
    if pg_server.external:
        pytest.skip("alters settings of the server")
    dsn = pg_server.tcp_dsn(str(conninfo_to_dict(scout_db)["dbname"]))
    password = str(conninfo_to_dict(dsn)["password"])
    settings = {
        "primary_conninfo": f"host=h user=u password={SECRET}1",
        "archive_cleanup_command": f"curl -H {SECRET}2",
        "restore_command": f"curl -u me:{SECRET}3",
    }
    jobs = (
        f'SELECT net.http_post(headers => \'{{"Authorization": "Bearer {SECRET}4.a.b"}}\'), scout.load_silver_from_bronze(10)',
        f"SELECT dblink('postgresql://me:{SECRET}5@db/scout', 'SELECT 1')",
        f"SELECT dblink('host=db user=me password={SECRET}6', 'SELECT 1'); SELECT scout.maybe_refresh_gold()",
    )
    seen = Seen(dsn)
    with connect(scout_db) as superuser:
        for setting, value in settings.items():
            superuser.execute(f"ALTER SYSTEM SET {setting} = '{value}'".encode())
        for nth, command in enumerate(jobs):
            superuser.execute("SELECT cron.schedule(%s, '* * * * *', %s)", [f"job {nth}", command])
        superuser.execute("SELECT pg_reload_conf()")
        superuser.execute(
            RAN,
            [
                [
                    f"ERROR: could not connect to postgresql://me:{SECRET}7@db/scout",
                    f"ERROR: password={SECRET}8 is wrong",
                ]
            ],
        )
    statement = (
        f"SELECT 'CREATE ROLE x PASSWORD ''{SECRET}9''', 'postgresql://me:{SECRET}@db/scout', 'Bearer {SECRET}{SECRET}'"
    )
    try:
        with session_at_work(scout_db, statement):
            health = seen.done("scout_health_info")
            seen.run("scout_refresh_gold")
            seen.done("scout_evidence", folder=str(tmp_path), budget_seconds=60, health=health, password=password)
            seen.done(
                "scout_terminate_sessions", stuck_after_seconds=0.1, cancel_wait_seconds=0.5, terminate_wait_seconds=5
            )
        before = rows(scout_db, "SELECT jobid, schedule, command, active FROM cron.job ORDER BY jobid")
        seen.done("scout_capture", release="v1", release_file=str(tmp_path / "v1.json"))
        seen.done("scout_ingestion", state="paused", reason=f"the token: {SECRET} is no longer valid")
        seen.run("scout_proof_info")
        seen.done("scout_ingestion", state="running")
        assert rows(scout_db, "SELECT jobid, schedule, command, active FROM cron.job ORDER BY jobid") == before
        seen.run("scout_gate_info")
        seen.run("scout_runs_info")
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("ALTER SYSTEM RESET ALL")
            superuser.execute("SELECT pg_reload_conf()")
    seen.read(tmp_path)
    seen.read_ledger()
    assert seen.having(SECRET) == {}
    assert seen.having(password) == {}
