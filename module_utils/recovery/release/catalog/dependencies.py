# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to what, and what needs what, by pg_depend: which objects a release consists of, and in which order they stand."""

from __future__ import annotations

import collections
import functools
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...postgres.session import Session

#: The catalog an object is in, and its oid there.
Object = tuple[str, int]

#: Whatever stands for itself and was not made by initdb; temporary objects and system schemas are nobody's release. The
#: class of a composite type is a part of the type.
OBJECTS: t.Final = """
WITH schemas AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
)
SELECT 'pg_namespace' AS catalog, oid::bigint AS oid, nspname::text AS schema FROM schemas
UNION ALL
SELECT 'pg_class', c.oid::bigint, n.nspname FROM pg_class AS c JOIN schemas AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
UNION ALL
SELECT 'pg_proc', p.oid::bigint, n.nspname FROM pg_proc AS p JOIN schemas AS n ON n.oid = p.pronamespace
UNION ALL
SELECT 'pg_type', y.oid::bigint, n.nspname FROM pg_type AS y JOIN schemas AS n ON n.oid = y.typnamespace
LEFT JOIN pg_class AS c ON c.oid = y.typrelid
WHERE y.typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
UNION ALL
SELECT k.relname, d.objid::bigint, n.nspname
FROM pg_depend AS d
JOIN pg_class AS k ON k.oid = d.classid
JOIN schemas AS n ON n.oid = d.refobjid AND d.refclassid = 'pg_namespace'::regclass
WHERE d.deptype = 'n' AND k.relname = ANY(%(others)s)
UNION ALL
SELECT 'pg_type', y.oid::bigint, n.nspname FROM pg_type AS y JOIN schemas AS n ON n.oid = y.typnamespace
WHERE y.typtype IN ('b', 'p') AND y.typcategory <> 'A'
"""

#: What pg_depend does not call internal, but belongs to something: parts fall with their owner.
PARTS: t.Final = """
SELECT 'pg_attrdef' AS catalog, oid::bigint AS oid, 'pg_class' AS owner_catalog, adrelid::bigint AS owner, adnum::int AS sub
FROM pg_attrdef
UNION ALL SELECT 'pg_rewrite', oid::bigint, 'pg_class', ev_class::bigint, 0 FROM pg_rewrite
UNION ALL SELECT 'pg_policy', oid::bigint, 'pg_class', polrelid::bigint, 0 FROM pg_policy
UNION ALL SELECT 'pg_statistic_ext', oid::bigint, 'pg_class', stxrelid::bigint, 0 FROM pg_statistic_ext
UNION ALL SELECT 'pg_constraint', oid::bigint,
       CASE WHEN conparentid <> 0 AND contype = 'f' THEN 'pg_constraint' WHEN conrelid <> 0 THEN 'pg_class' ELSE 'pg_type' END,
       CASE WHEN conparentid <> 0 AND contype = 'f' THEN conparentid WHEN conrelid <> 0 THEN conrelid ELSE contypid END::bigint, 0
FROM pg_constraint
UNION ALL SELECT 'pg_trigger', oid::bigint,
       CASE WHEN tgconstraint <> 0 THEN 'pg_constraint' WHEN tgparentid <> 0 THEN 'pg_trigger' ELSE 'pg_class' END,
       CASE WHEN tgconstraint <> 0 THEN tgconstraint WHEN tgparentid <> 0 THEN tgparentid ELSE tgrelid END::bigint, 0
FROM pg_trigger WHERE NOT (tgconstraint <> 0 AND NOT tgisinternal)
UNION ALL SELECT 'pg_trigger', oid::bigint, 'pg_class', tgrelid::bigint, 0
FROM pg_trigger WHERE tgconstraint <> 0 AND NOT tgisinternal
UNION ALL SELECT 'pg_class', x.indexrelid::bigint, 'pg_class', x.indrelid::bigint, 0
FROM pg_index AS x
WHERE NOT EXISTS (SELECT FROM pg_constraint AS o WHERE o.conindid = x.indexrelid AND o.contype IN ('p', 'u', 'x'))
"""

#: From everything that initdb did not make (it makes oids below 16384): line by line, each part in a list of its own.
DEPENDS: t.Final = """
SELECT array_agg(classid::bigint) AS catalogs, array_agg(objid::bigint) AS oids, array_agg(objsubid) AS subs,
       array_agg(refclassid::bigint) AS on_catalogs, array_agg(refobjid::bigint) AS on_oids, array_agg(refobjsubid) AS on_subs,
       string_agg(deptype::text, '') AS how
FROM pg_depend WHERE objid >= 16384
"""
CATALOGS: t.Final = """
SELECT oid::bigint AS oid, relname::text AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
"""

#: Kinds of objects by their schema alone. Of most of them the definition is not captured; that they are there is.
OTHERS: t.Final = (
    *("pg_operator", "pg_opclass", "pg_opfamily", "pg_collation", "pg_conversion"),
    *("pg_ts_parser", "pg_ts_dict", "pg_ts_template", "pg_ts_config"),
)
#: The same for those that are in no schema and belong to a release because they are about something in it.
ABOUT: t.Final = ("pg_cast", "pg_transform", "pg_event_trigger", "pg_publication_rel", "pg_publication_namespace")


