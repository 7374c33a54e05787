# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables in which a deployment says which files it has applied: a row is known by its key, and says so by its state."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ...core.errors import BadInput
from ...postgres.driver import sql
from ...scout import contract
from ...scout.judging import impostors
from . import database_level
from .entries import Entry, Manifest, Scope, column_key, table_key

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ...postgres.session import Session

#: Columns by which a row is known, by which it says that a file was applied, and by which it says what was in the file; of the first
#: two the first that there is.
KEYS: t.Final = ("file", "filename", "file_name", "version", "name")
STATES: t.Final = ("state", "status", "applied", "applied_at")
CONTENTS: t.Final = ("sha256", "checksum", "hash")
OPTION: t.Final = "migrations_table"
FIELDS: t.Final = ("table", "key", "state")


@dataclasses.dataclass(frozen=True)
class _Columns:
    """What a table is called in SQL, its columns that can be written, by name and as SQL writes them, those of its primary key, and
    whether we may read it."""

    shown: str
    names: tuple[str, ...]
    quoted: tuple[str, ...]
    primary: tuple[str, ...]
    may: bool


@dataclasses.dataclass(frozen=True)
class Asked:
    """The tables that were asked for; whether anybody asked, or they are those that are known by name."""

    history: str
    manifests: tuple[Manifest, ...]
    by_name: bool = False


#: No table.
NOTHING: t.Final = Asked("", ())


def asked(tables: Sequence[t.Any] | None) -> Asked:
    """The option, checked: None means the tables that are known by name. Raises BadInput."""
    known = contract.names()
    if tables is None:
        return Asked(contract.HISTORY, (Manifest(known.manifest),), by_name=True)
    history, manifests = "", list[Manifest]()
    for each in tables:
        if each == "":
            continue
        found = _one(each)
        if found.table.replace('"', "").lower() == known.deployment_log:
            raise BadInput(
                f"{OPTION} {found.table} is not usable",
                said="it is a log: what was done stays in it, also what is rolled back",
                next_step="leave it out: it stays as it is",
            )
        if isinstance(each, str) and not history and each != known.manifest:
            history = each
        else:
            manifests.append(found)
    again = [
        name for name, number in collections.Counter([history, *(m.table for m in manifests)]).items() if number > 1
    ]
    if again:
        raise BadInput(f"{OPTION} {again[0]} is named twice", next_step="name it once")
    return Asked(history, tuple(manifests))


def _one(given: t.Any) -> Manifest:
    """One entry of the option: a name, or a table with its columns."""
    if isinstance(given, str):
        return Manifest(given)
    shape = f'{{"table": "{contract.names().schema}.migration_manifest", "key": "file", "state": ["status", "sha256"]}}'
    if not isinstance(given, dict):
        raise BadInput(f"{OPTION} {given} is not usable", next_step=f"give a name, or {shape}")
    fields = t.cast("dict[str, t.Any]", given)
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown or not isinstance(fields.get("table"), str):
        said = f"it has {', '.join(map(repr, unknown))}" if unknown else "it names no table"
        raise BadInput(f"{OPTION} {fields} is not usable", said=said, next_step=f"write it as {shape}")
    return Manifest(fields["table"], _listed(fields.get("key")), _listed(fields.get("state")))


def _listed(columns: t.Any) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) and columns else tuple(map(str, columns or ()))


def scope(session: Session, schemas: tuple[str, ...], wanted: Asked) -> tuple[Scope, list[str]]:
    """What a capture is about, each table with the columns that were found, and warnings of those that are known by name but not by
    their columns, and that are left out. Raises BadInput where a table that was asked for cannot be used. Read-only, inside the
    caller's transaction."""
    usable, warnings = list[Manifest](), list[str]()
    for manifest in wanted.manifests:
        found = _columns(session, manifest.table)
        made = _with_columns(manifest, found) if found else manifest
        said = _unusable(session, made, found) if found else ""
        if not said:
            usable.append(made)
        elif wanted.by_name:
            warnings.append(f"not captured: {manifest.table}, for {said}; {_advice(manifest.table)}")
        else:
            raise BadInput(
                f"{OPTION} {manifest.table} is not usable",
                on=session.where,
                said=said,
                next_step=_advice(manifest.table),
            )
    return Scope(schemas, wanted.history, tuple(usable)), warnings


def _advice(table: str) -> str:
    columns = f'{{"table": "{table}", "key": "…", "state": ["…"]}}'
    return f'name its columns: -e \'{{"scout_{OPTION}": ["{contract.HISTORY}", {columns}]}}\''


