# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried as the newest is the newest, and what cannot be had fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import CHECKOUT
from tests.programs import script

MATRIX = script("matrix")


def test_the_newest_server_is_the_one_of_the_highest_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MATRIX, "PACKAGED", tmp_path)
    with pytest.raises(MATRIX.Missing, match="no package has installed a PostgreSQL in "):
        MATRIX.on_packaged()
    for name in ("9.6", "18", "19", "9"):
        (tmp_path / name / "bin").mkdir(parents=True)
    assert MATRIX.on_packaged() == {"SCOUT_PG_BIN": str(tmp_path / "19" / "bin")}


def test_a_version_that_npm_does_not_have_is_taken_from_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MATRIX, "PACKAGED", tmp_path)
    with pytest.raises(MATRIX.Missing, match="PostgreSQL 19 was not to be had where the others ran"):
        MATRIX.on_server(19)
    (tmp_path / "19" / "bin").mkdir(parents=True)
    assert MATRIX.on_server(19) == {"SCOUT_PG_BIN": str(tmp_path / "19" / "bin")}


@pytest.mark.parametrize(
    ("results", "code"),
    [([{"passed": True, "tests": 2}], 0), ([{"passed": False, "tests": 2}], 1), ([{"not_tried": "no npm"}], 1)],
)
def test_it_fails_where_one_failed_or_could_not_be_tried(
    results: list[dict[str, object]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = iter([{"name": "first", "passed": True, "tests": 1}, *({"name": "last"} | each for each in results)])
    monkeypatch.setattr(MATRIX, "tried", lambda _: next(tried))
    assert MATRIX.main(["--newest"]) == code


@pytest.mark.parametrize("test", [*MATRIX.PLAYBOOKS, *MATRIX.MODULES])
def test_each_test_that_is_run_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}" in (CHECKOUT / file).read_text(encoding="utf-8")
