# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of evidence: gzip files written row by row, a manifest chained to the one before, and either all of it or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import time
import typing as t
from collections.abc import Generator
from pathlib import Path

from ..core import files
from ..core.errors import BadInput, NotConverged
from ..core.redaction import LEFT_OUT
from ..core.text import count
from ..core.values import loaded
from ..ledger.trust import signatures

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.redaction import Redactor

FORMAT: t.Final = "scout-recovery-evidence/2"
MANIFEST: t.Final = "manifest.json"
#: What a manifest is, in the words of signatures.
KIND: t.Final = "evidence"
#: A folder says when it was made and how the SHA-256 of its manifest begins: wherever its name was written down, in a summary
#: or in the log of a pipeline, nobody can exchange the manifest any more.
NAME = re.compile(r"(?P<stem>.+-(?P<stamp>\d{8}T\d{6}\.\d{6}Z))-(?P<digest>[0-9a-f]{16})")
STAMP: t.Final = "%Y%m%dT%H%M%S.%fZ"
UNFINISHED: t.Final = ".part"
#: The fast end of gzip: evidence is in the way of an action.
LEVEL: t.Final = 3


class _Hashed(io.RawIOBase):
    """Writes a file that is readable by its owner alone, with its digest and size."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: t.Any) -> int:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def close(self) -> None:
        if not self._file.closed:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        super().close()


@dataclasses.dataclass(frozen=True)
class Kept:
    """A finished folder."""

    folder: Path
    manifest_sha256: str
    number: int
    #: The folder of all evidence, and its host.
    place: str


@dataclasses.dataclass(frozen=True)
class Most:
    """What is kept at most of a section that others fill."""

    value_characters: int
    section_bytes: int
    seconds: float
    #: Of one row once its texts are shortened: as many of its values are kept as are short.
    row_bytes: int = 128 << 10

    def reached(self, size: int, until: float) -> str:
        """Why no more is kept; empty where more is."""
        if size >= self.section_bytes:
            return f"more than {self.section_bytes >> 20} MiB"
        return f"it took more than {self.seconds:g} s" if time.monotonic() > until else ""


class CutShort(Exception):
    """Raised by rows that come no further, for the reason that it says; those before are kept."""


class EvidenceArchive:
    """The evidence archive in the making; without a folder it is only read, counted and thrown away."""

    def __init__(self, redactor: Redactor, folder: Path | None) -> None:
        self.files: list[dict[str, t.Any]] = []
        #: Of how many rows of a section only the short values are kept.
        self.short: dict[str, int] = {}
        self.folder = folder
        self.redactor = redactor

    def add(self, name: str, rows: Iterable[bytes], most: Most | None = None) -> int:
        """Writes rows of JSON as one file, one after the other; what breaks off leaves no file. Raises NotConverged, with the
        rows until then kept, where they are more than they may be."""
        if self.folder is None:
            return sum(1 for _ in rows)
        path = self.folder / f"{name}.jsonl.gz"
        longest, largest = (most.value_characters, most.row_bytes) if most else (None, None)
        number, size, why, until = 0, 0, "", time.monotonic() + (most.seconds if most else 0.0)
        try:
            with (
                _Hashed(path) as raw,
                # Neither a name nor a time in its head: equal rows make equal files.
                gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as file,
                io.BufferedWriter(t.cast("t.Any", file)) as out,
            ):
                try:
                    for row in rows:
                        line = self.redactor.line(row, longest, largest)
                        if line.startswith(b'{"' + LEFT_OUT.encode() + b'"'):
                            self.short[name] = self.short.get(name, 0) + 1
                        out.write(line)
                        out.write(b"\n")
                        number += 1
                        size += len(line)
                        if most is not None and (why := most.reached(size, until)):
                            break
                except CutShort as e:
                    why = str(e)
                if why and isinstance(rows, Generator):
                    # What still comes from the server is cancelled now, and not when somebody collects garbage.
                    rows.close()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.files.append({"file": path.name, "rows": number, "bytes": raw.size, "sha256": raw.digest.hexdigest()})
        if why:
            raise NotConverged(f"{name} was cut", said=f"only the first {count(number, 'row')} of it: {why}")
        return number

    def rows(self, name: str) -> int | None:
        """How many rows of a section are kept; None where it is not."""
        return next((entry["rows"] for entry in self.files if entry["file"] == f"{name}.jsonl.gz"), None)

    def drop_unfinished(self) -> None:
        """Removes the files of what was broken off from outside."""
        if self.folder is not None:
            finished = {entry["file"] for entry in self.files}
            for path in self.folder.iterdir():
                if path.name not in finished:
                    path.unlink()

    def finish(self, base: Path, about: dict[str, t.Any]) -> Kept:
        """Writes the manifest, linked to the previous one of the same incident and signed where there is a key, and gives the folder
        its name. Raises LookupError without a folder, and NotConverged for a key that cannot be used."""
        if self.folder is None:
            raise LookupError("there was nothing to keep")
        incident = str(about["incident"])
        with files.locked(base):
            before = _latest(base, incident)
            now = datetime.datetime.now(datetime.UTC)
            if before is not None:
                # The clock may have been set back; the order of the names is the order of the chain.
                now = max(now, before.made_at + datetime.timedelta(microseconds=1))
            stem = re.sub(r"[^A-Za-z0-9._-]", "_", f"{incident}-{about['database']}-{now.strftime(STAMP)}")
            number = before.number + 1 if before else 1
            manifest = {
                "format": FORMAT,
                **about,
                "folder": stem,
                "place": place_of(base),
                "number": number,
                "previous": {"folder": before.name, "manifest_sha256": before.digest} if before else None,
                "files": self.files,
            }
            with _Hashed(self.folder / MANIFEST) as raw:
                raw.write((json.dumps(_signed(manifest), indent=1) + "\n").encode())
            digest = raw.digest.hexdigest()
            _settle(self.folder)
            folder = base / f"{stem}-{digest[:16]}"
            self.folder.rename(folder)
            _settle(base)
        return Kept(folder, digest, number, place_of(base))


def place_of(base: Path) -> str:
    """A folder of evidence as the ledger and the manifests in it name it: `host:/path`."""
    return f"{os.uname().nodename}:{base.resolve()}"


def signable(manifest: dict[str, t.Any]) -> bytes:
    """What of a manifest is signed: all but the signature."""
    rest = {name: value for name, value in manifest.items() if name != "signature"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _signed(manifest: dict[str, t.Any]) -> dict[str, t.Any]:
    """The manifest as it is read again, with a signature where this controller has a key."""
    made: dict[str, t.Any] = loaded(json.dumps(manifest, default=str).encode())
    try:
        signature = signatures.sign(KIND, signable(made))
    except BadInput as e:
        raise NotConverged("could not sign the evidence", said=e.attempted, next_step=e.next_step) from e
    return made | ({"signature": signature} if signature else {})


@contextlib.contextmanager
def opened(base: Path, redactor: Redactor) -> Generator[EvidenceArchive]:
    """A folder in the making below `base`: whatever is not finished is gone afterwards, also that of runs that were killed."""
    base = files.private_folder(base)
    with files.locked(base):
        # Nobody sees a folder that is made and not locked yet, so one without a lock is that of a dead.
        _sweep(base)
        folder = base / f".evidence-{os.getpid()}-{time.monotonic_ns():x}{UNFINISHED}"
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield EvidenceArchive(redactor, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(base: Path) -> None:
    """Removes what runs that were killed have left: nobody holds its lock."""
    for folder in base.glob(f".evidence-*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _settle(folder: Path) -> None:
    """What is in a folder survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclasses.dataclass(frozen=True)
class _Link:
    name: str
    number: int
    digest: str
    made_at: datetime.datetime


def _latest(base: Path, incident: str) -> _Link | None:
    """The last manifest of an incident, by the names of the folders."""
    prefix = re.sub(r"[^A-Za-z0-9._-]", "_", f"{incident}-")
    found = [(match["stamp"], match[0]) for match in (NAME.fullmatch(path.name) for path in base.iterdir()) if match]
    for stamp, name in sorted(found, reverse=True):
        if not name.startswith(prefix):
            continue
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            data = (base / name / MANIFEST).read_bytes()
            manifest = loaded(data)
            if manifest["format"] == FORMAT and manifest["incident"] == incident:
                made_at = datetime.datetime.strptime(stamp, STAMP).replace(tzinfo=datetime.UTC)
                return _Link(name, int(manifest["number"]), hashlib.sha256(data).hexdigest(), made_at)
    return None
