# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of a game day: read, refused by the value that is wrong, generated from a seed, and made smaller."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday import (
    catalog_operators,
    followed,
    game,
    generator,
    kinds,
    script,
)
from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday.script import Act, Script
from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday.stage import BY_HAND, Stage
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import FAULTS
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests import CHECKOUT

LOCK = {"at": 1.5, "do": "hold_lock", "mode": "EXCLUSIVE", "table": "silver_transactions", "seconds": 2.0}


def document(*acts: Any, **settings: Any) -> dict[str, Any]:
    return {"format": script.FORMAT, "acts": list(acts), **settings}


def collected(seed: int, rounds: int) -> list[Script]:
    made: list[Script] = []
    generator.play(seed, rounds, made.append)
    return made


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    for made in collected(5, 30):
        file = tmp_path / "script.json"
        file.write_text(json.dumps(made.as_document()))
        assert script.read(file, kinds.KINDS) == made


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "is no script of a game day"),
        ({"format": "another", "acts": []}, "is no script of a game day"),
        (document(seed=1), "seed is not known here; known are format, acts, variant, "),
        (document(variant="strange"), "variant is 'strange', not one of faithful, "),
        (document(operator="root"), "operator is 'root', not one of least_privileged, owner"),
        (document(events="many"), "events is 'many', not a number from 0 to 100000"),
        (document(events_per_second=-1), "events_per_second is -1, not a number from 0 to 1000"),
        ({"format": script.FORMAT}, "acts is missing, not a list"),
        (document(*[LOCK] * 51), "acts has 51, more than 50"),
        (document("nothing"), "acts[0] is 'nothing', not an act as {"),
        (document({"do": "hold_lock"}), "acts[0].at is missing, not a number from 0 to 60"),
        (document({"at": 61, "do": "lock_holder"}), "acts[0].at is 61, not a number from 0 to 60"),
        (document({"at": True, "do": "lock_holder"}), "acts[0].at is True, not a number"),
        (document(LOCK, {"at": 1, "do": "hold_lok"}), "(did you mean hold_lock?)"),
        (document({"at": 1, "do": ["x"]}), "acts[0].do is ['x'], not one of "),
        (document({**LOCK, "mode": "SHARED"}), "acts[0].mode is 'SHARED', not one of "),
        (document({**LOCK, "seconds": 99}), "acts[0].seconds is 99, not one of "),
        (document({**LOCK, "table": {}}), "acts[0].table is {}, not one of "),
        (document({**LOCK, "for": 1}), "acts[0].for is not known here; known are mode, "),
        (
            document({**LOCK, "at": -1, "mode": "X"}, events=-1),
            "events is -1, not a number from 0 to 100000; acts[0].at is -1, not",
        ),
    ],
)
def test_a_script_is_refused_by_the_value_that_is_wrong(given: Any, says: str) -> None:
    with pytest.raises(BadInput) as raised:
        script.parse(given, kinds.KINDS, "here")
    assert says in str(raised.value)
    assert raised.value.next_step


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (script.MOST_BYTES + 1)])
def test_a_file_that_is_no_document_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "script.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot be read|is no script"):
        script.read(file, kinds.KINDS)


def test_acts_happen_in_the_order_of_their_times() -> None:
    made = script.parse(document({"at": 3, "do": "lock_holder"}, LOCK), kinds.KINDS, "here")
    assert [act.name for act in made.acts] == ["hold_lock", "lock_holder"]
    assert str(made.acts[0]) == "1.5 s: hold_lock (mode EXCLUSIVE, table silver_transactions, seconds 2.0)"


def test_the_same_seed_gives_the_same_scripts_and_another_gives_others() -> None:
    assert collected(7, 15) == collected(7, 15)
    assert collected(7, 15) != collected(8, 15)


def test_scripts_have_faults_and_what_operators_do_of_every_kind() -> None:
    made = collected(1, 250)
    used = {act.name for each in made for act in each.acts}
    assert used == set(kinds.KINDS)
    faults = [[act for act in each.acts if not kinds.KINDS[act.name].typed] for each in made]
    assert {len(each) for each in faults} == set(range(1, generator.MOST_FAULTS + 1))
    assert {each.variant for each in made} == set(script.VARIANTS)
    assert {each.operator for each in made} == set(script.OPERATORS)


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=lambda kind: kind.name)
def test_what_can_happen_can_be_done_with_all_its_options(kind: script.Kind) -> None:
    does = getattr(Stage, f"_{kind.name}", None) or catalog_operators.OPERATORS.get(kind.name)
    if does is None:
        fault = FAULTS[kind.name]
        assert set(kind.options) <= set(fault.options)
        for option, choices in fault.choices.items():
            assert set(kind.options.get(option, choices)) <= set(choices)
    else:
        assert set(inspect.signature(does).parameters) - {"self", "connection"} == set(kind.options)


