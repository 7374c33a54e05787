# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live catalog of a scope as entries: every object with its definition in parts, owner, grants, comment and needs.

PostgreSQL's own deparse functions write every definition. Nothing stronger than ACCESS SHARE is locked, and that no longer
than a reading lasts.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ...core.errors import BadInput, NotConverged
from ...postgres.driver import errors
from ...postgres.failures import translate
from . import database_level, dependencies, manifests, stability, views_and_routines
from . import query as catalog_query
from . import tables as catalog_tables
from .entries import Catalog, Entry, Scope

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...postgres.session import Row, Session

#: How often a schema that changes while it is read is read again.
READINGS: t.Final = 5
#: Kinds of what stands in rows of tables.
BESIDE: t.Final = ("cron_job", "migration", "manifest")
WAIT: t.Final = "wait until the migration has finished, then run the same command again"

#: Names in full, and values as text that reads back exactly. Policies hold: by one, pg_cron shows each role its own jobs.
AS_THEY_ARE: t.Final = """
SELECT set_config('row_security', 'on', true),
       set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
       set_config('IntervalStyle', 'postgres', true), set_config('quote_all_identifiers', 'off', true)
"""

PRESENT: t.Final = """
SELECT name FROM unnest(%(names)s::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = name)
"""


def read(session: Session, scope: Scope, paused: Sequence[Row] = ()) -> Catalog:
    """The catalog as it is; inside the caller's transaction. `paused` are
    the jobs that a pause disabled, as it found them. Raises BadInput where a schema does not exist."""
    session.execute(AS_THEY_ARE)
    if missing := [row["name"] for row in session.rows(PRESENT, names=list(scope.schemas))]:
        raise BadInput(
            f"there is no schema {', '.join(map(repr, missing))}",
            on=session.where,
            next_step="name schemas that exist: -e '{\"scout_release_schemas\": [...]}'",
        )
    graph = dependencies.read(session)
    inside, outside = graph.members(scope.schemas)
    chosen = inside | outside
    found = _of_kinds(session, chosen, scope)
    known = {(kind.catalog, row["oid"]) for kind, row in found}
    others = list(_others(session, chosen, known))
    others += beside(session, scope, paused)
    keys = {((kind.catalog, row["oid"]), row["sub"]): f"{kind.name}:{row['name']}" for kind, row in found}
    keys |= {((e.address[0], e.address[1]), e.address[2]): e.key for e in others if e.address}
    needs = graph.needs(keys)
    for kind, row in found:
        if kind.name == "column":
            needs[f"column:{row['name']}"].add(keys[(kind.catalog, row["oid"]), 0])
    entries = [_entry(kind, row, needs) for kind, row in found]
    entries += [e if e.needs else dataclasses.replace(e, needs=_sorted(needs, e.key)) for e in others]
    made = {e.key: e for e in entries}
    beyond = {
        key for (found, _), key in keys.items() if graph.whole(found) in outside or graph.whole(found) in graph.extended
    }
    return Catalog({key: made[key] for key in sorted(made)}, tuple(sorted(beyond)))


def beside(session: Session, scope: Scope, paused: Sequence[Row] = ()) -> list[Entry]:
    """What is of a release and stands in rows of tables: the jobs, and the migration history; inside the caller's transaction."""
    found = [
        Entry("cron_job", job["name"], job["facts"], job["owner"], address=("cron.job", job["jobid"], 0))
        for job in database_level.jobs(session, paused)
    ]
    if scope.migrations_table:
        found += [
            Entry("migration", row["version"], row["columns"])
            for row in database_level.migrations(session, scope.migrations_table)
        ]
    for manifest in scope.manifests:
        found += manifests.read(session, manifest)
    return found


def _sorted(needs: Mapping[str, set[str]], key: str) -> tuple[str, ...]:
    """What one of them needs."""
    return tuple(sorted(needs.get(key, ())))


