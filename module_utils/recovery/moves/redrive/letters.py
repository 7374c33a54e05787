# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a dead letter to the event it was: which entries are meant, which of them can be rebuilt, and what each would
become."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import uuid

from ...core.errors import BadInput
from ...ledger import history
from ...ledger.trust.stored_letters import AS_STORED, RUN_NOTED
from ...postgres import times
from ...postgres.driver import Jsonb, sql
from ...postgres.times import Window
from ...scout import contract, event_queue
from ...scout.poison_probe import Suspect, unconvertible
from ..engine import selection
from ..engine.cursors import Span
from .merge_patch import Patch, Repairs, patched

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...postgres.session import Session

#: Identifiers of rebuilt events follow from their entries, so that a second try finds the first one's event.
NAMESPACE: t.Final = uuid.UUID("5c0a7f0e-2d53-4d55-9f4e-8a4f6a3b1c77")

#: Made by the runbook's statement; `kind` is what a redrive that failed wrote there.
PLAIN = sql.SQL(
    "(d.error_details IS NULL OR d.error_details ->> 'format' = 'scout-recovery/1' AND d.error_details ->> 'kind' = 'runbook')"
)

#: Has the image of an event, with its id.
WHOLE = sql.SQL(
    "jsonb_typeof(d.error_details -> 'event') = 'object' "
    "AND (d.error_details #>> '{event,event_id}') ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"
)

#: Why no event can be made of an entry; NULL where one can. What names a run is believed as far as that run stored it; where it
#: recorded nothing (an earlier version, a drain without a ledger) somebody has to name the entry.
WHY = sql.SQL(
    """
CASE WHEN d.error_details IS NULL OR d.error_details ->> 'format' = 'scout-recovery/1' AND d.error_details ->> 'kind' = 'runbook' THEN
    CASE WHEN jsonb_typeof(d.original_payload) <> 'object' THEN 'its payload is no object, so nothing tells what event it was'
         WHEN d.original_payload = '{{}}' THEN 'its payload is empty'
         WHEN d.original_payload - 'transaction_id' = '{{}}' THEN 'its payload is nothing but a transaction id: the rest was not kept'
         WHEN NOT d.original_payload ? 'transaction_id' AND d.original_payload ->> 'event_type' IS NULL
             THEN 'its payload has no transaction_id, so nothing tells its event type' END
WHEN jsonb_typeof(d.error_details) <> 'object' OR d.error_details ->> 'format' IS NULL
     OR d.error_details ->> 'format' !~ '^scout-recovery/' THEN 'made by something else: its error_details are of an unknown shape'
WHEN d.error_details ->> 'format' <> 'scout-recovery/1' THEN 'made by another version: format ' || (d.error_details ->> 'format')
WHEN NOT d.error_details ? 'event' AND jsonb_typeof(d.error_details -> 'transaction') = 'object'
     THEN 'it is a silver transaction without its event: undo.yml -e scout_run_id='
          || coalesce(d.error_details ->> 'run_id', '…') || ' brings it back'
WHEN jsonb_typeof(d.error_details -> 'event') IS DISTINCT FROM 'object'
     OR NOT d.error_details -> 'event' ?& '{{event_id,event_type,event_ts,ingested_at,event_hash}}'
     OR (d.error_details #>> '{{event,event_id}}') !~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
     THEN 'its image of the event is not whole'
WHEN {believed} THEN NULL
WHEN {noted} THEN 'it was added or changed since: it is not what the run that it names stored'
WHEN d.dlq_id <> ALL(%(dlq_ids)s::uuid[])
     THEN 'no record of what its run stored, so it may be forged: look at it, then name it in dlq_ids' END
"""
)

EVENT_ID = sql.SQL("d.error_details #>> '{event,event_id}'")

NOT_FOUND = """
SELECT id FROM unnest(%(ids)s::text[]) AS id
WHERE NOT EXISTS (SELECT FROM {dead_letters} AS d WHERE d.dlq_id = id::uuid AND d.resolved_at IS NULL)
UNION ALL
SELECT id FROM unnest(%(events)s::text[]) AS id
WHERE NOT EXISTS (SELECT FROM {dead_letters} AS d WHERE {event_id} = id AND d.resolved_at IS NULL)
"""

KEYS = """
SELECT coalesce(string_agg(uuid_send(d.dlq_id), ''::bytea ORDER BY d.failed_at NULLS FIRST, d.dlq_id), ''::bytea) AS keys
FROM {dead_letters} AS d WHERE {condition}
"""

