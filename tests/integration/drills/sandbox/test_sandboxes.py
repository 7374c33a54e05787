# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where drills take place: each sandbox is a healthy pipeline, does what it says it can, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.embedded import DrillServer
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.factory import (
    Host,
    Sandbox,
    Unavailable,
    open_sandbox,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    BadInput,
    MissingPrivilege,
    RecoveryError,
    WrongDatabase,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import throttle
from tests.integration.staging import PASSWORD, Staging, drill, prepare, until

PENDING = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
STARTED = "SELECT pg_postmaster_start_time()"
EVENTS = {"events": 100}


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row
        return row[0]


def load(sandbox: Sandbox) -> None:
    """What the scheduler would do."""
    with psycopg.connect(sandbox.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(sandbox.owner)))
        connection.execute("SELECT FROM scout.load_silver_from_bronze(2000)")


def drill_containers() -> set[str]:
    return {name for name, _, _ in container.labelled("scout-recovery.drill")}


def folder(dsn: str) -> Path:
    """Where an embedded server keeps everything."""
    return Path(str(conninfo_to_dict(dsn)["host"]))


@pytest.fixture
def embedded() -> Iterator[Sandbox]:
    with open_sandbox("embedded", pipeline=EVENTS, name="test") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def server() -> Iterator[DrillServer]:
    with DrillServer({"log_statement": "all"}) as found:
        yield found


@pytest.fixture(scope="module")
def staging(server: DrillServer) -> Staging:
    """A staging server whose own database is a pipeline with events of today."""
    found = prepare(server, "scout_a")
    builder.build(server.dsn("scout_a"), events=200)
    found.do("GRANT CONNECT ON DATABASE scout_a TO drillmaster")
    return found


# --- embedded


def test_an_embedded_sandbox_is_a_healthy_pipeline(embedded: Sandbox) -> None:
    assert (embedded.kind, embedded.has_pg_cron, embedded.owner, embedded.lacks) == ("embedded", False, "loader", ())
    assert value(embedded.dsn, "SELECT count(*) FROM scout.bronze_events") == 100
    assert value(embedded.dsn, PENDING) == 0
    assert str(conninfo_to_dict(embedded.dsn)["dbname"]).startswith("scout_drill_")


def test_it_is_gone_afterwards_whatever_happened() -> None:
    for error in (ValueError, KeyboardInterrupt, None):
        with contextlib.ExitStack() as stack:
            if error:
                stack.enter_context(pytest.raises(error))
            with open_sandbox("embedded", pipeline=EVENTS, name="test") as sandbox:
                found = folder(sandbox.dsn)
                assert found.is_dir()
                if error:
                    raise error
        assert not found.exists()


def test_it_is_gone_when_the_drill_is_killed() -> None:
    process, dsn = drill("embedded")
    assert folder(dsn).is_dir()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert until(lambda: not folder(dsn).exists())


def test_another_server_is_never_taken_for_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch, staging: Staging, embedded: Sandbox
) -> None:
    monkeypatch.setenv("SCOUT_TEST_SERVER", staging.server.dsn("postgres"))
    before = staging.names()
    with open_sandbox("embedded", pipeline=EVENTS, name="test") as sandbox:
        assert folder(sandbox.dsn) not in (folder(staging.server.dsn("postgres")), folder(embedded.dsn))
        assert staging.names() == before


def test_the_least_privileged_operator_is_the_documented_role(embedded: Sandbox) -> None:
    dsn = embedded.operator_dsn("least_privileged")
    assert dsn == embedded.operator_dsn("least_privileged")
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("SELECT current_user, current_setting('is_superuser')").fetchone() == (
            "scout_operator",
            "off",
        )
        assert connection.execute("SELECT count(*) FROM scout.bronze_events").fetchone() == (100,)
        connection.execute("CREATE TABLE scout_ops.mine ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE scout.bronze_events")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE scout.mine ()")
    assert embedded.operator_dsn("owner") == embedded.dsn
    with pytest.raises(BadInput, match="operator 'root' is not known"):
        embedded.operator_dsn("root")


@pytest.mark.parametrize("immediate", [False, True])
def test_a_restart_is_one_and_disturbs_nobody_else(embedded: Sandbox, immediate: bool) -> None:
    with open_sandbox("embedded", pipeline=EVENTS, name="other") as other:
        started, others = value(embedded.dsn, STARTED), value(other.dsn, STARTED)
        with psycopg.connect(embedded.dsn) as connection:
            embedded.restart_server(immediate=immediate)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert value(embedded.dsn, STARTED) > started  # type: ignore[operator]
        assert value(embedded.dsn, "SELECT count(*) FROM scout.bronze_events") == 100
        assert value(other.dsn, STARTED) == others


