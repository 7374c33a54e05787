# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on the pipeline: named after a recovery, called if asked, in the report; and no recovery is held up by it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_move_playbooks import ran, some_loaded
from tests.integration.listeners import Answer, Web
from tests.integration.modules import call

EXPORT = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(json.load(sys.stdin)) + chr(10))"


def test_what_reads_quarantined_sales_is_named_and_called_if_asked(
    healthy: Pipeline, quick: Quick, tmp_path: Path
) -> None:
    file = tmp_path / "calls"
    downstream = [
        {"name": "export", "reads": ["silver_transactions"], "command": [sys.executable, "-c", EXPORT, str(file)]},
        {"name": "broken", "reads": ["bronze_events"], "command": ["/no/such/program"]},
        {"name": "elsewhere", "reads": ["dim_store"], "command": ["/no/such/program"]},
    ]
    options = some_loaded(healthy, 3) | {"refresh": False}
    opened = call("scout_incident", healthy.dsn, state="opened", incident="INC-1", title="bad sales", severity="high")
    assert opened["changed"], opened
    made = quick.play("quarantine", healthy.dsn, downstream=downstream, **options)
    ran(made, "done")
    said = " ".join(made.summary.split())
    assert "export reads silver_transactions; broken reads bronze_events, of 20" in said
    assert "elsewhere" not in said
    assert not file.exists()
    run_id = made.result["move"]["run_id"]
    undone = quick.play(
        "undo", healthy.dsn, downstream=downstream, notify_downstream=True, run_id=run_id, refresh=False
    )
    # Its own result stands, whatever became of the calls.
    document = ran(undone, "done")
    [sent] = [json.loads(line) for line in file.read_text().splitlines()]
    assert sent["operation"] == "undo"
    assert "scout.silver_transactions" in sent["relations"]
    [step] = [step for step in document["steps"] if step["name"] == "downstream"]
    assert (step["failed"], step["effects"]["called"]) == (False, ["export"])
    assert [each["name"] for each in step["effects"]["uncalled"]] == ["broken"]
    assert any(each.startswith("broken was not called: /no/such/program") for each in document["warnings"])
    seen = [
        event
        for event in call("scout_incident_info", healthy.dsn, incident="INC-1")["timeline"]
        if event["what"] == "downstream"
    ]
    assert len(seen) == 2, "what was named, and what was called, is on record"
    assert "export reads silver_transactions" in seen[0]["effect"]
    assert "called export; not called: broken" in seen[1]["effect"]


def test_superset_shows_what_was_refreshed_and_holds_nothing_up(
    healthy: Pipeline, stage: Stage, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "s3cr3t-of-superset"
    monkeypatch.setenv("SUPERSET_USERNAME", "scout")
    monkeypatch.setenv("SUPERSET_PASSWORD", password)
    [view] = healthy.rows("SELECT matviewname FROM pg_matviews WHERE schemaname = 'scout' ORDER BY 1 LIMIT 1")
    answers = [
        Answer(text=json.dumps(each))
        for each in (
            {"access_token": "T0KENT0KENT0KEN"},
            {"result": "CSRF"},
            {"result": [{"id": 7, "schema": "scout", "table_name": view[0]}]},
            {},
        )
    ]
    given = {"refresh_gold_force": True, "refresh_gold_views": [view[0]]}
    with Web(*answers) as web:
        made = stage.play("refresh_gold", healthy.dsn, superset_url=web.url(""), **given)
        ran(made, "done")
        assert f"asked Superset to invalidate its caches of 1 dataset ({view[0]})" in " ".join(made.summary.split())
        assert web.got[3].body == {"datasource_uids": ["7__table"]}
    with Web(Answer(401, text="Not authorized")) as refuses:
        made = quick.play("refresh_gold", healthy.dsn, superset_url=refuses.url(""), **given)
        ran(made, "done")
        said = " ".join(made.summary.split())
        assert "Superset was not seen to: POST /api/v1/security/login: HTTP 401: Not authorized" in said
        assert "up to 24 h" in said
    assert password not in made.text + json.dumps(made.result)
