# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an incident: the files, and what a reader sees of them on a phone, a screen, in the dark and on paper."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e import incident_pictures, incident_story
from tests.e2e.browser import Browser
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

#: The headings of the runbook's documentation template, in its order.
TEMPLATE = ["Timeline", "Impact Assessment", "Root Cause", "Resolution", "Prevention", "Follow-up Actions"]
LOOKS: list[dict[str, Any]] = [
    {"width": 360}, {"width": 800}, {"width": 1280}, {"width": 1280, "dark": True}, {"width": 360, "dark": True}, {"paper": True},
]  # fmt: skip
HOSTILE = {
    "title": "<script>alert(1)</script> | `x` **bold** {{ 7 * 7 }} " + "w" * 140,
    "text": "</p></section><img src=https://example.invalid/x.png onerror=alert(1)>\n# no heading\n| a | b |\n```\n"
    + "W" * 900,
    "root_cause": "<!-- --> &lt; [l](javascript:alert(1)) \\ *a* _b_\n\n---\n1. x\n{% endautoescape %}",
}

NOTE = "say what is missing: incident_note.yml with incident=INC-2041 and external_dependencies"


def files(folder: Path) -> tuple[Path, Path]:
    """The page and the Markdown; there is nothing else."""
    page, markdown = sorted(folder.iterdir())
    assert (page.suffix, markdown.suffix) == (".html", ".md")
    return page, markdown


@pytest.fixture(scope="module")
def told(pg_server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Stage, Path]:
    """A whole incident, an hour long, and the report of it."""
    pipeline, stage = incident_pictures.broken(pg_server, "reported"), Stage(tmp_path_factory.mktemp("told"))
    incident_story.play(Quick(stage.home), pipeline)
    incident_pictures.stretch(pipeline)
    reports = stage.home / "reports"
    played = stage.play("incident_report", pipeline.dsn, report_dir=str(reports), time_zone="Asia/Manila")
    assert (played.rc, played.result["outcome"]) == (0, "done"), played.text
    return pipeline, stage, reports


@pytest.mark.slow
def test_the_markdown_is_the_runbooks_template_filled_in(told: tuple[Pipeline, Stage, Path]) -> None:
    _, markdown = files(told[2])
    text = markdown.read_text(encoding="utf-8")
    assert re.match(r"# Incident Report: \d{4}-\d\d-\d\d - The loader stands still", text)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[: len(TEMPLATE)] == TEMPLATE
    for name in ("Detection", "Mitigation started", "Root cause found", "Resolved"):
        assert re.search(rf"^- \*\*{name}\*\*: \d{{4}}-.* UTC \(.*\+08:00\) - .+", text, re.MULTILINE), name
    for name in ("Duration", "Data Affected", "Business Impact", "Systems Affected"):
        assert re.search(rf"^- \*\*{name}\*\*: .+", text, re.MULTILINE), name
    assert incident_story.CAUSE in text
    assert "42 events, 39 transactions" in text
    assert "- [ ] Update monitoring alerts (incident_note.yml takes incident=INC-2041" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[-1] == "Still to be written down"
    assert re.search(r"^Users saw wrong figures for .+: gold up to 1 h 0 min old", text, re.MULTILINE)
    assert not [code for code in re.findall(r"`([^`]+)`", text) if "…" in code]
    assert str(told[1].home) not in text + files(told[2])[0].read_text(encoding="utf-8")
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert "<table>" in shown
    assert "{{" not in text
    assert not re.search(r"\n\n\n", text), "no gap in it"