READ = """
SELECT d.dlq_id::text AS dlq_id, {plain} AS plain, {event_id} AS event_id, coalesce(d.failed_at, now())::text AS failed_at,
       d.source_system, CASE WHEN {plain} THEN d.original_payload ->> 'ts' END AS ts,
       CASE WHEN {plain} THEN d.original_payload ->> 'event_type' END AS type,
       CASE WHEN %(repair_all)s OR d.dlq_id::text = ANY(%(repaired)s) OR {event_id} = ANY(%(repaired)s)
                 OR {plain} AND cardinality(%(repaired)s::text[]) > 0 THEN d.original_payload::text END AS payload
FROM {dead_letters} AS d WHERE {where}
ORDER BY d.failed_at NULLS FIRST, d.dlq_id {lock}
"""

#: What each entry would become, and the event that is it already, if there is one.
BECOMES = """
SELECT w.dlq_id::text AS dlq_id, x.type, x.sale AS transaction_id, x.hash, x.event_id,
       ARRAY(SELECT jsonb_object_keys(x.event)) AS columns,
       coalesce((SELECT b.event_id FROM {bronze} AS b WHERE b.event_id = x.event_id::uuid),
                (SELECT b.event_id FROM {bronze} AS b WHERE b.event_hash = x.hash::bytea LIMIT 1))::text AS twin,
       CASE WHEN x.sale IS NOT NULL THEN coalesce(
           (SELECT t.date_key::text FROM {transactions} AS t WHERE t.transaction_id = x.sale),
           substring(x.payload ->> 'ts' FROM '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'), left(x.event ->> 'ingested_at', 10)) END AS day
FROM jsonb_to_recordset(%(letters)s) AS w (dlq_id uuid, event jsonb, payload text)
JOIN {dead_letters} AS d USING (dlq_id)
CROSS JOIN LATERAL (
    SELECT coalesce(w.event, d.error_details -> 'event') AS event, coalesce(w.payload::jsonb, d.original_payload) AS payload
    OFFSET 0
) AS made
CROSS JOIN LATERAL (
    SELECT made.event, made.payload, made.event ->> 'event_type' AS type, made.event ->> 'event_id' AS event_id,
           CASE WHEN made.event ->> 'event_type' = {transaction_event} AND jsonb_typeof(made.payload) = 'object'
                THEN made.payload ->> 'transaction_id' END AS sale,
           CASE WHEN w.event IS NULL AND (w.payload IS NULL OR w.payload::jsonb = d.original_payload)
                THEN made.event ->> 'event_hash' ELSE {hash}::text END AS hash
) AS x
"""

#: The conversions the ETL makes, tried on what the entries hold, patched where they are to be.
TO_BE_PROBED = """(
    SELECT d.dlq_id AS event_id, coalesce(w.payload::jsonb, d.original_payload) AS event_data
    FROM {dead_letters} AS d LEFT JOIN jsonb_to_recordset(%(letters)s) AS w (dlq_id uuid, payload text) USING (dlq_id)
)"""

#: Conditions with several values.
LISTS: t.Final = ("of_runs", "error_codes", "rules", "dlq_ids", "event_ids")


