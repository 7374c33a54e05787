# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented role may do everything; each grant it lacks is named, and the named grant fixes it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.table import CHECKS
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.actions import MOVES, ROLLBACK
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import preflight
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import layout, render
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, one
from tests.integration.scheduler import installed

PREFLIGHT = "scout_preflight_info"
SCRIPT = CHECKOUT / "docs" / "operator_role.sql"
ROLE = "scout_operator"

LOAD = "FUNCTION scout.load_silver_from_bronze(integer)"
INHERITS = " WITH INHERIT TRUE, SET TRUE"
#: What the documented role may do unless it is made with more.
OPERATES = [action for action in preflight.ACTIONS if action not in ROLLBACK]
ALTER_JOB = "FUNCTION cron.alter_job(bigint,text,text,text,text,boolean)"

#: What is taken away, from whom, and which grant has to be named for it; the last one makes the role inherit more.
GRANTS = [
    ("USAGE ON SCHEMA scout", ROLE, f'GRANT USAGE ON SCHEMA scout TO "{ROLE}"'),
    *(
        (f"{privilege} ON scout.{table}", ROLE, f'GRANT {privilege} ON scout.{table} TO "{ROLE}"')
        for table, privileges in (
            ("bronze_events", ("SELECT", "UPDATE", "DELETE", "INSERT")),
            ("bronze_events_dlq", ("SELECT", "INSERT", "UPDATE", "DELETE")),
            ("etl_processed", ("SELECT", "INSERT", "DELETE")),
            ("silver_transactions", ("SELECT", "INSERT", "DELETE")),
            ("silver_line_items", ("SELECT", "INSERT", "DELETE")),
            ("alerts", ("SELECT",)),
        )
        for privilege in privileges
    ),
    *(
        (f"{privilege} ON scout.{name}", ROLE, f'GRANT {privilege} ON "scout"."{name}" TO "{ROLE}"')
        for privilege, names in (
            ("SELECT", ("dim_region", "gold_daily_metrics", "gold_region_choropleth")),
            ("MAINTAIN", ("gold_daily_metrics", "gold_region_choropleth")),
        )
        for name in names
    ),
    (f"EXECUTE ON {LOAD}", f"{ROLE}, PUBLIC",
     f'GRANT EXECUTE ON FUNCTION "scout"."load_silver_from_bronze"(integer) TO "{ROLE}"'),
    ("USAGE ON SCHEMA cron", "loader", 'GRANT USAGE ON SCHEMA cron TO "loader"'),
    (f"EXECUTE ON {ALTER_JOB}", "loader", f'GRANT EXECUTE ON {ALTER_JOB} TO "loader"'),
    ("pg_read_all_stats", ROLE, f'GRANT pg_read_all_stats TO "{ROLE}"{INHERITS}'),
    ("pg_signal_backend", ROLE, f'GRANT pg_signal_backend TO "{ROLE}"{INHERITS}'),
    ("loader", ROLE, f'GRANT "loader" TO "{ROLE}" WITH INHERIT FALSE, SET TRUE'),
]  # fmt: skip