def test_a_standby_that_is_promoted_has_all_and_the_address(embedded: Sandbox) -> None:
    timeline = "SELECT timeline_id FROM pg_control_checkpoint()"
    before = value(embedded.dsn, timeline)
    with embedded.standby(), psycopg.connect(embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.last AS SELECT 1 AS n")
        embedded.fail_over()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert value(embedded.dsn, "SELECT n FROM public.last") == 1
    assert value(embedded.dsn, "SELECT count(*) FROM scout.bronze_events") == 100
    with psycopg.connect(embedded.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO public.last VALUES (2)")
        connection.execute("CHECKPOINT")
    assert value(embedded.dsn, timeline) == before + 1  # type: ignore[operator]
    assert value(embedded.dsn, "SELECT pg_is_in_recovery()") is False


def test_a_slow_standby_stands_still_and_catches_up_again_and_again(embedded: Sandbox) -> None:
    with embedded.slow_standby(0.7), psycopg.connect(embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.work (n int)")
        behind: list[float] = []
        replayed: list[int] = []
        reached, since = 0, time.monotonic()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            connection.execute("INSERT INTO public.work VALUES (1)")
            name, place, _, _ = connection.execute(throttle.STANDBY.encode(), {"ignored": []}).fetchone() or (
                "",
                0,
                0,
                0,
            )
            assert name == "slow_standby"
            if place > reached:
                reached, since = place, time.monotonic()
            behind.append(time.monotonic() - since)
            replayed.append(place)
            time.sleep(0.02)
    assert 0.5 < max(behind) < 3
    stood = [later == earlier for earlier, later in itertools.pairwise(replayed)]
    went_on = sum(1 for before, now in itertools.pairwise(stood) if before and not now)
    assert went_on >= 2
    # The last thing that is known of it.
    assert until(lambda: value(embedded.dsn, "SELECT count(*) FROM pg_stat_replication") == 0)


def test_a_sandbox_that_nobody_knows() -> None:
    with (
        pytest.raises(BadInput, match="sandbox 'moon' is not known"),
        open_sandbox("moon", pipeline=EVENTS, name="test"),
    ):
        pass


# --- in a container


@pytest.mark.docker
def test_a_container_has_the_real_scheduler_and_restarts_in_place() -> None:
    before = drill_containers()
    with open_sandbox("docker", pipeline=EVENTS, name="test") as sandbox:
        assert (sandbox.kind, sandbox.has_pg_cron, sandbox.owner) == ("docker", True, "loader")
        assert value(sandbox.dsn, PENDING) == 0
        operator = sandbox.operator_dsn("least_privileged")
        for immediate in (False, True):
            started = value(sandbox.dsn, STARTED)
            sandbox.restart_server(immediate=immediate)
            assert value(operator, STARTED) > started  # type: ignore[operator]
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.bronze_events") == 100
        value(sandbox.dsn, "SELECT cron.schedule('soon', '1 second', 'SELECT 42')")
        ran = "SELECT count(*) FROM cron.job_run_details WHERE command = 'SELECT 42' AND status = 'succeeded'"
        assert until(lambda: value(sandbox.dsn, ran) != 0)
        with pytest.raises(Unavailable, match="has no standby"):
            sandbox.slow_standby(5)
    assert drill_containers() <= before


@pytest.mark.docker
def test_the_container_of_a_killed_drill_is_removed_by_the_next() -> None:
    before = drill_containers()
    process, dsn = drill("docker")
    assert value(dsn, PENDING) == 0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [left] = drill_containers() - before
    with open_sandbox("docker", pipeline=EVENTS, name="next"):
        assert left not in drill_containers()


def test_without_docker_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUT_DOCKER", "off")
    with (
        pytest.raises(Unavailable, match=r"container with pg_cron: SCOUT_DOCKER=off\. Next: .*-e sandbox=embedded"),
        open_sandbox("docker", pipeline=EVENTS, name="test"),
    ):
        pass


# --- on a staging server


def test_the_database_that_is_named_stays_as_it_is(staging: Staging) -> None:
    before, names = staging.fingerprint(), staging.names()
    with open_sandbox(
        "staging", sandbox_dsn=staging.dsn(), pipeline=EVENTS, name="test", hosts=staging.hosts
    ) as sandbox:
        found = conninfo_to_dict(sandbox.dsn)
        assert found["dbname"] != "scout_a"
        assert (sandbox.kind, sandbox.has_pg_cron) == ("staging", False)
        assert sandbox.owner == f"{found['dbname']}_loader"
        assert value(sandbox.dsn, PENDING) == 0
        library.FAULTS["negative_totals"](sandbox.dsn)
        load(sandbox)
        with psycopg.connect(sandbox.operator_dsn("least_privileged"), autocommit=True) as connection:
            connection.execute("DELETE FROM scout.bronze_events_dlq")
            me = connection.execute("SELECT current_user, current_setting('is_superuser')").fetchone()
            assert me == (f"{found['dbname']}_operator", "off")
        databases, roles = staging.names()
        assert databases - names[0] == {found["dbname"]}
        assert {str(role).rpartition("_")[2] for role in roles - names[1]} == {"loader", "ingest", "reader", "operator"}
        for role in ("loader", "edge_ingest", "drillmaster"):
            assert (
                value(staging.server.dsn("scout_a"), f"SELECT pg_has_role('{sandbox.owner}', '{role}', 'MEMBER')")
                is False
            )
        with pytest.raises(Unavailable, match="server of a staging sandbox is not restarted"):
            sandbox.restart_server()
        with pytest.raises(Unavailable, match="has no standby"):
            sandbox.slow_standby(5)
    assert (staging.fingerprint(), staging.names()) == (before, names)


def test_nobody_else_gets_into_the_scratch_database(staging: Staging) -> None:
    staging.do(f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    with open_sandbox(
        "staging", sandbox_dsn=staging.dsn(), pipeline=EVENTS, name="test", hosts=staging.hosts
    ) as sandbox:
        name = conninfo_to_dict(sandbox.dsn)["dbname"]
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(staging.server.tcp_dsn(str(name), user="stranger", password=PASSWORD))
    staging.do("DROP ROLE stranger")


def test_the_password_of_the_scratch_operator_reaches_no_log(staging: Staging) -> None:
    with open_sandbox(
        "staging", sandbox_dsn=staging.dsn(), pipeline=EVENTS, name="test", hosts=staging.hosts
    ) as sandbox:
        password = conninfo_to_dict(sandbox.operator_dsn("least_privileged"))["password"]
        log = (folder(staging.server.dsn("postgres")) / "server.log").read_text()
        assert "PASSWORD 'SCRAM-SHA-256$" in log
        assert str(password) not in log


def test_what_a_killed_drill_left_is_removed_by_the_next_and_nothing_else(staging: Staging) -> None:
    foreign = ("scout_drill_ffffffffffff", "scout_drill_eeeeeeeeeeee", "scout_drill_keep")
    before = staging.names()
    process, dsn = drill("staging", staging.dsn())
    alive, other = drill("staging", staging.dsn())
    mine, living = (str(conninfo_to_dict(each)["dbname"]) for each in (dsn, other))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # One without our mark, one whose mark is somebody else's words, one with another name.
    staging.do(*(f"CREATE DATABASE {name} OWNER drillmaster" for name in foreign), f"CREATE ROLE {foreign[0]}_loader")
    staging.do(f"COMMENT ON DATABASE {foreign[1]} IS 'scout-recovery: drill by hand; may be dropped'")
    assert mine in staging.names()[0]
    said: list[str] = []
    with open_sandbox(
        "staging",
        sandbox_dsn=staging.dsn(),
        pipeline=EVENTS,
        name="next",
        hosts=staging.hosts,
        progress=Progress(said.append),
    ):
        assert said[0] == f"removed what a killed drill left: scratch database {mine}, 4 scratch roles"
        databases, roles = staging.names()
        assert mine not in databases
        assert not [role for role in roles if str(role).startswith(mine)]
        assert {living, *foreign} <= databases
        assert f"{foreign[0]}_loader" in roles
        assert value(other, PENDING) == 0
    alive.send_signal(signal.SIGKILL)
    alive.communicate()
    with open_sandbox("staging", sandbox_dsn=staging.dsn(), pipeline=EVENTS, name="last", hosts=staging.hosts):
        assert living not in staging.names()[0]
    staging.do(*(f"DROP DATABASE {name}" for name in foreign), f"DROP ROLE {foreign[0]}_loader")
    assert staging.names() == before


def test_a_role_that_cannot_watch_is_told_before_anything_is_made(staging: Staging) -> None:
    """Else every playbook stops at its preflight, and the recovery looks broken."""
    staging.do(f"CREATE ROLE blind LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")
    before = staging.names()
    dsn = staging.dsn("blind")
    hosts = [Host("staging", dsn, marked=True)]
    try:
        with (
            pytest.raises(MissingPrivilege, match="is no member of pg_read_all_stats and pg_signal_backend") as refused,
            open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="test", hosts=hosts),
        ):
            pass
        assert staging.names() == before
        staging.do(refused.value.next_step)
        with open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="test", hosts=hosts) as sandbox:
            assert sandbox.operator_dsn("least_privileged")
    finally:
        staging.do("REVOKE pg_read_all_stats, pg_signal_backend FROM blind", "DROP ROLE blind")


@pytest.mark.parametrize(
    ("attributes", "lacks"),
    [("", "CREATEDB CREATEROLE"), ("CREATEDB", "CREATEROLE"), ("CREATEROLE", "CREATEDB")],
)
def test_a_missing_privilege_is_named_with_what_fixes_it(staging: Staging, attributes: str, lacks: str) -> None:
    staging.do(f"CREATE ROLE \"Ann O'Nym\" LOGIN {attributes} PASSWORD '{PASSWORD}'")
    before = staging.names()
    dsn = staging.dsn("Ann O'Nym")
    try:
        with (
            pytest.raises(MissingPrivilege) as refused,
            open_sandbox(
                "staging", sandbox_dsn=dsn, pipeline=EVENTS, name="test", hosts=[Host("staging", dsn, marked=True)]
            ),
        ):
            pass
        assert refused.value.next_step == f'ALTER ROLE "Ann O\'Nym" {lacks}'
        assert staging.names() == before
        staging.do(refused.value.next_step, 'GRANT pg_read_all_stats, pg_signal_backend TO "Ann O\'Nym"')
        with open_sandbox(
            "staging", sandbox_dsn=dsn, pipeline=EVENTS, name="test", hosts=[Host("staging", dsn, marked=True)]
        ) as sandbox:
            with pytest.raises(MissingPrivilege) as refused:
                sandbox.operator_dsn("least_privileged")
            grant = 'GRANT pg_read_all_stats, pg_signal_backend TO "Ann O\'Nym" WITH ADMIN OPTION'
            assert refused.value.next_step.startswith(grant)
            staging.do(grant)
            assert value(sandbox.operator_dsn("least_privileged"), PENDING) == 0
        assert staging.names() == before
    finally:
        staging.do('DROP ROLE "Ann O\'Nym"')


def refusal(staging: Staging, dsn: str, *hosts: Host) -> RecoveryError:
    before = staging.names()
    with (
        pytest.raises(WrongDatabase, match="looks like production") as refused,
        open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="test", hosts=hosts),
    ):
        pass
    assert staging.names() == before
    assert "scout_drill_target: true" in refused.value.next_step
    assert PASSWORD not in str(refused.value)
    return refused.value


def test_recent_events_look_like_production(staging: Staging) -> None:
    said = refusal(staging, staging.dsn("drillmaster")).said
    # The role may not even look there.
    assert said == "database scout_a holds a pipeline that role drillmaster may not look into"
    said = refusal(staging, staging.server.dsn("scout_a")).said
    assert said == "events came into scout.bronze_events of database scout_a within 24 hours"


def test_a_name_looks_like_production(staging: Staging) -> None:
    staging.server.create_database("scout-live")
    dsn = staging.server.tcp_dsn("scout-live", user="drillmaster", password=PASSWORD)
    assert refusal(staging, dsn).said == "the name 'scout-live' has 'live' in it"
    with open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="x", hosts=[Host("x", dsn, marked=True)]):
        pass
    staging.server.drop_database("scout-live")


