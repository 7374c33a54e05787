# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an incident: its files, the same again at any time, and what a reader sees of hostile texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

#: The headings of the runbook's documentation template, in its order.
TEMPLATE = ["Timeline", "Impact Assessment", "Root Cause", "Resolution", "Prevention", "Follow-up Actions"]


def files(folder: Path) -> tuple[Path, Path]:
    """The Markdown and the chart; there is nothing else."""
    markdown, chart = sorted(folder.iterdir())
    assert (markdown.suffix, chart.suffix) == (".md", ".svg")
    return markdown, chart


def paused(stage: Stage, pipeline: Pipeline, incident: str = "INC-2041", **options: str) -> None:
    """A pause and a resume for an incident."""
    for play in ("pause_ingestion", "resume_ingestion"):
        played = stage.play(play, pipeline.dsn, incident=incident, **options)
        assert played.rc == 0, played.text


@pytest.mark.slow
def test_a_reset_is_told_with_the_runbooks_template(broken: Pipeline, stage: Stage) -> None:
    reset = stage.play("emergency_reset", broken.dsn, incident="INC-2041")
    assert reset.result["steps"], reset.text
    reports = stage.home / "reports"
    played = stage.play(
        "incident_report", broken.dsn, incident="INC-2041", report_dir=str(reports), time_zone="Asia/Manila"
    )
    assert (played.rc, played.result["outcome"]) == (0, "done"), played.text
    markdown, chart = files(reports)
    text = markdown.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in TEMPLATE] == TEMPLATE
    assert f"]({chart.name})" in text
    assert "- [x] Stop ingestion" in text
    assert "- [ ] Alert received" in text
    assert "Incident Commander: [Name]" in text
    assert re.search(r"^\| 1 \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+08:00 \| Ingestion paused \|", text, re.MULTILINE)
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert shown.count("<table>") >= 3
    assert "{{" not in text
    assert not re.search(r"\n\n\n", text), "no gap in it"
    # The same once more, and what somebody filled in is kept.
    before, contents = {f: f.stat().st_mtime_ns for f in files(reports)}, broken.fingerprint()
    again = stage.play(
        "incident_report", broken.dsn, incident="INC-2041", report_dir=str(reports), time_zone="Asia/Manila"
    )
    assert (again.rc, again.result["outcome"], again.recap()["changed"]) == (0, "unchanged", 0), again.text
    assert {f: f.stat().st_mtime_ns for f in files(reports)} == before
    assert [f.name for f in before if f.name not in again.summary] == []
    markdown.write_text(f"{text}Root cause: a till.\n", encoding="utf-8")
    third = stage.play(
        "incident_report", broken.dsn, incident="INC-2041", report_dir=str(reports), time_zone="Asia/Manila"
    )
    assert third.rc == 0, third.text
    assert markdown.read_text(encoding="utf-8") == text
    assert [
        f
        for f in reports.iterdir()
        if f.name.startswith(f"{markdown.name}.") and "a till" in f.read_text(encoding="utf-8")
    ]
    assert broken.fingerprint() == contents


def test_a_check_writes_nothing(healthy: Pipeline, stage: Stage) -> None:
    paused(stage, healthy)
    contents, elsewhere = healthy.fingerprint(), stage.home / "elsewhere" / "below"
    checked = stage.play("incident_report", healthy.dsn, "--check", incident="INC-2041", report_dir=str(elsewhere))
    assert (checked.rc, checked.result["outcome"], checked.result["changed"]) == (0, "planned", True), checked.text
    assert not elsewhere.parent.exists()
    assert healthy.fingerprint() == contents


def test_hostile_texts_stay_texts(healthy: Pipeline, stage: Stage) -> None:
    paused(stage, healthy, "INC-1:a#b@c+d")
    healthy.execute(
        """UPDATE scout_ops.runs SET actor = '<script>x</script> | `x` **b** {{ 7 * 7 }} [l](javascript:alert(1)) <!-- ' || E'\\n# h'"""
    )
    reports = stage.home / "reports"
    played = stage.play("incident_report", healthy.dsn, incident="INC-1:a#b@c+d", report_dir=str(reports))
    assert played.rc == 0, played.text
    markdown, _ = files(reports)
    assert markdown.name.startswith("INC-1_a_b_c_d-")
    text = markdown.read_text(encoding="utf-8")
    shown = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    assert not re.search(r"<(script|a|hr)\b|<!--", shown)
    assert "&lt;script&gt;x&lt;/script&gt; | `x` **b** {{ 7 * 7 }} [l](javascript:alert(1))" in shown
    assert len(re.findall(r"<h\d>", shown)) == len(re.findall(r"^#{1,3} ", text, re.MULTILINE))


