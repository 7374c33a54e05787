# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""monitoring/sql-exporter.yml on a real PostgreSQL: its queries answer, agree with the assessment, and can change nothing."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from tests import CHECKOUT, debian
from tests.integration.modules import call, run

FILE = CHECKOUT / "monitoring" / "sql-exporter.yml"
ROLE = CHECKOUT / "monitoring" / "metrics_role.sql"
[JOB] = yaml.safe_load(FILE.read_text())["jobs"]
[ADDRESS] = JOB["connections"]
SETTINGS = {
    name: value
    for name, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(ADDRESS).query)
    if name not in ("sslmode", "application_name")
}
Figures = dict[tuple[str, str], float]
#: What bounds a query, as the session of the exporter has it.
BOUNDED = ("statement_timeout", "lock_timeout", "default_transaction_read_only")
BOUNDS = f"""
SELECT name::text, CASE setting WHEN 'on' THEN 1 WHEN 'off' THEN 0 ELSE setting::float8 END AS value
FROM pg_catalog.pg_settings WHERE name IN {BOUNDED}
"""


@pytest.fixture
def monitored(variant_db: str) -> Iterator[tuple[str, str]]:
    """A healthy pipeline, by the address of its superuser and by that of the exporter's role."""
    role = f"metrics_{conninfo_to_dict(variant_db)['dbname']}"
    run(variant_db, ROLE.read_text().replace("scout_metrics", role))
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    try:
        yield variant_db, psycopg.conninfo.make_conninfo(variant_db, user=role, options=options)
    finally:
        run(variant_db, f"DROP OWNED BY {role}; DROP ROLE {role}")


def figures(dsn: str) -> Figures:
    """What all queries answer, by metric and by its label or column."""
    found: Figures = {}
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        for query in JOB["queries"]:
            answer = connection.execute(query["query"])
            labels: list[str] = query.get("labels", [])
            assert answer.description is not None
            assert [column.name for column in answer.description] == [*labels, *query["values"]], query["name"]
            rows = answer.fetchall()
            assert rows, f"the exporter takes no row for a failure: {query['name']}"
            for row in rows:
                for column in query["values"]:
                    assert isinstance(row[column], float), query["name"]
                    found[query["name"], ",".join(row[label] for label in labels) or column] = row[column]
    return found


def test_a_healthy_pipeline_has_every_figure(monitored: tuple[str, str]) -> None:
    superuser, dsn = monitored
    found = figures(dsn)
    assert {name for name, _ in found} == {query["name"] for query in JOB["queries"]}
    assert min(found.values()) >= 0
    assert [found[name] for name in found if name[0] == "scout_job_active"] == [1.0, 1.0, 1.0]
    assert found["scout_backlog", "events"] == found["scout_etl_failed_runs", "value"] == 0
    seen = {each["name"]: each["value"] for each in call("scout_health_info", superuser)["indicators"]}
    assert found["scout_bronze_age_seconds", "value"] == pytest.approx(60 * seen["bronze_staleness"], abs=60)
    assert found["scout_silver_age_seconds", "value"] == pytest.approx(60 * seen["silver_staleness"], abs=60)
    assert found["scout_linking_ratio", "value"] == pytest.approx(seen["linking_coverage"] / 100, abs=0.001)


def test_the_role_of_the_exporter_changes_nothing_and_waits_for_nobody(monitored: tuple[str, str]) -> None:
    _, dsn = monitored
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in BOUNDED:
            [shown] = connection.execute(f"SHOW {name}").fetchone() or [None]
            assert shown not in (None, "0", "off"), name
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "DELETE FROM scout.bronze_events",
            "UPDATE scout.silver_transactions SET total_amount = 0",
            "UPDATE cron.job SET active = false",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_what_breaks_is_seen(monitored: tuple[str, str]) -> None:
    superuser, dsn = monitored
    run(
        superuser,
        """
        INSERT INTO scout.bronze_events (event_type, event_data, ingested_at)
        VALUES ('transaction.v1', '{"transaction_id": "T-waits"}', now() - interval '1000 seconds');
        UPDATE cron.job SET active = false WHERE jobname = 'product-linking';
        INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time, end_time)
        SELECT jobid, database, username, command, 'failed', now(), now()
        FROM cron.job CROSS JOIN generate_series(1, 3) WHERE jobname = 'bronze-to-silver-etl';
        UPDATE scout.silver_transactions SET total_amount = -5, updated_at = now()
        WHERE transaction_id IN (SELECT transaction_id FROM scout.silver_transactions LIMIT 2);
        INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message) VALUES ('{}', 'X', 'x');
        """,
    )
    holder = psycopg.connect(superuser)
    holder.execute("SELECT pg_advisory_lock(94752052)")
    time.sleep(0.1)
    try:
        found = figures(dsn)
    finally:
        holder.close()
    assert found["scout_backlog", "events"] == 1
    assert 1000 <= found["scout_backlog", "oldest_seconds"] < 1300
    assert found["scout_job_active", "product-linking"] == 0
    assert found["scout_etl_failed_runs", "value"] == 3
    assert found["scout_wrong_sales", "negative"] == 2
    assert found["scout_dead_letters", "unresolved"] == 1
    assert found["scout_refresh_lock_seconds", "value"] > 0
    assert found["scout_idle_transaction_seconds", "value"] > 0


