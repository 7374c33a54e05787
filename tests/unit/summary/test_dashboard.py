# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of dashboard answers: fits a terminal, cuts no number, and nothing in it controls the screen."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import dashboard as pages
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.command import summarize
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.dashboard import table
from tests.unit.summary.test_summary import VALID, assessed

FIGURE = {"name": "silver_staleness", "value": 2.5, "unit": "minutes", "status": "ok", "threshold": {"ok": 5, "fail": 15},
          "source": "max(x)", "reason": ""}  # fmt: skip


def answer(**fields: Any) -> dict[str, Any]:
    made = {"name": "v_etl_performance", "dashboard": "Pipeline health", "rows": [], "total": 0, "seconds": 0.012, "error": None,
            "next_step": "", "caution": "its batches are events", "ours": [FIGURE]}  # fmt: skip
    return made | fields


def asked(*answers: dict[str, Any]) -> dict[str, Any]:
    return {
        "operation": "dashboard", "changed": False,
        "database": "scout on db1:5432", "asked_at": "2026-11-25T10:41:05+00:00", "verdict": "healthy",
        "queries": list(answers), "summary": "1 of 1",
    }  # fmt: skip


def test_the_page() -> None:
    rows = [
        {
            "hour": "2026-11-25T10:00:00+00:00",
            "batches_processed": 1234,
            "avg_duration_ms": None,
            "p95_duration_ms": 1.005,
        },
        {"hour": "2026-11-25T09:00:00+00:00", "batches_processed": 7, "avg_duration_ms": None, "p95_duration_ms": 25.0},
    ]
    other = {
        "name": "last_load",
        "value": None,
        "unit": "minutes",
        "status": "unknown",
        "threshold": None,
        "source": "",
        "reason": "locked",
    }
    flow = {
        **other,
        "name": "loaded_in_15_minutes",
        "value": 1234.0,
        "unit": "events",
        "status": "unjudged",
        "reason": "",
    }
    made = pages.page(asked(answer(rows=rows, total=25), answer(name="v_x", dashboard="Quality", ours=[other, flow])))
    assert made[:10] == [
        "dashboard of scout on db1:5432, 2026-11-25 10:41 UTC, healthy",
        "",
        "pipeline health",
        "",
        "  v_etl_performance  (2 of 25 rows, 0.01 s)",
        "                                 avg       p95",
        "                   batches  duration  duration",
        "    hour         processed        ms        ms",
        "    11-25 10:00      1,234         -      1.00",
        "    11-25 09:00          7         -     25.00",
    ]
    assert "    ours    silver staleness 2 min 30 s (ok)" in made
    assert "    mind    its batches are events" in made
    assert "quality" in made
    assert "    no row" in made
    assert "    ours    last load ? (locked); loaded in 15 minutes 1,234" in made


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([("ok", "", 60.0), ("ok", "x", 30.0)], "silver staleness 1 h, silver staleness 30 min (ok)"),
        ([("fail", "why", 60.0), ("warn", "", 6.0)], "silver staleness 1 h (fail: why); silver staleness 6 min (warn)"),
        (
            [("unknown", "locked", None), ("unknown", "locked", 1.0)],
            "silver staleness ?, silver staleness 1 min (locked)",
        ),
        ([("unknown", "", None)], "silver staleness ? (unknown)"),
        ([("unjudged", "", 1.0), ("unjudged", "A 1", 1.0)], "silver staleness 1 min; silver staleness 1 min (A 1)"),
    ],
)
def test_figures_with_the_same_remark_share_it(given: list[tuple[str, str, float | None]], told: str) -> None:
    figures = [FIGURE | {"status": status, "reason": reason, "value": value} for status, reason, value in given]
    made = " ".join(" ".join(pages.page(asked(answer(ours=figures)))).split())
    assert f"ours {told.replace('1 h', '1 h 0 min')} mind" in made