def _of_kinds(session: Session, chosen: set[dependencies.Object], scope: Scope) -> list[tuple[catalog_query.Kind, Row]]:
    """The objects themselves, and what belongs to the schemas and to the owners of the objects."""
    wanted: dict[str, str | list[str]] = {
        name: catalog_query.oids(oid for catalog, oid in chosen if catalog == where)
        for name, where in (
            ("schemas", "pg_namespace"),
            ("relations", "pg_class"),
            ("functions", "pg_proc"),
            ("types", "pg_type"),
            ("casts", "pg_cast"),
            ("operators", "pg_operator"),
            ("collations", "pg_collation"),
            ("published", "pg_publication_rel"),
        )
    }
    found = [
        (kind, row)
        for kind in (
            *catalog_tables.KINDS,
            *views_and_routines.KINDS,
            database_level.published(session.facts.server_version),
        )
        for row in catalog_query.rows(session, kind, wanted)
    ]
    owners = sorted({row["owner"] for _, row in found if row["owner"]})
    beside: dict[str, str | list[str]] = {"names": list(scope.schemas), "owners": owners}
    return found + [(kind, row) for kind in database_level.KINDS for row in catalog_query.rows(session, kind, beside)]


def _entry(kind: catalog_query.Kind, row: Row, needs: Mapping[str, set[str]]) -> Entry:
    order: dict[str, list[t.Any]] = {}
    facts: dict[str, t.Any] = row["facts"]
    for column in facts.get("columns") or () if kind.name in ("view", "materialized_view") else ():
        if column.get("grants"):
            order[f"column {column['name']}"] = _pairs(column["grants"])
            column["grants"] = sorted(column["grants"], key=_as_text)
    if facts.get("sequence_grants"):
        order["sequence"] = _pairs(facts["sequence_grants"])
        facts["sequence_grants"] = sorted(facts["sequence_grants"], key=_as_text)
    if isinstance(facts.get("options"), list):
        order["options"] = [option.partition("=")[0] for option in facts["options"]]
        facts["options"] = sorted(facts["options"])
    if row["grants"]:
        order["grants"] = _pairs(row["grants"])
    order = {name: each for name, each in order.items() if len(each) > 1}
    if facts.pop("populated", True) is False:
        order["populated"] = []
    if facts.pop("merged", False):
        order["merged"] = []
    return Entry(
        kind=kind.name,
        name=row["name"],
        facts=row["facts"],
        owner=row["owner"],
        grants=tuple(sorted((g[0], g[1], g[2], g[3]) for g in row["grants"])),
        comment=row["comment"],
        labels=row["labels"],
        needs=_sorted(needs, f"{kind.name}:{row['name']}"),
        address=(kind.catalog, row["oid"], row["sub"]),
        order=order,
    )


def _pairs(granted: list[list[t.Any]]) -> list[list[str]]:
    """Who was granted something by whom, as it stands."""
    return [list(pair) for pair in dict.fromkeys((str(g[0]), str(g[3])) for g in granted)]


def _as_text(granted: list[t.Any]) -> str:
    return json.dumps(granted, ensure_ascii=False)


def _others(session: Session, chosen: set[dependencies.Object], known: set[tuple[str, int]]) -> Iterator[Entry]:
    """What is there besides, by name and comment, and by a definition that nothing makes again."""
    left = sorted(chosen - known)
    rows = session.rows(database_level.OTHERS, catalogs=[c for c, _ in left], oids=[oid for _, oid in left])
    for row in rows:
        facts = {} if row["definition"] is None else {"definition": row["definition"]}
        yield Entry("other", row["name"], facts, comment=row["comment"], address=(row["catalog"], row["oid"], 0))


def settled(session: Session, scope: Scope, paused: Sequence[Row] = ()) -> Catalog:
    """The catalog as one reading finds it during which nothing was changed, or as two in a row do: what PostgreSQL deparses is
    of the moment, not of a snapshot, so one reading could mix what was before a migration with what is after it. Raises
    NotConverged where the schema keeps changing."""
    before: Catalog | None = None
    said = "each different from the one before"
    for _ in range(READINGS):
        now: Catalog | None = None
        try:
            with session.read():
                now = read(session, scope, paused)
                began = stability.fingerprint(session)
            if stability.fingerprint(session) == began:
                return now
        except (errors.InternalError_, errors.UndefinedObject, errors.UndefinedTable) as e:
            # What is dropped between its listing and its deparsing ends so.
            said = f"the last error was: {e.diag.message_primary}"
        except errors.LockNotAvailable as e:
            raise translate(
                e,
                "could not read the catalog: someone is changing an object of the release",
                on=session.where,
                next_step=WAIT,
            ) from e
        if now is not None and before is not None and now.entries == before.entries:
            return now
        before = now
    raise NotConverged(
        "could not capture: the schema keeps changing",
        on=session.where,
        said=f"{READINGS} readings, {said}",
        next_step=WAIT,
    )