def test_other_peoples_sessions_look_like_production(staging: Staging) -> None:
    dsn = staging.server.tcp_dsn("postgres", user="drillmaster", password=PASSWORD)
    with psycopg.connect(staging.server.dsn("postgres")):
        said = refusal(staging, dsn).said
    assert said == "other people are in database postgres: 1 session, among them one of postgres"
    with open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="x"):
        pass


def test_only_the_inventory_says_otherwise_and_only_for_that_server(staging: Staging) -> None:
    dsn = staging.server.tcp_dsn("postgres", user="drillmaster", password=PASSWORD)
    port = int(str(conninfo_to_dict(dsn)["port"]))
    by_socket = staging.server.dsn("scout_b")
    elsewhere = Host("elsewhere", f"postgresql://db.invalid:{port}/scout", marked=True)
    beside = Host("luzon", f"host=localhost port={port} dbname=scout user=x")
    said = "inventory host luzon is on this server and is not marked as a target of drills"
    assert refusal(staging, dsn, beside, elsewhere, Host("broken", "host=a@b")).said == said
    # Another database of a server that is marked; but not where somebody left one unmarked.
    assert refusal(staging, dsn, beside, Host("b", by_socket, marked=True)).said == said
    with open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="x", hosts=[Host("b", by_socket, marked=True)]):
        pass
    own = Host("visayas", f"host=127.0.0.1 port={port} dbname=postgres")
    said = refusal(staging, dsn, own, Host("b", by_socket, marked=True)).said
    assert said == "it is the database of inventory host visayas, which is not marked as a target of drills"


def test_a_server_that_is_not_named_or_not_there(staging: Staging) -> None:
    with (
        pytest.raises(BadInput, match="no staging server is named"),
        open_sandbox("staging", pipeline=EVENTS, name="x"),
    ):
        pass
    dsn = staging.dsn("drillmaster").replace("4711", "0000")
    with (
        pytest.raises(RecoveryError, match="could not open a session") as failed,
        open_sandbox("staging", sandbox_dsn=dsn, pipeline=EVENTS, name="x"),
    ):
        pass
    assert "0000" not in str(failed.value)
