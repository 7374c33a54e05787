# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the operator, to whom the ledger belongs, rewrites who did what: in the ledger, and in the audit trail that he may only add
to, with every right that he has; and then a superuser does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust.audit import OF_RUN
from tests.integration.modules import Result, call, connect, one, rows
from tests.security.roles import drop_roles

APPEND = "SELECT scout_audit.append(%s, %s, 'pause', 'INC-1', 'bob@somewhere', 'succeeded', 'x')"
#: What the operator tries on the trail itself.
TRIED = [
    "UPDATE scout_audit.entries SET entry = '{}'",
    "UPDATE scout_audit.head SET number = 0",
    "DELETE FROM scout_audit.entries",
    "INSERT INTO scout_audit.entries VALUES (99, '{}', '')",
    "MERGE INTO scout_audit.entries AS e USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE scout_audit.entries",
    "SELECT FROM scout_audit.head FOR UPDATE",
    "LOCK TABLE scout_audit.head IN ROW EXCLUSIVE MODE",
    "COPY scout_audit.entries FROM STDIN",
    "DROP TABLE scout_audit.entries",
    "DROP SCHEMA scout_audit CASCADE",
    "ALTER TABLE scout_audit.entries DROP COLUMN hash",
    "ALTER TABLE scout_audit.entries OWNER TO scout_operator",
    "ALTER SCHEMA scout_audit RENAME TO gone",
    "CREATE TABLE scout_audit.more ()",
    "CREATE TRIGGER evil BEFORE INSERT ON scout_audit.entries FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE evil AS ON INSERT TO scout_audit.entries DO INSTEAD NOTHING",
    "CREATE POLICY evil ON scout_audit.entries USING (false)",
    "ALTER TABLE scout_audit.entries ENABLE ROW LEVEL SECURITY",
    "CREATE TABLE public.child () INHERITS (scout_audit.entries)",
    "CREATE TABLE public.refers (number bigint REFERENCES scout_audit.entries ON DELETE CASCADE)",
    "CREATE UNIQUE INDEX evil ON scout_audit.entries ((1))",
    "SET session_replication_role = replica",
    "SET ROLE scout_audit",
    "SET SESSION AUTHORIZATION scout_audit",
    "GRANT scout_audit TO scout_operator",
    "ALTER ROLE scout_audit LOGIN",
    "ALTER FUNCTION scout_audit.append SECURITY INVOKER",
    "ALTER FUNCTION scout_audit.append RESET search_path",
    "DROP FUNCTION scout_audit.append",
    *(
        f"CREATE {how} scout_audit.append(text, uuid, text, text, text, text, {last}) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'"
        for how, last in (("OR REPLACE FUNCTION", "text"), ("FUNCTION", "varchar"))
    ),
    "SECURITY LABEL ON TABLE scout_audit.entries IS 'x'",
    "ALTER DEFAULT PRIVILEGES FOR ROLE scout_audit GRANT ALL ON TABLES TO scout_operator",
]
#: What the function would call, of his own, wherever he may make it.
OWN = """
CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$;
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2001-01-01'::timestamptz $$;
CREATE FUNCTION pg_temp.inet_client_addr() RETURNS inet LANGUAGE sql AS $$ SELECT '192.0.2.1'::inet $$;
CREATE FUNCTION pg_temp.left(text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'mallory' $$;
CREATE TEMP TABLE head (one boolean, number bigint, hash bytea);
CREATE TEMP TABLE entries (number bigint, entry json, hash bytea);
SET search_path = pg_temp, public, pg_catalog;
SET TimeZone = 'Asia/Manila';
SET DateStyle = 'German';
"""


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, who has done two things: paused and resumed."""
    made = builder.operator(scout_db)
    with connect(scout_db) as superuser:
        superuser.execute("GRANT CREATE, USAGE ON SCHEMA public TO scout_operator")
    for state in ("paused", "running"):
        assert call("scout_ingestion", made, state=state, incident="INC-1")["changed"]
    yield made
    drop_roles(scout_db, "scout_operator")


def trail(dsn: str) -> list[tuple[Any, ...]]:
    return rows(
        dsn,
        "SELECT number, entry ->> 'kind', entry ->> 'action', entry ->> 'login', entry ->> 'outcome' FROM scout_audit.entries "
        "ORDER BY number",
    )


def verify(dsn: str, **options: Any) -> Result:
    return call("scout_audit_info", dsn, **options)


def told(dsn: str, **options: Any) -> str:
    """What verifying says is wrong."""
    result = verify(dsn, **options)
    assert result.get("failed"), result
    assert result["error"]["kind"] == "not_reached"
    return result["error"]["said"]


def test_a_run_appends_its_begin_and_its_end(operator: str, scout_db: str) -> None:
    assert trail(operator) == [
        (1, "begun", "pause", "scout_operator", "running"),
        (2, "ended", "pause", "scout_operator", "succeeded"),
        (3, "begun", "resume", "scout_operator", "running"),
        (4, "ended", "resume", "scout_operator", "succeeded"),
    ]
    result = verify(operator)
    assert not result.get("failed"), result["msg"]
    assert result["summary"].startswith("4 entries of 2 runs are as written, and agree with the ledger")
    assert (result["entries"], result["logins"]) == (4, {"scout_operator": 4})
    number, _, digest = result["head"].partition(":")
    assert (number, digest) == ("4", one(operator, "SELECT encode(hash, 'hex') FROM scout_audit.head"))
    call("scout_ingestion", operator, check=True, state="paused")
    assert not call("scout_ingestion", operator, state="running")["changed"]
    assert len(trail(operator)) == 4, "neither a check nor a second run adds to it"
    # Who fails, and who was killed and found by the next one, is in it too.
    with connect(scout_db) as superuser:
        superuser.execute(
            "INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller) "
            "VALUES (gen_random_uuid(), 'drain', 'INC-1', 'bob', 'x') RETURNING run_id"
        )
    assert "is in the ledger, and has not begun in the trail" in told(operator)


def test_nothing_that_the_operator_may_do_changes_what_is_told(operator: str, scout_db: str, subtests: Any) -> None:
    before, head = trail(operator), verify(operator)["head"]
    with connect(operator) as session:
        for statement in TRIED:
            with subtests.test(statement):
                with pytest.raises(psycopg.Error) as refused, session.transaction():
                    session.execute(statement)  # type: ignore[call-overload]
                assert refused.value.sqlstate in ("42501", "42601", "22023", "42P13", "0A000", "42846"), refused.value
        # PostgreSQL only warns of a grant that grants nothing.
        session.execute("GRANT ALL ON scout_audit.entries TO PUBLIC; REVOKE ALL ON scout_audit.entries FROM PUBLIC")
        assert trail(scout_db) == before
        assert verify(operator)["head"] == head
        # Functions, tables and settings of his own are not what the function sees; what he adds has his name, and is told.
        session.execute(OWN)
        session.execute(APPEND, ["ended", None])
    entry = one(scout_db, "SELECT entry FROM scout_audit.entries WHERE number = 5")
    assert entry["login"] == "scout_operator"
    assert entry["at"] > "2002"
    assert (entry["client"], entry["kind"]) == (None, "ended")
    assert "entry 5 of scout_operator" in told(operator)


def test_what_he_rewrites_in_the_ledger_is_told(operator: str, scout_db: str, subtests: Any) -> None:
    run = one(operator, "SELECT run_id::text FROM scout_ops.runs ORDER BY started_at LIMIT 1")
    for statement, expected in (
        ("UPDATE scout_ops.runs SET actor = 'bob@elsewhere' WHERE run_id = %s", "entry 2"),
        ("UPDATE scout_ops.runs SET status = 'failed' WHERE run_id = %s", "entry 2"),
        ("UPDATE scout_ops.runs SET started_at = started_at - interval '1 day' WHERE run_id = %s", "entry 2"),
        ("UPDATE scout_ops.runs SET effects = '{}' WHERE run_id = %s", "entry 2"),
        ("UPDATE scout_ops.runs SET incident = 'INC-9' WHERE run_id = %s", "entry 1"),
        ("UPDATE scout_ops.runs SET finished_at = NULL, status = 'running' WHERE run_id = %s", "entry 2"),
        ("DELETE FROM scout_ops.runs WHERE run_id = %s", "entry 1"),
    ):
        with subtests.test(statement):
            kept = rows(scout_db, "SELECT to_jsonb(r)::text FROM scout_ops.runs AS r WHERE run_id = %s", run)[0][0]
            with connect(operator) as session:
                session.execute(statement, [run])  # type: ignore[call-overload]
                said = told(operator)
                assert said.startswith(expected), said
                assert run in said
                # And he makes it fit, by what he may call.
                session.execute(APPEND, ["ended", run])
                assert run in told(operator)
                session.execute("DELETE FROM scout_ops.runs WHERE run_id = %s", [run])
                session.execute(
                    "INSERT INTO scout_ops.runs SELECT * FROM jsonb_populate_record(NULL::scout_ops.runs, %s)", [kept]
                )
                with connect(scout_db) as superuser:
                    _rewind(superuser, 4)
    assert not verify(operator).get("failed")


def _rewind(superuser: psycopg.Connection[Any], number: int) -> None:
    """The trail as it was when it had so many entries, as only a superuser makes it."""
    superuser.execute("DELETE FROM scout_audit.entries WHERE number > %s", [number])
    superuser.execute(
        "UPDATE scout_audit.head SET (number, hash) = (SELECT number, hash FROM scout_audit.entries ORDER BY number DESC LIMIT 1)"
    )


#: Makes all hashes from an entry on again, so that they fit.
REHASH = """
DO $$
DECLARE e record; last bytea := '';
BEGIN
    FOR e IN SELECT number, entry FROM scout_audit.entries ORDER BY number LOOP
        last := sha256(last || convert_to(e.entry::text, 'UTF8'));
        UPDATE scout_audit.entries SET hash = last WHERE number = e.number;
    END LOOP;
    UPDATE scout_audit.head SET hash = last, number = (SELECT max(number) FROM scout_audit.entries);
