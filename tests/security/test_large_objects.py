# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who has TRIGGER on silver uses a function that belongs to a superuser, of PostgreSQL's own modules, so that an operator who
moves a sale takes along what no image has: a large object, or rows of a table that he names. And large objects of somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.integration.modules import call, connect, one, rows
from tests.security.roles import drop_roles

PREPARED = """
CREATE ROLE mallory LOGIN;
CREATE SCHEMA modules;
GRANT USAGE ON SCHEMA modules, scout TO mallory;
CREATE EXTENSION lo SCHEMA modules;
CREATE EXTENSION refint SCHEMA modules;
GRANT TRIGGER ON scout.silver_transactions TO mallory;
SET ROLE loader;
ALTER TABLE scout.silver_transactions ADD COLUMN receipt oid;
CREATE TABLE scout.receipts (transaction_id text, paper text);
UPDATE scout.silver_transactions SET receipt = lo_from_bytea(0, '\\x01')
WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions);
INSERT INTO scout.receipts SELECT transaction_id, 'of the tax office' FROM scout.silver_transactions;
RESET ROLE;
"""
TRIGGERS = {
    "lo_manage": "modules.lo_manage(receipt)",
    "check_foreign_key": "modules.check_foreign_key(1, 'cascade', 'transaction_id', 'scout.receipts', 'transaction_id')",
}
PLANTED = "CREATE TRIGGER tidy BEFORE UPDATE OR DELETE ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION "
EVENT = """
SELECT source_event_id::text FROM scout.silver_transactions WHERE receipt IS NOT NULL AND source_event_id IS NOT NULL
"""
KEPT = "SELECT (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM scout.receipts)"


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, where a sale has a large object and a receipt."""
    dsn = builder.operator(scout_db, rollback=True)
    with connect(scout_db) as superuser:
        superuser.execute(PREPARED)
    yield dsn
    with connect(scout_db) as superuser:
        superuser.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    drop_roles(scout_db, "scout_operator", "mallory")


def test_a_move_takes_nothing_along_that_is_not_saved(operator: str, scout_db: str, subtests: Any) -> None:
    [(event,)] = rows(scout_db, EVENT)
    kept = rows(scout_db, KEPT)
    for name, function in TRIGGERS.items():
        with subtests.test(name):
            with connect(scout_db, user="mallory") as mallory:
                mallory.execute(f"{PLANTED}{function}".encode())
            for check in (True, False):
                refused = call("scout_quarantine", operator, event_ids=[event], check=check)
                assert rows(scout_db, KEPT) == kept
                assert refused.get("failed"), refused
                assert "trigger tidy on scout.silver_transactions" in refused["error"]["said"]
                assert "ALTER TABLE scout.silver_transactions DISABLE TRIGGER tidy" in refused["error"]["next_step"]
            with connect(scout_db) as superuser:
                superuser.execute("ALTER TABLE scout.silver_transactions DISABLE TRIGGER tidy")
                moved = call("scout_quarantine", operator, event_ids=[event])
                assert not moved.get("failed"), moved
                assert not call("scout_undo", operator, run_id=moved["run_id"]).get("failed")
                superuser.execute("DROP TRIGGER tidy ON scout.silver_transactions")
            assert rows(scout_db, EVENT) == [(event,)]
            assert rows(scout_db, KEPT) == kept
            assert (
                one(scout_db, "SELECT lo_get(receipt) FROM scout.silver_transactions WHERE receipt IS NOT NULL")
                == b"\1"
            )


def test_large_objects_of_others_are_left_alone(operator: str, scout_db: str) -> None:
    """Neither a capture nor a rollback reads or changes them, and an operator writes and reads no file of the server's by them."""
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute("SELECT lo_from_bytea(0, 'of mallory')")
    state = "SELECT oid, lomowner, lomacl::text FROM pg_largeobject_metadata ORDER BY 1"
    before = rows(scout_db, state)
    assert not call("scout_capture", operator, release="v1").get("failed")
    with connect(scout_db, user="loader") as loader:
        loader.execute("CREATE TABLE scout.of_v2 (n int)")
    done = call("scout_rollback", operator, release="v1", rehearse=False)
    assert not done.get("failed"), done
    assert rows(scout_db, state) == before
    assert "of mallory" not in str(rows(scout_db, "SELECT * FROM scout_ops.releases"))
    with connect(operator) as session, pytest.raises(Exception, match="permission denied for function lo_export"):
        session.execute("SELECT lo_export(oid, '/tmp/x') FROM pg_largeobject_metadata")
    with connect(scout_db) as superuser:
        superuser.execute("GRANT EXECUTE ON FUNCTION lo_export(oid, text) TO scout_operator")
        warnings = call("scout_preflight_info", operator, required=False)["warnings"]
        superuser.execute("REVOKE EXECUTE ON FUNCTION lo_export(oid, text) FROM scout_operator")
    [told] = [each for each in warnings if "lo_export" in each]
    assert "REVOKE EXECUTE ON FUNCTION lo_export(oid,text) FROM scout_operator" in told