def test_a_team_has_its_own_template(healthy: Pipeline, stage: Stage, tmp_path: Path) -> None:
    paused(stage, healthy)
    (tmp_path / "own.md.j2").write_text("{{ report.incident }}: {{ report.runs | length }} runs\n")
    given = {
        "incident": "INC-2041",
        "report_template": str(tmp_path / "own.md.j2"),
        "report_dir": str(tmp_path / "out"),
    }
    played = stage.play("incident_report", healthy.dsn, **given)
    assert played.rc == 0, played.text
    markdown, _ = files(tmp_path / "out")
    assert markdown.read_text() == "INC-2041: 2 runs\n"
    (tmp_path / "own.md.j2").write_text("{{ report.nonsense.more }}\n")
    wrong = stage.play("incident_report", healthy.dsn, **given)
    assert (wrong.rc, wrong.result["outcome"]) == (2, "failed")
    assert "nonsense" in wrong.summary


def test_an_incident_that_is_not_there_is_named(healthy: Pipeline, stage: Stage) -> None:
    reports = stage.home / "reports"
    for options, said in (({}, "no incident was named"), ({"incident": "INC-99"}, "no run of INC-99")):
        played = stage.play("incident_report", healthy.dsn, report_dir=str(reports), **options)
        assert (played.rc, played.result["outcome"], reports.exists()) == (2, "failed", False), played.text
        assert said in played.summary


def test_reports_go_to_the_folder_the_person_is_in(healthy: Pipeline, stage: Stage) -> None:
    paused(stage, healthy)
    played = stage.play("incident_report", healthy.dsn, cwd=stage.home, incident="INC-2041")
    assert played.rc == 0, played.text
    markdown, _ = files(stage.home / "reports")
    assert f"reports/{markdown.name}" in played.summary
    named = stage.play(
        "incident_report",
        healthy.dsn,
        cwd=stage.home,
        incident="INC-2041",
        env={"SCOUT_REPORTS": str(stage.home / "named")},
    )
    assert (named.rc, len(files(stage.home / "named"))) == (0, 2), named.text
    assert oct(files(stage.home / "named")[0].stat().st_mode)[-3:] == "600"


def test_databases_of_one_name_do_not_share_a_file(healthy: Pipeline, stage: Stage) -> None:
    paused(stage, healthy)
    hosts = {name: {"scout_dsn": healthy.dsn} for name in ("luzon", "visayas")}
    reports = stage.home / "reports"
    options = {"incident": "INC-2041", "report_dir": str(reports), "allow_shared_database": True}
    played = stage.play("incident_report", None, "-i", stage.inventory(hosts), **options)
    assert played.rc == 0, played.text
    assert {path.stem.rpartition("-")[2] for path in reports.iterdir()} == {"luzon", "visayas"}
    assert len(list(reports.iterdir())) == 4


def test_every_run_has_the_label_of_its_incident(broken: Pipeline, stage: Stage) -> None:
    """And those without one have none, whatever ran before."""
    stage.play("emergency_reset", broken.dsn, incident="INC-2041")
    assert {label for (label,) in broken.rows("SELECT incident FROM scout_ops.runs")} == {"INC-2041"}
    labelled = broken.one("SELECT count(*) FROM scout_ops.runs")
    paused(stage, broken, "adhoc")
    stage.play("pause_ingestion", broken.dsn)
    assert broken.one("SELECT count(*) FROM scout_ops.runs WHERE incident = 'INC-2041'") == labelled
    assert {label for (label,) in broken.rows("SELECT DISTINCT incident FROM scout_ops.runs")} == {"INC-2041", "adhoc"}
    refused = stage.play("resume_ingestion", broken.dsn, incident="no such; name")
    assert refused.rc != 0
    assert "incident 'no such; name' is not usable" in refused.text
