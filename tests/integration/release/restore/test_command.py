# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back to a release and forward again: definitions by pg_dump, rows by their digests, jobs, a pause, refusals, plans."""

from __future__ import annotations

import difflib
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import command as restore_command
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import request as restore_request
from tests.integration.modules import (
    Result,
    call,
    connect,
    fingerprint,
    jobs,
    off,
    one,
    rows,
)
from tests.integration.releases import globals_of

#: A changed ETL, a column that goes and two that come, tables with and without a key, a view replaced, a grant revoked.
BAD_RELEASE = """
SET ROLE loader;
DROP FUNCTION scout.load_silver_from_bronze(int);
CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 500) RETURNS int
    LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE FUNCTION scout.load_silver_from_bronze(p_store text) RETURNS int LANGUAGE sql AS 'SELECT 0';
ALTER TABLE scout.dim_store DROP COLUMN opened_on, ADD COLUMN phone text NOT NULL DEFAULT 'none';
UPDATE scout.dim_store SET phone = 'tel ' || store_id;
ALTER TABLE scout.silver_transactions ADD COLUMN points int;
UPDATE scout.silver_transactions SET points = length(customer_id);
CREATE TABLE scout.loyalty (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, twice text GENERATED ALWAYS AS (note || note) STORED
);
INSERT INTO scout.loyalty (note) SELECT 'note ' || g FROM generate_series(1, 7) AS g;
DELETE FROM scout.loyalty WHERE id = 7;
CREATE TABLE scout.nokey (a int, b text);
INSERT INTO scout.nokey VALUES (1, 'x'), (1, 'x'), (2, NULL);
DROP VIEW scout.v_gold_freshness;
CREATE VIEW scout.v_gold_freshness AS SELECT 'fine' AS state;
REVOKE SELECT ON scout.silver_transactions FROM dashboard_reader;
COMMENT ON TABLE scout.dim_store IS 'the new one';
SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'bronze-to-silver-etl';
SELECT cron.alter_job(jobid, schedule => '*/7 * * * *') FROM cron.job WHERE jobname = 'smart-gold-refresh';
RESET ROLE
"""
CAPTURE, ROLLBACK = "scout_capture", "scout_rollback"
LEDGER_SCHEMA = "scout_ops."


def released(dsn: str, statements: str = BAD_RELEASE) -> None:
    """What the deployment of a release does."""
    with connect(dsn) as connection:
        connection.execute(statements.encode())


def captured(dsn: str, **options: Any) -> Result:
    """The release as it is."""
    result = call(CAPTURE, dsn, release="v5.2.1", **options)
    assert not result.get("failed"), result
    return result


def restored(dsn: str, **options: Any) -> Result:
    """Goes back, or says why not."""
    return call(
        ROLLBACK,
        dsn,
        **{"release": "v5.2.1", "rehearse": False, "allow_owners": ["postgres"], "column_order": "exact", **options},
    )


def taken_back(dsn: str, run_id: Any) -> Result:
    """Undoes it, or says why not."""
    return call("scout_undo", dsn, run_id=run_id, allow_owners=["postgres"], rehearse=False, column_order="exact")


def done(result: Result) -> Result:
    """A result that is no refusal."""
    assert not result.get("failed"), result["msg"]
    return result


def same(one_dump: str, other: str) -> None:
    """Asserts that two dumps are equal, and shows where they are not."""
    assert not list(difflib.unified_diff(one_dump.splitlines(), other.splitlines(), lineterm="", n=0))


def schema(dsn: str) -> str:
    """What pg_dump says of the release."""
    return dump(dsn, "--schema-only", "-n", "scout")


def data(dsn: str) -> dict[str, Any]:
    """All rows but those of the ledger."""
    return {name: state for name, state in fingerprint(dsn).items() if not name.startswith(LEDGER_SCHEMA)}


@pytest.fixture
def release(scout_db: str) -> str:
    """A database whose release is captured, with the data of a column that the next one drops."""
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.dim_store SET opened_on = date '2020-01-01' + length(store_name)")
        connection.execute(
            "UPDATE scout.dim_store SET opened_on = NULL WHERE store_id IN (SELECT min(store_id) FROM scout.dim_store)"
        )
    captured(scout_db, protect=["scout.dim_store.opened_on"])
    return scout_db