def install(dsn: str, *arguments: str) -> None:
    """What docs/privileges.md tells a superuser to type."""
    command = [psql(), "-X", "-q", "-d", dsn, *arguments, "-f", str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of the documented role."""
    install(scout_db)
    yield make_conninfo(scout_db, user=ROLE)
    drop(scout_db, ROLE)


def drop(dsn: str, role: str) -> None:
    with connect(dsn) as connection:
        connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")  # type: ignore[call-overload]
        connection.execute(f"DROP OWNED BY {role}")  # type: ignore[call-overload]
        connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]


def grants(dsn: str, **options: Any) -> list[str]:
    asked = {"actions": OPERATES, "required": False, "ledger": "required", **options}
    result = call(PREFLIGHT, dsn, **asked)
    assert not result.get("failed"), result
    return [entry["grant"] for entry in result["missing"]]


def test_the_documented_role_lacks_nothing_and_each_grant_is_missed(scout_db: str, operator: str) -> None:
    assert grants(operator) == []
    with connect(scout_db) as superuser:
        for what, who, expected in GRANTS:
            superuser.execute(f"REVOKE {what} FROM {who}")  # type: ignore[call-overload]
            assert grants(operator) == [expected]
            superuser.execute(expected)  # type: ignore[call-overload]
            assert grants(operator) == [], what


def test_the_role_can_do_all_of_it(scout_db: str, operator: str, tmp_path: Path) -> None:
    event_id = str(library.poison_event(scout_db)[0])
    library.backlog(scout_db, count=20)
    library.gold_unpopulated(scout_db)
    results: dict[str, Result] = {}
    for name, options in (
        ("scout_health_info", {}),
        ("scout_evidence", {"folder": str(tmp_path)}),
        ("scout_ingestion", {"state": "paused"}),
        ("scout_terminate_sessions", {"state": "terminated"}),
        ("scout_drain", {"state": "drained", "require_pause": True}),
        ("scout_refresh_gold", {"state": "fresh"}),
        ("scout_ingestion", {"state": "running"}),
    ):
        key = str(options.get("state")) if name == "scout_ingestion" else name
        results[key] = call(name, operator, ledger="required", **options)
        assert not results[key].get("failed"), results[key]
    assert results["scout_health_info"]["suspects"][0]["event_id"] == event_id
    assert "unknown" not in {
        i["status"] for i in results["scout_health_info"]["indicators"] if i["name"] != "gold_staleness"
    }
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") == 1
    story = render.Story("emergency_reset", "local", "adhoc", False, True, {
        "assess": results["scout_health_info"], "evidence": results["scout_evidence"], "pause": results["paused"],
        "terminate_sessions": results["scout_terminate_sessions"], "drain": results["scout_drain"],
        "refresh_gold": results["scout_refresh_gold"], "resume": results["running"],
    })  # fmt: skip
    document = json.loads(json.dumps({"format": render.FORMAT, "results": [render.document(story)]}, default=str))
    jsonschema.validate(document, json.loads((CHECKOUT / "docs" / "result.schema.json").read_text()))
    assert document["results"][0]["outcome"] == "recovered"
    assert len(document["results"][0]["poison"]) == 1
    after = call("scout_health_info", operator)
    assert (after["needs_reset"], after["blockers"]) == ([], [])
    # It owns nothing of the pipeline and inherits nothing of its owner.
    with connect(operator) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("UPDATE scout.silver_transactions SET total_amount = 0")


def test_the_role_can_move_rows_and_take_them_back(scout_db: str, operator: str) -> None:
    """Every move, its undo, and the undo of that, by a role that owns nothing; so what was set aside is there to come back."""
    with connect(scout_db) as superuser:
        sale = "SELECT source_event_id FROM scout.silver_transactions ORDER BY id LIMIT 1"
        superuser.execute(
            f"""UPDATE scout.bronze_events SET event_data = event_data || '{{"total_amount": -1}}' WHERE event_id IN ({sale})"""
        )
        superuser.execute(f"UPDATE scout.silver_transactions SET total_amount = -1 WHERE source_event_id IN ({sale})")
    event_id = str(one(scout_db, "SELECT event_id FROM scout.etl_processed ORDER BY processed_at, event_id LIMIT 1"))
    for name, options in (
        ("scout_quarantine", {"event_ids": [event_id]}),
        ("scout_redrive", {"event_ids": [event_id]}),
        ("scout_cleanup", {"only": ["negative_total"], "max_share": 1}),
    ):
        run = call(name, operator, **options)
        for _ in range(2):
            assert not run.get("failed"), run
            assert run["changed"], run
            run = call("scout_undo", operator, run_id=run["run_id"])
        assert not run.get("failed"), run


def test_an_assessment_tells_once_all_that_a_missing_grant_hides(scout_db: str, operator: str) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("CREATE TABLE scout.migration_manifest (file text PRIMARY KEY, status text)")
        superuser.execute(f"REVOKE SELECT ON scout.silver_line_items FROM {ROLE}")  # type: ignore[call-overload]
    result = call("scout_health_info", operator)
    unknown = {i["name"] for i in result["indicators"] if i["status"] == "unknown"}
    assert unknown - {check.name for check in CHECKS} == {
        "critical_alerts",
        "linking_coverage",
        "gold_staleness",
        "stale_gold_views",
    }
    [first] = result["diagnoses"]
    assert first["cause"] == "insufficient privileges to see: gold, linking, alerts, damaged"
    assert first["evidence"] == "permission denied for table silver_line_items"
    assert first["next_command"].startswith("ansible-playbook scout.recovery.preflight")


def test_a_role_without_anything_gets_everything_named_at_once(scout_db: str) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE nobody_yet LOGIN")
        dsn = make_conninfo(scout_db, user="nobody_yet")
        result = call(PREFLIGHT, dsn)
        assert result["failed"]
        assert "USAGE ON SCHEMA scout" in result["msg"]
        assert "and 16 more" in result["msg"]
        assert " -v role=nobody_yet -f docs/operator_role.sql" in result["error"]["next_step"]
        said = layout.wrapped(result["error"]["next_step"], 400)
        grants = [line for line in said if line.startswith("GRANT ")]
        assert grants == list(dict.fromkeys(f"{entry['grant']};" for entry in result["missing"]))
        for grant in grants:
            superuser.execute(grant)  # type: ignore[call-overload]
        assert call(PREFLIGHT, dsn)["missing"] == []
        drop(scout_db, "nobody_yet")


def test_the_documented_role_refreshes_gold_and_sees_what_pg_cron_records(scout_db: str, operator: str) -> None:
    installed(scout_db)
    install(scout_db)
    with connect(scout_db) as superuser:
        superuser.execute("DELETE FROM cron.job_run_details")
        superuser.execute("UPDATE scout.silver_transactions SET updated_at = now(), total_amount = total_amount + 1")
    assert call(PREFLIGHT, operator)["missing"] == []
    assert "insufficient privileges" not in str(call("scout_health_info", operator)["diagnoses"])
    refreshed = call("scout_refresh_gold", operator, force=True)
    assert (refreshed.get("failed"), refreshed["changed"]) == (None, True), refreshed
    assert refreshed["ingestion"]["state"] == "running"
    with connect(scout_db) as superuser:
        superuser.execute(f"REVOKE pg_read_all_settings FROM {ROLE}")  # type: ignore[call-overload]
        [grant] = grants(operator)
        assert grant.startswith(f'GRANT pg_read_all_settings TO "{ROLE}"')
        superuser.execute(grant)  # type: ignore[call-overload]
    assert grants(operator) == []


def test_the_grant_that_is_printed_gives_the_right_to_a_role_that_inherits_nothing(
    scout_db: str, operator: str
) -> None:
    with connect(scout_db) as superuser:
        superuser.execute(f"ALTER ROLE {ROLE} NOINHERIT; REVOKE pg_read_all_stats FROM {ROLE}")  # type: ignore[call-overload]
        superuser.execute(f"GRANT pg_read_all_stats TO {ROLE}")  # type: ignore[call-overload]
        # Before PostgreSQL 16 no GRANT does, and whatever it is a member of gives it nothing.
        [grant] = {*grants(operator)}
        assert grant.startswith("GRANT " if superuser.info.server_version >= 160000 else "ALTER ROLE "), grant
        superuser.execute(grant)  # type: ignore[call-overload]
    assert grants(operator) == []


def test_what_is_printed_is_enough_in_its_order_and_takes_nothing_away(scout_db: str, operator: str) -> None:
    """A membership without inheritance, granted after one with it, would take the rights that gold is refreshed with."""
    with connect(scout_db) as superuser:
        modern = superuser.info.server_version >= 160000
        superuser.execute(f"GRANT CREATE ON SCHEMA scout TO loader; REVOKE loader FROM {ROLE}")  # type: ignore[call-overload]
        for actions in (OPERATES, list(preflight.ACTIONS)):
            for grant in grants(operator, actions=actions):
                superuser.execute(grant)  # type: ignore[call-overload]
            assert grants(operator, actions=actions) == []
        superuser.execute(f"REVOKE {'SET OPTION FOR ' if modern else ''}loader FROM {ROLE}")  # type: ignore[call-overload]
        [grant, *_] = grants(operator)
        superuser.execute(grant)  # type: ignore[call-overload]
        assert grants(operator, actions=list(preflight.ACTIONS)) == []


def test_only_what_the_actions_need_is_asked_for(scout_db: str, operator: str) -> None:
    with connect(scout_db) as superuser:
        for what in ("pg_signal_backend", "MAINTAIN ON scout.gold_daily_metrics", "DELETE ON scout.bronze_events"):
            superuser.execute(f"REVOKE {what} FROM {ROLE}")  # type: ignore[call-overload]
    assert grants(operator, actions=["assess", "pause"]) == []
    assert grants(operator, actions=["terminate_sessions"]) == [f'GRANT pg_signal_backend TO "{ROLE}"{INHERITS}']
    assert len(grants(operator)) == 3
    for action in MOVES:
        [missing] = call(PREFLIGHT, operator, actions=["pause", action], required=False)["missing"]
        assert (missing["action"], missing["what"]) == (action, "DELETE ON scout.bronze_events")


RIGHTS = f'GRANT "loader" TO "{ROLE}" WITH INHERIT TRUE, SET TRUE'
CREATES = "CREATE ON SCHEMA scout"
HISTORY = "supabase_migrations.schema_migrations"


def test_going_back_takes_the_rights_of_the_owners(scout_db: str, operator: str) -> None:
    """The documented role has them only where it was made with them; each that is missing is named, and its grant fixes it."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE SCHEMA supabase_migrations CREATE TABLE schema_migrations (version text PRIMARY KEY)")
        assert grants(operator, actions=["pause"]) == []
        missing = grants(operator, actions=["rollback"])
        for grant in missing:
            superuser.execute(grant)  # type: ignore[call-overload]
        assert RIGHTS in missing
        assert {f'GRANT {each} ON {HISTORY} TO "{ROLE}"' for each in ("SELECT", "INSERT", "DELETE")} <= set(missing)
        assert grants(operator, actions=["rollback"]) == []
        for what, who, expected in (
            ("INHERIT OPTION FOR loader", ROLE, RIGHTS),
            ("SET OPTION FOR loader", ROLE, RIGHTS),
            (CREATES, "loader", f'GRANT {CREATES} TO "loader"'),
            (f"DELETE ON {HISTORY}", ROLE, f'GRANT DELETE ON {HISTORY} TO "{ROLE}"'),
            ("USAGE ON SCHEMA supabase_migrations", ROLE, f'GRANT USAGE ON SCHEMA supabase_migrations TO "{ROLE}"'),
        ):
            superuser.execute(f"REVOKE {what} FROM {who}")  # type: ignore[call-overload]
            assert expected in grants(operator, actions=["rollback"]), what
            superuser.execute(expected)  # type: ignore[call-overload]
            assert grants(operator, actions=["rollback"]) == [], what
        superuser.execute(
            "CREATE ROLE somebody; CREATE VIEW scout.theirs AS SELECT 1; ALTER VIEW scout.theirs OWNER TO somebody"
        )
        named = call(PREFLIGHT, operator, actions=["rollback"])
        assert f'GRANT "somebody" TO "{ROLE}" WITH INHERIT TRUE, SET TRUE' in named["error"]["next_step"]
        assert {entry["action"] for entry in named["missing"]} == {"rollback"}
        superuser.execute("DROP OWNED BY somebody; DROP ROLE somebody")


