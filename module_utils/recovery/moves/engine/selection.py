# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bronze events are meant: by time, source, type, store, transaction, identifier or content; every value is bound."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import uuid
from pathlib import Path

from ...core.errors import BadInput
from ...postgres.driver import psycopg, sql
from ...postgres.times import Window, window_of
from ...scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...postgres.session import Session

CLOCKS: t.Final = ("ingested_at", "event_ts")

CANONICAL_PATH = "SELECT %(path)s::jsonpath::text AS path"

#: What `identifiers` calls one, and many, where more than events may be meant.
ANY_ID: t.Final = ("id", "ids of runs, events and dead letters")

NOT_FOUND = """
SELECT count(*) AS missing, (array_agg(id ORDER BY id))[:20] AS ids
FROM unnest(%(ids)s::uuid[]) AS id WHERE NOT EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = id)
"""

#: Conditions with several values: what of a row of bronze has to be one of them.
LISTS: t.Final[dict[str, t.LiteralString]] = {
    "source_systems": "{}.source_system = ANY(%(source_systems)s)",
    "source_files": "{}.source_file = ANY(%(source_files)s)",
    "event_types": "{}.event_type = ANY(%(event_types)s)",
    "stores": "{}.event_data ->> 'store_id' = ANY(%(stores)s)",
    "transactions": "{}.event_data ->> 'transaction_id' = ANY(%(transactions)s)",
    "event_ids": "{}.event_id = ANY(%(event_ids)s::uuid[])",
}

