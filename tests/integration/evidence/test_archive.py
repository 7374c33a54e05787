# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What evidence holds of an incident: samples, dead letters, the log, whole tables; masked, complete, and in flat memory."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import collect, verify
from tests.integration.modules import Result, call, connect, fingerprint, one, operator, rows

MEGABYTE = 1 << 20
CUSTOMER = "C-hush-4711"


def keep(dsn: str, folder: Path, **options: Any) -> Result:
    result = call(
        "scout_evidence", dsn, folder=str(folder), budget_seconds=options.pop("budget_seconds", 10), **options
    )
    assert not result.get("failed"), result
    return result


def section(result: Result, name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in gzip.decompress(Path(result["folder"], f"{name}.jsonl.gz").read_bytes()).splitlines()
    ]


def text(folder: Path) -> str:
    files = [gzip.decompress(path.read_bytes()).decode() for path in folder.rglob("*.jsonl.gz")]
    return "\n".join([*files, *(path.read_text() for path in folder.rglob("*.json"))])


def event(dsn: str, payload: dict[str, Any]) -> str:
    """The id of an event that has just come."""
    query = "INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('transaction.v1', %s) RETURNING event_id"
    return str(one(dsn, query, Jsonb(payload)))


def test_affected_rows_are_sampled(scout_db: str, tmp_path: Path) -> None:
    library.poison_event(scout_db, "bad_ts")
    with connect(scout_db) as superuser:
        superuser.execute(
            "UPDATE scout.silver_transactions SET total_amount = -5, processed_at = now() - interval '1 minute' WHERE transaction_id IN "
            "(SELECT transaction_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT 7)"
        )
        superuser.execute(
            "UPDATE scout.silver_line_items SET quantity = -1, updated_at = now() - interval '1 minute' WHERE line_id IN "
            "(SELECT line_id FROM scout.silver_line_items ORDER BY line_id LIMIT 3)"
        )
    result = keep(scout_db, tmp_path, sample_rows=5)
    found = section(result, "bad_transactions")
    assert len(found) == 5
    assert {(row["total_amount"], tuple(row["violates"])) for row in found} == {(-5.0, ("negative_total",))}
    assert [row["quantity"] for row in section(result, "bad_lines")] == [-1, -1, -1]
    oldest = one(
        scout_db,
        "SELECT event_id::text FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1' AND NOT EXISTS "
        "(SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) ORDER BY ingested_at LIMIT 1",
    )
    assert section(result, "pending_events")[0]["event_id"] == oldest
    assert (result["warnings"], result["changed"]) == ([], False)


def test_the_dead_letters_are_those_of_the_incident(scout_db: str, tmp_path: Path) -> None:
    made = {"INC-1": [event(scout_db, {"transaction_id": f"x{n}", "customer_id": CUSTOMER}) for n in range(3)]}
    made["INC-2"] = [event(scout_db, {"transaction_id": "y"})]
    for incident, ids in made.items():
        assert call("scout_quarantine", scout_db, incident=incident, event_ids=ids)["changed"]
    with connect(scout_db) as superuser:
        for when in ("now()", "now() - interval '2 days'"):
            superuser.execute(
                "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, failed_at) "
                f"VALUES ('{{}}', 'BY_HAND', 'x', {when})"
            )
    before = {**fingerprint(scout_db), "scout_ops.evidence": ANY}
    found = section(keep(scout_db, tmp_path, incident="INC-1"), "dead_letters")
    assert {row["error_details"]["event"]["event_id"] for row in found if row["error_details"]} == set(made["INC-1"])
    assert [row["error_code"] for row in found if not row["error_details"]] == ["BY_HAND"], "what came in its time"
    [customer] = {row["original_payload"]["customer_id"] for row in found if row["error_details"]}
    assert customer.startswith("masked:")
    assert fingerprint(scout_db) == before


def test_the_dead_letters_of_a_run_that_an_earlier_release_adopted_are_those_of_the_incident(
    scout_db: str, tmp_path: Path
) -> None:
    """They keep the name under which they were set aside, but are found by that of the incident."""
    [mine, other] = [event(scout_db, {"transaction_id": name}) for name in "xy"]
    gone = call("scout_quarantine", scout_db, event_ids=[mine])
    call("scout_quarantine", scout_db, event_ids=[other])
    with connect(scout_db) as superuser:
        superuser.execute("UPDATE scout_ops.runs SET incident = 'INC-1' WHERE run_id = %s", [gone["run_id"]])
    found = section(keep(scout_db, tmp_path, incident="INC-1"), "dead_letters")
    assert [row["error_details"]["event"]["event_id"] for row in found] == [mine]