def _with_columns(manifest: Manifest, found: _Columns) -> Manifest:
    """The manifest with the columns that it has, as far as they are known by name and nobody has named them."""
    first = [[name for name in names if name in found.names][:1] for names in (KEYS, STATES)]
    contents = [name for name in CONTENTS if name in found.names]
    key = manifest.key or tuple(first[0]) or found.primary
    # What says that a file was applied says nothing by itself where it is what the rows are known by.
    state = manifest.state or tuple(name for name in (*first[1], *contents) if name not in key)
    return dataclasses.replace(manifest, table=found.shown, key=key, state=state)


def _unusable(session: Session, made: Manifest, found: _Columns) -> str:
    """Why the rows of a table could not be told apart, or do not say what was applied; empty where they can and do."""
    has = f"it has {', '.join(found.names)}"
    if missing := [name for name in (*made.key, *made.state) if name not in found.names]:
        return f"it has no column {', '.join(missing)}: {has}"
    lacks = [what for what, columns in (("key", made.key), ("state", made.state)) if not columns]
    if lacks:
        return f"none of its columns is known as its {' or '.join(lacks)}: {has}"
    rows = _rows(session, made, found) if found.may else []
    numbers = collections.Counter(tuple(row[name] for name in made.key) for row in rows)
    if twice := [key for key, number in numbers.items() if number > 1]:
        return f"several rows have the same {', '.join(made.key)}, such as {_called(twice[0])}"
    return ""


def read(session: Session, manifest: Manifest) -> list[Entry]:
    """Its rows as entries, each value as text; none where there is no such table. Raises BadInput where it has lost the columns that
    its rows are known by, MissingPrivilege where they may not be read; inside the caller's transaction."""
    found = _columns(session, manifest.table)
    if found is None:
        return []
    known = _with_columns(manifest, found)
    if not manifest.key and _unusable(session, known, found):
        # It was not there when the release was captured.
        return []
    if missing := [name for name in known.key if name not in found.names]:
        raise BadInput(
            f"could not read {manifest.table}",
            on=session.where,
            said=f"its rows are known by column {', '.join(missing)}, which is gone: it has {', '.join(found.names)}",
            next_step="give the column its name back by hand, then run the same command again",
        )
    times = collections.Counter[str]()
    entries = list[Entry]()
    for row in sorted(
        _rows(session, known, found), key=lambda row: [str(row.get(name)) for name in (*known.key, *known.state)]
    ):
        called = _called(row[name] for name in known.key)
        times[called] += 1
        # A release may have written a second row of one key, where nothing keeps it from that.
        entries.append(_entry(row, called if times[called] == 1 else f"{called} ({times[called]})", known, found))
    return entries


def _entry(row: dict[str, str | None], called: str, manifest: Manifest, found: _Columns) -> Entry:
    state = [name for name in manifest.state if name in found.names and name not in manifest.key]
    key = {name: row[name] for name in manifest.key}
    facts = {"table": found.shown, "key": key, "state": {name: row[name] for name in state}}
    rest = [[name, row[name]] for name in found.names if name not in (*manifest.key, *state)]
    return Entry(
        "manifest",
        f"{called} on {found.shown}",
        facts,
        needs=(table_key(found.shown), *(column_key(found.shown, each) for each in found.quoted)),
        order={"rest": rest} if rest else {},
    )


def _called(key: Iterable[str | None]) -> str:
    return ", ".join("NULL" if value is None else value for value in key)


def _columns(session: Session, table: str) -> _Columns | None:
    schema, name = database_level.identifier(session, table, OPTION, (2,))
    rows = session.rows(database_level.COLUMNS, schema=schema, table=name)
    if not rows:
        return None
    return _Columns(
        rows[0]["shown"],
        tuple(row["name"] for row in rows if not row["generated"]),
        tuple(row["quoted"] for row in rows if not row["generated"]),
        tuple(row["name"] for row in rows if row["in_key"]),
        rows[0]["may"],
    )


def _rows(session: Session, manifest: Manifest, found: _Columns) -> list[dict[str, str | None]]:
    schema, name = database_level.identifier(session, manifest.table, OPTION, (2,))
    impostors.refuse_history(session, schema, name)
    if not found.may:
        raise database_level.unreadable(session, f"could not read {manifest.table}", schema, found.shown)
    return database_level.as_text(session, manifest.table, sql.Identifier(schema, name), found.names)


def left_out(session: Session, of: Scope, captured: Collection[str]) -> str:
    """A warning, where there is a manifest that stays and whose rows are not in the capture, of which these are the keys: one from before
    they were captured, or without them; else empty. Inside the caller's transaction."""
    own = contract.names().manifest
    stays = table_key(own) in captured or contract.names().schema not in of.schemas
    if not stays or own in (manifest.table for manifest in of.manifests) or _columns(session, own) is None:
        return ""
    return (
        f"{own} is no part of this capture and stays as it is: the next deployment skips what it says is applied. Look at "
        f"it (`TABLE {own}`), and delete the rows of what is rolled back"
    )