HAS_FILES = """
SELECT FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attname = 'source_file' AND NOT a.attisdropped
  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
"""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Bronze events; conditions of different kinds must all hold, one of several values must."""

    window: Window
    source_systems: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    payload_path: str | None = None
    #: Rows that were committed after this snapshot are not meant.
    snapshot: str | None = None
    #: Of a deployment whose bronze has a column source_file.
    source_files: tuple[str, ...] = ()

    def condition(self, alias: str = "b") -> sql.Composed:
        """What a row `alias` of bronze must fulfil."""
        b = sql.Identifier(alias)
        made = self.window.condition(alias)
        made += [sql.SQL(text).format(b) for name, text in LISTS.items() if getattr(self, name)]
        if self.payload_path is not None:
            # A predicate gives true or false for every payload; any other path selects by what it finds.
            predicate = self.payload_path.removeprefix("strict ").startswith(("(", "!", "exists ("))
            function = "match" if predicate else "exists"
            name = sql.Identifier("pg_catalog", f"jsonb_path_{function}")
            made.append(sql.SQL("{}({}.event_data, %(payload_path)s::jsonpath, '{{}}', true)").format(name, b))
        if self.snapshot is not None:
            made.append(seen_by_snapshot(alias))
        return sql.SQL(" AND ").join(made) if made else sql.SQL("true").format()

    @property
    def _lists(self) -> dict[str, list[str]]:
        return {name: list(getattr(self, name)) for name in LISTS}

    @property
    def values(self) -> dict[str, t.Any]:
        """What its condition binds."""
        return {
            "start": self.window.start,
            "end": self.window.end,
            **self._lists,
            "payload_path": self.payload_path,
            **snapshot_values(self.snapshot),
        }

    def as_dict(self) -> dict[str, t.Any]:
        """For the ledger; `from_dict` reads it."""
        return {
            "window": self.window.as_dict(),
            **self._lists,
            "payload_path": self.payload_path,
            "snapshot": self.snapshot,
        }

    @property
    def narrowed(self) -> dict[str, t.Any]:
        """For results: what was asked for besides a time, the first twenty of many."""
        asked = {name: value for name, value in self.as_dict().items() if name not in ("window", "snapshot") and value}
        return {name: value[:20] if isinstance(value, list) else value for name, value in asked.items()}

    @classmethod
    def from_dict(cls, kept: Mapping[str, t.Any]) -> Selection:
        """The selection that was kept."""
        lists = {name: tuple(kept.get(name) or ()) for name in LISTS}
        window = Window.from_dict(kept["window"])
        return cls(window, payload_path=kept["payload_path"], snapshot=kept.get("snapshot"), **lists)


def seen_by_snapshot(alias: str) -> sql.Composed:
    """Whether a row had been committed when the bound snapshot was taken; one of a subtransaction in flight counts as seen."""
    return sql.SQL(
        "age({row}.xmin) > age(%(snapshot_xmax)s::xid) AND {row}.xmin <> ALL (%(snapshot_xip)s::xid[])"
    ).format(row=sql.Identifier(alias))


def snapshot_values(snapshot: str | None) -> dict[str, t.Any]:
    """What that condition binds, from a snapshot as PostgreSQL writes it, `xmin:xmax:xip,xip`; rows show 32 bits of an xid."""
    _, xmax, xip = (snapshot or "0:0:").split(":")
    return {
        "snapshot_xmax": str(int(xmax) % 2**32),
        "snapshot_xip": [str(int(xid) % 2**32) for xid in xip.split(",") if xid],
    }


def ask(session: Session, params: Mapping[str, t.Any], *, now: datetime.datetime | None = None) -> Selection:
    """The selection that options describe; raises BadInput for each value that cannot be used, changing nothing."""
    window = window_of(session, params, clock=params["clock"])
    ids = identifiers(params["event_ids"] or [], "event_ids")
    if params["event_ids_file"]:
        ids += _from_file(params["event_ids_file"])
    made = Selection(
        window=window,
        source_systems=_texts(params["source_systems"]),
        source_files=files(session, params["source_files"]),
        event_types=_texts(params["event_types"]),
        stores=_texts(params["stores"]),
        transactions=_texts(params["transactions"]),
        event_ids=tuple(dict.fromkeys(ids)),
        payload_path=_path(session, params["payload_path"]),
    )
    if made == Selection(Window(window.clock)):
        raise BadInput(
            "refused to select everything: no selection was given",
            next_step=(
                "give window_start and window_end, or event_ids, transactions, stores, source_systems, source_files, event_types, "
                "payload_path"
            ),
        )
    if window.end is None and not ids:
        # Frozen here: what arrives from now on is not meant.
        end = now or session.row("SELECT clock_timestamp() AS now")["now"]
        made = dataclasses.replace(made, window=dataclasses.replace(window, end=end))
    return made


def files(session: Session, values: list[str] | None) -> tuple[str, ...]:
    """The files as given. Raises BadInput where some are and bronze has no column for them."""
    bronze = contract.names().bronze
    schema, _, table = bronze.partition(".")
    if values and not session.rows(HAS_FILES, schema=schema, table=table):
        raise BadInput(
            f"source_files {values[0][:80]!r} cannot be selected",
            on=session.where,
            said=f"{bronze} has no column source_file of type text",
            next_step="select by source_systems, stores, event_ids or a window",
        )
    return _texts(values)


def _texts(values: list[str] | None) -> tuple[str, ...]:
    return tuple(values or ())


def not_found(session: Session, ids: Iterable[str]) -> dict[str, t.Any]:
    """How many of these identifiers no event has, and the first twenty of them."""
    row = session.row(contract.compose(NOT_FOUND), ids=list(ids))
    found: list[uuid.UUID] = row["ids"] or []
    return {"count": row["missing"], "ids": [str(event) for event in found]}


def identifiers(values: Iterable[str], name: str, one: str = "event id", many: str = "event ids") -> list[str]:
    """Each once, as PostgreSQL writes UUIDs. Raises BadInput for anything else, which says that it is not `one`."""
    made: list[str] = []
    for value in values:
        try:
            made.append(str(uuid.UUID(value.strip())))
        except ValueError as e:
            raise BadInput(f"{name}: {value[:80]!r} is not an {one}", next_step=f"{many} are UUIDs") from e
    return list(dict.fromkeys(made))


def _from_file(name: str) -> list[str]:
    """One identifier a line; empty lines and those that begin with # do not count."""
    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(
            f"could not read event_ids_file {name}",
            said=getattr(e, "strerror", None) or str(e),
            next_step="give a text file with one event id per line",
        ) from e
    ids = identifiers(
        (line for line in lines if line.strip() and not line.lstrip().startswith("#")), f"event_ids_file {name}"
    )
    if not ids:
        raise BadInput(f"event_ids_file {name} names no event", next_step="one event id per line")
    return ids


def _path(session: Session, path: str | None) -> str | None:
    """The path as PostgreSQL writes it, so that a predicate can be told by its parentheses."""
    if not path:
        return None
    try:
        with session.savepoint():
            return session.row(CANONICAL_PATH, path=path)["path"]
    except psycopg.Error as e:
        raise BadInput(
            f"payload_path {path[:200]!r} is not a JSON path",
            said=str(e.diag.message_primary),
            sqlstate=e.sqlstate,
            next_step='for example -e \'{"scout_payload_path": "$.total_amount < 0"}\'',
        ) from e
