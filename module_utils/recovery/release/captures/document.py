# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of a release as a document: its digest, its file, and what differs between two of them. Knows no database."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from ...core import files
from ...core.errors import BadInput
from ...core.text import count
from ...core.values import loaded
from ..catalog import job_commands
from ..catalog.entries import Entry, differing_facts

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Document = dict[str, t.Any]

FORMAT: t.Final = "scout-release/2"
#: Captures of before have this one; their digests count the order of columns.
FORMAT_WITH_ORDER: t.Final = "scout-release/1"
#: The fact that is kept, and is no part of the definition unless that is asked for.
COLUMN_ORDER: t.Final = "column_order"
#: What of an entry is its definition. What it needs and where it is follow from the rest, or are of one database alone.
DEFINITION: t.Final = ("kind", "name", "facts", "owner", "grants", "comment", "labels")
#: What is made of all the rest. Captures of 1.x can have a signature, too.
SEALS: t.Final = ("checksum", "signature")
CANONICAL: t.Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
FEW: t.Final = 5
PLURALS: t.Final = {
    "index": "indexes",
    "policy": "policies",
    "statistics": "statistics",
    "default_privileges": "default privileges",
}


@dataclasses.dataclass(frozen=True)
class Changes:
    """What a later capture has besides an earlier one, has lost, has renamed, and defines otherwise (by which
    parts)."""

    added: tuple[str, ...]
    dropped: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    changed: dict[str, tuple[str, ...]]

    @property
    def number(self) -> int:
        """How many objects differ; a renamed one that is also defined otherwise counts once."""
        both = {new for _, new in self.renamed} & set(self.changed)
        return len(self.added) + len(self.dropped) + len(self.renamed) + len(self.changed) - len(both)

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {
            "added": list(self.added),
            "dropped": list(self.dropped),
            "renamed": [list(pair) for pair in self.renamed],
            "changed": {key: list(parts) for key, parts in self.changed.items()},
        }

    def named(self) -> list[str]:
        """The keys of all of them, those of before and those of after."""
        return [*self.added, *self.dropped, *self.changed, *(key for pair in self.renamed for key in pair)]

    def counted(self) -> str:
        """`3 added, 1 dropped, 8 changed`."""
        named = {"added": self.added, "dropped": self.dropped, "renamed": self.renamed, "changed": self.changed}
        return ", ".join(f"{len(what):,} {name}" for name, what in named.items() if what)

    def first(self, few: int = FEW) -> str:
        """The first of them by name: `view s.v (definition) changed; column s.t.x added; …`."""
        told = [
            *(f"{readable(key)} ({', '.join(parts)}) changed" for key, parts in self.changed.items()),
            *(f"{readable(key)} added" for key in self.added),
            *(f"{readable(key)} dropped" for key in self.dropped),
            *(f"{readable(old)} renamed to {new.partition(':')[2]}" for old, new in self.renamed),
        ]
        more = f"; and {len(told) - few:,} more" if len(told) > few else ""
        return "; ".join(told[:few]) + more


def readable(key: str) -> str:
    """`materialized view s.m` for a key."""
    kind, _, name = key.partition(":")
    return f"{kind.replace('_', ' ')} {name}"


