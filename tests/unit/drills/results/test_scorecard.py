# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill comes to by its document, and what of it is written; by a team's own templates, too."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import document as documents
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history, rendering, scorecard
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import typed_fields as fields
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from tests import CHECKOUT
from tests.unit.drills.results import documents as drills
from tests.unit.drills.results.documents import DRILLS, UNBEGUN, check, document, events, phase, scenario, step

VALID = jsonschema.Draft202012Validator(json.loads((CHECKOUT / "docs" / "drill.schema.json").read_text()))


@pytest.mark.parametrize(
    ("drill", "word", "line"),
    [
        (document(scenario()), "passed", "the one scenario passed"),
        (document(scenario(), scenario("b")), "passed", "all 2 scenarios passed"),
        (document(), "failed", "no scenario ran, so nothing is proved"),
        (document(verdict="passed"), "failed", "no scenario ran, so nothing is proved"),
        (document(scenario(), scenario("b", verdict="failed")), "failed", "1 of 2 scenarios did not pass"),
        (document(scenario(verdict="error")), "failed", "the one scenario did not pass"),
        (document(scenario(), scenario("b", verdict="not_run")), "failed", "1 of 2 scenarios did not pass"),
        (document(scenario(), verdict="failed"), "failed", "all scenarios passed, but the drill says that it failed"),
        (DRILLS["interrupted"], "interrupted", "stopped before its end: 1 of 3 scenarios ran, 1 passed"),
        (document(scenario("b", verdict="interrupted")), "interrupted", "stopped before its end: 0 of 1 scenario ran, 0 passed"),
        (document(verdict="interrupted"), "interrupted", "stopped before its end: 0 of 0 scenarios ran, 0 passed"),
        # What is claimed counts for nothing against what was measured.
        (document(scenario(checks=[check(passed=False)])), "failed", "the one scenario did not pass"),
        (document(scenario(events=events(lost=1))), "failed", "the one scenario did not pass"),
        (document(scenario(events=events(duplicated=1))), "failed", "the one scenario did not pass"),
        (document(scenario(events=events(altered=1))), "failed", "the one scenario did not pass"),
        (document(scenario(events=events(unexpected=1))), "failed", "the one scenario did not pass"),
        (document(scenario(phases=[phase("recovered", 301.0) | {"within": True}])), "failed", "the one scenario did not pass"),
        (document(scenario(phases=[phase("recovered", 3.0) | {"within": False}])), "failed", "the one scenario did not pass"),
        (document(scenario(phases=[phase("resumed", None) | {"within": True}])), "failed", "the one scenario did not pass"),
    ],
)  # fmt: skip
def test_the_verdict(drill: dict[str, Any], word: str, line: str) -> None:
    found = scorecard.verdict(drill)
    assert (found.word, found.line, found.ok) == (word, line, word == "passed")


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, ()),
        ({"verdict": "failed"}, ("no reason is given for failed",)),
        ({"verdict": "failed", "why": ["a", "b", "a"]}, ("a", "b")),
        ({"verdict": "not_run", "lacks": ["function scout.x(int)"], "events": None}, ("lacks function scout.x(int)",)),
        (UNBEGUN, ("the drill ended before it began",)),
        ({"events": events(lost=2, altered=1000)}, ("events: 2 lost, 1,000 altered",)),
        ({"checks": [check(found="3 changed", passed=False)]}, ("a second run changes nothing: wanted 0 changed, found 3 changed",)),
        ({"phases": [phase("recovered", 372.0)]}, ("recovered after 6 min 12 s of 5 min, 1 min 12 s over budget",)),
        ({"phases": [phase("recovered", 3.0) | {"within": False}]}, ("recovered after 3.0 s of 5 min, judged too late",)),
        ({"phases": [phase("recovered", None)]}, ("never recovered, budget 5 min",)),
        ({"phases": [phase("detected", None, None)]}, ("never detected",)),
    ],
)  # fmt: skip
def test_why_a_scenario_did_not_pass(fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    [found] = documents.read(document(scenario(**fields))).scenarios
    assert found.reasons == reasons
    assert found.ok == (not reasons)


def of_one(**fields: Any) -> dict[str, Any]:
    return {"scenarios": [scenario(**fields)]}


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"drill": "../../etc"}, "drill", "it is '../../etc'. Next: give a time like 2026-11-25T210000Z"),
        ({"drill": None}, "drill", "it is not there. Next: give a text"),
        ({"started_at": "2026-11-25T21:00:00"}, "started_at", "it is '2026-11-25T21:00:00'. Next: give a time with its offset"),
        ({"started_at": 3}, "started_at", "it is '3'. Next: give a time with its offset"),
        ({"seconds": -1}, "seconds", "it is '-1'. Next: give a number of seconds"),
        ({"seconds": float("nan")}, "seconds", "it is 'nan'. Next: give a number of seconds"),
        ({"seconds": 10**400}, "seconds", "it is '1000"),
        ({"seconds": True}, "seconds", "it is 'True'. Next: give a number of seconds"),
        ({"seconds": None}, "seconds", "it is not there. Next: give a number of seconds"),
        ({"verdict": "fine"}, "verdict", "it is 'fine'. Next: give one of passed, failed, interrupted"),
        ({"scenarios": {}}, "scenarios", "it is '{}'. Next: give a list"),
        ({"scenarios": ["x"]}, "scenarios[0]", "it is 'x'. Next: give a mapping"),
        ({"scenarios": [scenario(), scenario(name="")]}, "scenarios[1].name", "it is ''. Next: give a text"),
        (of_one(phases=[phase("mended", 1.0)]), "scenarios[0].phases[0].phase", "it is 'mended'. Next: give one of detected, paused, re"),
        (of_one(phases=[{"phase": "paused", "within": 1}]), "scenarios[0].phases[0].within", "it is '1'. Next: give true or false"),
        (of_one(events={"written": 1}), "scenarios[0].events.lost", "it is not there. Next: give a number"),
        (of_one(events=events(-1)), "scenarios[0].events.written", "it is '-1'. Next: give a number"),
        (of_one(steps=[step(rc="0")]), "scenarios[0].steps[0].rc", "it is '0'. Next: give a whole number"),
        (of_one(why="x"), "scenarios[0].why", "it is 'x'. Next: give a list"),
        (of_one(why=[3]), "scenarios[0].why", "it is '[3]'. Next: give a list of texts"),
        (of_one(checks=[check() | {"passed": None}]), "scenarios[0].checks[0].passed", "it is not there. Next: give true or false"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_read_says_where(
    changed: dict[str, Any], name: str, said: str, tmp_path: Path
) -> None:
    refused(document(scenario()) | changed, f"{name} in the document of a drill is not usable: {said}", tmp_path)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("scout-recovery/drill-2", "use the version of scout.recovery that wrote it"),
        ("scout-recovery-result/1", "give the JSON file of a drill"),
        (None, "give the JSON file of a drill"),
    ],
)
def test_another_format_is_refused_by_its_name(form: str | None, said: str, tmp_path: Path) -> None:
    refused(
        document(scenario(), format=form),
        f"its format is '{form}', not 'scout-recovery/drill-1'. Next: {said}",
        tmp_path,
    )


