# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the audit trail is as it was written, and says what ledger and evidence say; pure."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import typing as t
from collections import Counter

from ..core.text import printable
from ..ledger.trust.kept_evidence import Recorded
from ..postgres.session import ADHOC

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..postgres.session import Row

SOURCE: t.Final = "the audit trail"


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry: its number, its text as it was hashed, its hash in hexadecimal digits, and what the text says."""

    number: int
    text: str
    hash: str
    said: dict[str, t.Any]

    def is_about(self, kind: str) -> str:
        """`entry 5 of alice`, or what else it is of."""
        return f"entry {self.number} of {printable(str(self.said.get('login')), 63)}" + (f", {kind}," if kind else "")


@dataclasses.dataclass(frozen=True)
class Head:
    """The end of the chain as it went out with something."""

    source: str
    number: int
    hash: str


@dataclasses.dataclass(frozen=True)
class Problem:
    """What disagrees, and at which entry of the trail; 0 where it is about what the trail does not have."""

    number: int
    problem: str


def as_entries(rows: Sequence[Row]) -> list[Entry]:
    """The rows of the trail with what they say; one that cannot be read says nothing."""
    return [Entry(row["number"], row["entry"], row["hash"], _said(row["entry"])) for row in rows]


def _said(text: str) -> dict[str, t.Any]:
    try:
        found: t.Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return t.cast("dict[str, t.Any]", found) if isinstance(found, dict) else {}


def problems(
    entries: Sequence[Entry],
    end: Row,
    runs: Sequence[Row],
    noted: Sequence[Row],
    recorded: Sequence[Recorded],
    heads: Sequence[Head],
) -> list[Problem]:
    """All that disagrees, the first entry first: the chain within itself, with the row of its end, with heads that went out, with
    the runs of the ledger, with the records of its incidents, and with the evidence that the ledger knows of."""
    found = [*_chain(entries, end), *_heads(entries, heads), *_runs(entries, runs), *_incidents(entries, noted)]
    found += _evidence(entries, recorded)
    # What the trail does not have comes after all that it has.
    return sorted(found, key=lambda one: (one.number == 0, one.number))


def _chain(entries: Sequence[Entry], end: Row) -> Iterator[Problem]:
    """The first place at which one does not follow from the one before; what comes after it proves nothing."""
    last = b""
    for number, entry in enumerate(entries, 1):
        if entry.number != number:
            yield Problem(number, f"entry {number} is missing")
            return
        last = hashlib.sha256(last + entry.text.encode()).digest()
        if last.hex() != entry.hash or entry.said.get("number") != number:
            yield Problem(number, f"entry {number} is not what its hash says, or does not follow from the one before")
            return
    if (end["number"], end["hash"]) != (len(entries), last.hex()):
        yield Problem(len(entries) + 1, f"entry {len(entries) + 1} is missing: the chain once had {end['number']}")


def _heads(entries: Sequence[Entry], heads: Sequence[Head]) -> Iterator[Problem]:
    for head in heads:
        if head.number > len(entries):
            said = f"the trail has only {len(entries)} entries, and number {head.number} went out with {head.source}"
            yield Problem(len(entries) + 1, said)
        elif entries[head.number - 1].hash != head.hash:
            yield Problem(
                head.number, f"entry {head.number} is not the one that went out with {head.source}: it was rewritten"
            )


def _runs(entries: Sequence[Entry], runs: Sequence[Row]) -> Iterator[Problem]:
    of_run: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.said.get("kind") in ("evidence", "incident"):
            continue
        run_id = entry.said.get("run_id")
        if entry.said.get("kind") not in ("begun", "ended") or not isinstance(run_id, str):
            yield Problem(entry.number, f"{entry.is_about('')} is of no run: nothing of the toolkit wrote it")
            continue
        of_run.setdefault(run_id, []).append(entry)
    rows = {row["run_id"]: row for row in runs}
    for run_id, said in of_run.items():
        yield from _course(run_id, said)
        if run_id not in rows:
            yield Problem(said[0].number, f"{_of(said[0], run_id)} is gone from the ledger")
        else:
            yield from _row(said, rows[run_id])
    began = _time(entries[0].said.get("at")) if entries else None
    for row in runs:
        if row["run_id"] not in of_run and began is not None and row["started_at"] >= began:
            name = f"run {row['run_id']} ({printable(row['action'], 40)} by {printable(row['actor'], 80)})"
            yield Problem(0, f"{name} is in the ledger, and has not begun in the trail")


def _of(entry: Entry, run_id: str) -> str:
    return f"{entry.is_about(printable(str(entry.said.get('action')), 40))} run {printable(run_id, 40)}"


def _course(run_id: str, said: Sequence[Entry]) -> Iterator[Problem]:
    """Whether a run begins before it ends, and goes on only where it did not succeed."""
    before: Entry | None = None
    for entry in said:
        begins = entry.said.get("kind") == "begun"
        running = before is not None and before.said.get("kind") == "begun"
        succeeded = before is not None and not running and before.said.get("outcome") == "succeeded"
        if begins and succeeded:
            yield Problem(entry.number, f"{_of(entry, run_id)} begins again after it succeeded")
        elif not begins and not running:
            yield Problem(entry.number, f"{_of(entry, run_id)} ends without having begun")
        elif before is not None and entry.said.get("action") != before.said.get("action"):
            yield Problem(entry.number, f"{_of(entry, run_id)} was another action before")
        before = entry


def _row(said: Sequence[Entry], row: Row) -> Iterator[Problem]:
    """Whether the ledger says of a run what the trail does; one done for no incident may have been adopted by one."""
    last = said[-1]
    if last.said.get("incident") not in (row["incident"], ADHOC):
        was = printable(str(last.said.get("incident")), 64)
        yield Problem(
            said[0].number, f"{_of(said[0], row['run_id'])} was done for {was}, and the ledger says {row['incident']}"
        )
    if last.said.get("digest") != row["digest"]:
        by = f"{printable(str(last.said.get('outcome')), 20)}, by {printable(str(last.said.get('actor')), 80)}"
        yield Problem(
            last.number,
            f"{_of(last, row['run_id'])} was {by}; the ledger has another row: {row['status']}, by {printable(row['actor'], 80)}",
        )


def _incidents(entries: Sequence[Entry], noted: Sequence[Row]) -> Iterator[Problem]:
    """Whether the records of incidents say what the trail does. Those from before the first that the trail has are not known to it."""
    rows, known = {row["entry"]: row for row in noted}, dict[int, tuple[Entry, str]]()
    for entry in entries:
        number, _, of_incident = str(entry.said.get("outcome")).partition(" ")
        if entry.said.get("kind") != "incident":
            continue
        if not number.isdecimal() or int(number) in known:
            yield Problem(
                entry.number, f"{entry.is_about('')} is of no entry of an incident: nothing of the toolkit wrote it"
            )
            continue
        known[int(number)] = entry, of_incident
    for number, (entry, of_incident) in known.items():
        row = rows.get(number)
        what = (printable(str(entry.said.get("action")), 20), printable(str(entry.said.get("incident")), 64))
        name = entry.is_about(" of ".join(what))
        if row is None:
            yield Problem(entry.number, f"{name} is gone from the ledger")
        elif entry.said.get("digest") != row["digest"]:
            yield Problem(
                entry.number, f"{name} is another one in the ledger: {row['kind']}, by {printable(row['actor'], 80)}"
            )
        elif row["last"] and of_incident != row["of_incident"]:
            yield Problem(entry.number, f"{name} was written when the ledger had another row of its incident")
    for row in noted:
        if known and row["entry"] > min(known) and row["entry"] not in known:
            of = f"{printable(row['incident'], 64)}, {row['kind']} by {printable(row['actor'], 80)},"
            yield Problem(0, f"entry {row['entry']} of {of} is in the ledger, and not in the trail")


def evidence_of(entries: Sequence[Entry]) -> dict[Recorded, int]:
    """The snapshots that the trail knows of, each with the number of its entry."""
    found: dict[Recorded, int] = {}
    for entry in entries:
        number, _, place = str(entry.said.get("outcome")).partition(" ")
        if entry.said.get("kind") == "evidence" and number.isdecimal():
            one = Recorded(str(entry.said["incident"]), place, int(number), str(entry.said["digest"]), SOURCE)
            found.setdefault(one, entry.number)
    return found


def _evidence(entries: Sequence[Entry], recorded: Sequence[Recorded]) -> Iterator[Problem]:
    known = evidence_of(entries)
    of_ledger = {dataclasses.replace(one, source=SOURCE) for one in recorded}
    for one, number in known.items():
        if one not in of_ledger:
            yield Problem(
                number, f"entry {number}: the ledger does not know of evidence number {one.number} of {one.incident}"
            )


def logins(entries: Sequence[Entry]) -> dict[str, int]:
    """How many entries each login of the database has made."""
    return dict(Counter(str(entry.said.get("login")) for entry in entries))


def _time(value: t.Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
