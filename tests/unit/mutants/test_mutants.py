# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that changes code to see whether a test notices: what it changes, what it says, and that its files are true."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import cosmic_ray.plugins
import pytest

from tests import CHECKOUT

SOURCE = '''"""What is done WHERE it is due AND not before."""
from __future__ import annotations

FIND = "SELECT a FROM t WHERE b <= 3 AND c"


def most(rows: list[int] | None, limit: int = 3) -> int | None:
    return max(rows) if rows and len(rows) < limit else None
'''


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """scripts/mutants, which has no suffix."""
    loader = importlib.machinery.SourceFileLoader("scripts_mutants", str(CHECKOUT / "scripts" / "mutants"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    made = sys.modules[loader.name] = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def configuration(tool: ModuleType) -> Any:
    """What tests/mutants/ says."""
    return tool.read()


def test_every_part_has_modules_and_tests(configuration: Any) -> None:
    assert [part.name for part in configuration.parts] == ["redaction", "gate", "ledger", "sessions", "pause", "engine"]
    for part in configuration.parts:
        assert part.files(CHECKOUT), part.name
        assert [name for name in part.tests if not (CHECKOUT / name).exists()] == []
    assert configuration.floor >= 90
    known = set(cosmic_ray.plugins.operator_names())
    assert [name for name in configuration.operators if f"core/{name}" not in known] == []


def test_each_survivor_stands_in_its_file_and_has_a_reason(configuration: Any) -> None:
    """A line that has changed since has to be looked at again."""
    for each in configuration.survivors:
        assert each.keys() <= {"file", "was", "becomes", "reason"}
        files = [each["file"]] if "file" in each else [f for part in configuration.parts for f in part.files(CHECKOUT)]
        texts = [" ".join((CHECKOUT / file).read_text(encoding="utf-8").split()) for file in files]
        assert any(each["was"] in text for text in texts), each
        assert len(each["reason"]) > 10, each


def test_what_is_changed(tool: ModuleType, configuration: Any) -> None:
    """Code and SQL; neither annotations nor what is said about them."""
    made = {(mutant.line, mutant.becomes) for mutant in tool.mutants_of("m.py", SOURCE, configuration)}
    line = "return max(rows) if rows and len(rows) < limit else None"
    assert made == {
        (4, 'FIND = "SELECT a FROM t WHERE b < 3 AND c"'),
        (4, 'FIND = "SELECT a FROM t WHERE b <= 3 OR c"'),
        (7, "def most(rows: list[int] | None, limit: int = 2) -> int | None:"),
        (7, "def most(rows: list[int] | None, limit: int = 4) -> int | None:"),
        (8, line.replace("if rows", "if not rows")),
        (8, line.replace("and", "or")),
        (8, line.replace("<", "<=")),
    }


def test_a_known_survivor_is_told_by_its_line(tool: ModuleType, configuration: Any) -> None:
    [mutant] = [m for m in tool.mutants_of("m.py", SOURCE, configuration) if "<= limit" in m.becomes]
    entry = {"file": "m.py", "was": mutant.was, "becomes": mutant.becomes, "reason": "r"}
    for survivors, expected in (
        ((entry,), True),
        (({"file": "m.py", "was": mutant.was, "reason": "any change of it"},), True),
        ((entry | {"becomes": "something else"},), False),
        ((entry | {"file": "n.py"},), False),
        (({"was": mutant.was, "reason": "wherever it stands"},), True),
        ((), False),
    ):
        assert tool.dataclasses.replace(configuration, survivors=survivors).equivalent(mutant) is expected


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tree with one module and one test of it, which does not know the limit."""
    made = tmp_path / "copy0"
    made.mkdir()
    (made / "m.py").write_text(SOURCE)
    (made / "test_m.py").write_text(
        "import m\n\n\ndef test_m():\n    assert (m.most([1, 2]), m.most([])) == (2, None)\n"
    )
    return made


def test_a_change_that_a_test_notices_is_told_from_one_that_survives(
    tool: ModuleType, configuration: Any, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop = tool.Workshop(copy.parent, 0)
    workshop.free.put(copy)
    trial = tool.Trial(tool.Part("m", ("m.py",), ("test_m.py",), 1), workshop)
    trial.begin()
    result = tool.Result("m", 2)
    for mutant in tool.mutants_of("m.py", SOURCE, configuration):
        if mutant.line == 8:
            tool._count(result, (mutant, trial.survives(mutant)))
    assert [mutant.becomes for mutant in result.survived] == [
        "return max(rows) if rows and len(rows) <= limit else None"
    ]
    assert (result.killed, result.tried, round(result.percent)) == (2, 3, 67)
    assert "m.py:8 (ReplaceComparisonOperator_Lt_LtE)" in capsys.readouterr().out
    assert (copy / "m.py").read_text() == SOURCE
    assert tool.table([result])[1].split() == ["m", "2", "0", "3", "2", "1", "66.7"]


def test_tests_that_fail_by_themselves_stop_it(tool: ModuleType, copy: Path) -> None:
    (copy / "test_m.py").write_text("def test_m():\n    assert False\n")
    workshop = tool.Workshop(copy.parent, 0)
    workshop.free.put(copy)
    with pytest.raises(SystemExit, match="the tests of m fail without any change"):
        tool.Trial(tool.Part("m", ("m.py",), ("test_m.py",), 1), workshop).begin()


def test_below_the_floor_it_ends_with_one(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One part is enough."""
    for killed, code in ((90, 0), (89, 1)):
        percent = {"redaction": 100, "gate": killed}
        monkeypatch.setattr(
            tool, "go", lambda part, *_, p=percent: tool.Result(part.name, 100, 0, p[part.name], [LOST] * (100 - p[part.name]))
        )  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["mutants", "redaction", "gate", "--list"])
        assert tool.main() == code
        assert f"{killed}.0" in capsys.readouterr().out


class Lost:
    """A mutant that survived, as far as it is shown."""

    def shown(self) -> str:
        """For a person."""
        return "m.py:1"


LOST = Lost()


def test_the_files_are_read_as_they_are(tool: ModuleType, tmp_path: Path) -> None:
    given = tomllib.loads(tool.CONFIGURATION.read_text())
    assert len(tool.read().parts) == len(given["part"])
    (tmp_path / "none.toml").write_text("")
    assert tool.read(survivors=tmp_path / "none.toml").survivors == ()