def refused(made: dict[str, Any], said: str, tmp_path: Path) -> None:
    for form in (scorecard.verdict, scorecard.markdown, scorecard.html, history.entry):
        with pytest.raises(BadInput, match=re.escape(said)):
            form(made)
    with pytest.raises(BadInput):
        scorecard.write(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("made", ["text", 3, None, []])
def test_what_is_no_document_is_refused(made: Any) -> None:
    with pytest.raises(BadInput, match="is not usable"):
        documents.read(made)


@pytest.mark.parametrize(
    ("drill", "figures"),
    [
        ("passed", ["15 of 15", "1 min 28 s", "0", "75 of 75", "steady"]),
        ("trouble", ["12 of 15", "11 min 58 s", "0", "67 of 68", "3 worse"]),
        ("none", ["0 of 0", "unknown", "unknown", "unknown", "steady"]),
        ("never", ["0 of 1", "never", "0", "1 of 1", "1 worse"]),
        ("bare", ["0 of 1", "unknown", "unknown", "unknown", "steady"]),
        ("over budget", ["0 of 1", "6 min 12 s", "0", "1 of 1", "1 worse"]),
        ("hostile", ["1 of 3", "18 s", "0", "1 of 2", "first"]),
    ],
)
def test_the_figures_that_people_ask_for_first(drill: str, figures: list[str]) -> None:
    text = scorecard.html(DRILLS[drill], drills.past())
    assert re.findall(r'class="value \w+">([^<]*)<', text) == figures


@pytest.mark.parametrize(
    ("drill", "tones"),
    [
        ("passed", ["good", "good", "good", "good", "good"]),
        ("trouble", ["bad", "bad", "good", "bad", "bad"]),
        ("claims", ["bad", "good", "bad", "good", "bad"]),
        ("none", ["bad", "open", "open", "open", "good"]),
        ("never", ["bad", "bad", "good", "good", "bad"]),
        ("over budget", ["bad", "bad", "good", "good", "bad"]),
        ("hostile", ["bad", "good", "good", "bad", "open"]),
    ],
)
def test_each_figure_has_the_colour_of_what_it_says(drill: str, tones: list[str]) -> None:
    """Scenarios passed, slowest recovery, events lost, checks passed, against earlier drills: each is bad by itself."""
    text = scorecard.html(DRILLS[drill], drills.past())
    assert re.findall(r'class="value (\w+)">', text) == tones


@pytest.mark.parametrize(
    ("artifacts", "linked"),
    [
        ("poison_event/1-emergency_reset", True),
        ("", False),
        ("/etc/passwd", False),
        ("../elsewhere", False),
        ("a/../../b", False),
        ("javascript:alert(1)", False),
        ("https://example.org", False),
        ("//example.org", False),
        ("\\\\example.org", False),
    ],
)
def test_only_what_lies_beside_the_page_is_linked(artifacts: str, linked: bool) -> None:
    text = scorecard.html(document(scenario(steps=[step(artifacts=artifacts)])))
    assert (f'<a href="{artifacts}">' in text) == linked


def test_writing_leaves_three_files_and_a_second_time_the_same(tmp_path: Path) -> None:
    paths = scorecard.write(DRILLS["trouble"], tmp_path / "a" / "b", drills.past())
    assert [path.name for path in paths] == [f"scorecard.{kind}" for kind in ("json", "md", "html")]
    before = [path.read_bytes() for path in paths]
    assert scorecard.write(DRILLS["trouble"], tmp_path / "a" / "b", drills.past()) == paths
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(path.name for path in paths)
    assert json.loads(before[0]) == DRILLS["trouble"]
    assert before[1].decode() == scorecard.markdown(DRILLS["trouble"], drills.past())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        BadInput, match=r"could not write .*file/scorecard.json: .*Next: give a folder that can be written"
    ):
        scorecard.write(DRILLS["one"], tmp_path / "file")
    with pytest.raises(BadInput, match="could not write"):
        files.create(tmp_path / "file" / "x", b"")