def test_what_a_colleague_does_is_known() -> None:
    assert set(kinds.KINDS["colleague"].options["does"]) == set(BY_HAND)
    for playbook in kinds.PLAYBOOKS:
        assert (CHECKOUT / "playbooks" / f"{playbook}.yml").is_file()


class Rehearsed(game._Played):
    """A game day whose rounds fail by a rule, so that the search is all that is tested."""

    def __init__(self, wanted: game.Game, folder: Path, fails: Any) -> None:
        self.game, self.folder, self.fails = wanted, folder, fails
        self.document: dict[str, Any] = {"scenarios": []}
        self.tried: list[Script] = []
        self._began, self._number = time.monotonic(), 0
        self.progress = Progress()

    def play(self, made: Script, told: dict[str, Any]) -> None:
        self.tried.append(made)
        (self.folder / told["name"]).mkdir(exist_ok=True)
        broken = self.fails(made)
        told["verdict"] = "failed" if broken else "passed"
        told["checks"] = [{"check": name, "passed": False} for name in broken]

    def save(self) -> None:
        """Nothing to keep."""


def drops(made: Script) -> list[str]:
    return ["no event is lost"] if any(act.name in catalog_operators.OPERATORS for act in made.acts) else []


def test_a_script_that_fails_is_made_smaller_and_the_next_rounds_are_played(tmp_path: Path) -> None:
    played = Rehearsed(game.Game(seed=3, rounds=30), tmp_path, drops)
    played.generated()
    assert len(played.document["scenarios"]) == 30
    failed = [told for told in played.document["scenarios"] if told["verdict"] == "failed"]
    assert failed
    for told in failed:
        smallest = script.read(tmp_path / told["name"] / "smallest.json", kinds.KINDS)
        [begun] = [made for made in played.tried if str(made)[:300] == told["title"]][:1]
        assert len(smallest.acts) <= len(begun.acts)
        assert drops(smallest)
        assert "ansible-playbook playbooks/gameday.yml -e script=" in told["why"][-1]
        assert told["why"][-1].startswith("seed ")


def test_smaller_scripts_are_bounded_and_may_be_left_out(tmp_path: Path) -> None:
    played = Rehearsed(game.Game(seed=3, rounds=12, shrink=False), tmp_path, drops)
    played.generated()
    assert len(played.tried) == 12
    bounded = Rehearsed(game.Game(seed=3, rounds=12), tmp_path, drops)
    bounded.generated()
    failures = sum(told["verdict"] == "failed" for told in bounded.document["scenarios"])
    assert 12 < len(bounded.tried) <= 12 + failures * game.MOST_SMALLER


def test_only_what_fails_in_the_same_way_counts_as_smaller(tmp_path: Path) -> None:
    def fails(made: Script) -> list[str]:
        return drops(made) or (["another"] if len(made.acts) == 1 else [])

    played = Rehearsed(game.Game(seed=9, rounds=40), tmp_path, fails)
    played.generated()
    for told in played.document["scenarios"]:
        if told["verdict"] == "failed" and told["checks"][0]["check"] == "no event is lost":
            smallest = script.read(tmp_path / told["name"] / "smallest.json", kinds.KINDS)
            assert drops(smallest)


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("ansible-playbook playbooks/assess.yml", ("assess", {}, False)),
        ("ansible-playbook scout.recovery.undo -e run_id=7", ("undo", {"run_id": "7"}, False)),
        (
            'ansible-playbook playbooks/quarantine.yml --check \\\n  -e \'{"stores": ["Ñ 1"]}\' -e \'incident="a b"\'',
            ("quarantine", {"stores": ["Ñ 1"], "incident": "a b"}, True),
        ),
        (
            "ansible-playbook scout.recovery.redrive -i '/a b/hosts.yml' -e target=one -e run_id=R",
            ("redrive", {"target": "one", "run_id": "R"}, False),
        ),
    ],
)
def test_a_printed_command_is_typed_as_a_shell_reads_it(text: str, typed: tuple[str, Any, bool]) -> None:
    found = followed.command(text)
    assert (found.playbook, dict(found.variables), found.check) == typed


@pytest.mark.parametrize(
    "text",
    [
        "psql",
        "ansible-playbook",
        "ansible-playbook a.yml --tags x",
        "ansible-playbook a.yml -e 'b",
        "ansible-playbook a.yml -e b",
    ],
)
def test_what_cannot_be_typed_is_refused(text: str) -> None:
    with pytest.raises(followed.NotTyped):
        followed.command(text)


def test_a_script_is_named_by_what_is_kept_or_by_a_file(tmp_path: Path) -> None:
    assert set(game.named("kept")) == {path.stem for path in game.KEPT.glob("*.json")}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(Script((Act(1.0, "lock_holder"),)).as_document()))
    assert list(game.named(str(file))) == ["mine"]
    with pytest.raises(BadInput, match="there is no script 'nowhere'"):
        game.named("nowhere")