END $$
"""


def test_a_forged_row_with_its_own_digest_is_told(operator: str) -> None:
    """He makes the digest of what he forged as the toolkit does, and has it begin and end once more."""
    forged = (
        f"SELECT scout_audit.append(%s, r.run_id, r.action, r.incident, r.actor, r.status, {OF_RUN}) "
        "FROM scout_ops.runs AS r WHERE run_id = %s"
    )
    run = one(operator, "SELECT run_id::text FROM scout_ops.runs ORDER BY started_at LIMIT 1")
    with connect(operator, options="-c search_path=pg_catalog -c TimeZone=UTC") as session:
        session.execute("UPDATE scout_ops.runs SET actor = 'bob@elsewhere' WHERE run_id = %s", [run])
        session.execute(forged, ["ended", run])  # type: ignore[call-overload]
        assert "ends without having begun" in told(operator)
        session.execute(forged, ["begun", run])  # type: ignore[call-overload]
        session.execute(forged, ["ended", run])  # type: ignore[call-overload]
        assert "entry 5 of scout_operator, pause, run" in told(operator)


def test_a_superuser_is_found_out_by_the_head_that_went_out(operator: str, scout_db: str, tmp_path: Path) -> None:
    kept = call("scout_evidence", operator, folder=str(tmp_path), incident="INC-1", budget_seconds=10)
    noticed = verify(operator, folder=str(tmp_path))["head"]
    assert verify(operator, heads=[noticed])["summary"].endswith("; 1 head that went out is in it")
    assert not call("scout_evidence_verify", operator, folder=str(tmp_path)).get("failed")
    with connect(scout_db) as superuser:
        superuser.execute(
            "UPDATE scout_audit.entries SET entry = replace(entry::text, 'scout_operator', 'bob')::json WHERE number = 2"
        )
        assert told(operator).startswith("entry 2 is not what its hash says"), "he did not know of the hashes"
        superuser.execute(REHASH)
        assert not verify(operator).get("failed"), "now the database alone cannot tell"
        said = told(operator, heads=[noticed])
        assert said.startswith(f"entry {noticed.partition(':')[0]} "), said
        assert "went out with -e audit_heads" in said
        said = told(operator, folder=str(tmp_path))
        assert f"went out with evidence {Path(kept['folder']).name}" in said
        _rewind(superuser, 3)
        assert "has only 3 entries" in told(operator, heads=[noticed])
        assert "the ledger has another row" in told(operator)
        superuser.execute("DROP SCHEMA scout_audit CASCADE")
    gone = verify(operator)
    assert gone["failed"]
    assert "there is no schema scout_audit" in gone["error"]["said"]
    assert "docs/operator_role.sql" in gone["error"]["next_step"]


def test_evidence_that_is_gone_from_folder_and_ledger_is_told(operator: str, tmp_path: Path) -> None:
    call("scout_evidence", operator, folder=str(tmp_path / "a"), incident="INC-1", budget_seconds=10)
    assert not verify(operator, folder=str(tmp_path / "a")).get("failed")
    Path(tmp_path / "a").rename(tmp_path / "b")
    with connect(operator) as session:
        session.execute("DELETE FROM scout_ops.evidence")
    said = told(operator, folder=str(tmp_path / "a"))
    assert "number 1 of INC-1, as the audit trail has it, is missing" in said
    assert "entry 5: the ledger does not know of evidence number 1 of INC-1" in said


def test_two_at_once_make_one_chain_and_who_crashes_leaves_no_hole(operator: str, scout_db: str) -> None:
    """And nobody waits for longer than the other one's transaction."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with connect(operator) as session:
                for _ in range(20):
                    session.execute(APPEND, ["noise", None])
        except psycopg.Error as e:
            failed.append(e)

    began = time.monotonic()
    crashing = connect(operator)
    crashing.execute("BEGIN")
    crashing.execute(APPEND, ["never", None])
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert one(operator, "SELECT number FROM scout_audit.head") == 4, "they wait"
    assert one(scout_db, "SELECT pg_terminate_backend(%s, 10000)", crashing.info.backend_pid)
    for thread in threads:
        thread.join()
    crashing.close()
    assert failed == []
    assert time.monotonic() - began < 10
    assert [row[:2] for row in trail(operator)[4:]] == [(number, "noise") for number in range(5, 65)]
    assert "entry 5 of scout_operator" in told(operator)
    # A run that finds the end of the chain held waits for its lock timeout, and says so.
    with connect(operator) as holding:
        holding.execute("BEGIN")
        holding.execute(APPEND, ["held", None])
        late = call("scout_ingestion", operator, state="paused", lock_timeout_seconds=0.3)
        assert late["failed"]
        assert "could not write to the ledger" in late["msg"]
    assert call("scout_ingestion", operator, state="paused")["changed"]
