# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drain ends with every good event loaded as the pipeline itself would have, whatever is in its way."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import drain as pipeline_drain
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.without_values import message
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import event_queue
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, executed, fingerprint, once_waited_for, one, rows
from tests.integration.oracle import NONE, START, arrive, every_event, loaded_one_by_one, losses, payloads_of, silver
from tests.integration.slow import FIXED_COST
from tests.scout.fixtures import small

SEED = 4711
#: A small reference: the pipeline's ETL reads all of bronze at each call.
scout_template = small(200)


PENDING = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
sale = payloads_of(SEED)


def sales(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [sale(number) for number in range(first, first + count)]


def drain(dsn: str, **options: Any) -> Result:
    """A drain whose batches are small, so that a few hundred events need several."""
    options = {"batch_rows": 20, "hidden_wait_seconds": 0.5, "lock_timeout_seconds": 0.3, **options}
    result = call("scout_drain", dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def failing(dsn: str, **options: Any) -> Result:
    """The result of a drain that has to fail."""
    options = {"batch_rows": 20, "hidden_wait_seconds": 0.5, "lock_timeout_seconds": 0.3, **options}
    result = call("scout_drain", dsn, **options)
    assert result.get("failed"), result
    return result


def dead(dsn: str) -> set[str]:
    """Ids of the events in the dead letter queue."""
    return {row[0] for row in rows(dsn, "SELECT error_details -> 'event' ->> 'event_id' FROM scout.bronze_events_dlq")}


# --- good events


def test_an_empty_backlog_changes_nothing(scout_db: str) -> None:
    before = fingerprint(scout_db)
    result = drain(scout_db)
    assert (result["changed"], result["run_id"], result["loaded"], result["summary"]) == (False, None, 0, "no backlog")
    assert fingerprint(scout_db) == before


def test_check_mode_counts_and_writes_nothing(scout_db: str) -> None:
    library.backlog(scout_db, count=30)
    ids = [library.poison_event(scout_db, kind)[0] for kind in poison_payloads.KINDS]
    before = fingerprint(scout_db)
    result = call("scout_drain", scout_db, check=True)
    assert (result["changed"], result["run_id"], result["backlog"]["events"]) == (True, None, 41)
    assert {s["event_id"] for s in result["suspects"]} == set(map(str, ids))
    assert all(s["reason"] for s in result["suspects"])
    assert result["summary"] == "would load 41 pending events, of which 11 events would be quarantined"
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize("way", [call, executed])
def test_it_is_idempotent_in_both_ways(scout_db: str, way: Any) -> None:
    ids = arrive(scout_db, [*sales(3), poison_payloads.payload("no_amounts", SEED, 9), *sales(3, 20)])
    first, second = way("scout_drain", scout_db), way("scout_drain", scout_db)
    assert (first["changed"], first["loaded"], [p["event_id"] for p in first["poison"]]) == (True, 6, [str(ids[3])])
    assert (second["changed"], second["run_id"], second["poison"]) == (False, None, [])
    effects = one(
        scout_db, "SELECT effects FROM scout_ops.runs WHERE run_id = %s AND status = 'succeeded'", first["run_id"]
    )
    assert (effects["loaded"], len(effects["poison"])) == (6, 1)


@pytest.mark.parametrize(("known", "times"), [(50_000, 1), (9, 2)], ids=["by their keys", "more than are known"])
def test_the_backlog_is_looked_for_in_all_of_bronze_once_where_its_events_are_known(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, known: int, times: int
) -> None:
    counted: list[str] = []
    row_of = Session.row

    def record(self: Session, query: Any, **values: Any) -> Any:
        text = query if isinstance(query, str) else query.as_string(self.connection)
        counted.extend(re.findall(r"^WITH waiting", text.strip()))
        return row_of(self, query, **values)

    library.backlog(scout_db, count=10)
    monkeypatch.setattr(Session, "row", record)
    monkeypatch.setattr(pipeline_drain, "MOST_KNOWN", known)
    assert drain(scout_db)["loaded"] == 10
    assert len(counted) == times


def test_what_only_looks_dangerous_is_loaded(scout_db: str, pg_server: Server) -> None:
    odd = [spoil(sale(number)) for number, spoil in enumerate(poison_payloads.HARMLESS.values())]
    arrive(scout_db, [*sales(3, 100), *odd, *sales(3, 200), *odd[:0]])
    expected = loaded_one_by_one(pg_server, scout_db)
    result = drain(scout_db)
    assert (result["loaded"], result["poison"]) == (6 + len(odd), [])
    assert silver(scout_db) == expected


def test_naive_times_mean_what_they_mean_to_the_scheduler(scout_db: str, pg_server: Server) -> None:
    naive = [
        sale(1, ts="2026-03-01T23:30:00"),
        sale(2, ts="2026-03-01 00:10"),
        sale(3, ts="2026-03-01T23:30:00Z"),
        sale(4, ts=...),
    ]
    arrive(scout_db, naive)
    expected = loaded_one_by_one(pg_server, scout_db, settings="SET TimeZone = 'Asia/Manila'")
    with connect(scout_db) as connection:
        for whose, zone in (("DATABASE", "Asia/Manila"), ("ROLE CURRENT_USER IN DATABASE", "America/Lima")):
            connection.execute(f"ALTER {whose} {connection.info.dbname} SET timezone = '{zone}'")  # type: ignore[call-overload]
    drain(scout_db)
    assert silver(scout_db) == expected
    found = dict(
        rows(
            scout_db,
            "SELECT right(transaction_id, 1), extract(epoch FROM ts) FROM scout.silver_transactions WHERE transaction_id LIKE %s",
            f"{SEED}-%",
        )
    )
    assert found["1"] == datetime(2026, 3, 1, 15, 30, tzinfo=UTC).timestamp()


# --- corrections


def test_corrections_are_applied_in_order_and_are_no_poison(scout_db: str, pg_server: Server) -> None:
    payloads: list[dict[str, Any]] = []
    for number in range(1, 40):
        payloads.append(sale(number))
        if number > 5 and number % 3:
            payloads.append(sale(number - 5, net_amount=number, total_amount=number, payment_method="card"))
        if number % 5 == 0:
            payloads.append(sale(number, net_amount=number + 0.5, items=[]))
    arrive(scout_db, payloads)
    expected = loaded_one_by_one(pg_server, scout_db)
    result = drain(scout_db)
    assert (result["loaded"], result["poison"]) == (len(payloads), [])
    assert silver(scout_db) == expected


# --- poison


@pytest.mark.parametrize("kind", poison_payloads.KINDS)
def test_each_kind_of_poison_is_quarantined_with_the_databases_own_error(
    scout_db: str, pg_server: Server, kind: str
) -> None:
    ids = arrive(scout_db, [*sales(5), poison_payloads.payload(kind, SEED, 50), *sales(5, 60)])
    expected = loaded_one_by_one(pg_server, scout_db, without=[ids[5]])
    with connect(scout_db) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT scout.load_silver_from_bronze(6)")
    [suspect] = call("scout_drain", scout_db, check=True)["suspects"]
    assert suspect["event_id"] == str(ids[5])
    result = drain(scout_db)
    [found] = result["poison"]
    said = refused.value.diag.message_primary
    # A result does not repeat values; the dead letter does.
    assert (found["event_id"], found["sqlstate"], found["error"]) == (
        str(ids[5]),
        poison_payloads.KINDS[kind].sqlstate,
        message(str(said)),
    )
    assert silver(scout_db) == expected
    stored = rows(
        scout_db,
        "SELECT error_code, error_message, error_details ->> 'sqlstate', error_details ->> 'run_id' FROM scout.bronze_events_dlq",
    )
    assert stored == [("POISON_EVENT", said, poison_payloads.KINDS[kind].sqlstate, result["run_id"])]


def spoiled(first: int) -> list[dict[str, Any]]:
    """One payload of each kind."""
    return [poison_payloads.payload(kind, SEED, first + number) for number, kind in enumerate(poison_payloads.KINDS)]


LAYOUTS = {
    "first": lambda: [*spoiled(500), *sales(60)],
    "last": lambda: [*sales(60), *spoiled(500)],
    "adjacent": lambda: [*sales(30), *spoiled(500), *sales(30, 100)],
    "alternating": lambda: [payload for pair in zip(spoiled(500), sales(11), strict=True) for payload in pair],
    "only": lambda: spoiled(500),
    "first and last": lambda: [*spoiled(500)[:1], *sales(40), *spoiled(600)[1:2]],
}


@pytest.mark.parametrize(
    ("layout", "step_seconds"), [*((layout, 1.0) for layout in LAYOUTS), ("alternating", 0.0), ("first and last", 0.0)]
)
def test_poison_anywhere(scout_db: str, pg_server: Server, layout: str, step_seconds: float) -> None:
    payloads = LAYOUTS[layout]()
    ids = arrive(scout_db, payloads, step_seconds=step_seconds)
    bad = [event for event, payload in zip(ids, payloads, strict=True) if payload not in sales(200)]
    expected = loaded_one_by_one(pg_server, scout_db, without=bad)
    written = every_event(scout_db)
    result = drain(scout_db, max_poison_share=1.0)
    assert {p["event_id"] for p in result["poison"]} == set(map(str, bad))
    assert silver(scout_db) == expected
    assert losses(scout_db, written, bad) == NONE


# --- what only the database knows


REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM public.refused AS r WHERE r.transaction_id = NEW.transaction_id) THEN
        RAISE EXCEPTION 'this one is not for us';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION refuse();
GRANT SELECT ON refused TO PUBLIC
"""


def works_since(dsn: str) -> None:
    """A load, after which what was there before is no deployment's fault."""
    arrive(dsn, [sale(999)])
    assert drain(dsn)["loaded"] == 1


CONSTRAINTS = {
    "23503": "ALTER TABLE scout.silver_transactions ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store (store_id)",
    "23514": "ALTER TABLE scout.silver_transactions ADD CONSTRAINT sane CHECK (store_id <> 'S-404')",
    "P0001": "CREATE TABLE refused (transaction_id text); " + REFUSING,
    "54000": "SELECT",
}


@pytest.mark.parametrize("sqlstate", CONSTRAINTS)
def test_what_the_database_refuses_by_itself_is_quarantined(scout_db: str, pg_server: Server, sqlstate: str) -> None:
    endless = {"transaction_id": "".join(generator.blake2b(b"%d" % n).hexdigest() for n in range(99))}
    wrong = {"54000": endless}.get(sqlstate, {"store_id": "S-404"})
    payloads = [
        *sales(70),
        sale(500, **wrong),
        *sales(40, 100),
        sale(501, **(wrong if sqlstate != "54000" else {})),
        *sales(9, 200),
    ]
    with connect(scout_db) as connection:
        connection.execute(CONSTRAINTS[sqlstate])  # type: ignore[call-overload]
        if sqlstate == "P0001":
            connection.execute("INSERT INTO refused VALUES (%s), (%s)", [f"{SEED}-00000500", f"{SEED}-00000501"])
    works_since(scout_db)
    ids = arrive(scout_db, payloads)
    bad = [ids[70]] if sqlstate == "54000" else [ids[70], ids[111]]
    expected = loaded_one_by_one(pg_server, scout_db, without=bad)
    result = drain(scout_db, batch_rows=50)
    assert [(p["event_id"], p["sqlstate"]) for p in result["poison"]] == [(str(event), sqlstate) for event in bad]
    assert silver(scout_db) == expected


# --- where to stop


def test_poison_stop_moves_nothing_and_keeps_what_is_loaded(scout_db: str) -> None:
    ids = arrive(scout_db, [*sales(30), poison_payloads.payload("bad_ts", SEED, 50), *sales(5, 60)])
    result = failing(scout_db, poison="stop")
    assert str(ids[30]) in result["msg"]
    assert 'invalid input syntax for type timestamp with time zone: "…"' in result["msg"]
    assert "(SQLSTATE 22007)" in result["msg"]
    assert (result["changed"], result["poison"], dead(scout_db)) == (True, [], set())
    assert result["loaded"] >= 30
    run = rows(
        scout_db, "SELECT status, (effects ->> 'loaded')::int FROM scout_ops.runs WHERE run_id = %s", result["run_id"]
    )
    assert run == [("failed", result["loaded"])]
    assert (
        one(scout_db, "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id LIKE %s", f"{SEED}-%")
        == result["loaded"]
    )


@pytest.mark.parametrize("most", [0, 1, 7])
def test_the_breaker_stops_at_max_poison(scout_db: str, most: int) -> None:
    arrive(scout_db, [*sales(30), *spoiled(500), *sales(5, 60)])
    result = failing(scout_db, max_poison=most)
    assert (result["error"]["kind"], len(result["poison"]), len(dead(scout_db))) == ("systemic", most, most)
    assert f"max_poison={most}" in result["msg"]
    assert "systemic" in result["msg"]
    assert losses(scout_db, set(), map(generator.UUID, dead(scout_db))) == NONE


def test_the_breaker_stops_at_a_share(scout_db: str) -> None:
    arrive(
        scout_db, [*sales(60), *(poison_payloads.payload("bad_ts", SEED, n) for n in range(500, 560))], step_seconds=0.1
    )
    result = failing(scout_db, max_poison_share=0.2)
    assert (result["error"]["kind"], len(result["poison"]), len(dead(scout_db))) == ("systemic", 19, 19)
    assert "max_poison_share=0.2" in result["msg"]
    assert drain(scout_db, max_poison_share=1.0)["poison"]


#: What a deployment may do to all sales: a column that nothing fills, a trigger that raises.
BROKEN = {
    "23514": (
        (
            "ALTER TABLE scout.silver_transactions ADD COLUMN tier text;"
            "ALTER TABLE scout.silver_transactions ADD CHECK (tier IS NOT NULL) NOT VALID"
        ),
        "ALTER TABLE scout.silver_transactions DROP COLUMN tier",
    ),
    "P0001": (
        (
            "CREATE FUNCTION scout.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no tier''; END';"
            "CREATE TRIGGER refuse BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.refuse()"
        ),
        "DROP TRIGGER refuse ON scout.silver_transactions; DROP FUNCTION scout.refuse()",
    ),
}


@pytest.mark.parametrize("sqlstate", BROKEN)
def test_where_the_etl_refuses_a_sound_sale_no_event_is_to_blame(
    scout_db: str, pg_server: Server, sqlstate: str
) -> None:
    broken, fixed = BROKEN[sqlstate]
    ids = arrive(scout_db, [poison_payloads.payload("bad_ts", SEED, 50), *sales(30)])
    expected = loaded_one_by_one(pg_server, scout_db, without=ids[:1])
    with connect(scout_db) as connection:
        connection.execute(broken.encode())
    for _ in range(2):
        result = failing(scout_db)
        assert (result["error"]["kind"], result["error"]["sqlstate"]) == ("systemic", sqlstate)
        assert result["msg"].startswith("the drain stopped: the ETL rejects a known-good test sale too")
        # Of the event at the head it says something else, whatever was deployed.
        assert dead(scout_db) == {str(ids[0])}
    assert losses(scout_db, set(), ids[:1]) == NONE
    with connect(scout_db) as connection:
        connection.execute(fixed.encode())
    drain(scout_db)
    assert (dead(scout_db), silver(scout_db)) == ({str(ids[0])}, expected)


def test_what_the_etl_refuses_can_be_set_aside_all_the_same(scout_db: str) -> None:
    ids = arrive(scout_db, sales(3))
    with connect(scout_db) as connection:
        connection.execute(BROKEN["P0001"][0].encode())
    next_step = failing(scout_db)["error"]["next_step"]
    assert "roll back the deployment that broke it" in next_step
    assert "max_poison_share" not in next_step, "what throws data aside is no way out of a broken ETL"
    assert not dead(scout_db)
    drain(scout_db, max_poison_share=1.0)
    assert dead(scout_db) == set(map(str, ids))


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION full_disk();
"""

SYSTEMIC = {
    "42883": "DROP FUNCTION scout.load_silver_from_bronze(int)",
    "42501": "REVOKE INSERT ON scout.silver_transactions FROM loader",
    "42703": "ALTER TABLE scout.silver_transactions DROP COLUMN payment_method",
    "53100": FULL,
}


@pytest.fixture
def operator(scout_db: str, pg_server: Server) -> Iterator[str]:
    """A role that owns nothing."""
    with connect(scout_db) as connection:
        connection.execute("CREATE ROLE operator LOGIN")
        connection.execute("GRANT loader TO operator WITH INHERIT FALSE, SET TRUE")
        connection.execute("GRANT USAGE ON SCHEMA scout TO operator")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA scout TO operator")
        yield pg_server.dsn(connection.info.dbname, user="operator")
        connection.execute("DROP OWNED BY operator CASCADE")
        connection.execute("DROP ROLE operator")


@pytest.mark.parametrize("sqlstate", SYSTEMIC)
def test_a_systemic_error_stops_at_once_and_moves_nothing(scout_db: str, operator: str, sqlstate: str) -> None:
    arrive(scout_db, [*sales(5), poison_payloads.payload("bad_ts", SEED, 50)])
    with connect(scout_db) as connection:
        connection.execute(SYSTEMIC[sqlstate])  # type: ignore[call-overload]
    before = silver(scout_db)
    result = failing(operator, ledger="off")
    assert result["error"]["sqlstate"] == sqlstate
    assert result["error"]["kind"] == ("missing_privilege" if sqlstate == "42501" else "database_error")
    assert (result["loaded"], result["poison"], dead(scout_db)) == (0, [], set())
    assert silver(scout_db) == before


def test_nobody_gets_our_rights_by_being_called(scout_db: str, operator: str) -> None:
    """Whoever is not let be the owner of the ETL does not call it as himself, and says what is missing."""
    arrive(scout_db, sales(5))
    for missing, grant in (
        ("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", "GRANT TEMPORARY ON DATABASE"),
        ("REVOKE loader FROM operator", "GRANT loader TO operator WITH INHERIT FALSE, SET TRUE"),
    ):
        with connect(scout_db) as connection:
            connection.execute(missing.format(f'"{connection.info.dbname}"'))  # type: ignore[call-overload]
        before = silver(scout_db)
        result = failing(operator, ledger="off")
        assert result["error"]["kind"] == "missing_privilege", result
        assert grant in result["error"]["next_step"].replace('"', "")
        assert silver(scout_db) == before


# --- others at work


FLAKY = """
CREATE SEQUENCE attempts; GRANT USAGE ON attempts TO PUBLIC;
CREATE FUNCTION flaky() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('public.attempts') < 4 THEN
        RAISE EXCEPTION 'not now' USING ERRCODE = '{}', SCHEMA = 'scout', TABLE = 'etl_processed',
            CONSTRAINT = 'etl_processed_pkey';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER flaky AFTER INSERT ON scout.silver_transactions FOR EACH STATEMENT EXECUTE FUNCTION flaky();
"""


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "23505"])
@pytest.mark.parametrize("spoil", [False, True])
def test_harmless_failures_are_tried_again(scout_db: str, sqlstate: str, spoil: bool) -> None:
    payloads = [poison_payloads.payload("bad_ts", SEED, 50), *sales(5)] if spoil else sales(5)
    arrive(scout_db, payloads)
    with connect(scout_db) as connection:
        connection.execute(FLAKY.format(sqlstate))  # type: ignore[call-overload]
    result = drain(scout_db)
    assert (result["loaded"], len(result["poison"]), result["retries"]) == (5, int(spoil), 3)


def test_a_good_event_taken_by_another_loader_is_not_mistaken_for_poison(scout_db: str) -> None:
    good, bad = arrive(scout_db, [sale(1), poison_payloads.payload("bad_ts", SEED, 50)], step_seconds=0)
    with psycopg.connect(scout_db) as other:
        other.execute("INSERT INTO scout.etl_processed (event_id) VALUES (%s)", [good])
        with once_waited_for(scout_db, other.commit):
            result = drain(scout_db, lock_timeout_seconds=5)
    assert [p["event_id"] for p in result["poison"]] == [str(bad)]
    assert dead(scout_db) == {str(bad)}


@contextmanager
def background(*targets: Any) -> Iterator[threading.Event]:
    """Runs the functions with an event to stop at, each in a thread, until the block ends; raises what they raise."""
    stop, failed = threading.Event(), []

    def run(target: Any) -> None:
        try:
            target(stop)
        except BaseException as error:  # noqa: BLE001 raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def loader(dsn: str) -> Any:
    """Another loader that never rests, as a second scheduler would be; its own failures are its own."""

    def run(stop: threading.Event) -> None:
        with connect(dsn) as connection:
            while not stop.is_set():
                try:
                    connection.execute("SELECT scout.load_silver_from_bronze(7)")
                except psycopg.Error:
                    time.sleep(0.01)

    return run


def writer(dsn: str, written: list[Any], most: int = 1_000_000) -> Any:
    """A point of sale that sells all the time, or so many times."""

    def run(stop: threading.Event) -> None:
        with connect(dsn) as connection:
            for number in range(most):
                if stop.is_set():
                    return
                written.append(
                    generator.insert(connection, generator.transaction(threading.get_ident() % 10**9, number))
                )
                time.sleep(0.002)

    return run


def test_nothing_is_lost_beside_a_writer_and_other_loaders(scout_db: str) -> None:
    payloads = [poison_payloads.payload("bad_ts", SEED, n) if n % 40 == 17 else sale(n) for n in range(400)]
    ids = arrive(scout_db, payloads, step_seconds=0.1)
    bad, written = ids[17::40], list(every_event(scout_db))
    with background(writer(scout_db, written), *[loader(scout_db)] * 3):
        result = drain(scout_db, lock_timeout_seconds=5, max_poison_share=1.0)
    assert {p["event_id"] for p in result["poison"]} == set(map(str, bad))
    drain(scout_db)
    assert losses(scout_db, written, bad) == NONE


def test_a_slow_batch_is_halved(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the scheduler recorded as the reference was made is no shorter than that of the machine it was made on.
    monkeypatch.setattr(expected, "call_seconds", lambda _session: 0.0)
    arrive(scout_db, sales(60), step_seconds=0.1)
    with connect(scout_db) as connection:
        connection.execute(
            """
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION slow();
            """
        )
    result = drain(scout_db, batch_rows=60, batch_timeout_seconds=0.5)
    assert (result["loaded"], result["poison"]) == (60, [])
    assert result["batches"] >= 2


def test_a_call_that_takes_longer_than_anybody_expected_gets_more_time(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long however few events it loads, so smaller batches alone do not help; one that is poison is still found."""
    monkeypatch.setattr(expected, "call_seconds", lambda _session: 0.0)
    arrive(scout_db, sales(40), step_seconds=0.1)
    library.poison_event(scout_db)
    with connect(scout_db) as connection:
        connection.execute(FIXED_COST.format(1.0).encode())
    result = drain(scout_db, batch_rows=40, batch_timeout_seconds=0.4)
    assert (result["loaded"], len(result["poison"])) == (40, 1)


def test_a_cancel_by_somebody_ends_it(scout_db: str) -> None:
    arrive(scout_db, sales(60), step_seconds=0.1)
    with connect(scout_db) as connection, background(canceller(scout_db)):
        connection.execute(
            """
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION slow();
            """
        )
        result = failing(scout_db, batch_rows=10)
    assert "canceling statement due to user request" in result["msg"]


IN_BATCH = """
SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'scout-recovery/%/drain' AND state = 'active' AND query LIKE '%load_silver_from_bronze%'
  AND datname = current_database()
"""


def canceller(dsn: str, function: str = "pg_cancel_backend") -> Any:
    """Somebody who ends the first batch that is seen at work."""

    def run(stop: threading.Event) -> None:
        with connect(dsn) as connection:
            while not stop.is_set():
                found = connection.execute(IN_BATCH).fetchone()
                if found:
                    connection.execute(f"SELECT {function}(%s)", [found[0]])  # type: ignore[call-overload]
                    return

    return run


def test_a_lock_on_silver_is_reported_with_its_holder(scout_db: str) -> None:
    transaction = one(scout_db, "SELECT transaction_id FROM scout.silver_transactions LIMIT 1")
    arrive(scout_db, [*sales(30), sale(1, transaction_id=transaction), *sales(30, 100)])
    with psycopg.connect(scout_db, application_name="forgotten") as other:
        other.execute("SELECT FROM scout.silver_transactions WHERE transaction_id = %s FOR UPDATE", [transaction])
        result = failing(scout_db)
        assert result["error"]["sqlstate"] == "55P03"
        assert f"pid {other.info.backend_pid} (postgres, forgotten, idle in transaction for " in result["msg"]
        assert "scout.recovery.terminate_sessions" in result["error"]["next_step"]
        assert (result["loaded"], result["changed"], dead(scout_db)) == (20, True, set())
    assert drain(scout_db)["loaded"] == 41


@pytest.mark.parametrize("spoil", [False, True])
def test_locked_events_are_waited_for_and_reported_with_their_holder(scout_db: str, spoil: bool) -> None:
    event = poison_payloads.payload("bad_ts", SEED, 50) if spoil else sale(50)
    ids = arrive(scout_db, [*sales(30), event, *sales(30, 100)])
    with psycopg.connect(scout_db) as other:
        other.execute("SELECT FROM scout.bronze_events WHERE event_id = %s FOR UPDATE", [ids[30]])
        result = failing(scout_db)
        assert f"1 pending event could not be loaded on {result['error']['on']}" in result["msg"]
        assert f"event {ids[30]}, locked by pid {other.info.backend_pid}" in result["msg"]
        assert (result["error"]["kind"], result["loaded"], result["poison"]) == ("not_reached", 60, [])
        heard: list[str] = []

        def hear(line: str) -> None:
            if "locked by another session" in line:
                heard.append(line)
                other.rollback()

        again = drain(scout_db, hidden_wait_seconds=10, progress=Progress(hear, every_seconds=0.0))
        assert heard == ["waiting for 1 pending event locked by another session"]
    assert (again["loaded"], len(again["poison"])) == ((0, 1) if spoil else (1, 0))


def test_an_etl_that_leaves_events_alone_is_said_so(scout_db: str) -> None:
    arrive(scout_db, [{**sale(1)}])
    with connect(scout_db) as connection:
        connection.execute(
            """
            CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
            RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
            LANGUAGE sql AS 'SELECT p_limit, p_limit, p_limit, 1'
            """
        )
    result = failing(scout_db)
    assert result["loaded"] == 0
    assert "see why scout.load_silver_from_bronze(integer) does not take it" in result["msg"]


# --- killed in the middle


#: A process of its own that drains and is its own controller.
DRAIN = """
import os, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.modules import scout_drain
params = ArgumentSpecValidator(scout_drain.SPEC).validate({"dsn": sys.argv[1], "batch_rows": 30}).validated_parameters
result = invoke(scout_drain.run, "scout_drain", params, check=False, controller_pid=os.getpid())
sys.exit(result.get("msg"))
"""

SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION slow();
CREATE TRIGGER slow BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW EXECUTE FUNCTION slow();
"""


def with_poison(dsn: str, count: int = 300) -> tuple[list[Any], list[Any]]:
    """A backlog with poison and corrections, loaded slowly; every event ever written, and the poison among them."""
    payloads = [poison_payloads.payload("bad_ts", SEED, n) if n % 30 == 17 else sale(n - n % 7) for n in range(count)]
    for number, payload in enumerate(payloads):
        payload["number"] = number
    ids = arrive(dsn, payloads, step_seconds=0.1)
    with connect(dsn) as connection:
        connection.execute(SLOW)
    return list(every_event(dsn)), ids[17::30]


def test_killed_at_random_moments_it_loses_nothing(scout_db: str, pg_server: Server) -> None:
    written, bad = with_poison(scout_db)
    expected = loaded_one_by_one(pg_server, scout_db, without=bad)
    environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / '.collections'}"}
    dice, kills = random.Random(7), 0
    for _ in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", DRAIN, scout_db], cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE
        )
        wait_for_batch(scout_db, process)
        try:
            process.wait(60 if kills == 4 else dice.uniform(0.0, 0.2))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        assert process.stderr
        message = process.stderr.read().decode()
        process.stderr.close()
        if process.wait() == 0:
            break
        assert not message, message
    assert kills >= 2
    assert losses(scout_db, written, bad) == NONE
    assert silver(scout_db) == expected


def wait_for_batch(dsn: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when the drain is in the middle of a batch, or has ended."""
    with connect(dsn) as connection:
        while process.poll() is None and not connection.execute(IN_BATCH).fetchone():
            time.sleep(0.005)


def test_a_terminated_session_is_reported_and_can_be_repeated(scout_db: str, pg_server: Server) -> None:
    written, bad = with_poison(scout_db, 150)
    expected = loaded_one_by_one(pg_server, scout_db, without=bad)
    with background(canceller(scout_db, "pg_terminate_backend")):
        result = failing(scout_db)
    assert result["error"]["kind"] == "connection_lost"
    assert "run the same command again" in result["error"]["next_step"]
    drain(scout_db, takeover=True)
    assert losses(scout_db, written, bad) == NONE
    assert silver(scout_db) == expected


# --- what is held back is let go, whatever happens in between


def test_nothing_stays_marked_when_another_session_locks_the_event_to_decide_on(
    scout_db: str, pg_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [sale(1), sale(1, net_amount=5), sale(2), poison_payloads.payload("bad_ts", SEED, 9), sale(3)]
    ids = arrive(scout_db, payloads)
    expected = loaded_one_by_one(pg_server, scout_db, without=[ids[3]])
    written = every_event(scout_db)
    hold_back_others = event_queue.hold_back_others
    with psycopg.connect(scout_db) as other:

        def too_late(session: Any, event_id: str) -> Any:
            other.execute("SELECT FROM scout.bronze_events WHERE event_id = %s FOR UPDATE", [event_id])
            return hold_back_others(session, event_id)

        monkeypatch.setattr(event_queue, "hold_back_others", too_late)
        assert f"event {ids[3]}, locked by pid {other.info.backend_pid}" in failing(scout_db)["msg"]
    monkeypatch.undo()
    assert len(drain(scout_db)["poison"]) == 1
    assert losses(scout_db, written, [ids[3]]) == NONE
    assert silver(scout_db) == expected


def test_nothing_stays_marked_when_another_event_comes_first(
    scout_db: str, pg_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = poison_payloads.payload("bad_ts", SEED, 9)
    ids = arrive(scout_db, [sale(1), sale(1, net_amount=5), sale(2), bad, sale(3)])
    expected = loaded_one_by_one(pg_server, scout_db, without=[ids[3]])
    written = every_event(scout_db)
    load = event_queue.load

    def overtaken(session: Any, limit: int, pipeline: Any, **marks: int) -> int:
        if limit == 1 and not newcomers:
            newcomers.extend(
                arrive(scout_db, [poison_payloads.payload("bad_ts", SEED, 10)], start=START - timedelta(days=9))
            )
        return load(session, limit, pipeline, **marks)

    newcomers: list[Any] = []
    monkeypatch.setattr(event_queue, "load", overtaken)
    result = drain(scout_db, max_poison_share=1.0)
    assert {p["event_id"] for p in result["poison"]} == {str(ids[3]), str(newcomers[0])}
    assert losses(scout_db, written | set(newcomers), [ids[3], *newcomers]) == NONE
    assert silver(scout_db) == expected


def test_an_etl_that_marks_events_and_writes_nothing_stops_the_drain(scout_db: str) -> None:
    """A trigger swallows each sale; the function says it has loaded them all."""
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction")
        connection.execute(
            "CREATE FUNCTION scout.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        connection.execute(
            "CREATE TRIGGER swallow BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.nothing()"
        )
    waiting = library.backlog(scout_db, count=30, age_seconds=60)
    marks = one(scout_db, "SELECT count(*) FROM scout.etl_processed")
    result = failing(scout_db)
    assert "marked as loaded and did not write; its marks were rolled back" in result["msg"]
    assert "20 events not in scout.silver_transactions, for example " in result["msg"]
    assert one(scout_db, "SELECT count(*) FROM scout.etl_processed") == marks
    assert one(scout_db, PENDING) == waiting


def test_an_etl_that_loads_nothing_is_not_said_to_be_locked_out(scout_db: str) -> None:
    with connect(scout_db) as connection:
        source = connection.execute(
            "SELECT pg_get_functiondef('scout.load_silver_from_bronze(integer)'::regprocedure)"
        ).fetchone()
        assert source
        connection.execute(source[0].replace("LIMIT p_limit", "LIMIT 0"))
    library.backlog(scout_db, count=5, age_seconds=60)
    said: list[str] = []
    result = failing(scout_db, progress=Progress(said.append, every_seconds=0.0))
    assert "no session is seen to lock it, so the function passes it over" in result["msg"]
    assert not any("locked by another session" in line for line in said), said