def test_there_and_back_again(release: str) -> None:
    before, rows_before, jobs_before, roles = schema(release), data(release), jobs(release), globals_of(release)
    released(release)
    bad, rows_bad, jobs_bad = schema(release), data(release), jobs(release)
    # Where there is no value, none has to be saved.
    points = one(release, "SELECT count(points) FROM scout.silver_transactions")

    planned = done(restored(release, check=True))
    assert planned["changed"]
    assert (planned["run_id"], planned["loses"], planned["empty"]) == (None, [], [])
    # Of loyalty and of nokey, which the release has made.
    assert planned["leaving_rows"] == 9
    assert (schema(release), data(release)) == (bad, rows_bad)
    assert "DROP COLUMN phone" in planned["diff"]["after"]

    gone = done(restored(release))
    assert (schema(release), jobs(release)) == (before, jobs_before)
    assert data(release) == rows_before
    assert {each["relation"]: each["rows"] for each in gone["saved"]} == {
        "scout.dim_store": 60,
        "scout.loyalty": 6,
        "scout.nokey": 3,
        "scout.silver_transactions": points,
    }
    assert gone["leaving_rows"] == 9
    assert gone["filled"] == [{"relation": "scout.dim_store", "columns": ["opened_on"], "rows": 60}]
    assert (gone["undo"], gone["run_id"], gone["hazard"]) == (gone["run_id"], gone["run_id"], "loses data")
    [(action, status, effects)] = rows(
        release, "SELECT action, status, effects FROM scout_ops.runs WHERE run_id = %s", gone["run_id"]
    )
    assert (action, status, effects) == ("rollback", "succeeded", gone["effects"])

    again = done(restored(release))
    assert (again["changed"], again["run_id"], again["summary"][:25]) == (False, None, "nothing differs from v5.2")

    undone = done(taken_back(release, gone["run_id"]))
    assert undone["changed"]
    same(schema(release), bad)
    same(globals_of(release), roles)
    assert jobs(release) == jobs_bad
    assert data(release) == rows_bad
    with connect(release) as connection:
        connection.execute("INSERT INTO scout.loyalty (note) VALUES ('next')")
    assert one(release, "SELECT max(id) FROM scout.loyalty") == 8
    released(release, "DELETE FROM scout.loyalty WHERE id = 8")
    assert not done(taken_back(release, gone["run_id"]))["changed"]

    # Taking the undo back is going back again.
    done(taken_back(release, undone["run_id"]))
    assert (schema(release), jobs(release), data(release)) == (before, jobs_before, rows_before)


def test_what_is_not_known_or_not_meant_is_refused_before_anything_is_done(release: str, tmp_path: Path) -> None:
    released(release)
    before, rows_before = schema(release), data(release)
    for options, said in (
        ({"release": "v9"}, "captured are: v5.2.1"),
        ({"release": None}, "captured are: v5.2.1"),
        ({"capture_id": "7773456d-90be-4929-bf61-7050c62bc6ca"}, "captured are: v5.2.1"),
        ({"ledger": "off"}, "ledger=off"),
        ({"max_rows": 3}, "refused to save more than 3 rows"),
        ({"down_scripts": [str(tmp_path / "absent.sql")]}, "could not read down script"),
        ({"release_file": str(tmp_path / "absent.json")}, "absent.json is not a capture"),
        ({"require_pause": True}, "ingestion is not paused"),
        (
            {"drop_function": "scout.load_silver_from_bronze(date)"},
            "there are: scout.load_silver_from_bronze(integer), scout",
        ),
        ({"drop_function": "scout.absent"}, "there is no function scout.absent"),
        ({"drop_column": "scout.dim_store.absent"}, "there is no column"),
        ({"drop_column": "scout"}, "it has 1 parts"),
    ):
        result = restored(release, **options)
        assert result.get("failed"), options
        assert said in result["msg"], result["msg"]
        assert not result["changed"]
    assert (schema(release), data(release)) == (before, rows_before)


