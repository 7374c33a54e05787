# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each command that is printed is typed as it is printed, and the next one, until there is none: it ends in a pipeline that works, or in a
sentence that names what somebody has to do. Nobody is sent round in a circle."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pasting import accepted
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.faults import Fault, planted
from tests.faults.table import FAULTS
from tests.integration.modules import call, connect, rows
from tests.scout import next_runs
from tests.security.roles import drop_roles

FREEZE = """
CREATE FUNCTION public.frozen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL until Monday'; END $$;
CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION public.frozen()
"""
FORCED = """
ALTER TABLE scout.bronze_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY a_part ON scout.bronze_events USING (source_system = 'pos')
"""
#: An audit that numbers its rows, and has no number left.
EXHAUSTED = """
CREATE TABLE scout.audit_log (number serial, what text);
CREATE FUNCTION scout.note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO scout.audit_log (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.note();
GRANT INSERT ON scout.audit_log TO loader; GRANT USAGE ON SEQUENCE scout.audit_log_number_seq TO loader;
SELECT setval('scout.audit_log_number_seq', 2147483647)
"""
AT_COMMIT = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
STANDBY = "ALTER SYSTEM SET synchronous_standby_names = '{}'"
#: What led into one.
CIRCLES = {
    "an audit without numbers": Fault((EXHAUSTED,)),
    "a freeze of all DDL": Fault((FREEZE,)),
    "row security that binds the owner": Fault((FORCED,)),
    **{
        name: FAULTS[name]
        for name in (
            "the ETL's job does something else",
            "the ETL does nothing",
            "the ETL's job is of another database",
            "one till sends another form",
            "a trigger refuses sales",
            "a hole of days ago",
            "negative totals",
            "silver holds a sale twice",
        )
    },
}
#: The words of those that end otherwise.
OTHERWISE = {"row security that binds the owner": "or work as the owner of these tables"}
#: What is said after a check that found something to do.
IN_EARNEST = "run it without --check"
RESET = "ansible-playbook scout.recovery.emergency_reset"
MOST = 8


def works(dsn: str) -> bool:
    """Whether the next runs load and refresh, and nothing is found."""
    return (
        not rows(dsn, AT_COMMIT)
        and call("scout_health_info", dsn)["verdict"] == "healthy"
        and next_runs.failing(dsn) == ""
    )


STATEMENT = re.compile(r"(?:as (\w+): )?\b((?:ALTER|CREATE|DROP|GRANT|SELECT|UPDATE) (?:[^;']|'[^']*')*(?:;|$))")
#: What only a person can do, and who that is.
PERSON = re.compile(
    r"whoever deploys what runs as \w+ fixes what it says|the owner of [\w.]+ removes all but one row of each"
    r"|whoever runs [\w -]+ sends the type and the transaction_id that the ETL loads"
)


def follow(stage: Stage, dsn: str, operator: str) -> str:
    """Types what is printed, beginning with a reset: statements as who is named, or a superuser, then the command. Gives the sentence
    that says what a person has to do; nothing where the pipeline works."""
    command, done = RESET, set[tuple[str, ...]]()
    while len(done) < MOST:
        printed = accepted(command)
        check = ["--check"] if printed.check else []
        played = stage.play(printed.playbook, operator, *check, **printed.variables)
        if works(dsn):
            return ""
        text = " ".join(" ".join(played.result["next"]).split())
        before, command = command, next(iter(played.result["commands"]), "")
        statements = STATEMENT.findall(text.partition(command)[0] if command else text)
        if text == IN_EARNEST:
            command = before.replace(" --check", "")
        elif not all(typed(dsn, *each) for each in statements) or (
            not statements and (not command or PERSON.search(text))
        ):
            return text
        step = (command, *(statement for _, statement in statements))
        assert step not in done, f"a circle: {done}\n{played.text}"
        done.add(step)
        command = command or RESET
    raise AssertionError(done)


def typed(dsn: str, role: str, statement: str) -> bool:
    """Whether PostgreSQL takes it."""
    try:
        with connect(dsn, **({"user": role} if role else {})) as session:
            session.execute(statement.encode())
    except psycopg.Error:
        return False
    return True


@pytest.mark.parametrize("fault", CIRCLES)
def test_what_is_printed_comes_to_an_end(fault: str, healthy: Pipeline, stage: Stage) -> None:
    operator = builder.operator(healthy.dsn)
    try:
        with planted(healthy.dsn, CIRCLES[fault]):
            try:
                left = follow(stage, healthy.dsn, operator)
                assert not left or PERSON.search(left) or OTHERWISE.get(fault, "?") in left, left
            finally:
                healthy.execute("DROP EVENT TRIGGER IF EXISTS frozen")
    finally:
        drop_roles(healthy.dsn, "scout_operator")


@pytest.fixture
def alone() -> Iterator[str]:
    """A pipeline on a server of its own, whose commits wait for a standby that does not answer."""
    with Server() as server:
        dsn = builder.build(server.create_database("standby"), events=400)
        try:
            yield dsn
        finally:
            _standby(dsn, "")


def _standby(dsn: str, name: str) -> None:
    with connect(dsn) as session:
        session.execute(STANDBY.format(name).encode())
        session.execute("SELECT pg_reload_conf()")


def _write(dsn: str) -> None:
    with connect(dsn) as session:
        session.execute("UPDATE scout.dim_store SET store_name = store_name")


def test_commits_that_wait_for_a_standby_come_to_an_end(alone: str, stage: Stage) -> None:
    operator = builder.operator(alone)
    with connect(alone) as session:
        session.execute("ALTER DATABASE standby SET synchronous_commit = on")
    _standby(alone, "nobody")
    writer = threading.Thread(target=_write, args=[alone])
    writer.start()
    while not rows(alone, AT_COMMIT):
        time.sleep(0.05)
    assert follow(stage, alone, operator) == ""
    writer.join()