def test_names_stand_above_their_columns() -> None:
    assert table(
        [{"hour": "2026-11-25T10:00:00+00:00", "total_line_items": 1234, "note": "x", "none": None}], "2026-"
    ) == [
        "                 total",
        "                  line",
        "    hour         items  note  none",
        "    11-25 10:00  1,234  x        -",
    ]


def test_a_failure_stands_in_place_of_rows() -> None:
    made = pages.page(
        asked(answer(error="permission denied for view x", next_step="GRANT SELECT ON x TO y", total=None))
    )
    assert "    failed  permission denied for view x. Next: GRANT SELECT ON x TO y" in made
    assert "    no row" not in made


WIDE = {
    "numbers": [{f"total_number_{n}": 123456.789 + n for n in range(5)}],
    "many": [{f"column_{n}": n for n in range(40)}],
    "long": [{"transaction_id": "x" * 500, "alert_payload": {"a": "y" * 400, "b": 1}, "severity": "critical"}],
    "words": [{"text": " ".join(["word"] * 200), "n": 1}],
    "names": [{"x" * 300: 1, "_": 2, "": 3, "__a__": 4}],
    "different": [{"a": 1}, {"b": 2}],
    "nested": [{"a": [1, {"b": None}], "c": {}, "d": {"e": {"f": True}}}],
}


@pytest.mark.parametrize("name", WIDE)
def test_no_line_is_wider_than_a_terminal(name: str) -> None:
    made = table(WIDE[name])
    assert max(map(len, made)) <= pages.WIDTH
    assert len(made) < 30


def test_numbers_and_moments_are_never_broken_and_identifiers_last() -> None:
    identifier = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    row = {"severity": "critical", "id": identifier, "at": "2025-01-02T03:04:05.6+00:00"}
    made = "\n".join(table([row | {"payload": {"store_id": "S001", "total_amount": -50.0}}], "2025"))
    assert identifier in made
    assert "01-02 03:04" in made
    made = "\n".join(table([row | {"payload": "some words here", "total": 1234567.89}], "2026"))
    assert identifier not in made
    assert "2025-01-02 03:04" in made
    assert "1,234,567.89" in made


def test_what_is_cut_says_so() -> None:
    made = table([{"text": " ".join(["word"] * 200), "n": 1}])
    assert sum("word" in line for line in made) == pages.TALLEST
    assert "…" in made[-1]


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;title\x07", "a\nb\rc\td", "\u202egnp.exe", "\x9b31m", "\u2028"])
def test_nothing_controls_the_screen(text: str) -> None:
    made = pages.page(
        asked(
            answer(rows=[{text: text, "b": {text: text}, "c": [text]}], total=1),
            answer(error=text, total=None),
        )
        | {"database": text}
    )
    assert len(made) > 3
    assert [line for line in made if not line.isprintable()] == []


def run_summary(**steps: Any) -> dict[str, Any]:
    params = {"operation": "assess", "incident": "adhoc", "resume": True, "result_file": None,
              "steps": [{name: result} for name, result in steps.items()]}  # fmt: skip
    return summarize(params, check=False)


def test_the_page_comes_before_the_summary_and_in_the_document() -> None:
    dashboard = asked(answer(rows=[{"hour": "x"}], total=1))
    made = run_summary(assess=assessed("healthy"), dashboard=dashboard, metrics={"skipped": True, "changed": False})
    assert made["lines"][0].startswith("dashboard of scout on db1:5432")
    assert made["lines"].index("") < made["lines"].index("assess of scout on db1.example.org:5432")
    jsonschema.validate(made["document"], VALID.schema)
    assert made["document"]["dashboard"] == dashboard["queries"]
    assert made["document"]["outcome"] == "assessed"


@pytest.mark.parametrize(
    "dashboard", [{}, {"skipped": True, "changed": False}, {"failed": True, "msg": "x", "changed": False}]
)
def test_without_answers_there_is_no_page(dashboard: dict[str, Any]) -> None:
    made = run_summary(assess=assessed("healthy"), dashboard=dashboard)
    assert made["lines"][0].startswith("assess of ")
    assert made["document"]["dashboard"] == []