def test_a_capture_that_was_altered_is_refused(release: str, tmp_path: Path) -> None:
    file = tmp_path / "v5.2.1.json"
    captured(release, protect=["scout.dim_store.opened_on"], release_file=str(file))
    made = json.loads(file.read_text())
    made["entries"][0]["facts"]["definition"] = "SELECT 1"
    file.write_text(json.dumps(made))
    released(release)
    before = schema(release)
    assert "it was altered" in restored(release, release_file=str(file))["msg"]
    with connect(release) as connection:
        connection.execute("UPDATE scout_ops.releases SET document = jsonb_set(document, '{digests}', '{}')")
    assert "it was altered" in restored(release)["msg"]
    assert schema(release) == before


def test_a_file_stands_in_for_the_ledger(release: str, tmp_path: Path) -> None:
    file = tmp_path / "v5.2.1.json"
    captured(release, protect=["scout.dim_store.opened_on"], release_file=str(file))
    before, rows_before = schema(release), data(release)
    released(release)
    released(release, "DROP SCHEMA scout_ops CASCADE")
    lossy = restored(release, release_file=str(file))
    assert "column scout.dim_store.opened_on: would be recreated without its data" in lossy["msg"]
    gone = done(restored(release, release=None, release_file=str(file), allow_lossy=True))
    assert schema(release) == before
    assert one(release, "SELECT count(opened_on) FROM scout.dim_store") == 0
    assert {k: v for k, v in data(release).items() if k != "scout.dim_store"} == {
        k: v for k, v in rows_before.items() if k != "scout.dim_store"
    }
    assert gone["undo"]


def test_data_that_cannot_come_back_or_be_saved_is_refused(scout_db: str) -> None:
    captured(scout_db)
    released(scout_db)
    released(
        scout_db,
        "CREATE TABLE scout.stock (a int); "
        "INSERT INTO scout.stock VALUES (1); "
        "ALTER TABLE scout.alerts DROP CONSTRAINT alerts_pkey; "
        "ALTER TABLE scout.alerts ADD COLUMN extra int; "
        "INSERT INTO scout.alerts (alert_type, severity, message) VALUES ('a', 'info', 'b')",
    )
    before, rows_before = schema(scout_db), data(scout_db)
    planned = done(restored(scout_db, check=True))
    assert (planned["loses"], planned["empty"]) == (["column:scout.alerts.extra"], ["column:scout.dim_store.opened_on"])
    assert any("docs/rollback.md" in warning for warning in planned["warnings"])
    assert not any("allow_lossy" in warning for warning in planned["warnings"]), "what loses data is no way out"
    for options in ({}, {"check": True, "look": True}):
        result = restored(scout_db, **options)
        assert result.get("failed")
        assert "column scout.alerts.extra: would be dropped and cannot be saved" in result["msg"]
    assert (schema(scout_db), data(scout_db)) == (before, rows_before)
    gone = done(restored(scout_db, allow_lossy=True))
    assert gone["effects"]["lost"] == ["column:scout.alerts.extra", "column:scout.dim_store.opened_on"]


def test_a_pause_keeps_off_what_comes_back_and_gives_it_back(release: str) -> None:
    jobs_before = jobs(release)
    released(release)
    released(
        release,
        "SET ROLE loader; "
        "SELECT cron.unschedule('product-linking'); "
        "SELECT cron.schedule('new-etl', '* * * * *', 'SELECT scout.load_silver_from_bronze(1)')",
    )
    done(call("scout_ingestion", release, state="paused"))
    gone = done(restored(release, require_pause=True))
    assert set(gone["kept_disabled"]) == {"bronze-to-silver-etl", "product-linking"}
    ingestion = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
    assert ingestion <= off(release)
    assert not done(restored(release))["changed"]
    done(call("scout_ingestion", release, state="running"))
    assert {job[1:] for job in jobs(release)} == {job[1:] for job in jobs_before}


def test_a_job_that_was_off_stays_off_after_a_pause(release: str) -> None:
    released(
        release,
        "SET ROLE loader; "
        "SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'smart-gold-refresh'",
    )
    done(call(CAPTURE, release, release="v5.2.2"))
    jobs_before = jobs(release)
    released(
        release,
        "SET ROLE loader; "
        "SELECT cron.alter_job(jobid, active => true) FROM cron.job WHERE jobname = 'smart-gold-refresh'",
    )
    done(call("scout_ingestion", release, state="paused"))
    done(restored(release, release="v5.2.2"))
    done(call("scout_ingestion", release, state="running"))
    assert jobs(release) == jobs_before


