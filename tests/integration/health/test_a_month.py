# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A month in which nothing happened but sales, with every run of every job, looked at by day and by night: nothing is found."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.gates import judge
from tests.integration.modules import call, connect, one
from tests.scout.fixtures import memory
from tests.scout.hosted import Host

DAYS = 30
EVENTS = 9000
#: How many hours later it is in the shops than here: the same month, at another time of the day and the week.
LATER = (("faithful", 0), ("faithful", 9), ("faithful", 57), ("repaired", 15), ("deployed", 3), ("deployed", 100))
HOSTED = (("supabase", 6), ("neon", 33))


@pytest.mark.parametrize(("variant", "hours"), LATER)
def test_nothing_is_found_in_a_month_of_sales(
    variant: str, hours: int, pg_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _a_month(monkeypatch, hours)
    name = f"month_{variant}_{hours}"
    dsn = builder.build(pg_server.create_database(name), variant, events=EVENTS)
    try:
        _look(dsn, dsn)
    finally:
        pg_server.drop_database(name)


@pytest.mark.parametrize(("kind", "hours"), HOSTED)
def test_nothing_is_found_in_a_month_where_it_is_hosted(kind: str, hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _a_month(monkeypatch, hours)
    host = Host(kind, memory())
    host.template = builder.template(host.server, "deployed", host=kind, events=EVENTS)
    try:
        with host.scout() as hosted:
            _look(hosted.owner, hosted.superuser, allow_owner=True)
    finally:
        host.server.stop()


def _a_month(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Whatever is built from now on has one."""
    clock, later = generator.clock, timedelta(hours=hours)

    def month(count: int, until: datetime) -> list[datetime]:
        return [moment - later for moment in clock(count, until + later, DAYS)]

    monkeypatch.setattr(generator, "clock", month)
    monkeypatch.setattr(builder, "HISTORY", builder.HISTORY.replace("'4 hours'", f"'{DAYS} days'"))


def _look(dsn: str, superuser: str, **options: Any) -> None:
    assert one(superuser, "SELECT count(DISTINCT date_key) FROM scout.silver_transactions") > DAYS - 2
    assert one(superuser, "SELECT count(*) FROM cron.job_run_details") > DAYS * 24 * 60
    _find_nothing(dsn, options)
    # Nor by those who look while sales arrive.
    with connect(superuser) as session:
        for number in range(40):
            generator.insert(session, generator.transaction(5, number), source_system=generator.SOURCES[number % 4])
    assert call("scout_health_info", dsn, budget_seconds=60)["verdict"] == "healthy"
    assert call("scout_proof_info", dsn, **options)["proven"]


def _find_nothing(dsn: str, options: dict[str, Any]) -> None:
    health = call("scout_health_info", dsn, budget_seconds=60)
    assert (health["verdict"], health["diagnoses"]) == ("healthy", []), health["diagnoses"]
    gate = judge(dsn)
    assert gate["verdict"] == "pass", gate["checks"]
    proof = call("scout_proof_info", dsn, **options)
    assert proof.get("proven"), proof["error"]
