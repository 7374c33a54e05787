# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an incident: what it says of which record, its words, and its pictures."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import xml.etree.ElementTree as ET
import zoneinfo
from typing import Any

import pytest
from markdown_it import MarkdownIt

from ansible_collections.scout.recovery.plugins.filter.escaped import escaped
from ansible_collections.scout.recovery.plugins.filter.markdown import markdown
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import markdown as core_markdown
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents import figures, options, timeline
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report import build, wording
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report import charts as report_charts
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report import impact as report_impact
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report import story as report_story
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report.facts import Facts
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import incident, render

BEGAN = datetime.datetime(2026, 11, 25, 17, 0, tzinfo=datetime.UTC)


def at(minutes: float) -> datetime.datetime:
    return BEGAN + datetime.timedelta(minutes=minutes)


def run(action: str, minutes: float, *, status: str = "succeeded", **effects: Any) -> dict[str, Any]:
    """A line of the ledger, of a run that took a minute."""
    return {
        "run_id": f"{action}-{minutes}", "parent_run_id": None, "action": action, "status": status, "incident": "INC-1",
        "actor": "eve@db", "started_at": at(minutes), "finished_at": at(minutes + 1), "seconds": 60.0, "effects": effects,
        "error": None, "undoes": None, "undone_by": None,
    }  # fmt: skip


def entry(kind: str, minutes: float, text: str = "x", **details: Any) -> dict[str, Any]:
    return {"entry": 1, "at": at(minutes), "actor": "bob@db", "kind": kind, "text": text, "details": details}


def sample(minutes: float, verdict: str = "failing", **figures: float) -> dict[str, Any]:
    statuses = {name: "fail" if value > 15 else "ok" for name, value in figures.items()}
    return {"at": at(minutes), "verdict": verdict, "state": "running", "figures": figures, "statuses": statuses}


def letters(run_id: str, **more: Any) -> dict[str, dict[str, Any]]:
    row = {
        "run_id": run_id, "events": 3, "transactions": 2, "lines": 7, "amount": "1234.50", "no_amount": 1, "waiting": 3,
        "first_at": at(-60), "last_at": at(-30),
    }  # fmt: skip
    return {run_id: row | more}


def told(
    *parts: dict[str, Any],
    facts: Facts | None = None,
    zone: str | None = None,
    currency: str = "",
    database: str = "scout on db1:5432",
    **line: Any,
) -> dict[str, Any]:
    """The report of an incident with these runs and entries."""
    row = {
        "incident": "INC-1", "title": "gold is stale", "severity": "high", "opened_at": at(0), "opened_by": "bob@db",
        "closed_at": None, "closed_by": None, "root_cause": None, "next_update_at": None,
    }  # fmt: skip
    opened = entry("opened", 0, "gold is stale", response_minutes=30, escalation=["on-call engineer"])
    record = timeline.Record(
        row | line,
        [opened, *(part for part in parts if "kind" in part)],
        [part for part in parts if "action" in part],
        [],
        at(10_000),
    )
    story = report_story.ReportInput(record, facts or Facts(), database, timeline.zone_of(zone), currency)
    made = build.build(story)
    json.dumps(made)
    return made


def commands(made: dict[str, Any]) -> list[str]:
    """Every command of a report."""
    return re.findall(r'"command": "([^"]+)"', json.dumps(made, ensure_ascii=False))


def milestones(made: dict[str, Any]) -> dict[str, tuple[str | None, str]]:
    return {mark["name"]: (mark["time"], mark["text"]) for mark in made["milestones"]}