def test_one_function_alone(release: str) -> None:
    before = one(release, "SELECT pg_get_functiondef('scout.load_silver_from_bronze(int)'::regprocedure)")
    released(release)
    planned = done(restored(release, release=None, drop_function="scout.load_silver_from_bronze(int)", check=True))
    assert {step["key"] for step in planned["steps"]} == {"function:scout.load_silver_from_bronze(integer)"}
    assert any("other signatures stay as they are" in warning for warning in planned["warnings"])
    gone = done(restored(release, release=None, drop_function="scout.load_silver_from_bronze(int)"))
    assert gone["objects"] == 1
    assert one(release, "SELECT pg_get_functiondef('scout.load_silver_from_bronze(int)'::regprocedure)") == before
    assert one(release, "SELECT count(*) FROM pg_proc WHERE proname = 'load_silver_from_bronze'") == 2
    assert not done(restored(release, drop_function="scout.load_silver_from_bronze( integer )"))["changed"]
    # A signature that was not captured goes.
    done(restored(release, drop_function="scout.load_silver_from_bronze(text)"))
    assert one(release, "SELECT count(*) FROM pg_proc WHERE proname = 'load_silver_from_bronze'") == 1
    assert "phone" in schema(release)
    # The undo brings back all that there was before, the other signature too.
    done(taken_back(release, gone["run_id"]))
    assert one(release, "SELECT count(*) FROM pg_proc WHERE proname = 'load_silver_from_bronze'") == 2


def test_one_column_alone(release: str) -> None:
    columns = """SELECT ARRAY(SELECT attname::text FROM pg_attribute
                 WHERE attrelid = 'scout.dim_store'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum)"""
    order = one(release, columns)
    opened = rows(release, "SELECT store_id, opened_on FROM scout.dim_store ORDER BY 1")
    released(release)
    released(
        release,
        "CREATE INDEX ON scout.dim_store (phone); CREATE VIEW scout.phones AS SELECT phone FROM scout.dim_store",
    )
    gone = done(restored(release, drop_column="scout.dim_store.phone"))
    assert "phone" not in one(release, columns)
    assert one(release, "SELECT to_regclass('scout.phones') IS NULL")
    assert one(release, "SELECT count(*) FROM pg_proc WHERE proname = 'load_silver_from_bronze'") == 2
    done(restored(release, drop_column="scout.dim_store.opened_on"))
    assert one(release, columns) == order
    assert rows(release, "SELECT store_id, opened_on FROM scout.dim_store ORDER BY 1") == opened
    assert not done(restored(release, drop_column="scout.dim_store.opened_on"))["changed"]
    done(taken_back(release, gone["run_id"]))
    assert one(release, "SELECT count(*) FROM scout.phones WHERE phone LIKE 'tel %%'") == 60


