# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Senders whom bronze refuses are named within the run that meets it, while all that came before still looks well."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.faults import planted
from tests.faults.table import FAULTS
from tests.integration.gates import judge
from tests.integration.modules import call, connect, fingerprint, run

BRONZE = "scout.bronze_events"
SECURED = f"ALTER TABLE {BRONZE} ENABLE ROW LEVEL SECURITY"
REFUSES = "CREATE FUNCTION scout.refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF current_user = 'edge_ingest' THEN {} $$"
#: What is done to them, and what has to be said of it; where the release has it that they may.
REFUSED = {
    "no grant": ((f"REVOKE INSERT ON {BRONZE} FROM edge_ingest",), f"edge_ingest may not insert into {BRONZE}"),
    "no schema": (("REVOKE USAGE ON SCHEMA scout FROM edge_ingest",), "edge_ingest may not use schema scout"),
    "no policy": ((SECURED,), f"row security of {BRONZE} refuses what edge_ingest would insert"),
    "a policy that lets nobody": (
        (SECURED, f"CREATE POLICY shut ON {BRONZE} FOR INSERT TO edge_ingest WITH CHECK (false)"),
        f"{BRONZE} refuses what edge_ingest would insert: new row violates row-level security policy",
    ),
    "a trigger": (
        (
            REFUSES.format("RAISE 'no more of you'; END IF; RETURN NEW; END"),
            f"CREATE TRIGGER refuses BEFORE INSERT ON {BRONZE} FOR EACH ROW EXECUTE FUNCTION scout.refuses()",
        ),
        f"{BRONZE} refuses what edge_ingest would insert: no more of you",
    ),
}  # fmt: skip
#: Those that an insert alone shows, which an assessment never tries.
BY_EFFECT = ("a policy that lets nobody", "a trigger")


@pytest.mark.parametrize("how", REFUSED)
def test_senders_that_are_refused_are_named_at_once(how: str, scout_db: str) -> None:
    statements, said = REFUSED[how]
    assert not call("scout_capture", scout_db, release="v5.2.0").get("failed")
    run(scout_db, *statements)
    before = fingerprint(scout_db)
    proof = call("scout_proof_info", scout_db)
    assert (proof["status"], said in proof["error"]["said"]) == ("failed", True), proof
    smoke = judge(scout_db, smoke=True)["smoke"]
    assert (smoke["status"], said in smoke["reason"]) == ("fail", True), smoke
    health = call("scout_health_info", scout_db)
    causes = [each["cause"] for each in health["diagnoses"]]
    assert (health["verdict"], any(said in cause for cause in causes)) == (
        ("healthy", False) if how in BY_EFFECT else ("failing", True)
    ), health["diagnoses"]
    assert fingerprint(scout_db) == before


def test_what_is_printed_lets_them_again(scout_db: str) -> None:
    run(scout_db, *REFUSED["no grant"][0])
    contract = {"writers": "edge_ingest"}
    proof = call("scout_proof_info", scout_db, contract=contract)
    run(scout_db, proof["error"]["next_step"].partition(";")[0])
    assert call("scout_proof_info", scout_db, contract=contract)["proven"]


def test_whoever_only_tried_is_named_and_given_nothing(scout_db: str) -> None:
    """Anybody may try: a role of nobody would else be let in by what is printed, or end a reset with 2."""
    with planted(scout_db, FAULTS["a job was disabled on purpose"]) as filled:
        role = filled("{role}")
        with connect(scout_db, user=role) as sender:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sender.execute(
                    f"INSERT INTO {BRONZE} (event_type, event_data) VALUES ('transaction.v1', '{{}}')".encode()
                )
            tried = (
                f"{role} tried to insert into {BRONZE}, and may not: if events come from there, add it to writers of"
            )
            proof = call("scout_proof_info", scout_db)
            assert (proof["proven"], tried in str(proof["jobs"])) == (True, True), proof
            assert "GRANT" not in str(proof)
            run(scout_db, f"UPDATE {BRONZE} SET ingested_at = ingested_at - interval '3 hours'")
            health = str(call("scout_health_info", scout_db)["diagnoses"])
            assert tried in health
            assert f"GRANT INSERT ON {BRONZE} TO {role}" not in health
            named = call("scout_proof_info", scout_db, contract={"writers": role})
            assert (named["proven"], f"GRANT INSERT ON {BRONZE} TO {role}" in str(named)) == (False, True), named


ASKS = "current_setting('request.jwt.claims', true) IS NOT NULL"
#: What is as it should be, although some role may not insert.
SOUND: dict[str, tuple[str, ...]] = {
    "a role that never could": (f"GRANT INSERT ON {BRONZE} TO dashboard_reader", SECURED,
                                f"CREATE POLICY senders ON {BRONZE} FOR INSERT TO edge_ingest WITH CHECK (true)"),
    "a policy by who asks": (SECURED, f"CREATE POLICY mine ON {BRONZE} FOR INSERT TO edge_ingest WITH CHECK ({ASKS})"),
    "columns": (f"REVOKE INSERT ON {BRONZE} FROM edge_ingest",
                f"GRANT INSERT (event_type, source_system, event_data, event_hash) ON {BRONZE} TO edge_ingest"),
}  # fmt: skip


@pytest.mark.parametrize("how", SOUND)
def test_nothing_is_said_where_senders_are_let(how: str, scout_db: str) -> None:
    assert not call("scout_capture", scout_db, release="v5.2.0").get("failed")
    run(scout_db, *SOUND[how])
    proof: dict[str, Any] = call("scout_proof_info", scout_db)
    assert proof["proven"], proof["error"]
    assert call("scout_health_info", scout_db)["verdict"] == "healthy"
