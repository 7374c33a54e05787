# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether evidence is unaltered: every file against its manifest, every manifest against its name and the next one."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import stat
import typing as t

from ..core.errors import BadInput
from ..core.values import loaded
from ..ledger.trust import signatures
from .archive import FORMAT, KIND, MANIFEST, NAME, place_of, signable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ..ledger.trust.kept_evidence import Recorded

FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
LARGEST_MANIFEST: t.Final = 16 << 20


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is not as it was written, where."""

    folder: str
    file: str
    problem: str

    def __str__(self) -> str:
        """`INC-2041-…/locks.jsonl.gz is tampered with: …`."""
        return f"{self.folder}/{self.file} {self.problem}" if self.file else f"{self.folder} {self.problem}"


@dataclasses.dataclass(frozen=True)
class NamedHead:
    """`57:` and a digest, as a folder of evidence has it of `scout on db1:5432`."""

    folder: str
    server: str
    head: str


@dataclasses.dataclass
class Report:
    """What was checked, and every problem that was found."""

    folders: list[str] = dataclasses.field(default_factory=list[str])
    files: int = 0
    size: int = 0
    problems: list[Problem] = dataclasses.field(default_factory=list[Problem])
    #: The last manifest of every incident, to be compared with what somebody has written down.
    last: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    chained: bool = True
    #: Manifests with a signature that was not verified, because this controller has no key.
    unverified: int = 0
    #: The head of the audit trail that each manifest names, with the database it is of.
    heads: list[NamedHead] = dataclasses.field(default_factory=list["NamedHead"])
    #: How many snapshots the ledger has of other places, by place.
    elsewhere: dict[str, int] = dataclasses.field(default_factory=dict[str, int])

    def wrong(self, folder: str, problem: str, file: str = "") -> None:
        """Notes a problem."""
        self.problems.append(Problem(folder, file, problem))


@dataclasses.dataclass(frozen=True)
class _Manifest:
    folder: str
    digest: str
    incident: str
    number: int
    previous: str | None
    place: str
    server: str
    #: The head of the audit trail; empty where there was none.
    audit: str


def verify(given: Path, checkpoint: Callable[[], None], recorded: Sequence[Recorded] = ()) -> Report:
    """Checks every folder of evidence below a folder with the chains they form, and whether all is there that was recorded
    elsewhere; or one folder alone, without its chain. Raises BadInput where there is none, and for a key that cannot be used."""
    report, expected = Report(), any(one.place == place_of(given) for one in recorded)
    try:
        if not (given.is_dir() or expected):
            raise BadInput(f"could not verify evidence in {given}", said="there is no such folder", next_step=AGAIN)
        alone = (given / MANIFEST).exists() or NAME.fullmatch(given.resolve().name) is not None
        report.chained = not alone
        folders = [given.resolve()] if alone else folders_in(given)
        manifests = [_folder(folder, report, checkpoint) for folder in folders]
    except OSError as e:
        raise BadInput(f"could not verify evidence in {given}", said=e.strerror or str(e), next_step=AGAIN) from e
    if not (folders or expected):
        raise BadInput(f"could not verify evidence in {given}", said="there is none in it", next_step=AGAIN)
    report.folders = [folder.name for folder in folders]
    found = [manifest for manifest in manifests if manifest is not None]
    report.heads = [NamedHead(one.folder, one.server, one.audit) for one in found if one.audit]
    for incident in sorted({manifest.incident for manifest in found}):
        chain = sorted((m for m in found if m.incident == incident), key=lambda m: (m.number, m.folder))
        report.last[incident] = chain[-1].digest
        if not alone:
            _chain(chain, report)
    if not alone:
        _missed(given, found, recorded, report)
    return report


def _missed(given: Path, found: Sequence[_Manifest], recorded: Sequence[Recorded], report: Report) -> None:
    """Whether each snapshot that was recorded of this place is there: of where it is, and where its manifests were written."""
    places, digests = (
        {place_of(given), *(manifest.place for manifest in found)},
        {manifest.digest for manifest in found},
    )
    for one in recorded:
        if one.place not in places:
            report.elsewhere[one.place] = report.elsewhere.get(one.place, 0) + 1
        elif one.manifest_sha256 not in digests:
            report.wrong(given.name, f"number {one.number} of {one.incident}, as {one.source} has it, is missing")


AGAIN: t.Final = "give the folder that evidence was written to, or one of the folders in it: -e evidence_dir=evidence"


def there(given: Path) -> bool:
    """Whether there is any evidence in a folder, or it is some."""
    return (given / MANIFEST).exists() or bool(folders_in(given))


def folders_in(given: Path) -> list[Path]:
    """The folders of evidence in one, by name; none where it is not there."""
    return sorted(path for path in given.iterdir() if _is_evidence(path)) if given.is_dir() else []


def _is_evidence(path: Path) -> bool:
    return path.is_dir() and (NAME.fullmatch(path.name) is not None or (path / MANIFEST).is_file())


def _folder(folder: Path, report: Report, checkpoint: Callable[[], None]) -> _Manifest | None:
    """Everything of one folder; None where its manifest cannot be read."""
    name = folder.name
    data = _manifest_bytes(folder, report)
    if data is None:
        return None
    digest, found = hashlib.sha256(data).hexdigest(), NAME.fullmatch(name)
    if found is None:
        report.wrong(name, "was renamed")
    elif not digest.startswith(found["digest"]):
        report.wrong(name, "was tampered with: its SHA-256 does not match the folder's name", MANIFEST)
    try:
        manifest: dict[str, t.Any] = loaded(data)
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {str(manifest['format'])[:60]!r}")
        entries = {str(entry["file"]): (int(entry["bytes"]), str(entry["sha256"])) for entry in manifest["files"]}
        previous = manifest["previous"] and str(manifest["previous"]["manifest_sha256"])
        rest = (previous, str(manifest.get("place", "")), str(manifest.get("server")), str(manifest.get("audit") or ""))
        made = _Manifest(name, digest, str(manifest["incident"]), int(manifest["number"]), *rest)
        stem = str(manifest["folder"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
        report.wrong(name, f"is not a readable evidence manifest ({str(e)[:100]})", MANIFEST)
        return None
    if found is not None and found["stem"] != stem:
        report.wrong(name, f"was written as {stem}: it has been renamed or replaced")
    _signature(manifest, name, report)
    for file, (size, sha256) in entries.items():
        checkpoint()
        _file(folder, file, size, sha256, report)
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST and path.name not in entries:
            report.wrong(name, "was added: the manifest does not name it", path.name)
    return made


def _signature(manifest: dict[str, t.Any], name: str, report: Report) -> None:
    """Whether a manifest was signed by a key of this controller, where that has one."""
    given = manifest.get("signature")
    if not signatures.has_key():
        report.unverified += given is not None
    elif wrong := signatures.wrong(KIND, signable(manifest), given):
        report.wrong(name, f"is not to be believed: {wrong}", MANIFEST)


def _manifest_bytes(folder: Path, report: Report) -> bytes | None:
    path = folder / MANIFEST
    try:
        facts = path.lstat()
    except FileNotFoundError:
        report.wrong(folder.name, "is missing", MANIFEST)
        return None
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_MANIFEST:
        report.wrong(folder.name, "is not a readable evidence manifest", MANIFEST)
        return None
    return path.read_bytes()


def _file(folder: Path, file: str, size: int, sha256: str, report: Report) -> None:
    """One file, read once, whatever its size."""
    if not FILE.fullmatch(file):
        report.wrong(folder.name, f"names a file {file[:80]!r} that was never written", MANIFEST)
        return
    path = folder / file
    try:
        facts = path.lstat()
    except FileNotFoundError:
        report.wrong(folder.name, "is missing", file)
        return
    if not stat.S_ISREG(facts.st_mode):
        report.wrong(folder.name, "is no longer a regular file", file)
        return
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    report.files += 1
    report.size += facts.st_size
    if facts.st_size < size:
        report.wrong(folder.name, f"is truncated: {facts.st_size:,} of {size:,} bytes", file)
    elif digest != sha256:
        report.wrong(folder.name, "was tampered with: its SHA-256 is not that of the manifest", file)


def _chain(chain: Iterable[_Manifest], report: Report) -> None:
    """Whether each manifest of an incident follows the one before, with none missing, doubled or exchanged."""
    before: _Manifest | None = None
    for manifest in chain:
        expected = before.number + 1 if before else 1
        if before is not None and manifest.number == before.number:
            report.wrong(manifest.folder, f"is number {manifest.number} of {manifest.incident}, as {before.folder} is")
            continue
        if manifest.number > expected:
            lost = ", ".join(map(str, range(expected, min(manifest.number, expected + 20))))
            report.wrong(manifest.folder, f"does not follow: number {lost} of {manifest.incident} is missing")
        elif manifest.previous != (before.digest if before else None):
            after = f"manifest of {before.folder}" if before else "start of the chain"
            report.wrong(
                manifest.folder, f"does not follow the {after}: out of order, or one of the two was tampered with"
            )
        before = manifest
