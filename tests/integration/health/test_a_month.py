# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A month in which nothing happened but sales, with every run of every job, looked at by day and by night: nothing is found."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.gates import judge
from tests.integration.modules import call, connect, one

DAYS = 30
EVENTS = 9000
#: How many hours later it is in the shops than here: the same month, at another time of the day and the week.
LATER = (("faithful", 0), ("faithful", 9), ("faithful", 57), ("repaired", 15), ("deployed", 3), ("deployed", 100))


@pytest.mark.parametrize(("variant", "hours"), LATER)
def test_nothing_is_found_in_a_month_of_sales(
    variant: str, hours: int, pg_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, later = generator.clock, timedelta(hours=hours)

    def month(count: int, until: datetime) -> list[datetime]:
        return [moment - later for moment in clock(count, until + later, DAYS)]

    monkeypatch.setattr(generator, "clock", month)
    monkeypatch.setattr(builder, "HISTORY", builder.HISTORY.replace("'4 hours'", f"'{DAYS} days'"))
    name = f"month_{variant}_{hours}"
    dsn = builder.build(pg_server.create_database(name), variant, events=EVENTS)
    try:
        assert one(dsn, "SELECT count(DISTINCT date_key) FROM scout.silver_transactions") > DAYS - 2
        assert one(dsn, "SELECT count(*) FROM cron.job_run_details") > DAYS * 24 * 60
        health = call("scout_health_info", dsn, budget_seconds=60)
        assert (health["verdict"], health["diagnoses"]) == ("healthy", []), health["diagnoses"]
        gate = judge(dsn)
        assert gate["verdict"] == "pass", gate["checks"]
        proof = call("scout_proof", dsn)
        assert proof["proven"], proof["error"]
        # Nor by those who look while sales arrive.
        with connect(dsn) as session:
            for number in range(40):
                generator.insert(session, generator.transaction(5, number), source_system=generator.SOURCES[number % 4])
        assert call("scout_health_info", dsn, budget_seconds=60)["verdict"] == "healthy"
        assert call("scout_proof", dsn)["proven"]
    finally:
        pg_server.drop_database(name)
