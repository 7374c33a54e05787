# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A moment that Python does not know stops nothing: it is read as PostgreSQL writes it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import Result, call, connect
from tests.integration.outcomes import scout_tables

MOMENTS = ("0044-03-15 BC", "10000-01-01", "infinity", "-infinity")

CLOCKS = {
    "bronze_events": {"ingested_at": "timestamptz", "event_ts": "timestamptz"},
    "etl_processed": {"processed_at": "timestamptz"},
    "silver_transactions": {
        "ts": "timestamptz", "date_key": "date", "processed_at": "timestamptz", "updated_at": "timestamptz", "created_at": "timestamptz",
    },
    "silver_line_items": {"processed_at": "timestamp", "updated_at": "timestamptz"},
}  # fmt: skip

VALUES = {
    "'0044-03-15 BC'::timestamptz": "0044-03-15 00:00:00+00 BC",
    "'10000-01-01 UTC'::timestamptz": "10000-01-01 00:00:00+00",
    "'infinity'::timestamptz": "infinity",
    "'-infinity'::timestamp": "-infinity",
    "'4713-01-01 BC'::timestamp": "4713-01-01 00:00:00 BC",
    "'0001-01-01 BC'::date": "0001-01-01 BC",
    "'infinity'::date": "infinity",
    "'24:00'::time": "24:00:00",
    "'2147483647 days'::interval": "2147483647 days",
    "'2026-01-02 03:04:05+00'::timestamptz": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "'2026-01-02'::date": datetime.date(2026, 1, 2),
    "'3 days'::interval": datetime.timedelta(days=3),
    "ARRAY['2026-01-02', 'infinity']::date[]": [datetime.date(2026, 1, 2), "infinity"],
    "NULL::timestamptz": None,
}


@pytest.mark.parametrize("expression", VALUES)
def test_what_python_cannot_hold_is_text(scout_db: str, expression: str) -> None:
    with open_session(Settings(scout_db)) as session, session.read():
        assert session.row(f"SELECT {expression} AS value")["value"] == VALUES[expression]  # type: ignore[arg-type]


def strange(dsn: str, moment: str) -> list[str]:
    """One loaded and one pending event at that moment, by every clock they have; a sale of theirs, and when it was made."""
    with connect(dsn) as connection:
        ids = [str(generator.insert(connection, generator.transaction(9, 1)))]
        connection.execute("SELECT scout.load_silver_from_bronze(10)")
        ids.append(str(generator.insert(connection, generator.transaction(9, 2))))
        for table, columns in CLOCKS.items():
            every = ", ".join(f"{name} = %(at)s::{kind}" for name, kind in columns.items())
            which = "transaction_id = '9-00000001'" if "silver" in table else "event_id = ANY (%(ids)s)"
            connection.execute(f"UPDATE scout.{table} SET {every} WHERE {which}", {"at": moment, "ids": ids})  # type: ignore[call-overload]
        connection.execute("SELECT scout.refresh_gold_platinum()")
    return ids


def fine(result: Result) -> Result:
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize("moment", MOMENTS)
def test_no_moment_stops_a_look(scout_db: str, moment: str, tmp_path: Path) -> None:
    strange(scout_db, moment)
    seen = fine(call("scout_health_info", scout_db))
    by_name = {one["name"]: one for one in seen["indicators"]}
    assert by_name["backlog_events"]["value"] == 1
    # Of all that could be read nothing is unknown, but what an age of no length is.
    assert [name for name, one in by_name.items() if one["status"] == "unknown"] == []
    judged = fine(call("scout_gate_info", scout_db, smoke=True))
    assert [
        one for one in judged["checks"] if "too small" in str(one["reason"]) or "too large" in str(one["reason"])
    ] == []
    kept = fine(call("scout_evidence", scout_db, folder=str(tmp_path / "evidence")))
    assert Path(kept["folder"]).is_dir()
    json.dumps([seen, judged, kept])


@pytest.mark.parametrize("moment", MOMENTS)
def test_no_moment_stops_a_recovery(scout_db: str, moment: str) -> None:
    ids = strange(scout_db, moment)
    before = scout_tables(scout_db)
    for check in (True, False):
        away = fine(call("scout_quarantine", scout_db, check=check, event_ids=ids))
    assert away["moved"]["events"] == 2
    back = fine(call("scout_undo", scout_db, run_id=away["run_id"]))
    assert scout_tables(scout_db) == before
    again = fine(call("scout_undo", scout_db, run_id=back["run_id"]))
    fine(call("scout_undo", scout_db, run_id=again["run_id"]))
    assert scout_tables(scout_db) == before
    for check in (True, False):
        fine(
            call(
                "scout_window_recovery",
                scout_db,
                check=check,
                window_start="0001-01-02T00:00Z",
                window_end="1990-01-01T00:00Z",
            )
        )
        fine(call("scout_window_recovery", scout_db, check=check, last="1h"))
        fine(call("scout_cleanup", scout_db, check=check))
    away = fine(call("scout_quarantine", scout_db, event_ids=ids))
    assert fine(call("scout_redrive", scout_db, run_id=away["run_id"]))["redriven"] == 2
    fine(call("scout_drain", scout_db))
    fine(call("scout_refresh_gold", scout_db))
    incident = fine(call("scout_health_info", scout_db))
    assert {one["name"]: one["value"] for one in incident["indicators"]}["backlog_events"] == 0