def test_the_role_may_be_made_with_them(scout_db: str, operator: str) -> None:
    [warning] = call(PREFLIGHT, operator, actions=["rollback"], required=False)["warnings"]
    assert warning.endswith(f'GRANT CREATE ON DATABASE "{one(scout_db, "SELECT current_database()")}" TO "{ROLE}"')
    with connect(scout_db) as superuser:
        superuser.execute("CREATE SCHEMA supabase_migrations CREATE TABLE schema_migrations (version text PRIMARY KEY)")
        superuser.execute(f"REVOKE SELECT ON scout.silver_line_items FROM {ROLE}")  # type: ignore[call-overload]
    assert "-v rollback=on -f docs/operator_role.sql" in call(PREFLIGHT, operator, actions=["rollback"])["msg"]
    install(scout_db, "-v", "rollback=on")
    result = call(PREFLIGHT, operator, actions=list(preflight.ACTIONS), ledger="required")
    assert (result["missing"], result["warnings"]) == ([], [])


def test_the_role_made_for_it_has_the_rights_of_every_owner(scout_db: str, operator: str) -> None:
    """Of superusers, of their members and of its own members it gets none, and the preflight names whom that leaves."""
    with connect(scout_db) as superuser:
        superuser.execute(
            f"""CREATE ROLE night_shift; CREATE ROLE "Day ""shift"; CREATE ROLE chief ROLE postgres;
                GRANT CREATE ON SCHEMA scout TO night_shift, "Day ""shift"; CREATE ROLE almighty IN ROLE postgres;
                CREATE ROLE below IN ROLE {ROLE};
                CREATE TABLE scout.theirs (id int); ALTER TABLE scout.theirs OWNER TO night_shift;
                CREATE TYPE scout.pair AS (a int, b int); ALTER TYPE scout.pair OWNER TO "Day ""shift";
                CREATE VIEW scout.highest AS SELECT 1; ALTER VIEW scout.highest OWNER TO almighty;
                CREATE VIEW scout.own AS SELECT 1; ALTER VIEW scout.own OWNER TO below"""  # type: ignore[arg-type]
        )
        try:
            before = call(PREFLIGHT, operator, actions=["rollback"], required=False)["missing"]
            named = {entry["what"] for entry in before if entry["what"].startswith("the rights of owner")}
            assert named == {
                f"the rights of owner {name}" for name in ("loader", "night_shift", 'Day "shift', "almighty", "below")
            }
            install(scout_db, "-v", "rollback=on")
            left = call(PREFLIGHT, operator, actions=["rollback"], required=False)["missing"]
            whose = {entry["what"]: entry["grant"] for entry in left if entry["what"].startswith("the rights of owner")}
            assert set(whose) == {"the rights of owner almighty", "the rights of owner below"}
            assert whose["the rights of owner almighty"].endswith("-f docs/pipeline_owner.sql")
            assert not one(scout_db, "SELECT pg_has_role(%s, 'almighty', 'MEMBER')", ROLE)
            for name in ("night_shift", 'Day "shift'):
                assert one(scout_db, "SELECT has_schema_privilege(%s, 'scout', 'CREATE')", name)
        finally:
            superuser.execute("DROP VIEW scout.highest, scout.own; DROP TABLE scout.theirs; DROP TYPE scout.pair")
            superuser.execute('DROP OWNED BY night_shift, "Day ""shift", almighty, below')
            superuser.execute('DROP ROLE night_shift, "Day ""shift", chief, almighty, below')