def test_customers_are_masked_wherever_they_stand(scout_db: str, tmp_path: Path) -> None:
    """As columns, in payloads, in statements and in what jobs said; equal ones can still be joined."""
    payload = {
        "customer_id": CUSTOMER,
        "customer": {"Email": f"{CUSTOMER}@x", "tier": "gold"},
        "total_amount": "abc",
        "note": "hello",
    }
    event(scout_db, {"transaction_id": "x1", **payload})
    with connect(scout_db) as superuser, connect(scout_db) as talker:
        superuser.execute(
            "UPDATE scout.silver_transactions SET customer_id = %s, total_amount = -1, processed_at = now() - interval '1 minute' "
            "WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions)",
            [CUSTOMER],
        )
        superuser.execute(
            "INSERT INTO cron.job_run_details (jobid, database, username, command, status, return_message, start_time) "
            "SELECT jobid, database, username, command, 'failed', 'ERROR: Key (customer_id)=(' || %s || ') exists', now() "
            "FROM cron.job LIMIT 1",
            [CUSTOMER],
        )
        talker.execute(f"SELECT 1 WHERE 'x' = '{CUSTOMER}' AND 'customer_id' <> ''")  # type: ignore[call-overload]
        result = keep(scout_db, tmp_path, full=["bronze_events", "silver_transactions"])
    assert CUSTOMER not in text(tmp_path) + json.dumps(result)
    [column] = {row["customer_id"] for row in section(result, "bad_transactions")}
    [waiting] = [
        row["event_data"] for row in section(result, "pending_events") if row["event_data"]["transaction_id"] == "x1"
    ]
    assert waiting["customer_id"] == column
    assert waiting["customer"]["tier"].startswith("masked:"), "nobody has said that it may stay"
    assert waiting["note"].startswith("masked:")
    assert waiting["transaction_id"] == "x1"
    assert column in {row["customer_id"] for row in section(result, "full_silver_transactions")}
    assert any(column in str(row["return_message"]) for row in section(result, "job_runs"))
    again = keep(scout_db, tmp_path)
    assert {row["customer_id"] for row in section(again, "bad_transactions")} != {column}

    open_to_all = keep(scout_db, tmp_path, mask=[])
    assert CUSTOMER in {row["customer_id"] for row in section(open_to_all, "bad_transactions")}
    chosen = keep(scout_db, tmp_path, mask=["event_data.note"])
    assert [
        row["event_data"]["note"][:7]
        for row in section(chosen, "pending_events")
        if row["event_data"]["transaction_id"] == "x1"
    ] == ["masked:"]
    assert call("scout_evidence", scout_db, folder=str(tmp_path), mask=["a b"])["error"]["kind"] == "bad_input"


def test_whole_tables_are_of_the_window_and_exact(scout_db: str, tmp_path: Path) -> None:
    start = one(scout_db, "SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY ingested_at) FROM scout.bronze_events")
    end = one(scout_db, "SELECT percentile_disc(0.6) WITHIN GROUP (ORDER BY ingested_at) FROM scout.bronze_events")
    window = {"window_start": start.isoformat(), "window_end": end.isoformat()}
    odd = {"transaction_id": 'a\\b"\n\t\u00e4\u2028', "n": 0}
    event_id = event(scout_db, odd)
    with connect(scout_db) as superuser:
        superuser.execute("UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id = %s", [start, event_id])
    result = keep(scout_db, tmp_path, mask=[], full=["bronze_events", "bronze_events_dlq", "alerts"], **window)
    wanted = rows(
        scout_db,
        "SELECT to_jsonb(b) FROM scout.bronze_events AS b WHERE ingested_at >= %s AND ingested_at < %s ORDER BY event_id::text",
        start,
        end,
    )
    found = sorted(section(result, "full_bronze_events"), key=lambda row: row["event_id"])
    assert len(found) == len(wanted) > 500
    assert [row["event_data"] for row in found] == [row[0]["event_data"] for row in wanted]
    assert odd in [row["event_data"] for row in found]
    assert section(result, "full_bronze_events_dlq") == []
    assert f"{len(found)} rows of whole tables" in result["summary"].replace(",", "")