def test_an_incident_of_which_nothing_is_on_record_but_that_it_was_opened() -> None:
    made = told()
    assert milestones(made) == {
        "Detection": ("17:00:00", "Incident opened by bob@db"),
        "Mitigation started": (None, "nothing was done yet"),
        "Root cause found": (None, "not written down yet"),
        "Resolved": (None, "not yet"),
    }
    assert made["closed"] is None
    assert made["as_of"]["utc"] == "2026-11-25 17:00:00 UTC", "the clock of today is no part of it"
    assert [part["item"] for part in made["missing"]] == ["root_cause", "external_dependencies", "retrospective"]
    assert made["missing"][0]["how"] == "incident_note.yml takes incident=INC-1 and root_cause"
    assert not [text for text in commands(made) if "…" in text], "a command with a placeholder is none"
    assert (made["resolution"], made["done"], made["looks"]["count"]) == ([], [], 0)
    assert made["impact"]["data"] == "no rows were touched"
    assert made["impact"]["affected"] == "none"
    assert made["in_brief"] == (
        "How long users saw wrong figures is unknown: no look at gold is on record. "
        "High, open, on record for 0.0 s. No rows were touched."
    )
    assert made["people"] == [{"name": "bob@db", "did": "opened it"}]


def test_an_incident_from_end_to_end() -> None:
    quarantine = run("quarantine", 20, moved={"events": 3})
    made = told(
        entry("note", 1, "three stores called", item="impact_scope"),
        run("assess", 2, verdict="failing", summary="failing: gold_staleness 1 h"),
        run("pause", 5, deactivated=["etl"]),
        run("drain", 7, loaded=100),
        quarantine,
        run("resume", 25, activated=["etl"]),
        run("gate", 30, verdict="pass", ok=True, summary="pass"),
        entry("note", 35, "a till sends text", item="root_cause"),
        entry("note", 36, "an alert on text in amounts", item="update_monitoring"),
        entry("update", 37, "it is over"),
        entry("closed", 40, "done"),
        closed_at=at(40),
        closed_by="bob@db",
        root_cause="a till sends text",
        facts=Facts(
            pauses=[{"paused_at": at(5), "resumed_at": at(26), "actor": "eve@db", "resumed_by": "eve@db"}],
            quarantined=letters(quarantine["run_id"]),
        ),
        zone="Asia/Manila",
    )
    marks = milestones(made)
    assert marks["Detection"] == ("17:00:00", "Incident opened by bob@db; failing: gold_staleness 1 h")
    assert marks["Mitigation started"] == ("17:05:00", "Ingestion paused by eve@db: 1 job off: etl")
    assert marks["Root cause found"] == ("17:35:00", "a till sends text")
    steps = "Ingestion paused, backlog loaded, events quarantined and ingestion resumed"
    assert marks["Resolved"] == ("17:26:00", steps)
    assert list(marks) == ["Detection", "Mitigation started", "Resolved", "Root cause found"], "as they happened"
    impact = made["impact"]
    assert impact["duration"] == "40 min"
    assert impact["paused"] == "21 min"
    assert (
        impact["data"]
        == "3 events, 2 transactions and 7 line items quarantined, 1,234.50 in all; 100 events loaded late"
    )
    assert (impact["amount"], impact["no_amount"], impact["waiting"]) == ("1234.50", 1, 3)
    assert impact["business"] == ["three stores called"]
    assert impact["affected"] == "Bronze and Silver"
    assert impact["window"]["start"]["utc"] == "2026-11-25 16:00:00 UTC"
    assert made["closed"]["local"] == "26 Nov 01:40:00 +08:00"
    assert [step["heading"] for step in made["done"] if step["acts"]] == [
        "Ingestion paused", "Backlog loaded", "Events quarantined", "Ingestion resumed",
    ]  # fmt: skip
    assert [step["command"] for step in made["done"] if step["undo"]] == [
        "ansible-playbook playbooks/undo.yml -e run_id=quarantine-20"
    ]
    assert {action["text"]: action["done"] for action in made["follow_ups"]} == {
        "Update monitoring alerts": True,
        "Update the runbook": False,
        "Schedule team retrospective": False,
        "Document lessons learned": False,
        "Decide on 3 dead letters of this incident: fix the cause and redrive, or discard": False,
    }
    assert [note["text"] for note in made["prevention"]] == ["an alert on text in amounts"]
    assert [told["text"] for told in made["communications"]] == ["it is over"]
    figures = {figure["label"]: (figure["value"], figure["note"]) for figure in made["figures"]}
    assert next(iter(figures)) == "Users saw wrong figures"
    assert figures == {
        "Users saw wrong figures": ("unknown", "no look at gold is on record"),
        "Duration": ("40 min", "until 2026-11-25 17:40 UTC"),
        "First response": ("1 min", "within the 30 min promised"),
        "Recovered": ("26 min", "after it was opened"),
        "Ingestion paused": ("21 min", "1 pause"),
        "Quarantined": ("3 events", "2 transactions and 7 line items; 3 unresolved dead letters"),
        "Amount quarantined": ("1,234.50", "without 1 row that has none"),
    }
    assert (
        made["in_brief"]
        .partition(". ")[2]
        .startswith("High, closed after 40 min. The first response came after 1 min. Ingestion was paused")
    )


