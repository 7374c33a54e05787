# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of scripts/check-docs finds what is planted, says where it is, and finds nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from scripts.rules import RULES
from scripts.rules.tree import Finding, Tree
from tests import CHECKOUT
from tests.results import shapes
from tests.unit.docs.planted import PLANTED, Plant


class Unchanged(TypedDict):
    """A result that does not say rightly whether something was changed."""

    changed: str


def other_for(module: str, *found: Any) -> Callable[[str], tuple[Any, ...]]:
    """The shapes of every result, of which one is another."""
    return lambda name: found if name == module else shapes(name)


#: What is wrong with the code that pages are about: what is replaced, by what, and what is found then.
IN_CODE: dict[str, list[tuple[str, Any, tuple[str, ...]]]] = {
    "results.every_module_says_what_it_returns": [
        ("tests.results.shapes", other_for("scout_undo", dict), ("run of scout_undo returns no TypedDict with `changed: bool`",)),
        ("tests.results.shapes", other_for("scout_undo"), ("run of scout_undo returns no TypedDict with `changed: bool`",)),
        ("tests.results.shapes", other_for("scout_undo", Unchanged), ("run of scout_undo returns no TypedDict with `changed: bool`",)),
    ],
    "results.what_one_module_borrows_is_what_the_other_returns": [
        ("tests.results.shapes", other_for("scout_rollback", Unchanged), ("returns changed otherwise than scout_rollback",)),
    ],
}  # fmt: skip
#: What takes several files, None for one that is not there, and what is found then.
SEVERAL: dict[str, tuple[dict[str, str | None], str]] = {
    "code.no_package_is_too_full": (
        {f"module_utils/recovery/gone/_{number}.py": "" for number in range(21)},
        "has 21 files, more than 20",
    ),
    "words.every_kind_of_text_is_read": (
        dict.fromkeys(Tree().files("docs/*.json")),
        "of_json reads no file",
    ),
}


def planted(plant: Plant) -> Tree:
    """The checkout with the fault in it."""
    if plant.old is None and not plant.new:
        return Tree({plant.path: None})
    if plant.old == "":
        return Tree({plant.path: plant.new})
    text = Tree().text(plant.path)
    if plant.old is None:
        return Tree({plant.path: f"{text.removesuffix('\n')}\n{plant.new}\n"})
    assert plant.old in text, f"{plant.path} has no {plant.old!r}"
    return Tree({plant.path: text.replace(plant.old, plant.new)})


def found_in(tree: Tree, name: str, plant: Plant) -> list[Finding]:
    """All that a rule finds; of the words only those of that file, for to read every file takes seconds."""
    rule = RULES[name]
    if name.startswith("words."):
        return [each for file in rule.each(tree) if file.path == plant.path for each in rule.look(tree, file)]
    return rule.run(tree)[0]


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert {
        name for name, plants in PLANTED.items() if any(plant.wrong for plant in plants)
    } | IN_CODE.keys() | SEVERAL.keys() == RULES.keys()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, subtests: pytest.Subtests) -> None:
    for plant in PLANTED[name]:
        with subtests.test(msg=plant.wrong[0] if plant.wrong else f"nothing wrong with {plant.new[:60]!r}"):
            tree = planted(plant)
            found = found_in(tree, name, plant)
            said, due = sorted(finding.wrong for finding in found), sorted(plant.wrong)
            assert len(said) == len(due), said
            assert all(one.startswith(other) for one, other in zip(said, due, strict=True)), said
            assert {finding.path for finding in found} <= {plant.path, plant.found_in or plant.path}
            assert not plant.wrong or any(finding.path == (plant.found_in or plant.path) for finding in found)
            # What a file lacks stands on no line of it.
            lines = {
                finding.line: tree.text(finding.path).splitlines()[finding.line - 1]
                for finding in found
                if finding.line > 1
            }
            assert all(plant.at in line for line in lines.values()) if plant.at else not lines
            assert bool(lines) == bool(plant.at and plant.wrong)


@pytest.mark.parametrize("name", IN_CODE)
def test_a_fault_of_the_code_is_found(name: str, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> None:
    for replaced, by, wrong in IN_CODE[name]:
        with subtests.test(msg=wrong[0]), monkeypatch.context() as patch:
            patch.setattr(replaced, by)
            found, _ = RULES[name].run(Tree())
            assert sorted(finding.wrong for finding in found) == sorted(wrong)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_fault_of_several_files_is_found(name: str) -> None:
    files, wrong = SEVERAL[name]
    found, _ = RULES[name].run(Tree(files))
    assert [finding.wrong for finding in found] == [wrong]


def test_the_script_lists_what_it_finds_and_fails() -> None:
    """Of a rule by its name; nothing is wrong with what is committed."""
    done = subprocess.run(
        [sys.executable, "scripts/check-docs", "code.design"], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "check-docs: 1 rules looked at 1 things and found nothing\n"), (
        done.stderr
    )