def test_down_scripts_go_in_place_of_the_plan(release: str, tmp_path: Path) -> None:
    before, rows_before = schema(release), data(release)
    change = "ALTER TABLE scout.dim_product ADD COLUMN shelf text; CREATE VIEW scout.shelves AS SELECT shelf FROM scout.dim_product"
    script = tmp_path / "down.sql"

    def refused(text: str) -> str:
        script.write_text(text)
        result = restored(release, down_scripts=[str(script)])
        assert result.get("failed"), text
        assert (schema(release), data(release)) == (bad, rows_bad)
        return result["msg"]

    released(release, change)
    bad, rows_bad = schema(release), data(release)
    assert "take BEGIN, COMMIT" in refused(
        "DROP VIEW scout.shelves; COMMIT; ALTER TABLE scout.dim_product DROP COLUMN shelf"
    )
    assert "take BEGIN, COMMIT" in refused(
        "BEGIN; DROP VIEW scout.shelves; ALTER TABLE scout.dim_product DROP COLUMN shelf; COMMIT;"
    )
    assert "take BEGIN, COMMIT" in refused("VACUUM scout.dim_product")
    assert "psql commands" in refused("\\i other.sql")
    assert "post-rollback verification failed" in (said := refused("DROP VIEW scout.shelves"))
    assert "fix the scripts, or leave down_scripts out" in said
    assert "other objects depend on it" in refused("ALTER TABLE scout.dim_product DROP COLUMN shelf")
    script.write_text("-- down\nDROP VIEW scout.shelves;\nALTER TABLE scout.dim_product DROP COLUMN shelf;\n")
    gone = done(restored(release, down_scripts=[str(script)]))
    assert gone["down_scripts"] == [str(script)]
    assert (schema(release), data(release)) == (before, rows_before)
    assert not done(restored(release, down_scripts=[str(script)]))["changed"]
    done(taken_back(release, gone["run_id"]))
    assert (schema(release), data(release)) == (bad, rows_bad)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE VIEW scout.later AS SELECT 1 AS one", "view scout.later added"),
        # Rows of a table, of which the catalogs of PostgreSQL know nothing.
        ("UPDATE cron.job SET schedule = '7 7 * * *' WHERE jobid = 1", "(schedule) changed"),
    ],
)
def test_what_changes_while_it_is_planned_stops_it(
    release: str, monkeypatch: pytest.MonkeyPatch, statement: str, said: str
) -> None:
    released(release)
    looked = restore_command._look

    def and_then(*arguments: Any) -> Any:
        seen = looked(*arguments)
        released(release, statement)
        return seen

    monkeypatch.setattr(restore_command, "_look", and_then)
    before = schema(release)
    result = restored(release)
    assert "the schema has changed since the plan was made" in result["msg"]
    assert said in result["msg"]
    released(release, "DROP VIEW IF EXISTS scout.later")
    assert schema(release) == before


def test_what_belongs_to_others_is_left_alone(release: str) -> None:
    """A table elsewhere that was there before the capture, and that only the newer release looks at."""
    released(release, "CREATE TABLE public.theirs (a int); INSERT INTO public.theirs VALUES (1)")
    before = dump(release, "--schema-only", "-n", "public")
    released(
        release,
        "CREATE VIEW scout.uses AS SELECT a FROM public.theirs; CREATE VIEW scout.job_list AS SELECT * FROM cron.job",
    )
    gone = done(restored(release))
    assert [step["key"] for step in gone["steps"]] == ["view:scout.job_list", "view:scout.uses"]
    assert dump(release, "--schema-only", "-n", "public") == before
    assert one(release, "SELECT count(*) FROM public.theirs") == 1
    done(taken_back(release, gone["run_id"]))
    assert one(release, "SELECT a FROM scout.uses") == 1


def test_what_no_capture_knows_is_named(release: str) -> None:
    released(release)
    done(call(CAPTURE, release, release="v5.3.0"))
    assert done(restored(release, check=True))["newer"] == []
    released(release, "CREATE TABLE scout.by_hand (id int PRIMARY KEY); INSERT INTO scout.by_hand VALUES (7)")
    gone = done(restored(release))
    assert gone["newer"] == ["table:scout.by_hand"]
    assert any("neither v5.2.1 nor v5.3.0 has these" in warning for warning in gone["warnings"])
    released(release, "CREATE VIEW scout.since AS SELECT 1 AS one")
    undone = done(taken_back(release, gone["run_id"]))
    assert undone["newer"] == ["view:scout.since"]
    assert one(release, "SELECT id FROM scout.by_hand") == 7


def test_numbers_that_were_given_out_are_not_given_out_again(scout_db: str) -> None:
    released(scout_db, "CREATE TABLE scout.ticket (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial)")
    released(scout_db, "INSERT INTO scout.ticket DEFAULT VALUES; INSERT INTO scout.ticket DEFAULT VALUES")
    captured(scout_db)
    released(
        scout_db, "ALTER TABLE scout.ticket ALTER COLUMN id DROP IDENTITY; DROP SEQUENCE scout.ticket_n_seq CASCADE"
    )
    done(restored(scout_db))
    assert one(scout_db, "INSERT INTO scout.ticket DEFAULT VALUES RETURNING id || ' ' || n") == "3 3"