def test_a_table_that_cannot_be_had_whole_leaves_nothing(scout_db: str, tmp_path: Path) -> None:
    with operator(scout_db, without="member") as dsn:
        result = call("scout_evidence", dsn, folder=str(tmp_path), full=["alerts"])
        assert result["msg"].startswith("could not export scout.alerts on ")
        assert result["error"]["kind"] == "missing_privilege"
    assert list(tmp_path.iterdir()) == []
    with psycopg.connect(scout_db) as other:
        other.execute("LOCK TABLE scout.alerts")
        result = call("scout_evidence", scout_db, folder=str(tmp_path), full=["alerts"], full_seconds=0.2)
    assert "evidence_full_seconds" in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_check_mode_says_which_tables_it_would_export(scout_db: str, tmp_path: Path) -> None:
    result = call("scout_evidence", scout_db, check=True, folder=str(tmp_path / "new"), full=["alerts"])
    assert "all of alerts" in result["summary"]
    assert (result["folder"], result["manifest_sha256"], result["files"]) == (None, None, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"sample_rows": -1}, {"sample_rows": 10_001}, {"window_start": "yesterday"}])
def test_what_cannot_be_used_is_refused(scout_db: str, tmp_path: Path, options: dict[str, Any]) -> None:
    assert call("scout_evidence", scout_db, folder=str(tmp_path), **options)["error"]["kind"] == "bad_input"
    assert list(tmp_path.iterdir()) == []


def test_a_role_that_may_not_read_the_log_is_told_so_and_no_more(scout_db: str, tmp_path: Path) -> None:
    with operator(scout_db) as dsn, connect(scout_db) as superuser:
        superuser.execute("GRANT SELECT ON ALL TABLES IN SCHEMA scout TO PUBLIC")
        superuser.execute("GRANT USAGE ON SCHEMA scout TO PUBLIC")
        result = keep(dsn, tmp_path)
    assert set(result["absent"]) == {"server_log"}
    assert "permission denied" in result["absent"]["server_log"]
    assert result["warnings"] == []
    manifest = json.loads(Path(result["folder"], "manifest.json").read_text())
    assert manifest["absent"] == result["absent"]


@pytest.fixture
def logging_db() -> Iterator[str]:
    """A reference on a server that keeps a log of its own."""
    settings = {"logging_collector": "on", "log_statement": "all", "log_destination": "stderr"}
    with Server(settings=settings) as server:
        if server.external:
            pytest.skip("needs a server that is started with other settings")
        dsn = server.create_database("logging")
        builder.build(dsn, events=200)
        yield dsn


def test_the_end_of_the_log_is_kept_without_secrets(logging_db: str, tmp_path: Path) -> None:
    with connect(logging_db) as superuser:
        superuser.execute("CREATE ROLE tell PASSWORD 'hush1'")
        superuser.execute("SELECT '-----BEGIN PRIVATE KEY-----\nhush2\nhush3\n-----END PRIVATE KEY-----'")
        superuser.execute("SELECT 'postgresql://u:hush4@db1/scout', 'Authorization: Bearer hush5'")
        superuser.execute("SELECT %s::text AS x, 'customer_id'", ["C-hush6"])
        superuser.execute("SELECT 'seen in the log'")
    result = keep(logging_db, tmp_path)
    lines = [row["line"] for row in section(result, "server_log")]
    assert any("seen in the log" in line for line in lines)
    assert any("CREATE ROLE tell PASSWORD ***" in line for line in lines)
    assert "hush" not in text(tmp_path)
    assert len(lines) <= collect.LOG_LINES
    assert result["absent"] == {}