def test_no_secret_reaches_any_of_them(tmp_path: Path) -> None:
    dsn = "postgresql://scout:s3cret-word@db1/scout"
    made = document(
        scenario(verdict="error", why=[f"could not reach {dsn}"], steps=[step(said=f"password=s3cret-word in {dsn}")],
                 checks=[check(found=dsn)], lacks=[dsn]),
        schema_from=dsn,
    )  # fmt: skip
    for path in [*scorecard.write(made, tmp_path), history.keep(made, tmp_path / "history")]:
        assert "s3cret-word" not in path.read_text()


def test_a_team_replaces_a_template_and_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "scorecard.md.j2").write_text(
        "{% for line in lines %}{{ line.scenario.name }}|{{ line.word }}|{{ line.trend.change }}\n{% endfor %}"
    )
    (tmp_path / "scorecard.css.j2").write_text("body { color: rebeccapurple; }")
    assert scorecard.markdown(document(scenario("a|b")), None, tmp_path) == "a&#124;b|passed|new\n"
    page = scorecard.html(DRILLS["one"], None, tmp_path)
    assert "rebeccapurple" in page
    assert "<h1>passed</h1>" in page


def test_whatever_a_template_can_use_is_documented() -> None:
    page = (
        (CHECKOUT / "docs" / "drills.md")
        .read_text(encoding="utf-8")
        .partition("### Your own page")[2]
        .partition("\n## ")[0]
    )
    named = set(re.findall(r"`(\w+)(?:\([\w, ]*\))?`", page))
    given = scorecard._context(documents.read(DRILLS["trouble"]), drills.past())
    assert set(given) <= named
    kinds = (scorecard.Line, scorecard.Figure, documents.Verdict)
    assert {field.name for kind in kinds for field in dataclasses.fields(kind)} <= named


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{% for %}", "the template scorecard.md.j2, line 2 cannot be used: Expected an expression"),
        ("a\nb\n{{ nobody }}", "the template scorecard.md.j2, line 3 cannot be used: 'nobody' is undefined"),
        ("{{ drill.nothing }}", "line 1 cannot be used: 'ansible_collections.* has no attribute 'nothing'"),
        ("\n{{ 1 / 0 }}", "the template scorecard.md.j2, line 2 cannot be used: division by zero"),
        ("{% include 'absent.j2' %}", "there is no template absent.j2. Next: correct it, or remove it"),
    ],
)
def test_a_template_that_cannot_be_used_says_where(template: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "scorecard.md.j2").write_text(template)
    with pytest.raises(BadInput, match=said):
        scorecard.markdown(DRILLS["one"], None, tmp_path)


