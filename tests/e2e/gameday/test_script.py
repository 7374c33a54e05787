# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of a game day: read, and generated from a seed."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import FAULTS
from tests import CHECKOUT
from tests.e2e.gameday import catalog_operators, followed, generator, kinds, script
from tests.e2e.gameday.script import Script
from tests.e2e.gameday.stage import BY_HAND, Stage


def collected(seed: int, rounds: int) -> list[Script]:
    made: list[Script] = []
    generator.play(seed, rounds, made.append)
    return made


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    for made in collected(5, 30):
        file = tmp_path / "script.json"
        file.write_text(json.dumps(made.as_document()))
        assert script.read(file) == made


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
