# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: somebody who may write to a shared folder puts a link where the operator's run will write, or reads what it wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import folder as evidence_folder
from tests.e2e.play import Stage

#: Somebody else on the operator's machine. Only root can give him a file; others are taken for somebody else themselves.
SOMEBODY = 65534
PRECIOUS = "ssh-ed25519 the operator's\n"

WAYS: dict[str, Callable[[Path], Any]] = {
    "write": lambda path: files.write(path, b"evil"),
    "create": lambda path: files.create(path, b"evil"),
}


class Machine:
    """A folder like /tmp, in which somebody has planted a link to a file of the operator's."""

    def __init__(self, folder: Path) -> None:
        self.shared, self.precious = folder / "shared", folder / "precious"
        self.shared.mkdir()
        self.shared.chmod(0o1777)
        self.precious.write_text(PRECIOUS)

    def plant(self, name: str, target: Path) -> Path:
        link = self.shared / name
        link.symlink_to(target)
        os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
        return link


def unchanged(_path: Path, _uid: int, _gid: int, *, follow_symlinks: bool = True) -> None:
    """Whose it is stays as it is."""


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we are not root, whatever this test makes is somebody else's."""
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
        monkeypatch.setattr(os, "chown", unchanged)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["last", "in_between", "behind_another"])
def test_nobody_elses_link_is_followed(way: str, where: str, machine: Machine, tmp_path: Path) -> None:
    if where == "in_between":
        machine.plant("results", tmp_path)
        path = machine.shared / "results" / "precious"
    else:
        path = machine.plant("result", machine.precious)
        path = path.with_name("result")
    if where == "behind_another":
        ours = tmp_path / "ours"
        ours.symlink_to(machine.shared / "result")
        path = tmp_path / "ours"
    with pytest.raises(BadInput) as raised:
        WAYS[way](path)
    assert raised.value.next_step
    assert machine.precious.read_text() == PRECIOUS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["folder", "above", "file"])
def test_a_link_that_comes_after_the_look_is_not_followed(
    way: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns the folder exchanges it between the look and the writing."""
    name = "precious"
    theirs, ours = tmp_path / "theirs", tmp_path / "home"
    (ours / "deep").mkdir(parents=True)
    for precious in (ours / name, ours / "deep" / name):
        precious.write_text(PRECIOUS)
    (theirs / "deep").mkdir(parents=True)
    path, exchanged, target = {
        "folder": (theirs / name, theirs, ours),
        "above": (theirs / "deep" / name, theirs, ours),
        "file": (theirs / name, theirs / name, ours / name),
    }[where]
    looked = files.real

    def real(wanted: Path) -> Path:
        found = looked(wanted)
        if not exchanged.is_symlink():
            if exchanged.exists():
                exchanged.rename(tmp_path / "away")
            exchanged.symlink_to(target)
            os.chown(exchanged, SOMEBODY, SOMEBODY, follow_symlinks=False)
        return found

    monkeypatch.setattr(files, "real", real)
    with contextlib.suppress(BadInput):
        WAYS[way](path)
    assert (ours / name).read_text() == (ours / "deep" / name).read_text() == PRECIOUS
    assert sorted(each.name for each in ours.iterdir()) == sorted(["deep", name])
    if where == "file":
        assert not path.is_symlink() or path.readlink() == ours / name


def test_what_a_run_writes_nobody_else_reads(scout_db: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir(mode=0o700)
    before = os.umask(0o000)
    try:
        played = Stage(tmp_path).play(
            "assess",
            scout_db,
            save_evidence=True,
            result_file=str(tmp_path / "new" / "r.json"),
            evidence_dir=str(tmp_path / "kept"),
        )
        assert played.rc == 0, played.text
    finally:
        os.umask(before)
    made = [path for name in ("new", "kept") for path in [tmp_path / name, *(tmp_path / name).rglob("*")]]
    assert len(made) > 5
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_file()} == {"0o600"}


@pytest.mark.parametrize("whose", ["anybodys", "somebodys"])
def test_evidence_is_not_kept_where_others_may_write(whose: str, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    if whose == "anybodys":
        folder.chmod(0o1777)
    else:
        os.chown(folder, SOMEBODY, SOMEBODY)
    with pytest.raises(PermissionError):
        evidence_folder.write(folder, "INC-1", {"sessions": []})
    assert list(folder.iterdir()) == []


def test_a_report_leaves_the_mode_of_a_folder_that_is_there(scout_db: str, machine: Machine, tmp_path: Path) -> None:
    """Such as /tmp, which a report of root's would have closed to everybody else."""
    stage = Stage(tmp_path)
    assert stage.play("pause_ingestion", scout_db, incident="INC-1").rc == 0
    for report_dir, mode in ((machine.shared, 0o1777), (tmp_path / "new", 0o700)):
        assert stage.play("incident_report", scout_db, report_dir=str(report_dir), incident="INC-1").rc == 0
        assert report_dir.stat().st_mode & 0o7777 == mode
        assert {path.stat().st_mode & 0o777 for path in report_dir.glob("*.md")} == {0o600}
