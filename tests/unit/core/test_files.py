# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are there whole or not at all, whoever writes and whatever stops them."""

from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    files.write(path, b"one", mode=files.OWNER)
    with path.open("rb") as reader:
        files.write(path, b"two")
        assert reader.read() == b"one", "who reads it has the file of before, whole"
    assert (path.read_bytes(), mode(path)) == (b"two", 0o600)
    assert names(path.parent) == ["a.json"]


def test_a_file_that_was_not_there_is_its_owners_and_another_keeps_its_mode(tmp_path: Path) -> None:
    files.write(tmp_path / "new" / "a", b"")
    assert (mode(tmp_path / "new"), mode(tmp_path / "new" / "a")) == (0o700, 0o600)
    (tmp_path / "new" / "a").chmod(0o640)
    files.write(tmp_path / "new" / "a", b"")
    assert mode(tmp_path / "new" / "a") == 0o640


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (tmp_path / "link").symlink_to(there)
    files.write(tmp_path / "link", b"one")
    assert ((tmp_path / "link").is_symlink(), there.read_bytes()) == (True, b"one")
    (tmp_path / "null").symlink_to("/dev/null")
    files.write(tmp_path / "null", b"one")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["below/a", ""])
def test_where_nothing_can_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "below").write_bytes(b"")
    path = tmp_path / name
    said = f"could not write release_file {path}: .*Next: give a path that can be written"
    with pytest.raises(BadInput, match=said):
        files.write(path, b"", "release_file")
    assert names(tmp_path) == ["below"]


def test_a_name_that_no_file_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"could not write release_file a\\x00b: .*embedded null"):
        files.write(Path("a\0b"), b"", "release_file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match=r"could not write .*/file/x: "):
        files.create(tmp_path / "file" / "x", b"")


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    assert files.create(tmp_path / "a", b"one")
    assert not files.create(tmp_path / "a", b"two")
    assert ((tmp_path / "a").read_bytes(), names(tmp_path)) == (b"one", ["a"])
