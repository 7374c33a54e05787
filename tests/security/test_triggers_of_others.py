# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a role with TRIGGER on a table, or whose function the table's owner uses, waits for an operator to write a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import foreign_code
from tests.integration.modules import Result, call, connect, one, rows
from tests.security.roles import drop_roles

MALLORY = "mallory"

#: Whoever is allowed more than a caller of it becomes a superuser by it, if he could.
PLANTED = """
CREATE ROLE mallory LOGIN;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory, scout TO PUBLIC;
CREATE FUNCTION mallory.gain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'loader' THEN
        ALTER ROLE mallory SUPERUSER;
    END IF;
    RETURN coalesce(new, old);
END $$;
ALTER FUNCTION mallory.gain() OWNER TO mallory;
CREATE FUNCTION mallory.sound(anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'loader' THEN
        EXECUTE 'ALTER ROLE mallory SUPERUSER';
    END IF;
    RETURN true;
END $$;
ALTER FUNCTION mallory.sound(anyelement) OWNER TO mallory;
GRANT TRIGGER ON ALL TABLES IN SCHEMA scout TO mallory;
"""

TRIGGER = "CREATE TRIGGER gain {when} ON scout.{table} FOR EACH ROW EXECUTE FUNCTION mallory.gain()"

#: What it takes for each move to write a row of the table: the trigger, and the move.
TRIGGERS: dict[str, str] = {
    "silver": TRIGGER.format(when="BEFORE DELETE", table="silver_transactions"),
    "bronze": TRIGGER.format(when="AFTER INSERT OR DELETE", table="bronze_events"),
    "dead_letters": TRIGGER.format(when="BEFORE INSERT OR UPDATE OR DELETE", table="bronze_events_dlq"),
    "ledger": TRIGGER.format(when="BEFORE INSERT OR DELETE", table="etl_processed"),
}

#: The function that it calls is PostgreSQL's own; its condition is not.
WHEN = """
CREATE TRIGGER sound BEFORE DELETE ON scout.bronze_events FOR EACH ROW WHEN (mallory.sound(1))
EXECUTE FUNCTION suppress_redundant_updates_trigger()
"""

DEFAULT = "ALTER TABLE scout.etl_processed ALTER processed_at SET DEFAULT CASE WHEN mallory.sound(1) THEN now() END"

LOADED = (
    "SELECT event_id::text FROM scout.etl_processed JOIN scout.bronze_events USING (event_id) ORDER BY event_id LIMIT 2"
)


def quarantine(dsn: str, **options: Any) -> Result:
    return call("scout_quarantine", dsn, event_ids=[row[0] for row in rows(dsn, LOADED)], **options)


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of an operator in a database in which mallory has functions, and TRIGGER on all of the pipeline's tables."""
    with connect(scout_db) as session:
        session.execute(PLANTED)
    yield scout_db
    drop_roles(scout_db, MALLORY)


def planted_by(dsn: str, statement: str, role: str = MALLORY) -> None:
    """What mallory, or the tables' owner, adds."""
    with connect(dsn, options=f"-c role={role}") as session:
        session.execute(statement)  # type: ignore[call-overload]