NOT_CONFIRMED = "not confirmed yet: no acceptance gate has passed since the last step"


@pytest.mark.parametrize(
    ("parts", "line", "end"),
    [
        ([run("drain", 1)], {}, (None, NOT_CONFIRMED)),
        ([run("gate", 1, ok=True), run("drain", 3)], {}, (None, NOT_CONFIRMED)),
        ([run("drain", 1), run("gate", 3, ok=True)], {}, ("17:02:00", "Backlog loaded")),
        ([run("drain", 1), run("gate", 3, ok=False, verdict="fail")], {}, (None, NOT_CONFIRMED)),
        ([run("drain", 1), run("gate", 3, verdict="healthy")], {}, ("17:02:00", "Backlog loaded")),
        ([run("drain", 1, status="failed"), run("gate", 3, ok=True)], {}, (None, "not yet")),
        ([run("drain", 1) | {"undone_by": "u"}, run("gate", 3, ok=True)], {}, (None, "not yet")),
        ([], {"closed_at": at(9)}, ("17:09:00", "closed without a recovery step")),
        ([run("drain", 1)], {"closed_at": at(9)}, ("17:02:00", "Backlog loaded")),
    ],
)
def test_when_it_was_resolved(parts: list[Any], line: dict[str, Any], end: tuple[str | None, str]) -> None:
    assert milestones(told(*parts, **line))["Resolved"] == end


def test_what_was_undone_counts_no_more_and_is_told() -> None:
    gone = run("quarantine", 1, moved={"events": 3}) | {"undone_by": "undo-5"}
    made = told(gone, run("undo", 5, put_back={"events": 3}) | {"undoes": gone["run_id"]})
    step = made["done"][0]
    assert (step["undone"], step["undo"], step["command"]) == ("undone by eve@db", None, None)
    assert made["impact"]["events"] == 0


def test_an_open_pause_counts_to_the_end_of_what_is_on_record() -> None:
    pause = {"paused_at": at(5), "resumed_at": None, "actor": "eve@db", "resumed_by": None}
    made = told(run("pause", 5), entry("note", 35), facts=Facts(pauses=[pause]))
    assert made["impact"]["paused"] == "30 min"
    assert made["impact"]["still_paused"] is True
    assert made["impact"]["pauses"][0]["end"] is None
    assert made["follow_ups"][-1]["command"] == "ansible-playbook playbooks/resume_ingestion.yml"


def test_a_late_response_and_what_could_not_be_read() -> None:
    drained = run("drain", 45, loaded=7, poison=[{}, {}])
    made = told(drained, facts=Facts(unknown={"dead letters": "it could not be read within the time budget"}))
    first, amount = made["figures"][2], made["figures"][6]
    assert (first["value"], first["note"], first["tone"]) == ("45 min", "later than the 30 min promised", "bad")
    assert (amount["value"], amount["note"]) == ("unknown", "it could not be read within the time budget")
    assert made["impact"]["events"] == 2, "as the run itself counted them"


def test_a_window_made_again() -> None:
    again = run("window_recovery", 3)
    row = {"run_id": again["run_id"], "removed": 4, "added": 5, "amount_before": "-10", "amount_after": "1200.00"}
    made = told(again, facts=Facts(made_again={again["run_id"]: row}))
    assert made["impact"]["data"] == "5 transactions rebuilt from events, -10.00 before and 1,200.00 now"
    undone = told(again | {"undone_by": "u"}, facts=Facts(made_again={again["run_id"]: row}))
    assert undone["impact"]["data"] == "no rows were touched"