@pytest.mark.slow
def test_the_page_on_a_phone_a_screen_in_the_dark_and_on_paper(
    told: tuple[Pipeline, Stage, Path], browser: Browser, tmp_path: Path
) -> None:
    page, _ = files(told[2])
    for look in LOOKS:
        seen = browser.look(page, **look)
        assert seen.flaws() == [], look
        assert seen.title == f"Incident report INC-2041: {incident_story.TITLE}"
        assert [level for level, _ in seen.headings][:2] == [1, 2]
        for word in (
            incident_story.TITLE,
            incident_story.CAUSE,
            "Events quarantined",
            "Still to be written down",
            "Retrospective",
        ):
            assert word in seen.text, (word, look)
        assert {"Staleness", "Backlog", "silver", "paused"} <= set(seen.text.split())
        assert seen.picture.startswith(b"\x89PNG")
    assert browser.print(page, tmp_path / "report.pdf") > 10_000
    assert "http" not in page.read_text(encoding="utf-8").replace("http-equiv", "")


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_a_check_writes_nothing(told: tuple[Pipeline, Stage, Path]) -> None:
    pipeline, stage, reports = told
    before, contents = {f: f.stat().st_mtime_ns for f in files(reports)}, pipeline.fingerprint()
    again = stage.play("incident_report", pipeline.dsn, report_dir=str(reports), time_zone="Asia/Manila")
    assert (again.rc, again.result["outcome"], again.recap()["changed"]) == (0, "unchanged", 0), again.text
    assert {f: f.stat().st_mtime_ns for f in files(reports)} == before
    elsewhere = stage.home / "elsewhere" / "below"
    checked = stage.play("incident_report", pipeline.dsn, "--check", report_dir=str(elsewhere))
    assert (checked.rc, checked.result["outcome"], checked.result["changed"]) == (0, "planned", True), checked.text
    assert not elsewhere.parent.exists()
    assert pipeline.fingerprint() == contents
    assert f"lacks external dependencies, retrospective next {NOTE}" in again.summary
    assert len(before) > 1
    assert [f.name for f in before if f.name not in again.summary] == []
    screen = again.text[again.text.rindex("\nincident report of") :].splitlines()
    assert max(len(line) for line in screen if str(reports) not in line) <= 80


@pytest.mark.slow
def test_a_team_replaces_the_templates(told: tuple[Pipeline, Stage, Path], tmp_path: Path) -> None:
    pipeline, stage, _ = told
    own = {"report_template_markdown": "own.md.j2", "report_template_html": "own.html.j2"}
    (tmp_path / "own.md.j2").write_text("{{ report.incident }}: {{ report.impact.data | scout.recovery.markdown }}\n")
    (tmp_path / "own.html.j2").write_text("<p>{{ report.title }}</p>{{ report.charts[0].wide }}")
    given = {name: str(tmp_path / value) for name, value in own.items()}
    played = stage.play("incident_report", pipeline.dsn, report_dir=str(tmp_path / "out"), **given)
    assert played.rc == 0, played.text
    page, markdown = files(tmp_path / "out")
    assert markdown.read_text().startswith("INC-2041: 42 events, 39 transactions and ")
    assert "<svg class=" in page.read_text()
    (tmp_path / "own.md.j2").write_text("{{ report.nonsense.more }}\n")
    broken = stage.play("incident_report", pipeline.dsn, report_dir=str(tmp_path / "out"), **given)
    assert (broken.rc, broken.result["outcome"]) == (2, "failed")
    assert "nonsense" in broken.summary


def test_hostile_texts_stay_texts(healthy: Pipeline, stage: Stage, quick: Quick, browser: Browser) -> None:
    title, text, cause = HOSTILE["title"], HOSTILE["text"], HOSTILE["root_cause"]
    opened = quick.play("incident_open", healthy.dsn, title=title, severity="high", incident="INC-1:a#b@c+d")
    noted = quick.play("incident_note", healthy.dsn, text=text, root_cause=cause)
    assert (opened.rc, noted.rc) == (0, 0), noted.text
    reports = stage.home / "reports"
    played = stage.play("incident_report", healthy.dsn, report_dir=str(reports))
    assert played.rc == 0, played.text
    page, markdown = files(reports)
    assert page.name.startswith("INC-1_a_b_c_d-")
    for look in LOOKS:
        seen = browser.look(page, **look)
        assert seen.flaws() == [], look
        assert "<script>alert(1)</script> | `x` **bold** {{ 7 * 7 }} wwww" in seen.text
        assert "</p></section><img src=https://example.invalid/x.png onerror=alert(1)>" in seen.text
        assert "Nobody looked at the pipeline for this incident, so there are no figures and no chart." in seen.text
    assert "<svg" not in page.read_text(encoding="utf-8"), "no empty chart"
    shown = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown.read_text(encoding="utf-8"))
    assert not re.search(r"<(script|img|a|hr)\b", shown)
    headings = re.findall(r"<h\d>", shown)
    assert len(headings) == 1 + len(re.findall(r"^## ", markdown.read_text(encoding="utf-8"), re.MULTILINE))
    assert "Nobody looked at the pipeline" in shown


