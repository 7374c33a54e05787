# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads the pipeline: named where it holds what was changed, called only if asked, and a call that fails fails alone."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.notifications import downstream
from ansible_collections.scout.recovery.plugins.modules import scout_downstream
from tests.integration.listeners import HANG, TRICKLE, Answer, Web
from tests.integration.modules import as_declared

SECRET = "/hooks/T0SECRET1/xoxSECRETxSECRET"
AFFECTED = {
    "operation": "quarantine",
    "relations": ["scout.silver_transactions", "scout.gold_daily"],
    "views": ["scout.gold_daily"],
    "days": ["2026-11-25"],
    "run_id": "1",
}


def carried_out(
    *consumers: Any, call: bool = True, check: bool = False, affected: Any = AFFECTED, seconds: float = 60.0
) -> dict[str, Any]:
    """The module's result, which never fails and holds no secret."""
    params = {"consumers": list(consumers), "affected": affected, "call": call, "timeout_seconds": seconds}
    result = invoke(
        scout_downstream.run, "scout_downstream", params, check=check, progress=Progress(lambda _line: None)
    )
    assert not result.get("failed"), result
    assert "SECRET" not in json.dumps(result)
    return as_declared("scout_downstream", result)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_holds_it_is_named_and_only_called_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "called"
    for name in ("PGPASSWORD", "SCOUT_DSN", "SUPERSET_PASSWORD"):
        monkeypatch.setenv(name, "hunter2-hunter2")
    monkeypatch.setenv("EXPORT_TARGET", "bucket")
    code = f"import json, os, sys; open({str(file)!r}, 'w').write(json.dumps([sys.argv[1], json.load(sys.stdin), dict(os.environ)]))"
    export = {"name": "export", "reads": ["silver_transactions"], "command": [*python(code), "$(id); `id`"]}
    other = {"name": "other", "reads": ["other.silver_transactions", "bronze_events"], "command": ["/bin/false"]}
    dbt = {"name": "dbt", "reads": ["scout.gold_daily"]}
    for quiet in ({"call": False}, {"check": True}):
        seen = carried_out(export, other, dbt, **quiet)  # type: ignore[arg-type]
        assert [each["name"] for each in seen["named"]] == ["export", "dbt"]
        assert (seen["changed"], seen["warnings"], file.exists()) == (False, [], False)
    assert carried_out(export, dbt, call=False)["summary"] == (
        "export reads silver_transactions; dbt reads gold_daily, of 2026-11-25; none was called: -e notify_downstream=true calls them"
    )
    made = carried_out(export, other, dbt)
    assert (made["changed"], made["called"], made["uncalled"]) == (True, ["export"], [])
    argument, document, environment = json.loads(file.read_text())
    assert argument == "$(id); `id`"
    assert document == made["document"] == {"format": "scout-recovery-downstream/1", **AFFECTED}
    assert environment["EXPORT_TARGET"] == "bucket"
    assert not any("hunter2" in value for value in environment.values())
    nothing = carried_out(export, affected={**AFFECTED, "relations": ["scout.alerts"]})
    assert (nothing["changed"], nothing["summary"]) == (False, "nothing downstream reads what was changed")


