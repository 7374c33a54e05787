# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of others depends on what a rollback drops or gives another type, publications it may not change, and where sequences stand."""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql
from ...scout.judging import roles
from ...scout.row_images import named
from ..ddl.registry import WRITERS
from .definitions import parts
from .situation import Obstacle

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...postgres.session import Row, Session
    from ..catalog.entries import Entry
    from ..ddl.statement import Statement
    from .situation import Situation

#: Whatever is no part of the release and would keep something of it from being dropped, and how that is called in SQL.
#: A table is also the type of its rows, and a type has one of its arrays.
DEPENDENTS: t.Final = """
WITH gone AS MATERIALIZED (
    SELECT g.key, g.catalog::pg_catalog.regclass::pg_catalog.oid AS classid, g.oid::pg_catalog.oid AS oid, g.sub
    FROM unnest(%(keys)s::text[], %(catalogs)s::text[], %(oids)s::bigint[], %(subs)s::int[]) AS g (key, catalog, oid, sub)
), whole AS (
    SELECT key, classid, oid, sub FROM gone
    UNION ALL
    SELECT g.key, 'pg_catalog.pg_type'::pg_catalog.regclass, y.oid, 0
    FROM gone AS g JOIN pg_catalog.pg_type AS y ON y.typrelid = g.oid AND g.sub = 0
    WHERE g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
), wide AS (
    SELECT key, classid, oid, sub FROM whole
    UNION ALL
    SELECT w.key, w.classid, y.typarray, 0 FROM whole AS w JOIN pg_catalog.pg_type AS y ON y.oid = w.oid AND y.typarray <> 0
    WHERE w.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
), users AS (
    SELECT DISTINCT w.key, d.classid, d.objid, d.objsubid,
           coalesce(v.ev_class, a.adrelid, nullif(o.conrelid, 0), t.tgrelid, p.polrelid,
                    CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.objid END) AS relation,
           d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND v.rulename = '_RETURN' AS is_view
    FROM wide AS w
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = w.classid AND d.refobjid = w.oid AND d.deptype = 'n'
        AND (w.sub = 0 OR d.refobjsubid = w.sub)
        -- A range comes with functions of its own, which go with it.
        AND (d.classid <> 'pg_catalog.pg_proc'::pg_catalog.regclass OR NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend AS i WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'))
    LEFT JOIN pg_catalog.pg_rewrite AS v ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND v.oid = d.objid
    LEFT JOIN pg_catalog.pg_attrdef AS a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint AS o ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = d.objid
    LEFT JOIN pg_catalog.pg_trigger AS t ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid
    LEFT JOIN pg_catalog.pg_policy AS p ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = d.objid
), others AS (
    SELECT u.key, CASE WHEN u.is_view THEN 'pg_catalog.pg_class'::pg_catalog.regclass ELSE u.classid END AS classid,
           CASE WHEN u.is_view THEN u.relation ELSE u.objid END AS oid, CASE WHEN u.is_view THEN 0 ELSE u.objsubid END AS sub
    FROM users AS u
    WHERE NOT EXISTS (
        SELECT FROM unnest(%(known_catalogs)s::text[], %(known_oids)s::bigint[]) AS k (catalog, oid)
        WHERE (k.catalog = 'pg_class' AND k.oid = u.relation)
           OR (k.catalog = u.classid::pg_catalog.regclass::text AND k.oid = u.objid))
)
SELECT DISTINCT o.key, i.type, i.identity AS name, c.relname IS NOT NULL AS is_relation,
       coalesce(pg_catalog.pg_get_userbyid(coalesce(c.relowner, f.proowner))::text, '') AS owner
FROM others AS o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.oid, o.sub) AS i
LEFT JOIN pg_catalog.pg_class AS c ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.oid
LEFT JOIN pg_catalog.pg_proc AS f ON o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = o.oid
ORDER BY 1, 2, 3 LIMIT 50
"""
#: What stands alone, as DROP calls it.
DROPPED: t.Final = ("view", "materialized view", "function", "procedure", "aggregate", "table", "type")

PUBLICATIONS: t.Final = """
SELECT n.name, p.oid IS NOT NULL AS there, pg_catalog.pg_get_userbyid(p.pubowner)::text AS owner,
       coalesce(pg_catalog.pg_has_role(p.pubowner, 'USAGE'), false) AS may
FROM unnest(%(names)s::text[]) AS n (name) LEFT JOIN pg_catalog.pg_publication AS p ON pg_catalog.quote_ident(p.pubname) = n.name
"""

#: An interrupted one, or one at work, for which the same is true until it has ended.
DETACHED_IN_PART: t.Final = """
SELECT i.inhparent::pg_catalog.regclass::text AS whole, i.inhrelid::pg_catalog.regclass::text AS part
FROM pg_catalog.pg_inherits AS i
WHERE i.inhdetachpending AND ARRAY[i.inhparent, i.inhrelid] && %(tables)s::bigint[]::pg_catalog.oid[] ORDER BY 1, 2
"""

MAY_SEE: t.Final = (
    "SELECT coalesce(pg_catalog.has_sequence_privilege(pg_catalog.to_regclass(%(name)s), 'SELECT'), false) AS may"
)
STANDS: t.Final = "SELECT last_value::bigint AS last FROM {sequence}"