@pytest.mark.slow
def test_figures_with_the_day_of_their_time_fit_a_phone(
    told: tuple[Pipeline, Stage, Path], pg_server: Server, browser: Browser, tmp_path: Path
) -> None:
    """An incident over midnight, whatever the clock says while this runs."""
    _, stage, _ = told
    over_midnight = Pipeline(pg_server.create_database("reported_over_midnight", "reported"))
    incident_pictures.begin(over_midnight, "2026-11-26 23:22:26Z")
    played = stage.play("incident_report", over_midnight.dsn, report_dir=str(tmp_path), time_zone="Asia/Manila")
    assert (played.rc, played.result["outcome"]) == (0, "done"), played.text
    page, _ = files(tmp_path)
    for look in (*LOOKS, {"width": 640}):
        seen = browser.look(page, **look)
        assert seen.flaws() == [], look
        assert re.search(r"at 2026-11-2[67] \d\d:\d\d:\d\d", " ".join(seen.text.split())), look


@pytest.mark.slow
def test_an_incident_over_midnight_names_the_day_of_each_time(
    healthy: Pipeline, stage: Stage, quick: Quick, browser: Browser, tmp_path: Path
) -> None:
    """And where the team has another day already, that one, too."""
    quick.play("incident_open", healthy.dsn, incident="INC-1", title="slow", severity="high")
    for play in ("pause_ingestion", "resume_ingestion"):
        assert quick.play(play, healthy.dsn).rc == 0
    healthy.execute(
        "UPDATE scout_ops.incidents SET opened_at = '2026-10-24 23:50Z'",
        "UPDATE scout_ops.incident_entries SET at = '2026-10-24 23:50Z'",
        "UPDATE scout_ops.runs SET started_at = '2026-10-24 23:55Z', finished_at = '2026-10-24 23:56Z' WHERE action = 'pause'",
        "UPDATE scout_ops.runs SET started_at = '2026-10-25 01:05Z', finished_at = '2026-10-25 01:06Z' WHERE action = 'resume'",
    )
    reports = tmp_path / "reports"
    assert stage.play("incident_report", healthy.dsn, report_dir=str(reports), time_zone="Europe/Berlin").rc == 0
    page, markdown = files(reports)
    for look in LOOKS:
        seen = browser.look(page, **look)
        assert seen.flaws() == [], look
        words = " ".join(seen.text.split())
        # Summer time ended that night.
        assert "2026-10-24 23:55:00 25 Oct 01:55:00 1 · Ingestion paused" in words, look
        assert "2026-10-25 01:05:00 02:05:00 2 · Ingestion resumed" in words, look
    assert "| 2026-10-24 23:55:00 | 25 Oct 01:55:00 | Ingestion paused |" in markdown.read_text(encoding="utf-8")


def test_an_incident_that_is_not_there_is_named(healthy: Pipeline, stage: Stage) -> None:
    reports = stage.home / "reports"
    for options, said in (({}, "no incident is on record"), ({"incident": "INC-99"}, "INC-99 was never opened")):
        played = stage.play("incident_report", healthy.dsn, report_dir=str(reports), **options)
        assert (played.rc, played.result["outcome"], reports.exists()) == (2, "failed", False), played.text
        assert said in played.summary
    assert json.loads((stage.home / "result.json").read_text())["results"][0]["record"] is None


def test_reports_go_to_the_folder_the_person_is_in(healthy: Pipeline, stage: Stage, quick: Quick) -> None:
    quick.play("incident_open", healthy.dsn, title="slow", severity="medium", incident="INC-1")
    played = stage.play("incident_report", healthy.dsn, cwd=stage.home)
    assert played.rc == 0, played.text
    page, _ = files(stage.home / "reports")
    assert f"reports/{page.name}" in played.summary
    named = stage.play("incident_report", healthy.dsn, cwd=stage.home, env={"SCOUT_REPORTS": str(stage.home / "named")})
    assert (named.rc, len(files(stage.home / "named"))) == (0, 2), named.text
    assert oct(files(stage.home / "named")[0].stat().st_mode)[-3:] == "600"


def test_databases_of_one_name_do_not_share_a_file(healthy: Pipeline, stage: Stage, quick: Quick) -> None:
    quick.play("incident_open", healthy.dsn, title="slow", severity="medium", incident="INC-1")
    hosts = {name: {"scout_dsn": healthy.dsn} for name in ("luzon", "visayas")}
    reports = stage.home / "reports"
    inventory = stage.inventory(hosts)
    played = stage.play("incident_report", None, "-i", inventory, report_dir=str(reports), allow_shared_database=True)
    assert played.rc == 0, played.text
    assert {path.stem.rpartition("-")[2] for path in reports.iterdir()} == {"luzon", "visayas"}
    assert len(list(reports.iterdir())) == 4
