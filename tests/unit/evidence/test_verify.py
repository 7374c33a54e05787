# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence is whole or not there, follows on what came before, and tells of every change that was made to it."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import archive
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke

MODULE = "ansible_collections.scout.recovery.plugins.modules.scout_evidence_verify"


def keep(base: Path, incident: str = "INC-1", rows: int = 3, database: str = "scout") -> archive.Kept:
    """A small folder of evidence."""
    with archive.opened(base, Redactor()) as made:
        for name in ("locks", "sessions"):
            made.add(name, (b'{"n":%d}' % number for number in range(rows)))
        return made.finish(base, {"incident": incident, "database": database})


def verify(folder: Path, manifest_sha256: str | None = None) -> dict[str, Any]:
    module: Any = importlib.import_module(MODULE)
    params = {"folder": str(folder), "manifest_sha256": manifest_sha256}
    return invoke(module.run, "scout_evidence_verify", params, check=False)


def found(folder: Path, **options: Any) -> list[tuple[str, str]]:
    """Each problem: which file, or which folder, and its first words."""
    result = verify(folder, **options)
    assert result["failed"]
    assert result["error"]["kind"] == "not_reached"
    assert result["problems"]
    assert all(
        problem["folder"] in result["msg"] and problem["problem"][:20] in result["msg"]
        for problem in result["problems"]
    )
    return [(problem["file"] or problem["folder"], problem["problem"]) for problem in result["problems"]]


@pytest.fixture
def chain(tmp_path: Path) -> list[archive.Kept]:
    return [keep(tmp_path / "evidence") for _ in range(3)]


def test_what_was_written_verifies(chain: list[archive.Kept]) -> None:
    base = chain[0].folder.parent
    other = keep(base, "INC-2")
    (base / "INC-1-scout-20261125T010000.112233Z-watch").mkdir()
    result = verify(base)
    assert not result.get("failed"), result
    assert result["summary"] == "8 files in 4 folders of evidence are unaltered, and the chain of each incident"
    assert [kept.number for kept in chain] == [1, 2, 3]
    assert other.number == 1
    assert result["last"] == {"INC-1": chain[2].manifest_sha256, "INC-2": other.manifest_sha256}
    assert verify(base, other.manifest_sha256)["problems"] == []
    alone = verify(chain[1].folder)
    assert alone["summary"] == "2 files in 1 folder of evidence are unaltered; a single folder shows no chain"
    assert [kept.folder.name for kept in chain] == sorted(kept.folder.name for kept in chain)
    assert base.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in chain[0].folder.iterdir()} == {0o600}


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest, indent=1) + "\n")


def named_again(folder: Path) -> None:
    """What a person does who knows how folders are named."""
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    folder.rename(folder.with_name(f"{folder.name[:-16]}{digest[:16]}"))


def test_a_file_that_was_touched_is_named(chain: list[archive.Kept]) -> None:
    first, second, third = (kept.folder for kept in chain)
    tampered = first / "locks.jsonl.gz"
    data = bytearray(tampered.read_bytes())
    data[-9] ^= 1
    tampered.write_bytes(data)
    whole = (second / "sessions.jsonl.gz").read_bytes()
    (second / "sessions.jsonl.gz").write_bytes(whole[:-1])
    (third / "sessions.jsonl.gz").unlink()
    (third / "more.txt").write_text("")
    (second / "locks.jsonl.gz").unlink()
    (second / "locks.jsonl.gz").symlink_to(tampered)
    assert found(first.parent) == [
        ("locks.jsonl.gz", "was tampered with: its SHA-256 is not that of the manifest"),
        ("locks.jsonl.gz", "is no longer a regular file"),
        ("sessions.jsonl.gz", f"is truncated: {len(whole) - 1:,} of {len(whole):,} bytes"),
        ("sessions.jsonl.gz", "is missing"),
        ("more.txt", "was added: the manifest does not name it"),
    ]