def test_a_folder_of_templates_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the folder of templates .*nowhere is not there"):
        scorecard.html(DRILLS["one"], None, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("poison_event", "poison_event"),
        ("a|b", "a&#124;b"),
        ("*a* _b_ c_d", "&#42;a&#42; &#95;b&#95; c_d"),
        ("<b>&", "&#60;b&#62;&#38;"),
        ("a\n\n# b", "a # b"),
        (" of ", " of "),
        ("", ""),
        ("@ops #7", "@\u2060ops #\u20607"),
    ],
)
def test_plain_markdown(text: str, made: str) -> None:
    assert rendering.plain(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2K\x1b[1;31;4mover\x1bM", "over"),
        ("one\r\ntwo\rthree", "one\ntwo three"),
        ("\x00 \x07 \u202e \u2028", "       "),
        ("Ångström – 25 °C", "Ångström – 25 °C"),
    ],
)
def test_controls_go(text: str, made: str) -> None:
    assert fields.shown(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("one\n  two\n", "one\n  two"),
        ("\n".join("123456789"), "1\n2\n3\n4\n5\n6\n7\n8 …"),
        ("x" * 2000, "x" * 1000 + " …"),
        ("", ""),
    ],
)
def test_what_is_too_long_for_a_page_is_cut(text: str, made: str) -> None:
    assert rendering.short(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("poison_event", "`poison_event`"),
        ("<b> @ops #7", "`<b> @ops #7`"),
        ("a|b", "<code>a&#124;b</code>"),
        ("a`b", "<code>a&#96;b</code>"),
        ("a\nb", "`a b`"),
        ("", "<code></code>"),
    ],
)
def test_code_in_markdown(text: str, made: str) -> None:
    assert rendering.code(text) == made


@pytest.mark.parametrize(
    "name", ["passed", "trouble", "none", "one", "interrupted", "killed", "over budget", "never", "nothing"]
)
def test_the_samples_are_as_the_schema_says(name: str) -> None:
    VALID.validate(DRILLS[name])