def dependents(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Objects of others that need what is dropped, or given another type; inside the caller's transaction."""
    gone = {found.was.get(key, key): key for does, key in found.steps if does == "drop"}
    for does, key in found.steps:
        before, after = found.now(key), found.wanted.get(key)
        if (
            does == "alter"
            and before
            and after
            and after.kind == "column"
            and before.facts["type"] != after.facts["type"]
        ):
            gone[before.key] = key
    places = [(key, found.live[key].address) for key in sorted(gone) if key in found.live]
    asked = [(key, address) for key, address in places if address and address[0] != "cron.job"]
    if not asked:
        return
    known = [e.address for e in found.live.values() if e.address]
    rows = session.rows(
        DEPENDENTS,
        keys=[key for key, _ in asked],
        catalogs=[address[0] for _, address in asked],
        oids=[address[1] for _, address in asked],
        subs=[address[2] for _, address in asked],
        known_catalogs=[address[0] for address in known],
        known_oids=[address[1] for address in known],
    )
    for row in rows:
        yield Obstacle("dependent", gone[row["key"]], _needs(row, gone[row["key"]]), _away(row))


def detached_in_part(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Partitions that somebody has begun to detach concurrently, of which PostgreSQL lets nobody alter anything until that is done;
    inside the caller's transaction."""
    about: dict[str, str] = {}
    for _, key in sorted(found.steps):
        if (entry := found.now(key) or found.wanted.get(key)) is not None:
            about.setdefault(entry.table or entry.name, key)
    live = {name: found.live.get(f"table:{name}") for name in about}
    tables = [e.address[1] for e in live.values() if e and e.address]
    for row in session.rows(DETACHED_IN_PART, tables=tables):
        key = about.get(row["part"]) or about[row["whole"]]
        said = f"partition {row['part']} of {row['whole']} is half detached, and cannot be altered until that is done"
        yield Obstacle("detach", key, said, f"`ALTER TABLE {row['whole']} DETACH PARTITION {row['part']} FINALIZE`")


def _needs(row: Row, key: str) -> str:
    kind, _, name = key.partition(":")
    whose = f" of {row['owner']}" if row["owner"] else ""
    return f"{row['type']} {row['name']}{whose} is no part of the release, and needs {kind.replace('_', ' ')} {name}"


def _away(row: Row) -> str:
    if row["type"] in DROPPED:
        return f"keep its definition, and drop it: `DROP {row['type'].upper()} {row['name']}`"
    return f"have {row['type']} {row['name']} dropped or changed by its owner"


def publications(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Publications that tables leave or join, and that are not there or belong to somebody we are not; inside the caller's
    transaction."""
    about: dict[str, list[tuple[str, str]]] = {}
    for does, key in sorted(found.steps):
        entry = found.wanted.get(key) or found.now(key)
        if entry is not None and entry.kind == "publication_table" and (does != "drop" or _stays(found, key)):
            about.setdefault(str(entry.facts["publication"]), []).append((does, key))
    me = sql.Identifier(session.facts.role).as_string()
    for row in session.rows(PUBLICATIONS, names=sorted(about)):
        key = about[row["name"]][0][1]
        if not row["there"]:
            yield Obstacle(
                "publication", key, f"there is no publication {row['name']}", f"`CREATE PUBLICATION {row['name']}`"
            )
        elif not (row["may"] or session.facts.superuser):
            said = f"publication {row['name']} belongs to {row['owner']}, whose tables alone its owner chooses"
            other = f"`ALTER PUBLICATION {row['name']} OWNER TO {me}`"
            if roles.mighty(session, [row["owner"]]):
                own = "; ".join(
                    str(statement) for step in about[row["name"]] for statement in _by_its_owner(found, *step)
                )
                step = f"as {row['owner']}: `{own}`, or {other}" if own else f"as {row['owner']}: {other}"
            else:
                step = f"`{roles.membership(session, row['owner'])}`, or {other}"
            yield Obstacle("publication", key, said, step)


def _by_its_owner(found: Situation, does: str, key: str) -> list[Statement]:
    """What its owner can do instead, of a table that is there already."""
    before, after = found.now(key), found.wanted.get(key)
    relation = str((after or before or found.wanted[key]).facts["relation"])
    if found.now(f"table:{relation}") is None:
        return []
    writer = WRITERS["publication_table"]
    gone = writer.drop(before) if before is not None else []
    return gone if does == "drop" or after is None else [*gone, *writer.create(after)]


def _stays(found: Situation, key: str) -> bool:
    """Whether the table of a publication is not dropped, by which it would leave that."""
    now = found.now(key)
    return now is not None and ("drop", f"table:{now.facts['relation']}") not in found.steps


def sequences(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Sequences, those of identity columns too, that stand where they may not in the capture, as far as this role may see that;
    inside the caller's transaction."""
    for does, key in sorted(found.steps):
        before, after = found.now(key), found.wanted.get(key)
        if does != "alter" or before is None or after is None:
            continue
        (name, _), (_, limits) = _limits(before), _limits(after)
        if not name or not limits or not session.row(MAY_SEE, name=name)["may"]:
            continue
        last = session.row(sql.SQL(STANDS).format(sequence=named(*parts(name))))["last"]
        if not int(limits["minimum"]) <= last <= int(limits["maximum"]):
            said = f"sequence {name} stands at {last:,}, and may go from {limits['minimum']} to {limits['maximum']} in the capture"
            yield Obstacle(
                "violation", key, said, f"if no row has such a value, set it back: `ALTER SEQUENCE {name} RESTART`"
            )


def _limits(entry: Entry) -> tuple[str, dict[str, t.Any]]:
    """The name of a sequence, or of that of an identity column, and its facts; both empty where there is none."""
    if entry.kind == "sequence":
        return entry.name, entry.facts
    identity: dict[str, t.Any] = (entry.facts.get("identity") if entry.kind == "column" else None) or {}
    return (identity["sequence"], identity) if identity.get("sequence") else ("", {})
