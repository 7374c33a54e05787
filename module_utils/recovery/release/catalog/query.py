# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one kind of object is read from the catalog: a query for what is its own, in a frame for what all kinds have.

Every query runs with a pinned search_path: whatever PostgreSQL deparses names all else in full.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import typing as t

from ...postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...postgres.session import Row, Session

#: An access control list as [grantee, privilege, with grant option, grantor], as it stands; `catalog.Entry` sorts it.
GRANTED: t.Final = """(CASE WHEN $1 IS NOT NULL THEN (
    SELECT jsonb_agg(jsonb_build_array(
        CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END,
        x.privilege_type, x.is_grantable, pg_get_userbyid(x.grantor)::text) ORDER BY x.ordinality)
    FROM aclexplode($1) WITH ORDINALITY AS x) END)"""

#: Options in an order that does not tell in which they were set. Some minor releases, 15.20 for one, keep a stamp of their own
#: among those of a column, which nobody can set and pg_dump leaves out.
SORTED: t.Final = """(CASE WHEN $1 IS NOT NULL THEN (
    SELECT to_jsonb(array_agg(o ORDER BY o COLLATE "C")) FROM unnest($1) AS o WHERE NOT starts_with(o, 'pg_attver=')) END)"""

#: Options as they stand; `catalog.Entry` sorts them.
LISTED: t.Final = "to_jsonb($1)"

#: What an index says besides its definition; of a constraint's index, that is part of the constraint.
ABOUT_INDEX: t.Final = """
    'definition', pg_get_indexdef(x.indexrelid),
    'valid', x.indisvalid,
    'clustered', x.indisclustered,
    'replica_identity', x.indisreplident,
    'tablespace', (SELECT spcname FROM pg_tablespace AS s WHERE s.oid = k.reltablespace),
    'attached_to', (SELECT i.inhparent::regclass::text FROM pg_inherits AS i WHERE i.inhrelid = x.indexrelid),
    'statistics', (SELECT jsonb_object_agg(a.attnum::text, a.attstattarget) FROM pg_attribute AS a
                   WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0)
"""

#: The columns of a view are a part of it.
OF_VIEW: t.Final = """
    'definition', pg_get_viewdef(c.oid),
    'options', @listed(c.reloptions),
    'columns', (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> b.typcollation THEN a.attcollation::regcollation::text END,
            'default', (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
                        WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum),
            'storage', CASE WHEN a.attstorage <> b.typstorage THEN
                CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
            'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
            'statistics', nullif(a.attstattarget, -1),
            'options', @sorted(a.attoptions),
            'comment', col_description(a.attrelid, a.attnum),
            'grants', @granted(a.attacl))) ORDER BY a.attnum)
        FROM pg_attribute AS a JOIN pg_type AS b ON b.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
"""

#: What stands in a query as @name(argument).
FRAGMENTS: t.Final = {"granted": GRANTED, "sorted": SORTED, "listed": LISTED, "index": ABOUT_INDEX, "view": OF_VIEW}
FRAGMENT: t.Final = re.compile(r"@(\w+)\(([\w.]*)\)")
AMONG: t.Final = re.compile(r"ANY\(%\((\w+)\)s::oid\[\]\)")
NONE: t.Final = "{}"

HEAD: t.Final = "WITH found (oid, sub, owner, acl, facts) AS ("
#: What many objects have in common is made once: a list of grants, and the extensions that an object is marked to depend on.
TAIL: t.Final = """),
granted (acl, grants) AS MATERIALIZED (SELECT g.acl, @granted(g.acl) FROM (SELECT DISTINCT acl FROM found) AS g),
extended (oid, names) AS MATERIALIZED (
    SELECT x.objid, jsonb_agg(e.extname ORDER BY e.extname COLLATE "C")
    FROM pg_extension AS e JOIN pg_depend AS x ON x.refclassid = 'pg_extension'::regclass AND x.refobjid = e.oid
    WHERE x.classid = %(catalog)s::text::regclass AND x.deptype = 'x' GROUP BY x.objid)
SELECT f.oid::bigint AS oid, f.sub,
       CASE WHEN %(catalog)s::text = 'pg_proc' THEN f.oid::regprocedure::text ELSE i.identity END AS name,
       jsonb_strip_nulls(CASE WHEN x.names IS NULL THEN f.facts
                              ELSE f.facts || jsonb_build_object('depends_on_extensions', x.names) END)::text AS facts,
       CASE WHEN f.owner <> 0 THEN pg_get_userbyid(f.owner)::text END AS owner,
       g.grants::text AS grants,
       d.description AS comment,
       (SELECT jsonb_object_agg(l.provider, l.label) FROM pg_seclabel AS l
        WHERE l.classoid = %(catalog)s::text::regclass AND l.objoid = f.oid AND l.objsubid = f.sub)::text AS labels
FROM found AS f
CROSS JOIN LATERAL pg_identify_object(%(catalog)s::text::regclass, f.oid, f.sub) AS i
LEFT JOIN granted AS g ON g.acl = f.acl
LEFT JOIN extended AS x ON x.oid = f.oid AND f.sub = 0
LEFT JOIN pg_description AS d ON d.classoid = %(catalog)s::text::regclass AND d.objoid = f.oid AND d.objsubid = f.sub
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of object: the catalog it is in, and the query for oid, sub, owner, acl and facts of those that are wanted."""

    name: str
    catalog: str
    query: str

    @functools.cached_property
    def among(self) -> str:
        """The list of oids that the query chooses from; empty where there is none."""
        found = AMONG.search(self.query)
        return found[1] if found else ""


def rows(session: Session, kind: Kind, wanted: Mapping[str, str | list[str]]) -> list[Row]:
    """What a kind has among the wanted objects, lists of oids as PostgreSQL writes them; inside the caller's transaction."""
    if kind.among and wanted[kind.among] == NONE:
        return []
    query = sql.SQL(t.cast("t.LiteralString", expanded(HEAD + kind.query + TAIL)))
    found = session.rows(query, catalog=kind.catalog, **wanted)
    # One document for all of them, and one for what many have in common: each by itself would take most of a reading's time.
    facts = json.loads(f"[{','.join(row['facts'] for row in found)}]")
    granted = {text: json.loads(text) for text in {row["grants"] for row in found} if text}
    for row, each in zip(found, facts, strict=True):
        labels: dict[str, str] = json.loads(row["labels"]) if row["labels"] else {}
        row |= {"facts": each, "grants": granted.get(row["grants"], []), "labels": labels}
    return found


def oids(found: Iterable[int]) -> str:
    """A list of oids as PostgreSQL writes it."""
    return f"{{{','.join(map(str, found))}}}"


@functools.cache
def expanded(query: str) -> str:
    """The query with its fragments, and theirs, written out."""
    while FRAGMENT.search(query):
        query = FRAGMENT.sub(lambda found: FRAGMENTS[found[1]].replace("$1", found[2]), query)
    return query