def counted(numbers: Mapping[str, int]) -> str:
    """`12 tables, 101 columns, 1 schema`, the most first."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(
        f"{number:,} {PLURALS[kind]}" if kind in PLURALS and number != 1 else count(number, kind.replace("_", " "))
        for kind, number in ordered
    )


def kinds(document: Document) -> dict[str, int]:
    """How many entries of each kind it has."""
    return dict(sorted(collections.Counter(str(entry["kind"]) for entry in document["entries"]).items()))


def canonical(value: t.Any) -> bytes:
    """JSON with one spelling for one value."""
    return CANONICAL.encode(value).encode()


def as_dict(entry: Entry) -> dict[str, t.Any]:
    """An entry as a document holds it."""
    return {
        "key": entry.key,
        "kind": entry.kind,
        "name": entry.name,
        "facts": entry.facts,
        "owner": entry.owner,
        "grants": [list(grant) for grant in entry.grants],
        "comment": entry.comment,
        "labels": entry.labels,
        "order": entry.order,
        "needs": list(entry.needs),
        "address": list(entry.address) if entry.address else None,
    }


def _as_entry(made: Mapping[str, t.Any]) -> Entry:
    """The entry that a document holds."""
    address = made["address"]
    return Entry(
        kind=made["kind"],
        name=made["name"],
        facts=made["facts"],
        owner=made["owner"],
        grants=tuple((g[0], g[1], g[2], g[3]) for g in made["grants"]),
        comment=made["comment"],
        labels=made["labels"],
        order=made.get("order", {}),
        needs=tuple(made["needs"]),
        address=(address[0], address[1], address[2]) if address else None,
    )


def digests(entries: Iterable[Entry], *, column_order: bool = False) -> dict[str, str]:
    """The digest of each definition by key: the same wherever and in whatever order the objects were made, and, unless the order
    of columns is to count, their columns added."""
    made = ((e.key, e if column_order else without_order(e)) for e in entries)
    return {
        key: hashlib.sha256(canonical({name: getattr(e, name) for name in DEFINITION})).hexdigest() for key, e in made
    }


def without_order(entry: Entry) -> Entry:
    """A table that does not say in which order its columns stand; anything else as it is."""
    if COLUMN_ORDER not in entry.facts:
        return entry
    return dataclasses.replace(entry, facts={k: v for k, v in entry.facts.items() if k != COLUMN_ORDER})


def digest(by_key: Mapping[str, str]) -> str:
    """The digest of a release, from those of its entries."""
    return hashlib.sha256(canonical(dict(by_key))).hexdigest()


def document(entries: Iterable[Entry], about: Mapping[str, t.Any]) -> Document:
    """A capture: what is said about it, then what it consists of."""
    ordered = sorted(entries, key=lambda entry: entry.key)
    by_key = digests(ordered)
    return sealed(
        {
            "format": FORMAT,
            **about,
            "digest": digest(by_key),
            "digests": by_key,
            "entries": [as_dict(entry) for entry in ordered],
        }
    )


def sealed(made: Document) -> Document:
    """The document with a checksum of all that is in it, also of what does not count for the digest."""
    rest = {name: value for name, value in made.items() if name not in SEALS}
    return {**rest, "checksum": hashlib.sha256(canonical(rest)).hexdigest()}


def at(made: Document, found: Mapping[str, Entry | None]) -> Document:
    """The capture with the addresses its objects have now, as far as they are among those that were found."""
    places = {key: entry.address for key, entry in found.items() if entry is not None and entry.address}
    entries = [
        {**entry, "address": list(places[entry["key"]])} if entry["key"] in places else entry
        for entry in made["entries"]
    ]
    return sealed({**made, "entries": entries})


def entries_of(made: Document) -> dict[str, Entry]:
    """The entries of a capture by key; of an older one, that kept commands with their secrets, as it would be made today."""
    return {key: _without_secrets(entry) for key, entry in _as_captured(made).items()}


def _as_captured(made: Document) -> dict[str, Entry]:
    entries = map(_as_entry, made["entries"])
    return {entry.key: entry for entry in entries}


def _without_secrets(entry: Entry) -> Entry:
    if entry.kind != "cron_job" or job_commands.DIGEST in entry.facts:
        return entry
    return dataclasses.replace(entry, facts={**entry.facts, **job_commands.facts(entry.facts["command"])})


def has_digest(made: Document, pinned: str) -> bool:
    """Whether it is the capture of this digest, which may be from when the order of columns counted."""
    with_order = digests(_as_captured(made).values(), column_order=True)
    return pinned.lower() in (made["digest"], digest(with_order))


def opened(made: Document, name: str) -> Document:
    """A capture that was stored, verified, in the format of today. Raises BadInput as `verify` does."""
    verify(made, name)
    if made["format"] == FORMAT:
        return made
    by_key = digests(_as_captured(made).values())
    return sealed({**made, "format": FORMAT, "digest": digest(by_key), "digests": by_key})


def verify(made: Document, name: str) -> None:
    """Raises BadInput unless it is a capture with the content it had when it was made."""
    try:
        said = made["format"]
        by_key = digests(_as_captured(made).values(), column_order=said == FORMAT_WITH_ORDER)
        wrong = sorted(key for key in {*by_key, *made["digests"]} if by_key.get(key) != made["digests"].get(key))
        whole = digest(by_key) == made["digest"] and sealed(made)["checksum"] == made["checksum"]
    except (LookupError, TypeError, AttributeError, ValueError) as e:
        raise _not_a_capture(name, f"it has no {e}" if isinstance(e, LookupError) else str(e)) from e
    if said not in (FORMAT, FORMAT_WITH_ORDER):
        raise _not_a_capture(name, f"its format is {said!r}, not {FORMAT}")
    if wrong or not whole:
        raise _not_a_capture(
            name, f"digests differ: {', '.join(map(readable, wrong[:FEW])) or 'that of the whole'}; it was altered"
        )


def _not_a_capture(name: str, said: str) -> BadInput:
    return BadInput(
        f"{name} is not a capture that can be used",
        said=said,
        next_step=(
            "take the capture from scout_ops.releases, or from a copy of the file"
            if name.startswith("release_file")
            else "give a copy of its file: -e scout_release_file=…; or roll back to another capture"
        ),
    )


def compare(
    before: Mapping[str, Entry], after: Mapping[str, Entry], *, same_database: bool, column_order: bool = False
) -> Changes:
    """What differs, the order of columns only if that is to count. Only within one database does an address tell a renamed object
    from another one."""
    added, dropped = set(after) - set(before), set(before) - set(after)
    renamed: dict[str, str] = {}
    if same_database:
        here = {(after[key].kind, after[key].address): key for key in added if after[key].address}
        renamed = {key: new for key in dropped if (new := here.get((before[key].kind, before[key].address)))}
    pairs = {**renamed, **{key: key for key in set(before) & set(after)}}
    changed = {new: parts for old, new in pairs.items() if (parts := _parts(before[old], after[new], column_order))}
    return Changes(
        added=tuple(sorted(added - set(renamed.values()))),
        dropped=tuple(sorted(dropped - set(renamed))),
        renamed=tuple(sorted(renamed.items())),
        changed={key: changed[key] for key in sorted(changed)},
    )


def _parts(before: Entry, after: Entry, column_order: bool) -> tuple[str, ...]:
    """The names of what is defined otherwise."""
    facts = differing_facts(before, after) - (set() if column_order else {COLUMN_ORDER})
    others = [
        name for name in ("owner", "grants", "comment", "labels") if getattr(before, name) != getattr(after, name)
    ]
    return (*sorted(facts), *others)


def save(path: Path, made: Document) -> None:
    """Writes it whole or not at all, readable by its owner alone: a function may hold a secret."""
    text = json.dumps(made, indent=1, ensure_ascii=False)
    files.write(path, f"{text}\n".encode(), "release_file", mode=files.OWNER)


def keep_older(path: Path, capture_id: str) -> None:
    """Keeps an older capture next to the file that replaces it. Raises BadInput where the file cannot be renamed."""
    try:
        path.replace(path.with_name(f"{path.name}.{capture_id[:8]}"))
    except OSError as e:
        raise BadInput(
            f"could not rename release_file {path}",
            said=e.strerror or str(e),
            next_step="give a path that can be written",
        ) from e


def load(path: Path) -> Document:
    """The capture in a file, whole and unaltered. Raises BadInput where it cannot be read or was altered."""
    try:
        made = loaded(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise _not_a_capture(f"release_file {path}", getattr(e, "strerror", None) or str(e)) from e
    return opened(made, f"release_file {path}")
