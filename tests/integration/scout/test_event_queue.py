# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events without an offset are read in the time zone of the scheduler's sessions."""

from __future__ import annotations

import os

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import acting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import event_queue
from tests.integration.modules import connect, one


def zone(dsn: str) -> str:
    with open_session(Settings(dsn)) as session, session.read():
        return acting.actor(session, "loader").timezone


def test_the_time_zone_of_the_operators_shell_is_not_that_of_the_pipeline(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGTZ", "TZ"):
        monkeypatch.delenv(name, raising=False)
    theirs = zone(scout_db)
    monkeypatch.setenv("PGTZ", "Pacific/Auckland")
    assert one(scout_db, "SHOW TimeZone") == "Pacific/Auckland", "anybody else's session has it"
    assert zone(scout_db) == theirs != "Pacific/Auckland"
    assert os.environ["PGTZ"] == "Pacific/Auckland"
    with connect(scout_db) as connection:
        connection.execute("ALTER ROLE loader SET TimeZone = 'Asia/Manila'")
        try:
            assert zone(scout_db) == "Asia/Manila"
        finally:
            connection.execute("ALTER ROLE loader RESET TimeZone")


@pytest.mark.parametrize(
    "options",
    ["-c TimeZone=Pacific/Auckland", "-cTIMEZONE=Pacific/Auckland", "--timezone=Pacific/Auckland",
     "-c work_mem=8MB -c TimeZone=Asia/Tokyo -c timezone=Pacific/Auckland"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["the connection string", "PGOPTIONS"])
def test_the_time_zone_of_the_options_is_not_that_of_the_pipeline(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, place: str, options: str
) -> None:
    for name in ("PGTZ", "TZ"):
        monkeypatch.delenv(name, raising=False)
    theirs = zone(scout_db)
    dsn = scout_db
    if place == "PGOPTIONS":
        monkeypatch.setenv("PGOPTIONS", options)
    else:
        dsn = psycopg.conninfo.make_conninfo(scout_db, options=options)
    assert one(dsn, "SHOW TimeZone") == "Pacific/Auckland", "anybody else's session has it"
    assert zone(dsn) == theirs != "Pacific/Auckland"
    if "work_mem" in options:
        with open_session(Settings(dsn)) as session, session.read():
            assert session.row("SHOW work_mem")["work_mem"] == "8MB"


def test_the_plans_of_foreign_keys_are_cached(scout_db: str) -> None:
    """With custom plans alone each row that is written would have its foreign keys planned anew; half as much again."""
    with connect(scout_db) as connection:
        connection.execute("""
            CREATE TABLE scout.seen (setting text);
            CREATE FUNCTION scout.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN
                INSERT INTO scout.seen SELECT pg_catalog.current_setting('plan_cache_mode'); RETURN NULL; END$$;
            CREATE TRIGGER see AFTER INSERT ON scout.etl_processed FOR EACH STATEMENT EXECUTE FUNCTION scout.see()
        """)
        connection.execute(
            "DELETE FROM scout.etl_processed WHERE event_id = (SELECT event_id FROM scout.etl_processed LIMIT 1)"
        )
    with open_session(Settings(scout_db)) as session, session.write():
        pipeline = acting.actor(session, "loader")
        with event_queue.in_its_time_zone(session, pipeline):
            assert session.row("SHOW jit")["jit"] == "off"
        assert event_queue.load(session, 1, pipeline) == 1
    assert one(scout_db, "SELECT DISTINCT setting FROM scout.seen") == "auto"