def test_layers_and_looks() -> None:
    look = run("assess", 0, verdict="failing", figures={"gold_staleness": 90.0, "backlog_events": 5})
    look["effects"]["statuses"] = {"gold_staleness": "fail"}
    watched = [sample(5, silver_staleness=20), sample(6, "healthy", silver_staleness=1, backlog_events=0)]
    made = told(look, run("rollback", 2), facts=Facts(samples=watched, sample_count=60))
    layers = {layer["name"]: layer["signs"] for layer in made["impact"]["layers"]}
    assert layers == {
        "Bronze": [], "Silver": ["up to 20 min behind"], "Gold": ["up to 1 h 30 min behind"], "Schema": ["rolled back"],
    }  # fmt: skip
    assert made["impact"]["felt"] == "Data were behind: silver by up to 20 min and gold by up to 1 h 30 min"
    looks = made["looks"]
    assert (looks["count"], looks["watched"], looks["recovered"]) == (61, 60, True)
    assert [(row["name"], row["first"], row["most"], row["last"]) for row in looks["figures"]] == [
        ("Silver staleness", "20 min", "20 min", "1 min"),
        ("Gold staleness", "1 h 30 min", "1 h 30 min", "1 h 30 min"),
        ("Backlog, events", "5", "5", "0"),
    ]


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("INC-2041", "scout on db1:5432"), "INC-2041-scout-2026-11-25"),
        (("a:b#c@d+e", "my db/../x on h"), "a_b_c_d_e-my_db_.._x-2026-11-25"),
        (("..", "s on h"), "..-s-2026-11-25"),
    ],
)
def test_file_names(parts: tuple[str, str], name: str) -> None:
    assert build.file_name(*parts, BEGAN) == name