def test_a_narrower_type_loses_nothing_for_good(scout_db: str) -> None:
    """Going back cuts what the newer type could hold; all of it is saved first, and comes back with an undo."""
    captured(scout_db)
    released(scout_db, "ALTER TABLE scout.dim_product ALTER COLUMN list_price TYPE numeric(14,4)")
    released(scout_db, "UPDATE scout.dim_product SET list_price = list_price + 0.0042")
    before, rows_before = schema(scout_db), data(scout_db)
    planned = done(restored(scout_db, check=True))
    assert [each["columns"] for each in planned["saved"]] == [["list_price"]]
    gone = done(restored(scout_db))
    assert (planned["hazard"], gone["effects"]["saved_rows"]) == ("loses data", rows_before["scout.dim_product"][0])
    assert one(scout_db, "SELECT count(*) FROM scout.dim_product WHERE scale(list_price) > 2") == 0
    done(taken_back(scout_db, gone["run_id"]))
    assert (schema(scout_db), data(scout_db)) == (before, rows_before)


def test_a_label_that_is_needed_at_once(scout_db: str) -> None:
    """A label that an enum gets again cannot be used in the same transaction, so it is added before that."""
    released(
        scout_db,
        "SET ROLE loader; CREATE TYPE scout.size AS ENUM ('s', 'm'); CREATE TABLE scout.shirt (size scout.size)",
    )
    captured(scout_db)
    bad = schema(scout_db)
    released(scout_db, "ALTER TYPE scout.size ADD VALUE IF NOT EXISTS 'l'")
    released(
        scout_db,
        "ALTER TABLE scout.shirt ALTER size SET DEFAULT 'l', ADD CHECK (size <> 'l'); "
        "ALTER TYPE scout.size ADD VALUE IF NOT EXISTS 'xl'",
    )
    captured(scout_db, recapture=True)
    good = schema(scout_db)
    first = one(scout_db, "SELECT capture_id::text FROM scout_ops.releases WHERE superseded_at IS NOT NULL")
    gone = done(restored(scout_db, release=None, capture_id=first))
    same(schema(scout_db), bad)
    planned = done(restored(scout_db, check=True))
    assert planned["steps"][0]["statements"] == [
        "ALTER TYPE scout.size ADD VALUE IF NOT EXISTS 'l' AFTER 'm'",
        "ALTER TYPE scout.size ADD VALUE IF NOT EXISTS 'xl' AFTER 'l'",
    ]
    again = done(restored(scout_db))
    same(schema(scout_db), good)
    done(taken_back(scout_db, again["run_id"]))
    same(schema(scout_db), bad)
    done(taken_back(scout_db, gone["run_id"]))
    same(schema(scout_db), good)


#: Where the second of two restores stands while the first goes, and what becomes of the second.
BETWEEN = {
    "the capture and the plan": (restore_request, "read", "nothing differs from v5.2.1"),
    "the plan and the transaction": (restore_command, "_look", "the schema has changed since the plan was made"),
}


@pytest.mark.parametrize("where", BETWEEN)
def test_another_one_goes_between(release: str, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The first makes objects again, elsewhere in the catalog: the second neither takes them for others nor goes as well."""
    module, name, expected = BETWEEN[where]
    before = schema(release)
    released(release)
    step, first = getattr(module, name), list[Result]()

    def and_then(*arguments: Any) -> Any:
        found = step(*arguments)
        monkeypatch.setattr(module, name, step)
        first.append(done(restored(release)))
        return found

    monkeypatch.setattr(module, name, and_then)
    second = restored(release)
    assert [result["changed"] for result in first] == [True]
    assert expected in (second["msg"] if second.get("failed") else second["summary"])
    assert not second["changed"]
    assert schema(release) == before
    assert one(release, "SELECT count(*) FROM scout_ops.runs WHERE action = 'rollback' AND status = 'succeeded'") == 1


def test_a_lost_connection_leaves_nothing_half_done(release: str) -> None:
    released(release)
    before, rows_before = schema(release), data(release)
    results: list[Result] = []
    with connect(release) as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE scout.alerts IN ACCESS SHARE MODE")
        blocker.execute("SELECT count(*) FROM scout.dim_store")
        worker = threading.Thread(target=lambda: results.append(restored(release, lock_timeout_seconds=20)))
        worker.start()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not results:
            ended = rows(
                release,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'scout-recovery%%' AND wait_event_type = 'Lock'",
            )
            if ended:
                break
            time.sleep(0.05)
        worker.join(30)
    assert results[0].get("failed")
    assert (schema(release), data(release)) == (before, rows_before)
    done(restored(release))