def test_a_run_that_succeeds_ends_the_row_of_failed_ones(monitored: tuple[str, str]) -> None:
    superuser, dsn = monitored
    runs = """
        INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time, end_time)
        SELECT jobid, database, username, command, status, now(), now()
        FROM cron.job CROSS JOIN unnest(ARRAY['failed', 'succeeded', 'failed']) WITH ORDINALITY AS runs (status, nth)
        WHERE jobname = 'bronze-to-silver-etl' ORDER BY nth"""
    run(superuser, runs)
    assert figures(dsn)["scout_etl_failed_runs", "value"] == 1


def test_gold_that_silver_has_outrun_lags(monitored: tuple[str, str]) -> None:
    superuser, dsn = monitored
    run(superuser, "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics")
    time.sleep(0.2)
    run(superuser, "UPDATE scout.silver_transactions SET processed_at = clock_timestamp() WHERE store_id IS NOT NULL")
    assert figures(dsn)["scout_gold_lag_seconds", "gold_daily_metrics"] >= 0.2
    run(superuser, "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics")
    assert figures(dsn)["scout_gold_lag_seconds", "gold_daily_metrics"] == 0


def test_the_exporter_serves_each_metric(scout_db: str, tmp_path: Path) -> None:
    try:
        program = debian.program("prometheus-sql-exporter", "prometheus-sql-exporter")
    except debian.Unavailable as e:
        pytest.skip(f"{e}; the other tests ask the same queries")
    at: dict[str, Any] = conninfo_to_dict(scout_db)
    given = urllib.parse.urlencode({"host": at["host"], "port": at["port"], "sslmode": "disable", **SETTINGS})
    bounds = {"name": "bounds", "help": "x", "labels": ["name"], "values": ["value"], "query": BOUNDS}
    job = {
        **JOB,
        "queries": [*JOB["queries"], bounds],
        "interval": "1s",
        "connections": [f"postgres://{at['user']}@/{at['dbname']}?{given}"],
    }
    (tmp_path / "exporter.yml").write_text(yaml.safe_dump({"jobs": [job]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program.path, f"-config.file={tmp_path}/exporter.yml", f"-web.listen-address={address}"]
    wanted = {f"sql_{query['name']}" for query in job["queries"]}
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            served = _scraped(address, lambda text: wanted <= _metrics(text))
            assert 'sql_job="local"' in served
            assert dict(re.findall(r'^sql_bounds\{.*name="(\w+)".*\} (\S+)$', served, re.MULTILINE)) == {
                name: {"on": "1"}.get(SETTINGS[name], SETTINGS[name]) for name in BOUNDED
            }
            assert set(re.findall(r"^sql_exporter_last_scrape_failed\{.*\} (\S+)$", served, re.MULTILINE)) == {"0"}
            run(scout_db, "ALTER TABLE scout.bronze_events_dlq RENAME TO away")
            failed = re.compile(r'^sql_exporter_last_scrape_failed\{.*query="scout_dead_letters".*\} 1$', re.MULTILINE)
            _scraped(address, lambda text: failed.search(text) is not None)
        finally:
            running.terminate()


def _metrics(served: str) -> set[str]:
    return set(re.findall(r"^(\w+)\{", served, re.MULTILINE))


def _scraped(address: str, wanted: Callable[[str], bool]) -> str:
    """What the exporter serves, once that is wanted of it."""
    served, until = "", time.monotonic() + 60
    while not wanted(served):
        assert time.monotonic() < until, served
        time.sleep(0.2)
        with suppress(OSError, urllib.error.URLError):
            served = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    return served