def gained(dsn: str) -> bool:
    return one(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'")


def refused(result: Result, what: str) -> list[str]:
    """The commands to paste after a move that was refused for this."""
    assert result["failed"], result
    assert what in result["error"]["said"], result["error"]
    assert "belongs to mallory" in result["error"]["said"]
    return re.findall(r"ALTER [A-Z]+ .*?(?=;|, then)", result["error"]["next_step"])


@pytest.mark.parametrize("table", TRIGGERS)
def test_no_row_is_moved_where_a_trigger_of_somebody_else_would_run(table: str, attacked: str) -> None:
    planted_by(attacked, TRIGGERS[table])
    before = rows(attacked, "SELECT * FROM scout.bronze_events ORDER BY event_id")
    refused(quarantine(attacked, check=True), "trigger gain on scout.")
    commands = refused(quarantine(attacked), "calls mallory.gain()")
    assert not gained(attacked)
    assert rows(attacked, "SELECT * FROM scout.bronze_events ORDER BY event_id") == before
    assert not one(attacked, "SELECT to_regnamespace('scout_ops') IS NOT NULL")

    with connect(attacked) as session:
        for command in commands:
            session.execute(command)  # type: ignore[call-overload]
    assert quarantine(attacked)["moved"]["events"] == 2
    assert not gained(attacked)


def cleanup(dsn: str) -> Result:
    library.negative_totals(dsn, count=2)
    return call("scout_cleanup", dsn)


def redrive(dsn: str) -> Result:
    return call("scout_redrive", dsn, error_codes=["QUARANTINE"])


def undo(dsn: str) -> Result:
    return call(
        "scout_undo", dsn, run_id=one(dsn, "SELECT run_id::text FROM scout_ops.runs WHERE action = 'quarantine'")
    )


def window_recovery(dsn: str) -> Result:
    with connect(dsn) as session:
        session.execute("DELETE FROM scout.silver_line_items; DELETE FROM scout.silver_transactions")
    window: dict[str, Any] = {"window_start": "2020-01-01T00:00:00Z", "window_end": "2040-01-01T00:00:00Z"}
    return call("scout_window_recovery", dsn, **window)


@pytest.mark.parametrize("move", [cleanup, redrive, undo, window_recovery], ids=lambda move: move.__name__)
def test_neither_does_any_other_move(move: Callable[[str], Result], attacked: str) -> None:
    assert not quarantine(attacked).get("failed")
    planted_by(attacked, TRIGGERS["ledger"])
    # Whatever the test itself breaks runs as the superuser who it is.
    with connect(attacked) as session:
        session.execute("ALTER TABLE scout.etl_processed DISABLE TRIGGER gain")
    planted_by(attacked, TRIGGERS["ledger"].replace("gain ", "again ", 1))
    refused(move(attacked), "trigger again on scout.etl_processed")
    assert not gained(attacked)


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("constraint sound", "ALTER TABLE scout.etl_processed ADD CONSTRAINT sound CHECK (mallory.sound(event_id))"),
        ("default processed_at", DEFAULT),
        ("index sound", "CREATE INDEX sound ON scout.bronze_events (mallory.sound(event_id))"),
        ("rule sound", "CREATE RULE sound AS ON DELETE TO scout.bronze_events WHERE mallory.sound(1) DO ALSO NOTHING"),
        ("trigger sound", WHEN),
    ],
)  # fmt: skip
def test_a_function_of_somebody_else_that_the_owner_uses_is_not_called(
    what: str, statement: str, attacked: str
) -> None:
    with connect(attacked) as session:
        owner = session.execute(
            "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'scout.bronze_events'::regclass"
        )
        [name] = owner.fetchone() or [""]
        # It is made with mallory's function still sound.
        session.execute("ALTER FUNCTION mallory.sound(anyelement) RENAME TO real")
        session.execute(
            "CREATE FUNCTION mallory.sound(anyelement) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'"
        )
        session.execute("ALTER FUNCTION mallory.sound(anyelement) OWNER TO mallory")
        session.execute(f"SET ROLE {name}")  # type: ignore[call-overload]
        session.execute(statement)  # type: ignore[call-overload]
        session.execute("RESET ROLE")
        source = session.execute("SELECT prosrc FROM pg_proc WHERE proname = 'real'").fetchone()
        session.execute("DROP FUNCTION mallory.real(anyelement)")
    assert source
    with connect(attacked, options="-c role=mallory") as session:
        session.execute(
            "CREATE OR REPLACE FUNCTION mallory.sound(anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql"  # type: ignore[call-overload]
            f" AS $${source[0]}$$"
        )
    [command] = refused(quarantine(attacked), f"{what} on scout.")
    assert not gained(attacked)
    assert "ALTER " in command


def test_a_trigger_that_is_added_while_rows_are_moved_does_not_run(attacked: str) -> None:
    """Between two batches somebody adds it; the next one looks again, and nobody can add one while it lasts."""

    class Planting(Progress):
        def checkpoint(self) -> None:
            if one(attacked, "SELECT count(*) FROM pg_trigger WHERE tgname = 'gain'") == 0:
                planted_by(attacked, TRIGGERS["bronze"])
            super().checkpoint()

    refused(quarantine(attacked, progress=Planting()), "trigger gain on scout.bronze_events")
    assert not gained(attacked)


def test_a_batch_keeps_others_from_adding_one(attacked: str) -> None:
    with open_session(Settings(dsn=attacked)) as session:
        names = foreign_code.lockable(session)
        with session.move(closed=names[2:3], written=names):
            foreign_code.refuse(session)
            with connect(attacked, options="-c role=mallory -c lock_timeout=100ms") as mallory:
                for statement in TRIGGERS.values():
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        mallory.execute(statement)  # type: ignore[call-overload]


def test_neither_proof_nor_gate_sends_a_sale_where_such_a_trigger_would_run(attacked: str) -> None:
    planted_by(attacked, TRIGGERS["bronze"])
    gate = call("scout_gate_info", attacked, smoke=True)
    assert "trigger gain on scout.bronze_events" in str(gate), gate
    proof = call("scout_proof_info", attacked)
    assert "trigger gain on scout.bronze_events" in str(proof), proof
    assert not gained(attacked)


def test_a_drain_loads_and_moves_no_poison_where_such_a_trigger_would_run(attacked: str) -> None:
    library.poison_event(attacked, kind="bad_ts")
    planted_by(attacked, TRIGGERS["dead_letters"])
    refused(call("scout_drain", attacked), "trigger gain on scout.bronze_events_dlq")
    assert not gained(attacked)


def test_a_preflight_tells_of_it(attacked: str) -> None:
    planted_by(attacked, TRIGGERS["silver"])
    [told] = [
        text for text in call("scout_preflight_info", attacked, actions=["quarantine"])["warnings"] if "gain" in text
    ]
    assert "ALTER TABLE scout.silver_transactions DISABLE TRIGGER gain" in told


def test_whom_the_operator_may_become_is_not_trusted_with_what_he_may(scout_db: str) -> None:
    """`operator_role.sql -v rollback=on` makes him a member of every owner of something in scout."""
    with connect(scout_db) as superuser:
        superuser.execute(PLANTED)
    operator = builder.operator(scout_db)
    try:
        with connect(scout_db) as superuser:
            superuser.execute("GRANT mallory TO scout_operator")
        planted_by(scout_db, TRIGGERS["bronze"])
        refused(quarantine(operator), "trigger gain on scout.bronze_events calls mallory.gain()")
    finally:
        drop_roles(scout_db, "scout_operator", MALLORY)