def test_the_ledger_is_asked_for_as_its_mode_says(scout_db: str, operator: str) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("ALTER SCHEMA scout_ops OWNER TO CURRENT_USER")
    assert call(PREFLIGHT, operator, ledger="off")["warnings"] == []
    [warning] = call(PREFLIGHT, operator, ledger="auto")["warnings"]
    assert warning.startswith("no ledger: ")
    assert "-f docs/operator_role.sql" in warning, "nobody is to become a superuser"
    required = call(PREFLIGHT, operator, ledger="required")
    assert required["failed"]
    assert "the ledger scout_ops" in required["msg"]


def test_where_nothing_can_be_paused_it_is_said_beforehand(scout_db: str) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("DELETE FROM cron.job")
        [warning] = call(PREFLIGHT, scout_db)["warnings"]
        assert warning.startswith("nothing can be paused: could not tell which jobs are ingestion")
        superuser.execute("DROP SCHEMA cron CASCADE")
    [warning] = call(PREFLIGHT, scout_db)["warnings"]
    assert warning.startswith(
        "pg_cron is not installed in this database: nothing can be paused; where another database has it"
    )
    assert warning.endswith("name it: -e scout_cron_dsn=dbname=postgres")


def test_it_needs_no_access_to_say_what_is_missing_and_refuses_what_is_not_scout(pg_server: Any) -> None:
    dsn = pg_server.create_database("empty_one")
    result = call(PREFLIGHT, dsn)
    assert result["error"]["kind"] == "wrong_database"
    pg_server.drop_database("empty_one")


