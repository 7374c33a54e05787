# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario from its file, and what is said of one that cannot be used: the file, the key, the value."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import drill_run
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import scenario
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario.scenario import Action, Play, Scenario
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario.severities import SEVERITIES
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from tests import CHECKOUT

ROOT = CHECKOUT
FILE = ROOT / "drills" / "a_test.yml"

SMALLEST: dict[str, Any] = {"title": "A test", "severity": "high", "steps": [{"playbook": "emergency_reset"}]}


def spill(dsn: str, cups: int, kind: str = "tea") -> None:
    """A fault."""


spill.choices = {"kind": ("tea", "milk")}  # type: ignore[attr-defined]


def sip(scene: object) -> None:
    """An action that is no fault."""


def parse(given: Any, file: Path = FILE, **options: Any) -> Scenario:
    return scenario.parse(
        given, file, playbooks=ROOT / "playbooks", faults={"spill": spill}, actions={"sip": sip}, **options
    )


def changed(path: str, value: Any) -> dict[str, Any]:
    """The smallest scenario with one value changed, added, or removed by `...`."""
    made = copy.deepcopy(SMALLEST)
    *above, last = path.split(".")
    place: Any = made
    for name in above:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return made


def test_the_smallest_one_has_every_default() -> None:
    made = parse(SMALLEST)
    assert (made.name, made.title, made.severity) == ("a_test", "A test", "high")
    assert (made.pipeline.variant, made.pipeline.events, made.pipeline.seed) == ("faithful", 2000, 1)
    assert (made.events_per_second, made.operator, made.detected) == (2.0, "owner", "health")
    assert (made.again, made.undo, made.redo) == (True, False, False)
    assert made.steady_state == scenario.STEADY
    assert made.sandboxes == scenario.SANDBOXES
    assert made.steps == (Play("emergency_reset", ROOT / "playbooks" / "emergency_reset.yml"),)


@pytest.mark.parametrize(
    ("severity", "known", "seconds"),
    [
        ("critical", None, 300),
        ("high", {}, 1800),
        ("medium", None, 7200),
        ("red", {"red": {"response_minutes": 2.5}}, 150),
    ],
)
def test_the_budget_until_the_pause_is_the_response_time(
    severity: str, known: dict[str, Any] | None, seconds: float
) -> None:
    made = parse(changed("severity", severity), known_severities=known)
    assert made.budget == {"paused": seconds, "recovered": 1800, "resumed": 1800}
    assert made.demanded == ()


def test_a_budget_of_its_own_makes_the_phase_due() -> None:
    made = parse(changed("budget", {"resumed": 12}))
    assert made.budget == {"paused": 1800, "recovered": 1800, "resumed": 12}
    assert made.demanded == ("resumed",)


def test_everything_that_can_be_said() -> None:
    made = parse({
        **SMALLEST,
        "about": "why",
        "pipeline": {"variant": "repaired", "events": 50, "seed": 3},
        "load": {"events_per_second": 0},
        "operator": "least_privileged",
        "faults": [{"spill": {"cups": 2}}, {"spill": {"cups": 1, "kind": "milk"}}],
        "detected": "at_once",
        "steps": [
            {"do": {"sip": {}}},
            {"do": "sip"},
            {
                "playbook": "quarantine",
                "vars": {"incident": "X", "window_start": "{window_start}"},
                "expect": {"rc": 2, "changed": False, "outcome": "failed", "error": "lease_held"},
                "operator": "owner",
                "actor": "maria",
                "while": [
                    {"task": "Move \\| .*", "do": "restart_server"},
                    {"task": "Lease", "do": "fault", "fault": {"spill": {"cups": 3}}},
                ],
                "together": [{"playbook": "assess", "after": "Lease"}],
            },
        ],
        "again": False,
        "undo": "redo",
        "steady_state": ["jobs"],
        "sandboxes": ["docker"],
    })  # fmt: skip
    assert made.faults == (Action("spill", {"cups": 2}), Action("spill", {"cups": 1, "kind": "milk"}))
    assert made.steps[:2] == (Action("sip"), Action("sip"))
    [play] = made.plays
    assert (play.expect.rc, play.expect.changed, play.expect.outcome, play.expect.error) == (
        *(2, False),
        *("failed", "lease_held"),
    )
    assert [event.do for event in play.meanwhile] == ["restart_server", "fault"]
    assert play.meanwhile[1].fault == Action("spill", {"cups": 3})
    [other] = play.together
    assert other.after
    assert (other.playbook, other.after.pattern) == ("assess", "Lease")
    assert (made.undo, made.redo, made.again, made.events_per_second) == (True, True, False, 0)