def test_each_that_fails_is_named_and_holds_up_nobody() -> None:
    reads = {"reads": ["gold_daily"]}
    with Web(HANG) as hangs, Web(TRICKLE) as trickles, Web(Answer(500, text="down")) as broken, Web(201) as good:
        consumers = [
            {"name": "hangs", "url": hangs.url(SECRET), "timeout_seconds": 0.5, **reads},
            {"name": "trickles", "url": trickles.url(SECRET), "timeout_seconds": 0.5, **reads},
            {"name": "broken", "url": broken.url(SECRET), **reads},
            {"name": "moved", "url": good.url(), "headers": {"Authorization": "Bearer xoxSECRETxSECRET"}, **reads},
            {"name": "exits", "command": python("import sys; sys.exit('no\\nbucket \\033[31mpassword=hunter2-hunter2')"), **reads},
            {"name": "sleeps", "command": python("import time; time.sleep(60)"), "timeout_seconds": 0.5, **reads},
            {"name": "is not there", "command": ["/no/such/program", "a b"], **reads},
        ]  # fmt: skip
        began = time.monotonic()
        made = carried_out(*consumers)
        assert time.monotonic() - began < 20
        assert (made["called"], len(good.got)) == (["moved"], 1)
        assert good.got[0].headers["Authorization"] == "Bearer xoxSECRETxSECRET"
        assert len(broken.got) == 1, "a second call may do its work twice"
    errors = {each["name"]: each["error"] for each in made["uncalled"]}
    assert errors.keys() == {"hangs", "trickles", "broken", "exits", "sleeps", "is not there"}
    assert "0.5 s" in errors["hangs"]
    assert "0.5 s" in errors["trickles"]
    assert errors["broken"] == "HTTP 500: down"
    assert "exited with 1: no bucket" in errors["exits"]
    assert "hunter2" not in errors["exits"]
    assert "\033" not in errors["exits"]
    assert "ended after 0.5 s" in errors["sleeps"]
    assert errors["is not there"] == (
        "/no/such/program could not be started: No such file or directory; to call it: /no/such/program 'a b'"
    )
    assert "exits was not called: " in "\n".join(made["warnings"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("export", "it is not a dictionary"),
        ({"name": "a"}, "name or reads is missing"),
        ({"reads": ["b"]}, "name or reads is missing"),
        ({"name": "a", "reads": ["b"], "shell": "rm"}, "it has no shell"),
        ({"name": "a", "reads": ["b; DROP"]}, "reads 'b; DROP' is no table or view"),
        ({"name": "a", "reads": ["b"], "command": "rm -rf x"}, "command is no list"),
        ({"name": "a", "reads": ["b"], "command": ["x"], "url": "https://a.example"}, "command and url are given"),
        ({"name": "a", "reads": ["b"], "url": f"http://a.example{SECRET}"}, "url is not encrypted"),
        ({"name": "a", "reads": ["b"], "timeout_seconds": 0}, "timeout_seconds 0 is not usable"),
    ],
)
def test_one_that_is_described_wrongly_is_named(given: Any, said: str) -> None:
    made = carried_out(given, {"name": "good", "reads": ["gold_daily"]})
    [wrong] = made["uncalled"]
    assert said in wrong["error"]
    assert [each["name"] for each in made["named"]] == ["good"]


MOVED = {
    "changed": True,
    "moved": {"events": 2, "transactions": 2, "lines": 0},
    "gold_days": ["2026-11-25"],
    "run_id": "r",
}


@pytest.mark.parametrize(
    ("steps", "relations", "days"),
    [
        ({"quarantine": {"changed": False, "moved": {"events": 0}}}, None, []),
        ({"pause": {"changed": True}}, None, []),
        ({"quarantine": MOVED}, ["scout.bronze_events", "scout.silver_transactions"], ["2026-11-25"]),
        ({"quarantine": {"failed": True, "effects": {"moved": {"lines": 3}}}}, ["scout.silver_line_items"], []),
        ({"window_recovery": {"changed": True, "loaded": 3}}, ["scout.silver_transactions", "scout.silver_line_items"], []),
        (
            {"refresh_gold": {"changed": True, "refreshed": [{"name": "scout.gold_a"}, {"name": "scout.gold_b", "error": "x"}]}},
            ["scout.gold_a"],
            [],
        ),
        (
            {"rollback": {"changed": True, "steps": [
                {"key": "column:scout.silver_transactions.note"}, {"key": "function:scout.f(integer)"}, {"key": "job:a.b"}]}},
            ["scout.silver_transactions", "scout.f"],
            [],
        ),
    ],
)  # fmt: skip
def test_what_an_operation_changed(steps: Any, relations: list[str] | None, days: list[str]) -> None:
    made = downstream.affected("x", steps)
    assert (made and (made["relations"], made["days"])) == (relations and (relations, days))