@pytest.mark.parametrize("module", ["scout_health_info", "scout_cleanup", "scout_drain", "scout_gate_info"])
def test_who_does_not_see_every_row_judges_nothing_by_them(scout_db: str, operator: str, module: str) -> None:
    """Else nothing would be found wrong with what a policy hides."""
    assert not call(module, operator, check=True).get("failed")
    with connect(scout_db) as connection:
        connection.execute(
            f"""ALTER TABLE scout.silver_transactions ENABLE ROW LEVEL SECURITY;
                CREATE POLICY few ON scout.silver_transactions FOR SELECT TO {ROLE} USING (store_id = 'S1')"""
        )
    refused = call(module, operator, check=True)
    assert refused["failed"]
    assert "row security is on for scout.silver_transactions" in refused["msg"]
    assert f'ALTER ROLE "{ROLE}" BYPASSRLS' in refused["msg"]
    assert grants(operator) == [f'ALTER ROLE "{ROLE}" BYPASSRLS']
    # The owner sees everything, and so does whom a policy shows everything.
    assert not call(module, scout_db, check=True).get("failed")
    with connect(scout_db) as connection:
        connection.execute(f"CREATE POLICY every ON scout.silver_transactions TO {ROLE} USING (true)")
    # Whoever writes does so where a policy is an error, so that none hides a row half way.
    writes = module in ("scout_cleanup", "scout_drain")
    assert bool(call(module, operator, check=True).get("failed")) is writes
    assert grants(operator, actions=["assess", "gate"]) == []
    assert grants(operator, actions=["cleanup"]) == [f'ALTER ROLE "{ROLE}" BYPASSRLS']