@pytest.mark.parametrize("do", ["kill_controller", "interrupt"])
def test_what_is_ended_before_its_end_is_expected_to_fail(do: str) -> None:
    made = parse(changed("steps.0.while", [{"task": "x", "do": do}]))
    assert made.plays[0].expect.rc == "failed"


def test_a_playbook_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("[]")
    made = parse(changed("steps.0.playbook", "mine.yml"), tmp_path / "a_test.yml")
    assert made.plays[0].path == tmp_path / "mine.yml"
    assert made.plays[0].playbook == "mine"


WRONG = [
    ("title", ..., "title is missing"),
    ("title", 7, "title is 7, not a text"),
    ("severity", "urgent", "severity is 'urgent', not one of critical, high, medium"),
    ("speed", 1, "speed is not known here; known are title, severity"),
    ("pipeline", {"variant": "odd"}, "pipeline.variant is 'odd', not one of faithful, repaired"),
    ("pipeline", {"events": 0}, "pipeline.events is 0, not a whole number from 1"),
    ("pipeline", {"events": 2.5}, "pipeline.events is 2.5, not a whole number"),
    ("pipeline", {"seed": True}, "pipeline.seed is True, not a whole number"),
    ("pipeline", {"size": 1}, "pipeline.size is not known here; known are variant, events, seed"),
    ("load", {"events_per_second": -1}, "load.events_per_second is -1, not a number from 0"),
    ("load", 5, "load is 5, not a mapping"),
    ("operator", "root", "operator is 'root', not one of owner, least_privileged"),
    ("faults", "spill", "faults is 'spill', not a list"),
    ("faults", [{"drop": {}}], "faults[0]: there is no fault 'drop'; there are spill"),
    ("faults", [{"spill": {}}], "faults[0].spill.cups is missing"),
    ("faults", [{"spill": {"cups": 1, "size": 2}}], "faults[0].spill.size is not known here; known are cups, kind"),
    ("faults", [{"spill": {"cups": "five"}}], "faults[0].spill.cups is 'five', not a whole number"),
    ("faults", [{"spill": {"cups": True}}], "faults[0].spill.cups is True, not a whole number"),
    ("faults", [{"spill": {"cups": 1, "kind": "ink"}}], "faults[0].spill.kind is 'ink', not one of tea, milk"),
    ("faults", [{"spil": {"cups": 1}}], "faults[0]: there is no fault 'spil' (did you mean spill?); there are"),
    ("faults", [{"spill": 3}], "faults[0].spill is 3, not a mapping of options"),
    ("faults", [{"spill": {"cups": 1}, "sip": {}}], "not one fault as `name: {options}`"),
    ("detected", "soon", "detected is 'soon', not one of health, at_once"),
    ("steps", ..., "steps is missing"),
    ("steps", [], "steps has no playbook, so nothing would be drilled"),
    ("steps", [{"do": {"sip": {}}}], "steps has no playbook"),
    ("steps", [{}], "steps[0] has neither playbook nor do"),
    ("steps", [{"do": {"sup": {}}}], "steps[0].do: there is no action 'sup' (did you mean sip?); there are sip, spill"),
    ("steps.0.playbook", "emergency", "steps[0].playbook is 'emergency', not one of acceptance_gate, assess, "),
    ("steps.0.playbook", "mine.yml", "steps[0].playbook is 'mine.yml', not a file beside a_test.yml"),
    ("steps.0.vars", ["a"], "steps[0].vars is ['a'], not a mapping of extra variables"),
    ("steps.0.expect", {"rc": "good"}, "steps[0].expect.rc is 'good', not a whole number from 0 to 255"),
    ("steps.0.expect", {"changed": 1}, "steps[0].expect.changed is 1, not true or false"),
    ("steps.0.expect", {"code": 1}, "steps[0].expect.code is not known here; known are rc, changed, outcome, error"),
    ("steps.0.while", [{"do": "interrupt"}], "steps[0].while[0].task is missing"),
    ("steps.0.while", [{"task": "(", "do": "interrupt"}], "steps[0].while[0].task is '(', not a regular expression"),
    (
        "steps.0.while",
        [{"task": "x", "do": "explode"}],
        "steps[0].while[0].do is 'explode', not one of kill_controller",
    ),
    ("steps.0.while", [{"task": "x", "do": "fault"}], "steps[0].while[0] gives no fault"),
    ("steps.0.while", [{"task": "x", "do": "interrupt", "fault": {"spill": {"cups": 1}}}], "a fault that is not done"),
    ("steps.0.together", [{"vars": {}}], "steps[0].together[0].playbook is missing"),
    ("steps.0.after", "x", "steps[0].after is not known here"),
    ("steps.0.operator", "root", "steps[0].operator is 'root', not one of owner, least_privileged"),
    ("again", "yes", "again is 'yes', not true or false"),
    ("undo", "twice", "undo is 'twice', not true, false or redo"),
    ("steady_state", ["calm"], "steady_state[0] is 'calm', not one of flowing, gate"),
    ("budget", {"paused": 0}, "budget.paused is 0, not a number from 0.1 to 86400"),
    ("budget", {"detected": 5}, "budget.detected is not known here; known are paused, recovered, resumed"),
    ("steady_state", [], "steady_state is [], not some of flowing, gate"),
    ("sandboxes", [], "sandboxes is [], not some of embedded, docker, staging"),
    ("sandboxes", ["cloud"], "sandboxes[0] is 'cloud', not one of embedded, docker, staging"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_a_mistake_is_named_by_file_key_and_value(path: str, value: Any, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse(changed(path, value))
    assert said in raised.value.said
    assert str(FILE) in raised.value.attempted
    assert "docs/drills.md" in raised.value.next_step


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(BadInput) as raised:
        parse({"severity": "urgent", "speed": 1})
    for part in ("title is missing", "steps is missing", "severity is 'urgent'", "speed is not known here"):
        assert part in raised.value.said


@pytest.mark.parametrize("given", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_scenario(given: Any) -> None:
    with pytest.raises(BadInput, match="not a mapping of title"):
        parse(given)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.yml"
    file.write_text("title: [")
    with pytest.raises(BadInput, match=r"broken\.yml cannot be read"):
        scenario.read(file, playbooks=ROOT / "playbooks", faults={}, actions={})


def test_a_name_that_is_no_name() -> None:
    with pytest.raises(BadInput, match="the name 'A Test' is not of lower-case letters"):
        parse(SMALLEST, ROOT / "drills" / "A Test.yml")


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        (None, None),
        ("", None),
        ("postgresql://me:s3cret@db1/scout", "scout on db1:5432"),
        ("host=db1 port=6432 dbname=scout user=me password=s3cret", "scout on db1:6432"),
        ("service=scout-mindanao", "the default database on scout-mindanao:5432"),
        ("postgresql://me:s3cret@db1/scout?nonsense=1", "a database that cannot be named"),
    ],
)
def test_a_schema_is_named_without_user_and_password(dsn: str | None, told: str | None) -> None:
    assert drill_run.where(dsn) == told


def test_a_scenario_in_one_line() -> None:
    made = parse({**SMALLEST, "faults": [{"spill": {"cups": 1}}], "steps": [{"do": "sip"}, {"playbook": "assess"}]})
    assert drill_run.told(made) == "a_test (high): breaks it by spill; runs sip, assess.yml"
    assert drill_run.told(parse(SMALLEST)) == "a_test (high): breaks it by nothing; runs emergency_reset.yml"


def test_all_of_ours_can_be_read() -> None:
    chosen, elsewhere = drill_run.choose(drill_run.Request(("all",), Path("unused")))
    assert {each.name for each in chosen} == {path.stem for path in drill_run.OURS.glob("*.yml")}
    assert elsewhere == []
    assert len(chosen) >= 14
    assert all(each.about for each in chosen)


def test_the_inventories_have_the_runbooks_severities() -> None:
    for path in ("inventories/example/group_vars/all.yml", "inventories/local/group_vars/scout.yml"):
        assert yaml.safe_load((CHECKOUT / path).read_text())["scout_incident_severities"] == SEVERITIES
