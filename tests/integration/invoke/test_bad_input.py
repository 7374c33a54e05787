# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is typed or configured wrongly gives one clear line, never a secret, and changes nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import (
    account,
    bin_dir,
    environment,
    temp_dir,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import CHECKOUT
from tests.integration.modules import Result, ad_hoc, call, connect, executed, fingerprint, operator

MODULES: dict[str, dict[str, Any]] = {
    "scout_ingestion": {"state": "paused"},
    "scout_terminate_sessions": {},
    "scout_lease": {"state": "held"},
}
ENVIRONMENT = (
    "SCOUT_DSN",
    "PGURI",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGPASSWORD",
    "PGSERVICE",
    "PGPASSFILE",
)

HOSTILE = [
    "'; DROP TABLE scout.bronze_events; --",
    "a\"b'c\\d $$ {{ 1 }} %s %(x)s",
    "line\none\r\ntwo",
    "ünïcødé 🦝 \u202e",
    "x" * 100_000,
    "",
]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> str:
    """Every module that writes."""
    return request.param


@pytest.fixture(scope="module")
def scout_db(pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """One database for all tests here that prove that nothing was changed."""
    yield scout_template.clone("bad_input")
    pg_server.drop_database("bad_input")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def refused(result: Result, kind: str, *words: str) -> Result:
    """It failed in one line of that kind with these words and a next step."""
    assert result["failed"]
    assert result["error"]["kind"] == kind, result
    assert not result["changed"]
    assert "\n" not in result["msg"]
    assert len(result["msg"]) < 4000
    assert result["error"]["next_step"]
    for word in words:
        assert word in result["msg"]
    return result


def run(module: str, dsn: str | None, **options: Any) -> Result:
    return call(module, dsn, **(MODULES[module] | options))


def test_the_option_wins_over_scout_dsn_over_pguri_over_libpq(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = make_conninfo(scout_db, dbname="nowhere")
    right = conninfo_to_dict(scout_db)
    for variable, part in (("PGHOST", "host"), ("PGPORT", "port"), ("PGUSER", "user"), ("PGDATABASE", "dbname")):
        monkeypatch.setenv(variable, str(right[part]))
    assert not run("scout_lease", None, check=True).get("failed")
    monkeypatch.setenv("PGURI", wrong)
    refused(run("scout_lease", None, check=True), "connection_failed", "from PGURI", "nowhere")
    monkeypatch.setenv("SCOUT_DSN", scout_db)
    assert not run("scout_lease", None, check=True).get("failed")
    monkeypatch.setenv("SCOUT_DSN", wrong)
    refused(run("scout_lease", "", check=True), "connection_failed", "from SCOUT_DSN")
    assert not run("scout_lease", scout_db, check=True).get("failed")


def test_service_files_and_password_files(
    pg_server: Server, scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(pg_server.tcp_dsn(str(conninfo_to_dict(scout_db)["dbname"])))
    secrets, services = tmp_path / "pgpass", tmp_path / "services"
    secrets.write_text(f"*:*:*:{parts['user']}:{parts.pop('password')}\n")
    secrets.chmod(0o600)
    services.write_text("[scout]\n" + "".join(f"{name}={value}\n" for name, value in parts.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    refused(run("scout_lease", "service=scout", check=True), "connection_failed", "service scout", ".pgpass")
    monkeypatch.setenv("PGPASSFILE", str(secrets))
    assert not run("scout_lease", "service=scout", check=True).get("failed")
    monkeypatch.setenv("PGSERVICE", "scout")
    assert not run("scout_lease", None, check=True).get("failed")
    refused(run("scout_lease", "service=nowhere", check=True), "connection_failed", "nowhere")


def test_tls_options_pass_through(pg_server: Server, scout_db: str) -> None:
    dsn = pg_server.tcp_dsn(str(conninfo_to_dict(scout_db)["dbname"]), sslmode="require")
    refused(run("scout_lease", dsn, check=True), "connection_failed", "SSL")
    refused(run("scout_lease", make_conninfo(dsn, sslmode="bogus"), check=True), "connection_failed", "sslmode")


def test_an_unreachable_host(module: str) -> None:
    refused(run(module, "host=127.0.0.1 port=1 dbname=scout"), "connection_failed", "scout on 127.0.0.1:1")
    refused(run(module, "postgresql://nowhere.invalid/scout"), "connection_failed", "nowhere.invalid")


@pytest.mark.parametrize("secret", ["sw0rdfish", "sw0rd/f@sh:?#[]%&=+ '\"\\$", "sw0rd{{ fish }}ü"])
def test_a_wrong_password_is_never_shown(pg_server: Server, module: str, secret: str) -> None:
    as_uri = pg_server.tcp_dsn("postgres", password=secret)
    as_keywords = make_conninfo(as_uri)
    apart = pg_server.tcp_dsn("postgres", password="")
    for result in (
        run(module, as_uri),
        run(module, as_keywords),
        run(module, apart, password=secret),
        executed(module, as_uri, **MODULES[module]),
        executed(module, apart, password=secret, **MODULES[module]),
    ):
        refused(result, "connection_failed", "scout_password")
        for shown in ("sw0rd", quote(secret, safe="")):
            assert shown not in str(result)


def test_nor_by_the_command_however_loud(pg_server: Server) -> None:
    dsn = pg_server.tcp_dsn("postgres", password="sw0rd/f@sh")
    for options, env in (({"dsn": dsn}, {}), ({}, {"SCOUT_DSN": dsn}), ({"dsn": dsn.replace("%2F", "/")}, {})):
        result, output = ad_hoc("scout_lease", "-vvv", env=env, **options)
        assert result["failed"]
        assert "sw0rd" not in output
        assert "Traceback" not in output


def test_a_string_that_cannot_be_read(module: str) -> None:
    for dsn in ("scout", "postgresql://scout:sw0rd/fish@db/scout", "host=db password=sw0rd fish", "host=a\0b"):
        assert "sw0rd" not in str(refused(run(module, dsn), "bad_input", "scout_dsn"))
    for password in ("a\0b", "a\udcffb"):
        refused(run(module, "host=127.0.0.1 port=1", password=password), "bad_input", "password")


def test_a_python_without_the_driver(module: str) -> None:
    script = f"""
import sys
sys.path[:0] = [{str(CHECKOUT / ".collections")!r}]
sys.modules["psycopg"] = None
from ansible.module_utils.testing import patch_module_args
from ansible_collections.scout.recovery.plugins.modules import {module}
with patch_module_args({ {"dsn": "host=db", **MODULES[module]}!r}):
    {module}.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    refused(json.loads(done.stdout), "bad_input", "psycopg", "pip install")
    assert done.stderr == ""


def test_not_a_scout_database(pg_server: Server, module: str) -> None:
    refused(run(module, pg_server.dsn("postgres")), "wrong_database", "not a Scout database", "scout.bronze_events")


def test_without_pg_cron_nothing_can_be_paused(repaired_db: str) -> None:
    with connect(repaired_db) as connection:
        connection.execute("DROP SCHEMA cron CASCADE")
    before = fingerprint(repaired_db)
    for state in ("paused", "running"):
        refused(call("scout_ingestion", repaired_db, state=state), "wrong_database", "pg_cron")
    assert fingerprint(repaired_db) == before


def test_read_only_by_default(scout_db: str, module: str) -> None:
    dsn = make_conninfo(scout_db, options="-c default_transaction_read_only=on")
    refused(run(module, dsn), "wrong_database", "read-only")


@pytest.fixture(scope="module")
def standby(pg_server: Server) -> Iterator[str]:
    """A hot standby of the server."""
    if pg_server.external:
        pytest.skip("a standby of that server is not ours to make")
    runner = account()
    root = Path(tempfile.mkdtemp(prefix="scout-standby-", dir=temp_dir(runner)))
    runner.own(root)
    options: dict[str, Any] = {"env": environment(), **runner.options}
    primary = pg_server.dsn("postgres")
    backup = [bin_dir(runner) / "pg_basebackup", "-d", primary, "-D", root / "data", "-R", "-c", "fast", "--no-sync"]
    subprocess.run(backup, check=True, **options)
    process = subprocess.Popen(
        [bin_dir(runner) / "postgres", "-D", root / "data", "-c", "listen_addresses=", "-c", f"unix_socket_directories={root}",
         "-c", "max_connections=100", "-c", "max_prepared_transactions=4", "-c", "port=5432"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options,
    )  # fmt: skip
    try:
        dsn = f"host={root} port=5432 user={pg_server.superuser} dbname=postgres"
        deadline = time.monotonic() + 120
        while True:
            try:
                connect(dsn).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield dsn
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        subprocess.run(["rm", "-rf", root], check=True)


def test_a_standby(standby: str, module: str) -> None:
    refused(run(module, standby), "wrong_database", "standby", "target_session_attrs")
    refused(run(module, make_conninfo(standby, target_session_attrs="read-write")), "connection_failed")


@pytest.mark.parametrize("name", ["connect_timeout_seconds", "statement_timeout_seconds", "lock_timeout_seconds"])
def test_a_timeout_that_is_none(scout_db: str, name: str) -> None:
    whole = name == "connect_timeout_seconds"
    for value in (0, -1, 604801, *(() if whole else (1e300, float("nan"), float("-inf")))):
        refused(run("scout_ingestion", scout_db, **{name: value}), "bad_input", name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("scout_ingestion", "drain_timeout_seconds"),
        ("scout_ingestion", "leave_stuck_after_seconds"),
        ("scout_terminate_sessions", "stuck_after_seconds"),
        ("scout_terminate_sessions", "cancel_wait_seconds"),
        ("scout_terminate_sessions", "terminate_wait_seconds"),
        ("scout_lease", "ttl_seconds"),
    ],
)
def test_a_duration_of_their_own(scout_db: str, module: str, name: str) -> None:
    for value in (0, -1, 700_000):
        refused(run(module, scout_db, **{name: value}), "bad_input", name)


def test_hostile_text_in_every_option(scout_db: str, module: str) -> None:
    before = fingerprint(scout_db)
    for text in HOSTILE:
        _try_everywhere(scout_db, module, text)
    assert fingerprint(scout_db) == before


def _try_everywhere(scout_db: str, module: str, text: str) -> None:
    refused(run(module, scout_db, incident=text), "bad_input", "incident")
    if module != "scout_lease":
        refused(run(module, scout_db, jobs=[text]), "wrong_database", "no job is named")
    if module == "scout_terminate_sessions":
        assert not run(module, scout_db, protected_roles=[text]).get("failed")
    if text:
        result = run(module, text)
        assert result["failed"]
        assert "\n" not in result["msg"]
        assert len(result["msg"]) < 4000
        dsn = make_conninfo("host=127.0.0.1 port=1", dbname=text, user=text)
        refused(run(module, dsn), "connection_failed")
    # The socket trusts everyone, so any password will do.
    assert not run(module, scout_db, password=text, check=True).get("failed")


def test_hostile_names_in_the_database(repaired_db: str) -> None:
    """Jobs, roles and sessions are named by others."""
    name = '\';\nDROP TABLE "scout".alerts; -- %s {{ x }} ü'
    with connect(repaired_db) as connection, psycopg.connect(repaired_db, application_name=name) as session:
        connection.execute("UPDATE cron.job SET jobname = %s WHERE jobname = 'product-linking'", [name])
        session.execute("SELECT scout.load_silver_from_bronze(1)")
        session.execute("LOCK scout.etl_processed IN ROW EXCLUSIVE MODE")
        failed = call("scout_ingestion", repaired_db, state="paused", drain_timeout_seconds=0.3)
        assert failed["error"]["kind"] == "not_reached"
        assert "\n" not in failed["msg"]
        session.rollback()
        assert call("scout_ingestion", repaired_db, state="paused")["state"] == "paused"
        assert name in call("scout_ingestion", repaired_db, state="running")["effects"]["activated"]


def test_unknown_options_and_values(scout_db: str) -> None:
    before = fingerprint(scout_db)
    for options, word in (
        ({"state": "paused", "tate": "x"}, "tate"),
        ({"state": "PAUSED"}, "value of state must be one of"),
        ({"state": "paused", "drain_timeout_seconds": "soon"}, "drain_timeout_seconds"),
        ({}, "state"),
    ):
        result, output = ad_hoc("scout_ingestion", dsn=scout_db, **options)
        assert result["failed"]
        assert word in result["msg"]
        assert "Traceback" not in output
    assert fingerprint(scout_db) == before


def test_a_role_that_may_nothing(scout_db: str, module: str) -> None:
    with connect(scout_db) as connection, operator(scout_db) as dsn:
        role = conninfo_to_dict(dsn)["user"]
        connection.execute(f"REVOKE loader, pg_read_all_stats, pg_signal_backend FROM {role}")  # type: ignore[call-overload]
        if module == "scout_lease":
            connection.execute(f"REVOKE CREATE ON DATABASE bad_input FROM {role}")  # type: ignore[call-overload]
        refused(run(module, dsn, ledger="required"), "missing_privilege", "GRANT")