def test_a_file_and_its_manifest_exchanged_together_are_named(chain: list[archive.Kept]) -> None:
    """By the name of the folder; whoever changes that too is given away by the manifest that follows."""
    second = chain[1].folder
    path = second / "locks.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n"))
    data = path.read_bytes()
    now = {"file": path.name, "rows": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(second / "manifest.json", lambda manifest: manifest["files"].__setitem__(0, now))
    assert found(second.parent)[0] == (
        "manifest.json",
        "was tampered with: its SHA-256 does not match the folder's name",
    )
    named_again(second)
    [(where, problem)] = found(chain[0].folder.parent)
    assert where == chain[2].folder.name
    assert problem.startswith("does not follow the manifest of INC-1-scout-")


def test_a_missing_folder_is_named(chain: list[archive.Kept]) -> None:
    base = chain[0].folder.parent
    shutil.move(chain[1].folder, base.parent / "away")
    assert found(base) == [(chain[2].folder.name, "does not follow: number 2 of INC-1 is missing")]
    shutil.move(chain[0].folder, base.parent / "first")
    assert found(base) == [(chain[2].folder.name, "does not follow: number 1, 2 of INC-1 is missing")]


def test_the_last_folder_missing_is_named_by_who_wrote_it_down(chain: list[archive.Kept]) -> None:
    base = chain[0].folder.parent
    shutil.rmtree(chain[2].folder)
    assert not verify(base).get("failed")
    assert found(base, manifest_sha256=chain[2].manifest_sha256) == [
        (base.name, f"is missing the last manifest of its incident: {chain[2].manifest_sha256}")
    ]


def test_manifests_out_of_order_are_named(chain: list[archive.Kept]) -> None:
    """Exchanged between two folders, or numbered anew."""
    first, second, third = (kept.folder for kept in chain)
    for folder, number in ((second, 3), (third, 2)):
        edit(folder / "manifest.json", lambda manifest, number=number: manifest.update(number=number))
        named_again(folder)
    problems = found(first.parent)
    assert [problem[:19] for _, problem in problems] == ["does not follow the"] * 2

    other = [keep(first.parent, "INC-2").folder for _ in range(2)]
    one, two = (folder / "manifest.json" for folder in other)
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    problems = [
        (where, said) for where, said in found(first.parent) if where in {"manifest.json", other[0].name, other[1].name}
    ]
    assert len([said for _, said in problems if "does not match the folder's name" in said]) == 2
    assert len([said for _, said in problems if "renamed or replaced" in said]) == 2


def test_a_manifest_twice_or_under_another_name_is_named(chain: list[archive.Kept]) -> None:
    second, third = chain[1].folder, chain[2].folder
    shutil.copytree(second, second.with_name("copy"))
    third.rename(third.with_name("INC-1-scout-20200101T000000.000000Z-" + third.name[-16:]))
    moved = "INC-1-scout-20200101T000000.000000Z-" + third.name[-16:]
    assert set(found(second.parent)) == {
        ("copy", "was renamed"),
        ("copy", f"is number 2 of INC-1, as {second.name} is"),
        (moved, f"was written as {third.name[:-17]}: it has been renamed or replaced"),
    }


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "\x00", "[" * 100_000, '{"format": "x"}', '{"format": "scout-recovery-evidence/2", "files": 7}'],
)
def test_a_manifest_that_is_none_is_named(chain: list[archive.Kept], text: str) -> None:
    (chain[2].folder / "manifest.json").write_text(text)
    assert any("is not a readable evidence manifest" in problem for _, problem in found(chain[2].folder.parent))
    (chain[2].folder / "manifest.json").unlink()
    assert found(chain[2].folder) == [("manifest.json", "is missing")]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/b", ""])
def test_a_hostile_manifest_leads_nowhere(chain: list[archive.Kept], name: str) -> None:
    folder = chain[2].folder
    edit(folder / "manifest.json", lambda manifest: manifest["files"][0].update(file=name))
    named_again(folder)
    assert any("that was never written" in problem for _, problem in found(folder.parent))


def test_nothing_to_verify_is_no_success(tmp_path: Path) -> None:
    for folder, said in ((tmp_path, "there is none in it"), (tmp_path / "none", "there is no such folder")):
        result = verify(folder)
        assert (result["failed"], result["error"]["kind"], result["error"]["said"]) == (True, "bad_input", said)
    assert verify(tmp_path, "abc")["error"]["kind"] == "bad_input"


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Iterator[bytes]:
        yield b"{}"
        raise OSError(28, "No space left on device")

    def breaking_off() -> None:
        with archive.opened(tmp_path, Redactor()) as made:
            made.add("locks", iter([b"{}"]))
            made.add("sessions", rows())

    with pytest.raises(OSError, match="No space"):
        breaking_off()
    assert list(tmp_path.iterdir()) == []
    with archive.opened(tmp_path, Redactor()) as made:
        with pytest.raises(OSError, match="No space"):
            made.add("sessions", rows())
        assert made.files == []
        made.add("locks", iter([b"{}"]))
        kept = made.finish(tmp_path, {"incident": "INC-1", "database": "scout"})
    assert sorted(path.name for path in kept.folder.iterdir()) == ["locks.jsonl.gz", "manifest.json"]


def test_what_was_killed_is_swept_and_what_is_at_work_is_not(tmp_path: Path) -> None:
    code = """
        import os, sys, time, pathlib
        from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
        from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import archive
        with archive.opened(pathlib.Path(sys.argv[1]), Redactor()) as made:
            made.add("locks", iter([b"{}"]))
            print("ready", flush=True)
            time.sleep(60)
    """
    argv = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        [unfinished] = tmp_path.iterdir()
        old = time.time() - 3600
        os.utime(unfinished, (old, old))
        keep(tmp_path)
        assert unfinished.exists()
        other.kill()
        other.wait()
    keep(tmp_path)
    assert not unfinished.exists()
    assert verify(tmp_path)["problems"] == []


def test_many_at_once_make_one_chain(tmp_path: Path) -> None:
    code = """
        import sys, pathlib
        sys.path[:0] = sys.argv[2:]
        from tests.unit.evidence.test_verify import keep
        for _ in range(5):
            keep(pathlib.Path(sys.argv[1]), database=sys.argv[1][-1])
    """
    argv = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), *sys.path]
    others = [subprocess.Popen(argv) for _ in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert verify(tmp_path)["problems"] == []
    assert keep(tmp_path).number == 16


def test_a_clock_set_back_does_not_break_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep(tmp_path)
    earlier = archive.datetime.datetime.now(archive.datetime.UTC) - archive.datetime.timedelta(days=1)

    class Earlier(archive.datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return earlier.astimezone(tz)

    monkeypatch.setattr(archive.datetime, "datetime", Earlier)
    second = keep(tmp_path)
    monkeypatch.undo()
    assert second.number == 2
    assert second.folder.name > first.folder.name
    assert keep(tmp_path).number == 3
    assert verify(tmp_path)["problems"] == []
