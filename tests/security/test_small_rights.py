# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by who owns one table in Scout's schema, has TRIGGER on bronze, or may create in public, and has nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, off, one, rows
from tests.security.roles import drop_roles

MAY = """
CREATE ROLE mallory LOGIN;
GRANT USAGE ON SCHEMA scout TO mallory;
GRANT CREATE, USAGE ON SCHEMA public TO mallory;
GRANT TRIGGER ON scout.bronze_events TO mallory;
CREATE TABLE scout.given (n int);
ALTER TABLE scout.given OWNER TO mallory;
"""


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, where a release is captured, and a poison event blocks the ETL."""
    library.poison_event(scout_db, "bad_ts")
    dsn = builder.operator(scout_db, rollback=True)
    with connect(scout_db) as superuser:
        superuser.execute(MAY)
    captured = call("scout_capture", dsn, release="v1")
    assert not captured.get("failed"), captured
    yield dsn
    with connect(scout_db) as superuser:
        superuser.execute("DROP OWNED BY mallory CASCADE")
    drop_roles(scout_db, "scout_operator", "mallory")


def test_who_locks_his_own_table_keeps_nobody_waiting(
    scout_db: str, attacked: str, tmp_path: Path, subtests: Any
) -> None:
    """Whatever reads definitions or sizes waits for such a lock."""
    with contextlib.closing(connect(scout_db, user="mallory")) as mallory:
        mallory.execute("BEGIN; LOCK TABLE scout.given IN ACCESS EXCLUSIVE MODE")
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            ("scout_preflight_info", {"actions": ["pause", "drain"]}),
            ("scout_health_info", {}),
            ("scout_capture", {"release": "v2"}),
            ("scout_rollback", {"release": "v1", "check": True}),
            ("scout_evidence", {"folder": str(tmp_path / "kept")}),
        )
        for module, given in steps:
            with subtests.test(module):
                result = call(module, attacked, **given)
                assert not result.get("failed"), result["msg"]
                assert "given" not in str(result.get("problems", "")), result
                assert "lock" not in str(result.get("warnings", "")), result["warnings"]
        with subtests.test("emergency_reset"):
            played = Stage(tmp_path).play("emergency_reset", attacked)
            assert played.rc == 0, played.text
            assert off(scout_db) == set()


#: Functions of PostgreSQL's own that only raise an error where they are called so.
RAISING = {
    "of a foreign key": 'AFTER DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION "RI_FKey_cascade_del"()',
    "of a text search": "BEFORE DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('a', 'b', 'c')",
    "of updates": "AFTER DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
}


@pytest.mark.parametrize("how", RAISING)
def test_a_trigger_that_only_fails_leaves_nothing_paused(
    scout_db: str, attacked: str, tmp_path: Path, how: str
) -> None:
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute(f"CREATE TRIGGER fails {RAISING[how]}".encode())
    played = Stage(tmp_path).play("emergency_reset", attacked)
    assert played.rc == 2, played.text
    assert off(scout_db) == set(), played.text
    assert "ALTER TABLE scout.bronze_events DISABLE TRIGGER fails" in " ".join(played.text.split())


#: What a copy of all there is makes again, and PostgreSQL works out while it does.
COPIED = """
CREATE FUNCTION public.take(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'mallory' THEN EXECUTE format('ALTER ROLE %I PASSWORD ''taken''', current_user); END IF;
    RETURN n;
END $$;
CREATE TABLE public.hers (n int CHECK (public.take(1) = 1), m int DEFAULT public.take(1));
CREATE INDEX ON public.hers ((public.take(1)));
CREATE INDEX ON public.hers (n) WHERE public.take(1) = 1;
CREATE MATERIALIZED VIEW public.shown AS SELECT public.take(1) AS n;
CREATE TABLE public.parts (n int) PARTITION BY RANGE (public.take(n));
CREATE TABLE public.part PARTITION OF public.parts FOR VALUES FROM (1) TO (2);
"""


def test_a_rehearsal_runs_nothing_of_hers_as_the_operator(scout_db: str, attacked: str, subtests: Any) -> None:
    with connect(scout_db) as superuser:
        superuser.execute(
            "ALTER ROLE scout_operator CREATEDB; ALTER TABLE scout.silver_transactions ADD COLUMN extra int"
        )
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute(COPIED.encode())
    for rows_of_each in (0, 5):
        with subtests.test(str(rows_of_each)):
            rehearsed = call(
                "scout_rollback", attacked, release="v1", look=True, check=True, rehearse_rows=rows_of_each
            )
            assert rehearsed.get("rehearsal"), rehearsed
            assert one(scout_db, "SELECT rolpassword FROM pg_authid WHERE rolname = 'scout_operator'") is None
    gone = call("scout_rollback", attacked, release="v1")
    assert not gone.get("failed"), gone["msg"]
    assert rows(scout_db, "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname <> 'postgres'") == []