def test_a_statement_of_several_lines_in_the_log_is_one_text(
    logging_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose a value is stands on another line than the value, and may be cut away with the beginning of the log."""
    long = ",\n  'a filler of forty characters, more or less' AS filler" * 1000
    with connect(logging_db) as superuser:
        for number, filler in enumerate((long, "")):
            superuser.execute(f"SELECT 1 AS customer_id{filler},\n  'C-hush{number}' AS whose\n".encode())
        superuser.execute("SELECT 'seen in the log'")
    monkeypatch.setattr(collect, "LOG_BYTES", 48 << 10)
    lines = [row["line"] for row in section(keep(logging_db, tmp_path), "server_log")]
    assert any("seen in the log" in line for line in lines)
    assert "hush" not in text(tmp_path)
    cut = collect.entries("2026-11-26 01:00:00 UTC [1] LOG:  a\n\tb\n2026-11-26 01:00:01 UTC [1] LOG:  c\nd", cut=True)
    assert [len(entry.splitlines()) for entry in cut] == [2, 2]
    assert list(collect.entries("\tb\nx\n\ty\nz", cut=True)) == ["x\n\ty", "z"]


def test_a_role_reads_the_log_with_the_grants_that_are_documented(logging_db: str, tmp_path: Path) -> None:
    with operator(logging_db) as dsn, connect(logging_db) as superuser:
        assert "server_log" in keep(dsn, tmp_path)["absent"]
        role = str(conninfo_to_dict(dsn)["user"])
        superuser.execute(sql.SQL("GRANT pg_monitor TO {} WITH INHERIT TRUE").format(sql.Identifier(role)))
        grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint) TO {}"
        superuser.execute(sql.SQL(grant).format(sql.Identifier(role)))
        result = keep(dsn, tmp_path)
    assert result["absent"] == {}
    assert section(result, "server_log")


#: Writes the rows of a query as evidence, and says how much memory its process has ever held.
EXPORT = """
import json, pathlib, resource, sys
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import archive, collect
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import session as sessions
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql
base, dsn, rows = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
query = sql.SQL('''
SELECT n AS event_id, 'transaction.v1' AS event_type, clock_timestamp() AS ingested_at,
       jsonb_build_object({customer}, 'C-' || n % 500, 'total_amount', n * 0.25, 'filler', repeat(md5(n::text), 30)) AS event_data
FROM generate_series(1, {rows}) AS n''').format(customer=sql.Literal(sys.argv[4]), rows=sql.Literal(rows))
read = 0
def counted(rows):
    global read
    for row in rows:
        read += len(row)
        yield row
with sessions.open_session(sessions.Settings(dsn=dsn)) as session, archive.opened(base, Redactor()) as made:
    with session.read(statement_timeout_seconds=600):
        made.add("full", counted(collect.streamed(session, query)))
    made.finish(base, {"incident": "INC-1", "database": "scout"})
print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "read": read, **made.files[0]}))
"""


def exported(folder: Path, dsn: str, number: int, field: str) -> dict[str, Any]:
    argv = [sys.executable, "-c", textwrap.dedent(EXPORT), str(folder), dsn, str(number), field]
    done = subprocess.run(
        argv, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_memory_stays_flat_however_much_is_exported(scout_db: str, tmp_path: Path) -> None:
    """What is held is one row, what COPY has sent of the next, and gzip's window: none of it grows with the number of rows, so ten
    times, or a thousand times as many take no more."""
    small = exported(tmp_path, scout_db, 15_000, "customer_id")
    masked = exported(tmp_path, scout_db, 45_000, "customer_id")
    large = exported(tmp_path, scout_db, 300_000, "shopper")
    assert small["read"] > 15 * MEGABYTE
    assert masked["read"] > 45 * MEGABYTE
    assert large["read"] > 300 * MEGABYTE
    assert (small["rows"], masked["rows"], large["rows"]) == (15_000, 45_000, 300_000)
    assert masked["peak"] - small["peak"] < 8 * MEGABYTE
    assert large["peak"] - small["peak"] < 8 * MEGABYTE
    assert verify.verify(tmp_path, lambda: None).problems == []


def test_with_a_signing_key_values_are_equal_within_an_incident_and_not_beyond(
    scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event(scout_db, {"transaction_id": "x1", "customer_id": CUSTOMER, "total_amount": "abc"})
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    monkeypatch.setenv("SCOUT_SIGNING_KEY_FILE", str(key))
    found: list[str] = []
    for incident in ("INC-1", "INC-1", "INC-2", "adhoc", "adhoc"):
        kept = section(keep(scout_db, tmp_path / "evidence", incident=incident), "pending_events")
        found += [row["event_data"]["customer_id"] for row in kept if row["event_data"]["transaction_id"] == "x1"]
    assert found[0] == found[1]
    assert len(set(found)) == 4