HOSTILE = [
    "| a | b |", "`code` ``` ~~~", "<script>alert(1)</script>", "*a* _b_ **c** ~~d~~", "# head", "- item", "1. one", "+ x",
    "> quote", "[l](http://x)", "![i](x)", "&amp; &#65;", "a\\", "===", "---", "\\| pipe", "$x$", "snake_case and 2 * 3",
    "<!-- -->", "x" * 500, "\t indented", "{{ 7 * 7 }} {% raw %}",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_people_cannot_break_markdown(text: str) -> None:
    reader = MarkdownIt("gfm-like", {"linkify": False})
    shown = core_markdown.escaped(text)
    folded = " ".join(text.split())
    for before, after in (("", ""), ("- **When**: ", ""), ("a ", " b")):
        tokens = reader.parse(f"{before}{shown}{after}\n")
        inline = [token for token in tokens if token.type == "inline"]
        assert len(inline) == 1
        said = "".join(child.content for child in inline[0].children or [])
        assert said.replace("\N{WORD JOINER}", "").strip().endswith(f"{folded}{after}".strip())
        kinds = {child.type for child in inline[0].children or []} - {"text", "text_special"}
        assert kinds <= ({"strong_open", "strong_close"} if "**" in before else set())
    table = reader.render(f"| a | b |\n|---|---|\n| {shown} | end |\n")
    assert (table.count("<td"), table.count("<tr")) == (2, 2)


def test_texts_of_several_lines_keep_them() -> None:
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(
        core_markdown.escaped_block("one\n# two\n\n    three\n- four")
    )
    assert shown == "<p>one<br />\n# two</p>\n<p>three<br />\n- four</p>\n"


def test_nobody_is_called_by_a_report() -> None:
    assert core_markdown.escaped("@team #12 root@vm") == "@\u2060team #\u206012 root@vm"


def drawn(*points: dict[str, Any], pauses: Any = ()) -> list[dict[str, Any]]:
    return report_charts.draw(points, pauses, at(60), thresholds.DEFAULTS)


def test_no_chart_of_less_than_two_looks() -> None:
    assert drawn() == []
    assert drawn(sample(0, gold_staleness=1)) == []
    assert drawn(sample(0), sample(1)) == [], "nor of looks that saw no figure"


def test_charts_are_elements_of_the_page_in_its_colours() -> None:
    points = [sample(m, gold_staleness=90 - m, silver_staleness=1, backlog_events=2000 - m) for m in range(30)]
    pauses = [(at(5), at(6), "eve"), (at(20), None, "eve")]
    charts = drawn(*points, pauses=pauses)
    assert [(chart["name"], chart["title"]) for chart in charts] == [("looks", "Staleness and backlog")]
    ids: list[str] = []
    for chart in charts:
        for size in ("wide", "narrow"):
            svg = chart[size]
            root = ET.fromstring(svg)
            assert (root.tag, root.get("role")) == ("svg", "img")
            assert root.get("width") is None, "as wide as there is room"
            assert not re.search(r"http|<style|#01010|font-family|<\?xml|DejaVu", svg)
            found = re.findall(r'\bid="([^"]+)"', svg)
            assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(found)
            ids += found
            assert "var(--ink-soft)" in svg
            assert "paused" in svg
    assert len(ids) == len(set(ids))
    assert drawn(*points, pauses=pauses) == charts, "the same once more"


@pytest.mark.parametrize("most", [20.0, 90.0, 5000.0, 30_000_000.0])
def test_charts_of_minutes_and_of_decades(most: float) -> None:
    (chart,) = drawn(sample(0, gold_staleness=most), sample(600, gold_staleness=0.1))
    assert (">1 h<" in chart["wide"]) is (most > report_charts.LONG_MINUTES)
    assert "fail above 15 min" in chart["wide"]


def path_of(svg: str, colour: str) -> list[tuple[float, float]]:
    """The points of the line of a colour."""
    found = next(
        part
        for part in re.findall(r"<path d=\"([^\"]+)\"[^>]*style=\"([^\"]*)\"", svg)
        if f"stroke: {colour}" in part[1]
    )
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", found[0])]


def test_a_figure_holds_until_the_next_look() -> None:
    """No line leads from one to the other: between two looks nobody knows it."""
    (chart,) = drawn(sample(0, gold_staleness=1), sample(10, gold_staleness=9), sample(30, gold_staleness=2))
    line = path_of(chart["wide"], "var(--gold)")
    assert len(line) == 5
    assert all(x == after_x or y == after_y for (x, y), (after_x, after_y) in itertools.pairwise(line))


def test_looks_and_steps_are_marked_on_one_axis_with_units() -> None:
    points = [sample(m, gold_staleness=m, backlog_events=m) for m in (0, 1, 50)]
    (chart,) = report_charts.draw(
        points, (), at(60), thresholds.DEFAULTS, [(at(20), 1), (at(40), 2), (at(40.5), 3), (at(70), 4)]
    )
    for size in ("wide", "narrow"):
        svg = chart[size]
        assert [svg.count(f">{mark}<") for mark in ("1", "2-3", "4")] == [1, 1, 1]
        assert svg.count('id="looks-' + size + "-step-") == 6, "in both charts"
        assert svg.count('id="looks-' + size + "-look-") == 2
        assert ">age of the newest row<" in svg
        assert ">events pending<" in svg
        assert svg.count("UTC, 2026-11-25") == 1


GOLD = [sample(0, gold_staleness=20), sample(30, "healthy", gold_staleness=1)]


@pytest.mark.parametrize(
    ("looks", "seconds", "said", "value"),
    [
        ([], None, "is unknown: no look at gold is on record", "unknown"),
        ([sample(0, silver_staleness=90)], None, "is unknown: no look at gold is on record", "unknown"),
        ([sample(0, gold_staleness=1)], 0, "No look found gold beyond its threshold (1 look).", "not seen"),
        # It passed ten minutes ten minutes before the first look.
        (GOLD, 40 * 60, "Users saw wrong figures for 40 min: gold up to 20 min old.", "40 min"),
        # An assessment calls it fine as long as silver is no newer.
        ([sample(0, gold_staleness=20) | {"statuses": {"gold_staleness": "ok"}}, GOLD[1]], 40 * 60, "for 40 min: gold", "40 min"),
        # Not before a look found it within.
        ([sample(-5, gold_staleness=9), *GOLD], 35 * 60, "for 35 min: gold", "35 min"),
        ([*GOLD, sample(50, gold_staleness=19), sample(60, gold_staleness=1)], 59 * 60, "for 59 min in 2 spells: gold", "59 min"),
        # As long as the record goes.
        ([sample(0, gold_staleness=20)], 70 * 60,
         "at least 1 h 10 min: gold up to 20 min old; the last look still found it so.", "1 h 10 min"),
    ],
)  # fmt: skip
def test_how_long_users_saw_wrong_figures(looks: list[Any], seconds: int | None, said: str, value: str) -> None:
    made = told(entry("note", 60), facts=Facts(samples=looks, sample_count=len(looks)))
    assert made["wrong_figures"]["seconds"] == seconds
    assert said in made["in_brief"].partition(". High")[0] + "."
    assert made["figures"][0]["value"] == value


def test_amounts_have_the_currency_that_was_named() -> None:
    moved = run("quarantine", 1, moved={"events": 3})
    facts = Facts(quarantined=letters(moved["run_id"]))
    made = told(moved, facts=facts, currency="EUR")
    assert "1,234.50 EUR in all" in made["impact"]["data"]
    assert made["figures"][6]["value"] == "1,234.50 EUR"
    assert told(moved, facts=facts)["figures"][6]["value"] == "1,234.50"


@pytest.mark.parametrize("given", ["EUR5", "dollars", "<b>", "E\nR"])
def test_a_currency_that_is_none(given: str) -> None:
    with pytest.raises(errors.BadInput, match="currency"):
        options.currency(given)


def test_no_path_of_one_machine() -> None:
    folder = "/home/ana/evidence/INC-1/20261125"
    kept = run("evidence", 1, folder=folder, summary=f"kept 12 files in {folder} (0.4 s)")
    made = told(kept, database="scout on /run/postgresql:5432")
    assert "/home" not in json.dumps(made)
    assert "/run" not in json.dumps(made)
    assert made["evidence"][0]["folder"] == "20261125"
    assert made["done"][0]["effect"] == "kept 12 files in 20261125 (0.4 s)"
    assert made["database"] == "scout on a local socket"


def test_a_sample_without_a_figure_is_a_gap() -> None:
    (chart,) = drawn(sample(0, silver_staleness=1), sample(1, "inconclusive"), sample(2, silver_staleness=3))
    assert "silver" in chart["wide"]
    assert "gold" not in chart["wide"]


def test_what_is_kept_of_a_look() -> None:
    seen = {"name": "gold_staleness", "value": 90.0, "status": "fail"}
    others = [
        {"name": "dlq_unresolved", "value": 3, "status": "warn"},
        {"name": "backlog_age", "value": None, "status": "x"},
    ]
    kept = {"figures": {"gold_staleness": 90.0}, "statuses": {"gold_staleness": "fail"}}
    assert figures.figures_of({"indicators": [seen, *others], "ingestion": {"state": "paused"}}) == kept | {
        "state": "paused"
    }
    assert figures.figures_of({"checks": [seen]}) == kept
    assert figures.figures_of({"checks": others, "indicators": []}) == {}
    assert figures.figures_of({"folder": "x"}) == {}


def test_amounts_are_exact() -> None:
    rows = {f"r{n}": {**letters(f"r{n}")[f"r{n}"], "amount": "0.10"} for n in range(3)}
    impact = report_impact.assess(timeline.Record({}, [], [], [], at(0)), Facts(quarantined=rows), at(0))
    assert str(impact.amount) == "0.30"


def test_every_text_of_a_report_is_escaped_but_the_charts() -> None:
    data = {"a<b": ["<i>", 1, None, {"x": "'\""}], "charts": [{"title": "<b>", "wide": "<svg>"}]}
    made = escaped(data, keep=["wide", "narrow"])
    assert made == {
        "a&lt;b": ["&lt;i&gt;", 1, None, {"x": "&#x27;&quot;"}],
        "charts": [{"title": "&lt;b&gt;", "wide": "<svg>"}],
    }


def test_the_filter_for_markdown_keeps_lines_where_it_is_asked_to() -> None:
    assert markdown("one\n# two") == "one # two"
    assert markdown("one\n# two", lines=True) == "one\\\n&#35; two"


RECORD = {
    "operation": "incident",
    "incident": "INC-1", "title": "x", "severity": "high", "state": "closed", "closed_at": "2026-11-25T17:40:00+00:00",
    "overdue": [], "phases": [], "missing": ["root_cause", "retrospective"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("page", "check", "missing", "said", "unsaid"),
    [
        (
            {"changed": True, "dest": "/r/a.html"},
            False,
            True,
            ["did    wrote the report", "files  /r/a.html"],
            ["would"],
        ),
        ({"changed": False, "path": "/r/a.html"}, False, True, ["did    the report is up to date"], ["would"]),
        ({"changed": True}, True, True, ["would  the report would be written"], ["files"]),
        ({"changed": True, "dest": "/r/a.html"}, False, False, ["files  /r/a.html"], ["lacks", "next"]),
    ],
)
def test_the_summary_says_where_it_is_and_what_it_lacks(
    page: dict[str, Any], check: bool, missing: bool, said: list[str], unsaid: list[str]
) -> None:
    record = RECORD if missing else RECORD | {"missing": []}
    steps = {
        "incident": {"operation": "incident_info", "record": record, "summary": "s"},
        "report_markdown": {},
        "report_html": page,
    }
    lines = render.lines(render.Story("incident_report", "local", "INC-1", check, True, steps))
    text = "\n".join(lines)
    assert all(part in text for part in said), text
    assert not any(f"  {part}" in text for part in unsaid), text
    if missing:
        assert "lacks  root cause, retrospective" in text
    if missing and not check:
        folded = " ".join(text.replace("\\\n", " ").split())
        assert (
            "say what is missing: incident_note.yml with incident=INC-1 and root_cause, retrospective; then this again"
            in folded
        )


@pytest.mark.parametrize(
    ("name", "failed", "said", "following"),
    [
        (
            "report_html",
            "Task failed: Module failed: Failed to replace '/r/a' with b'/t/a': [Errno 28] No space left on device: b'/t/a'",
            "failed could not write the report: No space left on device",
            "next give a writable folder with enough space: -e report_dir=…",
        ),
        (
            "report_folder",
            "/dev/null already exists as a file",
            "failed could not write the report: /dev/null already exists as a file",
            "next give a writable folder with enough space: -e report_dir=…",
        ),
        (
            "report_markdown",
            "Task failed: object of type 'dict' has no attribute 'nosuch'",
            "failed could not render the report template: object of type 'dict' has no attribute 'nosuch'",
            "next fix the template, or leave out report_template_markdown",
        ),
    ],
)
def test_a_report_that_cannot_be_written_says_what_to_do(name: str, failed: str, said: str, following: str) -> None:
    steps = {"incident": {"record": RECORD, "summary": "s"}, name: {"failed": True, "msg": failed}}
    text = " ".join(
        " ".join(render.lines(render.Story("incident_report", "local", "INC-1", False, True, steps))).split()
    )
    assert said in text
    assert following in text
    assert "-vvv" not in text


def test_a_time_on_another_day_names_it() -> None:
    """Where the day of the team is not that of UTC."""
    moment = datetime.datetime(2026, 10, 24, 20, 0, tzinfo=datetime.UTC)
    assert wording.stamp(moment, zoneinfo.ZoneInfo("Australia/Lord_Howe"))["local_time"] == "25 Oct 07:00:00"
    assert wording.stamp(moment, zoneinfo.ZoneInfo("Europe/Berlin"))["local_time"] == "22:00:00"


def test_what_was_forced_is_said_first_and_a_late_update_of_a_closed_incident_not_at_all() -> None:
    late = "the update of INC-1 promised for 2026-11-25 17:00 UTC is overdue: …"
    record = dict.fromkeys(incident.WHICH) | RECORD | {"summary": "closed INC-1", "warnings": ["closed although x"]}
    steps = {"gate": {"warnings": [late, "slow"]}, "incident": record}
    story = render.Story("incident_close", "local", "INC-1", False, True, steps)
    assert render.document(story)["warnings"] == ["closed although x", "slow"]
    still = render.Story(
        "incident_close", "local", "INC-1", False, True, steps | {"incident": record | {"state": "open"}}
    )
    assert render.document(still)["warnings"] == ["closed although x", late, "slow"]