class Dependency(t.NamedTuple):
    """One line of pg_depend."""

    of: Object
    sub: int
    on: Object
    on_sub: int
    how: str


class Graph:
    """The objects of one database and what holds them together."""

    def __init__(
        self, objects: Mapping[Object, str], parts: Mapping[Object, tuple[Object, int]], depends: Iterable[Dependency]
    ) -> None:
        self.objects = objects
        self.depends = list(depends)
        self.parts = dict(parts)
        #: Members of extensions, by extension.
        self.extended = {d.of: d.on for d in self.depends if d.how == "e"}
        for d in self.depends:
            if d.how == "i" and d.sub == 0 and d.of != d.on:
                self.parts[d.of] = (d.on, d.on_sub)
        self._whole: dict[Object, Object] = {}

    def chain(self, found: Object, sub: int = 0) -> Iterator[tuple[Object, int]]:
        """The object, then what it is a part of, and so on."""
        seen: set[Object] = set()
        while found not in seen:
            yield found, sub
            seen.add(found)
            if found not in self.parts:
                return
            found, sub = self.parts[found]

    def whole(self, found: Object) -> Object:
        """The object that stands for itself of which this is a part, or that it is."""
        if found not in self.parts:
            return found
        if found not in self._whole:
            link, seen = found, {found}
            while link in self.parts and (owner := self.parts[link][0]) not in seen:
                seen.add(owner)
                link = owner
            self._whole[found] = link
        return self._whole[found]

    def members(self, schemas: Iterable[str]) -> tuple[set[Object], set[Object]]:
        """What is in these schemas, and what that needs outside of them, step by step; extensions' own left out."""
        chosen = set(schemas)
        inside = {
            found
            for found, schema in self.objects.items()
            if schema in chosen and found not in self.extended and self.whole(found) == found
        }
        needs: dict[Object, set[Object]] = collections.defaultdict(set)
        for d in self.depends:
            needs[self.whole(d.of)].add(self.whole(d.on))
        reached, frontier = set(inside), list(inside)
        while frontier:
            for needed in needs[frontier.pop()]:
                if needed not in reached and needed in self.objects and needed not in self.extended:
                    reached.add(needed)
                    frontier.append(needed)
        about = {
            d.of
            for d in self.depends
            if d.of[0] in ABOUT
            and self.whole(d.on) in reached
            and self.whole(d.of) == d.of
            and d.of not in self.extended
        }
        return inside | about, reached - inside

    def needs(self, keys: Mapping[tuple[Object, int], str]) -> dict[str, set[str]]:
        """By key what each needs of the others, without what would run in a circle: that a sequence is owned by a column,
        and that a table has columns."""
        found: dict[str, set[str]] = collections.defaultdict(set)
        entry = functools.cache(functools.partial(self._entry, keys))
        for d in self.depends:
            source = entry(d.of, d.sub)
            target = source and entry(d.on, d.on_sub)
            if not source or not target or source == target:
                continue
            own_column = source[0] == target[0] and source[1] == 0
            owned = d.how == "a" and d.sub == 0 and keys[source].startswith("sequence:")
            # A partition has its trigger or foreign key from its parent; what that one needs, it needs by itself.
            inherited = source[0] != d.of and source[0][0] == d.of[0] and d.of[0] in ("pg_trigger", "pg_constraint")
            if not (own_column or owned or inherited):
                found[keys[source]].add(keys[target])
        return found

    def _entry(self, keys: Mapping[tuple[Object, int], str], found: Object, sub: int) -> tuple[Object, int] | None:
        """Where the entry is that an address stands for: itself, the object as a whole, or what that is a part of."""
        for link, at in self.chain(found, sub):
            if (place := (link, at)) in keys or (at and (place := (link, 0)) in keys):
                return place
            if link in self.extended:
                extension = (self.extended[link], 0)
                return extension if extension in keys else None
        return None


def read(session: Session) -> Graph:
    """The graph of this database; inside the caller's transaction."""
    objects = {(row["catalog"], row["oid"]): row["schema"] for row in session.rows(OBJECTS, others=list(OTHERS))}
    parts = {
        (row["catalog"], row["oid"]): ((row["owner_catalog"], row["owner"]), row["sub"]) for row in session.rows(PARTS)
    }
    name = {row["oid"]: row["name"] for row in session.rows(CATALOGS)}
    row = session.row(DEPENDS)
    depends = [
        Dependency((name[catalog], oid), sub, (name[on_catalog], on_oid), on_sub, how)
        for catalog, oid, sub, on_catalog, on_oid, on_sub, how in zip(
            *(row[each] or () for each in ("catalogs", "oids", "subs", "on_catalogs", "on_oids", "on_subs", "how")),
            strict=True,
        )
    ]
    return Graph(objects, parts, depends)