@dataclasses.dataclass(frozen=True)
class DeadLetterSelection:
    """Unresolved dead letters; conditions of different kinds must all hold, one of several values must."""

    window: Window
    of_incident: str | None = None
    #: Its runs; a letter keeps the name under which it was set aside, also where release 1 moved its run to another incident.
    of_runs: tuple[str, ...] = ()
    run_id: str | None = None
    error_codes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    dlq_ids: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    #: Entries that came, or were changed, later are not meant; so a run tries each at most once.
    snapshot: str | None = None
    #: Whether the ledger has a record of what runs stored; else no dead letter with the name of a run can be believed.
    recorded: bool = False

    @property
    def why(self) -> sql.Composed:
        """Why no event can be made of an entry d; NULL where one can."""
        believed, noted = (AS_STORED, RUN_NOTED) if self.recorded else (sql.SQL("false"), sql.SQL("false"))
        return WHY.format(believed=believed, noted=noted)

    def condition(self) -> sql.Composed:
        """What a row d of the dead letter queue must fulfil."""
        made: list[sql.Composable] = [sql.SQL("d.resolved_at IS NULL"), *self.window.condition("d")]
        if self.of_incident is not None:
            made.append(
                sql.SQL(
                    "(d.error_details ->> 'incident' = %(of_incident)s OR d.error_details ->> 'run_id' = ANY(%(of_runs)s))"
                )
            )
        if self.run_id is not None:
            made.append(sql.SQL("d.error_details ->> 'run_id' = %(of_run)s"))
        if self.error_codes:
            made.append(sql.SQL("d.error_code = ANY(%(error_codes)s)"))
        if self.rules:
            made.append(
                sql.SQL(
                    "jsonb_typeof(d.error_details -> 'rules') = 'array' AND d.error_details -> 'rules' ?| %(rules)s::text[]"
                )
            )
        if self.dlq_ids:
            made.append(sql.SQL("d.dlq_id = ANY(%(dlq_ids)s::uuid[])"))
        if self.event_ids:
            made.append(sql.SQL("{} = ANY(%(event_ids)s)").format(EVENT_ID))
        if self.snapshot is not None:
            made.append(selection.seen_by_snapshot("d"))
        return sql.SQL(" AND ").join(made)

    def to_try(self) -> sql.Composed:
        """The condition of those that can be rebuilt and have not failed too often."""
        return sql.SQL("{} AND coalesce(d.retry_count, 0) < %(max_replays)s AND ({}) IS NULL").format(
            self.condition(), self.why
        )

    @property
    def values(self) -> dict[str, t.Any]:
        """What its conditions bind, but for max_replays."""
        return {
            "start": self.window.start,
            "end": self.window.end,
            "of_incident": self.of_incident,
            "of_run": self.run_id,
            **{name: list(getattr(self, name)) for name in LISTS},
            **selection.snapshot_values(self.snapshot),
        }

    def as_dict(self) -> dict[str, t.Any]:
        """For the ledger and plan files; `from_dict` reads it."""
        values: dict[str, t.Any] = dataclasses.asdict(self)
        lists = {name: list(values[name]) for name in LISTS}
        del values["recorded"]
        return {**values, **lists, "window": self.window.as_dict()}

    @classmethod
    def from_dict(cls, kept: Mapping[str, t.Any]) -> DeadLetterSelection:
        """The selection that was kept."""
        window = Window.from_dict(kept["window"], "failed_at")
        values: dict[str, t.Any] = {**kept, **{name: tuple(kept.get(name, ())) for name in LISTS}, "window": window}
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Letter:
    """A dead letter and the event it would become."""

    dlq_id: str
    event_id: str
    type: str
    transaction_id: str | None
    hash: str | None
    columns: tuple[str, ...]
    #: An event in bronze that is this one.
    twin: str | None
    day: str | None
    #: The patched payload, and the patches.
    payload: str | None = None
    patches: tuple[Patch, ...] = ()
    #: The columns of a rebuilt event, and those that had to be made up.
    event: dict[str, t.Any] | None = None
    missing: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What is loaded together: the events of a transaction."""
        return f"T {self.transaction_id}" if self.transaction_id is not None else self.dlq_id

    def given(self) -> dict[str, t.Any]:
        """What the queries that make the event have to be told."""
        return {"dlq_id": self.dlq_id, "event": self.event, "payload": self.payload, "hash": self.hash}


def ask(session: Session, params: Mapping[str, t.Any]) -> DeadLetterSelection:
    """The selection that options describe; raises BadInput for each value that cannot be used, changing nothing."""
    window = times.window_of(session, params, clock="failed_at", start="failed_from", end="failed_to")
    run = history.run_named(session, params["run_id"]) if params["run_id"] else None
    chosen = DeadLetterSelection(
        window,
        params["of_incident"] or None,
        history.of_incident(session, params["of_incident"]) if params["of_incident"] else (),
        run,
        tuple(params["error_codes"] or ()),
        tuple(params["rules"] or ()),
        tuple(selection.identifiers(params["dlq_ids"] or (), "dlq_ids", *selection.ANY_ID)),
        tuple(selection.identifiers(params["event_ids"] or (), "event_ids", *selection.ANY_ID)),
    )
    if chosen == DeadLetterSelection(Window("failed_at")):
        raise BadInput(
            "refused to redrive everything: no selection was given",
            next_step="give of_incident, run_id, error_codes, rules, failed_from and failed_to, dlq_ids or event_ids",
        )
    now = session.row("SELECT pg_current_snapshot()::text AS snapshot")
    return dataclasses.replace(chosen, snapshot=now["snapshot"])


class Path:
    """Through the entries to try as they were at the start, the one that failed first to the last; each has one turn."""

    name = "failed_at"
    least_size = 1.0
    first_size = 10.0

    def __init__(self, session: Session, chosen: DeadLetterSelection, values: Mapping[str, t.Any]) -> None:
        #: Sixteen bytes each.
        self.keys: bytes = session.row(contract.compose(KEYS, condition=chosen.to_try()), **values)["keys"]

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:  # noqa: ARG002
        """The next entries."""
        start, rows = cursor or 0, max(1, int(size))
        part = self.keys[16 * start : 16 * (start + rows)]
        if not part:
            return None
        ids = [str(uuid.UUID(bytes=part[at : at + 16])) for at in range(0, len(part), 16)]
        where = sql.SQL("d.dlq_id = ANY(%(path_keys)s::uuid[])").format()
        return Span(where, {"path_keys": ids}, start + len(ids), rows, len(ids) == rows, len(ids) > 1)

    def again(self, session: Session) -> None:
        """Every entry has had its turn."""


def not_found(session: Session, chosen: DeadLetterSelection) -> dict[str, t.Any]:
    """How many of the given ids no unresolved entry has, and the first twenty of them."""
    query = contract.compose(NOT_FOUND, event_id=EVENT_ID)
    ids = [row["id"] for row in session.rows(query, ids=list(chosen.dlq_ids), events=list(chosen.event_ids))]
    return {"count": len(ids), "ids": ids[:20]}


def read(
    session: Session, where: sql.Composable, values: Mapping[str, t.Any], repairs: Repairs, *, lock: bool
) -> list[Letter]:
    """The entries that fulfil `where` and what each would become, oldest first; locked, if asked."""
    query = contract.compose(
        READ, plain=PLAIN, event_id=EVENT_ID, where=where, lock=sql.SQL("FOR UPDATE OF d" if lock else "")
    )
    drafts: list[dict[str, t.Any]] = []
    for row in session.rows(query, **values, **repairs.values):
        draft: dict[str, t.Any] = {
            "dlq_id": row["dlq_id"],
            "event": None,
            "payload": None,
            "missing": (),
            "patches": (),
        }
        event_id = row["event_id"]
        if row["plain"]:
            draft["event"], draft["missing"] = rebuilt(row)
            event_id = draft["event"]["event_id"]
        patches = repairs.for_ids(event_id, row["dlq_id"])
        if patches:
            draft.update(patches=tuple(patches), payload=patched(row["payload"], patches))
        drafts.append(draft)
    if not drafts:
        return []
    given = [{name: draft[name] for name in ("dlq_id", "event", "payload")} for draft in drafts]
    hashed = event_queue.hash_of(session, sql.Identifier("made", "payload"))
    found: dict[str, dict[str, t.Any]] = {}
    for row in session.rows(contract.compose(BECOMES, hash=hashed), letters=Jsonb(given)):
        found[row["dlq_id"]] = {**row, "columns": tuple(row["columns"])}
    return [Letter(**{**draft, **found[draft["dlq_id"]]}) for draft in drafts]


def rebuilt(row: Mapping[str, t.Any]) -> tuple[dict[str, t.Any], tuple[str, ...]]:
    """The columns of an event of which only the payload was kept, and those among them that are made up."""
    missing = ["event_id", "event_hash", "ingested_at"]
    event_ts = _written_time(row["ts"])
    if event_ts is None:
        missing.append("event_ts")
    if row["type"] is None:
        missing.append("event_type")
    event = {
        "event_id": str(uuid.uuid5(NAMESPACE, row["dlq_id"])),
        "event_type": row["type"] or contract.names().transaction_event,
        "event_ts": event_ts or row["failed_at"],
        "source_system": row["source_system"],
        "ingested_at": row["failed_at"],
        "event_hash": None,
    }
    return event, tuple(missing)


def _written_time(text: str | None) -> str | None:
    """A time with an offset, as PostgreSQL reads it; None where the payload has none."""
    try:
        at = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at.isoformat() if at.tzinfo is not None else None


def suspicious(session: Session, letters: Iterable[Letter], most: int) -> list[Suspect]:
    """Entries that the ETL could not convert, by dlq_id; found without writing."""
    loadable = [letter for letter in letters if letter.type == contract.names().transaction_event]
    given = Jsonb([letter.given() for letter in loadable if letter.payload is not None])
    return unconvertible(
        session, [letter.dlq_id for letter in loadable], most, source=contract.compose(TO_BE_PROBED), letters=given
    )
