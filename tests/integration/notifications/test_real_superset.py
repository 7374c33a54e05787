# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Superset with a dashboard over gold: what it shows before and after, with keys of its caches and without."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import superset as asking
from tests import superset
from tests.integration.modules import connect
from tests.integration.notifications.test_superset import PASSWORD, seen_to

pytestmark = pytest.mark.superset

START_SECONDS = 300
CONFIG = """
SECRET_KEY = "of-a-test-and-long-enough-to-be-taken-for-one"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
CACHE_CONFIG = DATA_CACHE_CONFIG = {{"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "{home}/cache", "CACHE_DEFAULT_TIMEOUT": 86400}}
TALISMAN_ENABLED = False
STORE_CACHE_KEYS_IN_METADATA_DB = {stores}
"""
ADMIN = (
    "--username",
    "scout",
    "--firstname",
    "S",
    "--lastname",
    "C",
    "--email",
    "s@example.org",
    "--password",
    PASSWORD,
)
GOLD = "scout.gold_daily_metrics"
SOLD = f"UPDATE scout.silver_transactions SET total_amount = total_amount + 1; REFRESH MATERIALIZED VIEW {GOLD}"


@dataclass
class Real:
    """One at work, and a session of its API as its administrator."""

    url: str
    api: Any
    chart: int = 0

    def add(self, path: str, **about: Any) -> int:
        return int(self.api.ask("POST", f"/api/v1/{path}/", about)["id"])

    def shows(self) -> tuple[Any, bool]:
        """What its chart says, and whether that was in the cache."""
        [found] = self.api.ask("GET", f"/api/v1/chart/{self.chart}/data/")["result"]
        return found["data"][0]["it"], bool(found["is_cached"])

    def charted(self, name: str, dataset: int, expression: str, dashboard: int) -> int:
        metric = {"expressionType": "SQL", "sqlExpression": expression, "label": "it"}
        query = {"metrics": [metric], "columns": [], "filters": [], "row_limit": 10}
        datasource = {"id": dataset, "type": "table"}
        form = {"datasource": f"{dataset}__table", "viz_type": "big_number_total", "metric": metric}
        made: dict[str, Any] = {
            "slice_name": name,
            "viz_type": "big_number_total",
            "datasource_id": dataset,
            "datasource_type": "table",
            "dashboards": [dashboard],
            "params": json.dumps(form),
            "query_context": json.dumps({"datasource": datasource, "queries": [query], "form_data": form}),
        }
        return self.add("chart", **made)


@pytest.fixture
def real(
    scout_db: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Real]:
    """With a dashboard `sales` of two charts, of which one asks for a column that gold does not have."""
    (tmp_path / "config.py").write_text(CONFIG.format(home=tmp_path, stores=request.param))
    environment = {
        **os.environ,
        "SUPERSET_CONFIG_PATH": str(tmp_path / "config.py"),
        "FLASK_APP": "superset",
        "PYTHONPATH": "",
    }
    program = str(superset.SUPERSET.home / "bin" / "superset")
    for words in (["db", "upgrade"], ["fab", "create-admin", *ADMIN], ["init"]):
        done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen([program, "run", "-p", str(port)], env=environment, stdout=log, stderr=log)
    monkeypatch.setenv("SUPERSET_USERNAME", "scout")
    monkeypatch.setenv("SUPERSET_PASSWORD", PASSWORD)
    try:
        yield _filled(f"http://127.0.0.1:{port}", scout_db)
    finally:
        running.kill()
        running.wait()


def _filled(url: str, dsn: str) -> Real:
    api = asking._Api(url, None, time.monotonic() + START_SECONDS, set())  # pyright: ignore[reportPrivateUsage]
    while True:
        try:
            api.log_in("scout", PASSWORD, "db")
        except asking.Undelivered:
            assert time.monotonic() < api.deadline
            time.sleep(1)
        else:
            break
    made, at = Real(url, api), conninfo_to_dict(dsn)
    where = urllib.parse.urlencode({"host": at["host"], "port": at["port"]})
    uri = f"postgresql+psycopg2://{at['user']}@/{at['dbname']}?{where}"
    database = made.add("database", database_name="Scout", sqlalchemy_uri=uri)
    schema, table = GOLD.split(".")
    dataset = made.add("dataset", database=database, schema=schema, table_name=table)
    dashboard = made.add("dashboard", dashboard_title="Sales", slug="sales", published=True)
    made.chart = made.charted("Sales", dataset, "sum(total_sales)", dashboard)
    made.charted("Margin", dataset, "sum(margin)", dashboard)
    return made


@pytest.mark.parametrize(("real", "forgets"), [("True", True), ("False", False)], indirect=["real"])
def test_what_it_shows_after_gold_has_changed(real: Real, scout_db: str, forgets: bool) -> None:
    before, _ = real.shows()
    with connect(scout_db) as connection:
        connection.execute(SOLD)
    assert real.shows() == (before, True), "the dashboard shows the figures of before"
    made = seen_to(real.url, relations=[GOLD])
    assert (made["unreached"], [each["name"] for each in made["datasets"]]) == ("", [GOLD])
    after, cached = real.shows()
    assert (after != before, cached) == (forgets, not forgets)
    with connect(scout_db) as connection:
        connection.execute(SOLD)
    made = seen_to(real.url, relations=[GOLD], dashboards=["sales"], timeout_seconds=60)
    assert (made["unreached"], made["invalidated"], made["warmed"]) == ("", forgets, ["Sales"])
    assert any("STORE_CACHE_KEYS_IN_METADATA_DB" in each for each in made["warnings"]) is not forgets
    [broken] = made["broken"]
    assert (broken["chart"], broken["column"]) == ("Margin", "margin")
    warmed, cached = real.shows()
    assert (warmed > max(before, after), cached) == (True, True)
