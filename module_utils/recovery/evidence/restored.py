# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a backup was restored, or a standby promoted that was behind: what the evidence knows and the database does not, and what of
the ledger is of the past."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import hashlib
import json
import typing as t
import zlib
from pathlib import Path

from ..core.errors import BadInput, LeaseHeld
from ..core.results import ModuleResult
from ..core.text import count
from ..core.times import to_the_second
from ..core.values import loaded
from ..ledger import lease, pauses, servers
from ..ledger.actions import ROLLBACK
from ..ledger.controller import holder_is_dead
from ..ledger.runs import operation
from ..ledger.trust import audit as trail
from ..ledger.trust import kept_evidence, ownership
from ..postgres.driver import Jsonb
from ..postgres.failures import attempting
from ..postgres.times import moment
from ..scout import contract, cron_jobs
from .archive import MANIFEST
from .verify import folders_in, verify

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..invoke import Call, Params
    from ..ledger.ledger import Ledger
    from ..postgres.session import Row, Session

#: The last moment that the ledger knows of another server, or of another timeline, than where it is now: where it was written is noted
#: as runs begin and end, and the last of them may have begun since.
POINT: t.Final[t.LiteralString] = f"""
WITH past AS (
    SELECT max(s.last_seen_at) AS at, coalesce(max(n.first_seen_at), 'infinity') AS until
    FROM ({servers.HERE}) AS h
    LEFT JOIN scout_ops.servers AS n ON (n.system_identifier, n.timeline) = (h.system, h.timeline)
    JOIN scout_ops.servers AS s ON (s.system_identifier, s.timeline) <> (h.system, h.timeline)
     AND s.last_seen_at < coalesce(n.first_seen_at, 'infinity')
)
SELECT CASE WHEN past.at IS NOT NULL THEN greatest(past.at, (
    SELECT max(known.at) FROM (
        SELECT unnest(ARRAY[r.started_at, r.finished_at]) AS at FROM scout_ops.runs AS r
        UNION ALL SELECT l.expires_at - make_interval(secs => l.ttl_seconds) FROM scout_ops.leases AS l
    ) AS known WHERE known.at < past.until)) END AS at
FROM past
"""  # noqa: S608  # made of literals alone
#: Runs that cannot be at work: no session of theirs is there.
OPEN: t.Final = """
SELECT r.run_id::text AS run_id, r.action, r.actor, r.incident, r.started_at, r.status, r.effects <> '{}' AS changed
FROM scout_ops.runs AS r
WHERE r.started_at <= %(point)s AND r.action <> 'lease'
  AND (r.status = 'running' OR (r.status <> 'succeeded' AND r.asked IS NOT NULL AND r.effects <> '{}' AND r.undone_by IS NULL))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = r.backend_pid AND a.backend_start = r.backend_start)
ORDER BY r.started_at
"""
CLOSE: t.Final = """
UPDATE scout_ops.runs SET asked = NULL, status = CASE status WHEN 'running' THEN 'interrupted' ELSE status END,
       finished_at = coalesce(finished_at, clock_timestamp()), error = coalesce(error, %(error)s)
WHERE run_id = ANY(%(run_ids)s::uuid[])
"""
#: When this ledger was made.
BEGAN: t.Final = "SELECT min(applied_at) AS at FROM scout_ops.versions"
SAID: t.Final = {
    "kind": "restored",
    "said": "it was at work at the point that was restored, or on a server that is gone",
}
KNOWN: t.Final = "SELECT run_id::text AS run_id FROM scout_ops.runs WHERE run_id = ANY(%(run_ids)s::uuid[])"
#: How many entries of the trail had been made by then.
LENGTH: t.Final = """
SELECT count(*) AS number FROM scout_audit.entries WHERE %(point)s::timestamptz IS NULL OR (entry ->> 'at')::timestamptz <= %(point)s
"""
#: Of these dead letters those that nobody has resolved here.
UNRESOLVED: t.Final = """
SELECT d.dlq_id::text AS dlq_id FROM {dead_letters} AS d
WHERE d.resolved_at IS NULL AND d.dlq_id = ANY(%(dlq_ids)s::uuid[]) ORDER BY 1
"""
#: By how much the clocks of controller and server may differ.
CLOCKS_APART: t.Final = dt.timedelta(seconds=60)
#: Bytes of a section, unpacked.
LARGEST_SECTION: t.Final = 64 << 20
FEW: t.Final = 3
#: How many of each kind a result names.
MOST: t.Final = 200


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot of this database, as its folder on this controller has it."""

    folder: str
    digest: str
    incident: str
    actor: str
    taken_at: dt.datetime
    #: How many entries the audit trail had.
    audit: int
    runs: tuple[Row, ...]
    #: Dead letters that were resolved by then.
    resolved: tuple[str, ...]
    #: Whether it was taken on another server, or another timeline, than this one.
    elsewhere: bool = False


@dataclasses.dataclass(frozen=True)
class Found:
    """What the ledger, the evidence and the database come to, side by side."""

    point: dt.datetime | None
    moved: servers.Moved | None
    runs: list[Row]
    snapshots: list[Snapshot]
    audit_entries: int
    unresolved: list[str]
    #: What is of the past and still stands in the ledger.
    open: list[Row]
    lease: Row | None
    pause: pauses.Pause | None
    #: Whether there is evidence from after the point.
    compared: bool = True

    @property
    def to_do(self) -> bool:
        """Whether anything is to be closed, or written down."""
        return bool(self.moved or self.open or self.lease or self.pause)

    @property
    def lost(self) -> bool:
        """Whether the evidence knows more than the database."""
        return bool(self.runs or self.snapshots or self.audit_entries or self.unresolved)


class RestoredResult(ModuleResult):
    """What scout_restored returns."""

    run_id: str | None
    point: str | None
    server: dict[str, t.Any] | None
    after: dict[str, t.Any]
    closed: dict[str, t.Any]
    ingestion: dict[str, t.Any]
    effects: dict[str, t.Any]
    warnings: list[str]


def restored(call: Call, params: Params) -> RestoredResult:
    """What happened after the point that was restored, as far as evidence and audit trail tell, and what of the past was closed: runs,
    the lease, a pause that no longer is. Resumes nothing, and moves no row.

    Raises BadInput for a time or a folder that cannot be used, ForeignLedger where the ledger is not ours, and LeaseHeld where
    somebody is at work.
    """
    ledger = call.look(params["ledger"])
    session = call.session
    folder = params["folder"] and Path(params["folder"]).expanduser().absolute()
    snapshots, unreadable = _snapshots(ledger, folder, call.progress.checkpoint)
    found = _read(call, ledger, snapshots, params["restored_at"]) if ledger.present else _of_evidence(snapshots)
    if not ledger.present and (ledger.warnings or ledger.unread or not found.lost):
        raise BadInput(
            "could not compare with the ledger",
            on=session.where,
            said="; ".join(ledger.warnings) or "there is none here that can be used",
            next_step="`assess.yml` shows how the pipeline is; evidence is in its own folder: -e evidence_dir=…",
        )
    if found.to_do and call.check:
        # A plan may be looked at while somebody else works.
        try:
            lease.foresee(ledger, takeover=params["takeover"])
        except LeaseHeld as e:
            unreadable = [*unreadable, f"without --check: {e}"]
    run_id, effects = (None, _closed(found)) if call.check or not found.to_do else _close(call, params, found)
    with session.read():
        server = servers.here(session)
    return {
        "changed": found.to_do,
        "run_id": run_id,
        "point": found.point.isoformat() if found.point else None,
        "server": server,
        "after": _after(found),
        "closed": _closed(found),
        "ingestion": {**call.ingestion(params)},
        "effects": effects,
        "summary": _summary(found, check=call.check),
        "warnings": [*([found.moved.said] if found.moved and call.check else []), *_told(found), *unreadable],
    }


def _read(call: Call, ledger: Ledger, snapshots: Sequence[Snapshot], given: str | None) -> Found:
    """All of it, on one snapshot."""
    session = call.session
    with attempting("could not read the ledger", on=session.where), session.read():
        ownership.require(session)
        there = session.row(servers.THERE)["there"]
        point = _given(session, given) if given else session.row(POINT)["at"] if there else None
        began = session.row(BEGAN)["at"]
        runs = {run["run_id"]: run for each in snapshots for run in each.runs}
        known = {row["run_id"] for row in session.rows(KNOWN, run_ids=[*runs])}
        # What was before this ledger it never knew, unless a backup from before it was restored since.
        elsewhere = {run["run_id"] for each in snapshots if each.elsewhere for run in each.runs}
        lost = [run for name, run in runs.items() if name not in known and (_started(run) > began or name in elsewhere)]
        recorded = {each.manifest_sha256 for each in kept_evidence.recorded(session)}
        unknown = [
            each for each in snapshots if each.digest not in recorded and (each.taken_at > began or each.elsewhere)
        ]
        if point is None and lost:
            point = min(map(_started, lost))
        after = [each for each in unknown if point is not None and each.taken_at >= point - CLOCKS_APART]
        letters = sorted({letter for each in after for letter in each.resolved})
        unresolved = session.rows(contract.compose(UNRESOLVED), dlq_ids=letters) if letters else []
        open_runs = session.rows(OPEN, point=point) if point else []
        entries = 0 if trail.lacking(session) else session.row(LENGTH, point=point)["number"]
        return Found(
            point=point,
            moved=servers.moved(session),
            runs=sorted(lost, key=_started),
            snapshots=after,
            audit_entries=max([0, *(each.audit - entries for each in snapshots)]) if entries else 0,
            unresolved=[row["dlq_id"] for row in unresolved],
            open=open_runs,
            lease=_stale_lease(ledger, point),
            pause=_stale_pause(ledger, point),
            compared=any(point is None or each.taken_at >= point - CLOCKS_APART for each in snapshots),
        )


def _of_evidence(snapshots: Sequence[Snapshot]) -> Found:
    """Of a backup from before there was a ledger: all that evidence of the server before it lists came after."""
    found = [each for each in snapshots if each.elsewhere]
    runs = sorted({run["run_id"]: run for each in found for run in each.runs}.values(), key=_started)
    return Found(_started(runs[0]) if runs else None, None, runs, found, 0, [], [], None, None)


def _given(session: Session, text: str) -> dt.datetime:
    """The point as a person gave it. Raises BadInput for one that is none, or is still to come."""
    point = moment(session, text, None, "restored_at")
    if point > session.row("SELECT clock_timestamp() AS now")["now"]:
        raise BadInput(
            f"restored_at {text[:80]!r} is still to come",
            next_step="give the moment that the backup was restored to, as recovery_target_time has it",
        )
    return point


def _started(run: Row) -> dt.datetime:
    return dt.datetime.fromisoformat(run["started_at"])


def _stale_lease(ledger: Ledger, point: dt.datetime | None) -> Row | None:
    """The lease, where it was taken before the point and nobody can be behind it any more."""
    held = lease.read(ledger)
    if not point or held is None or held["owner"] is None or held["acquired_at"] > point:
        return None
    return None if held["held"] and not holder_is_dead(held, ledger.controller) else held


def _stale_pause(ledger: Ledger, point: dt.datetime | None) -> pauses.Pause | None:
    """The pause of the ledger, where it was made before the point and every job it disabled is active."""
    pause = pauses.open_pause(ledger)
    if not point or pause is None or pause.paused_at > point or not cron_jobs.present(ledger.session):
        return None
    jobs = cron_jobs.jobs(ledger.session)
    taken = [job for job in jobs if job.jobid in pause.find_entries(jobs)]
    return pause if taken and all(job.starts for job in taken) else None


def _close(call: Call, params: Params, found: Found) -> tuple[str, dict[str, t.Any]]:
    """Closes what is of the past as a run of the ledger, in one transaction; its id, and what was closed."""
    ledger = call.ensure(params["ledger"])
    parameters = {"restored_at": found.point.isoformat() if found.point else None}
    session, running = call.session, [row["run_id"] for row in found.open if row["status"] == "running"]
    with (
        operation(
            ledger, "restored", parameters, lease_token=params["lease_token"], takeover=params["takeover"]
        ) as run,
        attempting("could not close what is of the past", on=session.where),
        session.write(),
    ):
        if found.pause is not None:
            pauses.close_pause(ledger, run, found.pause)
        session.execute(CLOSE, run_ids=[row["run_id"] for row in found.open], error=Jsonb(SAID))
        run.record(**_closed(found))
        trail.append(session, running)
    return run.run_id, run.effects


def _after(found: Found) -> dict[str, t.Any]:
    """What happened after the point and is not here, as results name it."""
    snapshots = [
        {"folder": s.folder, "taken_at": s.taken_at.isoformat(), "incident": s.incident, "actor": s.actor}
        for s in found.snapshots[:MOST]
    ]
    names = ("run_id", "action", "status", "incident", "actor", "started_at", "finished_at", "counts")
    runs = [{name: run.get(name) for name in names} for run in found.runs[:MOST]]
    return {
        "runs": runs,
        "snapshots": snapshots,
        "audit_entries": found.audit_entries,
        "redriven": found.unresolved[:MOST],
    }


def _closed(found: Found) -> dict[str, t.Any]:
    """What is of the past, as results and the ledger name it."""
    names = ("run_id", "action", "actor", "incident", "status", "changed")
    held, pause = found.lease, found.pause
    return {
        "runs": [{name: run[name] for name in names} for run in found.open],
        "lease": {"owner": held["owner"], "incident": held["incident"]} if held else None,
        "pause": {"actor": pause.actor, "incident": pause.incident, "paused_at": pause.paused_at.isoformat()}
        if pause
        else None,
    }


def _summary(found: Found, *, check: bool) -> str:
    """A line for a person."""
    parts = [f"the point is {to_the_second(found.point)}"] if found.point else []
    lost = [
        *([count(len(found.runs), "run")] if found.runs else []),
        *([f"{count(len(found.snapshots), 'snapshot')} of evidence"] if found.snapshots else []),
        *([f"{count(found.audit_entries, 'entry', 'entries')} of the audit trail"] if found.audit_entries else []),
    ]
    if lost:
        parts.append(f"{', '.join(lost)} came after it and {'is' if lost == ['1 run'] else 'are'} not here")
    elif found.point:
        parts.append(
            "ledger, evidence and database agree"
            if found.compared
            else "no evidence is from after it, so what came then is not known"
        )
    else:
        parts.append("nothing shows that a backup was restored")
    closed = [
        *(f"{run['action']} {run['run_id'][:8]} of {run['actor']}" for run in found.open[:FEW]),
        *([f"{len(found.open) - FEW} more runs"] if len(found.open) > FEW else []),
        *([f"the lease of {found.lease['owner']}"] if found.lease else []),
        *([f"the pause of {found.pause.actor}, whose jobs are active"] if found.pause else []),
    ]
    if closed:
        parts.append(f"{'would close' if check else 'closed'} {', '.join(closed)}")
    elif found.to_do:
        parts.append(f"{'would note' if check else 'noted'} where the ledger is now")
    return "; ".join(parts)


def _told(found: Found) -> list[str]:
    """What somebody has to see to, since nothing here does."""
    told = [
        f"{run['action']} {run['run_id']} of {run['actor']} ({run['incident']}) is not here: done after the point, so do it again or not"
        for run in found.runs[:FEW]
    ]
    if more := [f"{run['action']} {run['run_id']}" for run in found.runs[FEW:MOST]]:
        told.append(f"nor {'is' if len(more) == 1 else 'are'} {', '.join(more)}")
    told += [
        f"{run['action']} {run['run_id']} was half done at the point: `undo.yml -e run_id={run['run_id']}` undoes it, or the command it "
        "was does the rest"
        for run in found.open
        if run["changed"] and run["action"] in HALF_DONE
    ]
    told += [
        f"{run['action']} {run['run_id']} was at work at the point: what is outside of the database, as the application, stayed as it "
        "left it; the same command does the rest"
        for run in found.open
        if run["action"] in ROLLBACK
    ]
    if found.unresolved:
        ids = json.dumps(found.unresolved[:MOST], separators=(",", ":"))
        told.append(
            f"{count(len(found.unresolved), 'dead letter')} that {'was' if len(found.unresolved) == 1 else 'were'} redriven after the "
            f"""point wait here again: `redrive.yml -e '{{"dlq_ids":{ids}}}'`"""
        )
    return told


HALF_DONE: t.Final = ("quarantine", "cleanup", "redrive", "undo", "window_recovery")


def _snapshots(ledger: Ledger, folder: Path | None, checkpoint: Callable[[], None]) -> tuple[list[Snapshot], list[str]]:
    """The unaltered evidence of this database in a folder, the oldest first, and what is to be said of the rest."""
    session = ledger.session
    with session.read():
        here = servers.here(session)
        known = {here["system"]} if here else set[str]()
        if ledger.present and session.row(servers.THERE)["there"]:
            known |= {
                row["system"] for row in session.rows("SELECT system_identifier AS system FROM scout_ops.servers")
            }
    others = 0
    found: list[Snapshot] = []
    wrong: list[str] = []
    for path in folders_in(folder) if folder else ():
        try:
            if verify(path, checkpoint).problems:
                raise ValueError(path.name)
            made = _snapshot(path, session.facts.database, known, here)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, EOFError, zlib.error):
            wrong.append(path.name)
            continue
        found += [made] if made else []
        others += made is None
    told = (
        [f"not believed, because altered or unreadable: {', '.join(wrong[:FEW])}; `evidence_verify.yml` says more"]
        if wrong
        else []
    )
    if not found:
        of_others = f" ({count(others, 'snapshot')} there of other databases or clusters)" if others else ""
        told.append(
            f"no evidence of this database is in {folder or 'any folder that was named'}{of_others}: if a backup was restored, what came "
            "after it is not known; evidence_dir names the folder that has it"
        )
    return sorted(found, key=lambda one: one.taken_at), told


def _snapshot(path: Path, database: str, systems: set[str], here: Row | None) -> Snapshot | None:
    """One folder that is as it was written; None where it is of another database. Raises ValueError and the like where it cannot be
    read."""
    data = (path / MANIFEST).read_bytes()
    manifest: dict[str, t.Any] = loaded(data)
    position: dict[str, t.Any] = manifest.get("position") or {}
    if manifest["database"] != database or (position.get("system") and position["system"] not in systems):
        return None
    named = {str(entry["file"]) for entry in manifest["files"]}
    return Snapshot(
        path.name,
        hashlib.sha256(data).hexdigest(),
        str(manifest["incident"]),
        str(manifest["actor"]),
        dt.datetime.fromisoformat(manifest["taken_at"]),
        int(str(manifest.get("audit") or "0").partition(":")[0]),
        tuple(_rows(path, "runs", named)),
        tuple(str(row["dlq_id"]) for row in _rows(path, "dead_letters", named) if row.get("resolved_at")),
        here is not None
        and bool(position)
        and any(position.get(name) != here[name] for name in ("system", "timeline")),
    )


def _rows(path: Path, section: str, named: set[str]) -> Iterator[Row]:
    """The rows of a section; none where it was not kept. Raises ValueError for more than a snapshot ever has: what is small on disk
    may be endless."""
    name = f"{section}.jsonl.gz"
    if name not in named:
        return
    with gzip.open(path / name) as file:
        text = file.read(LARGEST_SECTION + 1)
    if len(text) > LARGEST_SECTION:
        raise ValueError(name)
    for line in text.splitlines():
        row: t.Any = loaded(line)
        if isinstance(row, dict):
            yield t.cast("Row", row)
