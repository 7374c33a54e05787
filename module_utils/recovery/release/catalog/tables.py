# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas, tables with their columns, constraints and indexes, statistics and sequences, as the catalog has them."""

from __future__ import annotations

import typing as t

from .query import Kind

SCHEMAS: t.Final = """
SELECT oid, 0, nspowner, coalesce(nspacl, acldefault('n', nspowner)), '{}'::jsonb
FROM pg_namespace WHERE oid = ANY(%(schemas)s::oid[])
"""

TABLES: t.Final = """
SELECT c.oid, 0, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)), jsonb_build_object(
    'column_order', (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute AS a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'unlogged', c.relpersistence = 'u',
    'access_method', (SELECT amname FROM pg_am AS m WHERE m.oid = c.relam),
    'tablespace', (SELECT spcname FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
    'options', @listed(c.reloptions),
    'toast_options', (SELECT @sorted(o.reloptions) FROM pg_class AS o WHERE o.oid = c.reltoastrelid),
    'row_security', c.relrowsecurity,
    'row_security_forced', c.relforcerowsecurity,
    'replica_identity', CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' END,
    'of_type', CASE WHEN c.reloftype <> 0 THEN c.reloftype::regtype::text END,
    'partition_key', pg_get_partkeydef(c.oid),
    'partition_of', CASE WHEN c.relispartition THEN (
        SELECT jsonb_build_object('table', i.inhparent::regclass::text, 'bound', pg_get_expr(c.relpartbound, c.oid))
        FROM pg_inherits AS i WHERE i.inhrelid = c.oid) END,
    'inherits', CASE WHEN NOT c.relispartition THEN (
        SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = c.oid) END,
    'foreign', (SELECT jsonb_build_object('server', s.srvname, 'options', @sorted(f.ftoptions))
                FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid))
FROM pg_class AS c WHERE c.oid = ANY(%(relations)s::oid[]) AND c.relkind IN ('r', 'p', 'f')
"""

#: A partition that was attached says the same as one that was created as such, and pg_dump attaches: whether a column of
#: it is local is left out. Only an explicit statistics target is one; before PostgreSQL 17 the default reads -1.
#: From PostgreSQL 18 on NOT NULL is a constraint with a name; one that is not valid is an entry of its own.
COLUMNS: t.Final = """
SELECT a.attrelid, a.attnum::int, 0::oid, a.attacl, jsonb_build_object(
    'type', format_type(a.atttypid, a.atttypmod),
    'collation', CASE WHEN a.attcollation <> y.typcollation THEN a.attcollation::regcollation::text END,
    'not_null', a.attnotnull AND n.convalidated IS NOT FALSE,
    'not_null_constraint', CASE WHEN n.convalidated THEN jsonb_strip_nulls(jsonb_build_object(
        'name', n.conname, 'no_inherit', nullif(n.connoinherit, false),
        'inherited', CASE WHEN n.coninhcount > 0 AND NOT n.conislocal AND NOT c.relispartition THEN true END,
        'comment', obj_description(n.oid, 'pg_constraint'))) END,
    'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
    'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
    'generated_how', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
    'identity', CASE WHEN a.attidentity <> '' THEN
        jsonb_build_object('generated', CASE a.attidentity WHEN 'a' THEN 'always' ELSE 'by default' END) ||
        CASE WHEN q.oid IS NULL THEN '{}'::jsonb ELSE jsonb_build_object(
            'sequence', q.oid::regclass::text, 'type', format_type(s.seqtypid, NULL), 'start', s.seqstart::text,
            'increment', s.seqincrement::text, 'minimum', s.seqmin::text, 'maximum', s.seqmax::text,
            'cache', s.seqcache::text, 'cycle', s.seqcycle, 'unlogged', q.relpersistence = 'u') END END,
    'sequence_grants', nullif(@granted(q.relacl), @granted(z.acl)),
    'sequence_comment', obj_description(q.oid, 'pg_class'),
    'storage', CASE WHEN a.attstorage <> y.typstorage THEN
        CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
    'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
    'statistics', nullif(a.attstattarget, -1),
    'options', @sorted(a.attoptions),
    'foreign_options', @sorted(a.attfdwoptions),
    'inherited', CASE WHEN a.attinhcount > 0 AND NOT c.relispartition THEN true END,
    'merged', CASE WHEN a.attinhcount > 0 AND NOT c.relispartition AND a.attislocal THEN true END)
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_type AS y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_constraint AS n ON n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum]
LEFT JOIN pg_depend AS i ON a.attidentity <> '' AND i.refclassid = 'pg_class'::regclass AND i.refobjid = a.attrelid
    AND i.refobjsubid = a.attnum AND i.classid = 'pg_class'::regclass AND i.deptype = 'i'
LEFT JOIN pg_sequence AS s ON s.seqrelid = i.objid
LEFT JOIN pg_class AS q ON q.oid = s.seqrelid
CROSS JOIN LATERAL acldefault('s', q.relowner) AS z (acl)
WHERE c.oid = ANY(%(relations)s::oid[]) AND c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
"""

#: Constraints that a table has because its parent has them belong to the parent; keys of partitions have their own names.
#: What a superuser has switched of the triggers that keep a constraint is told by what each of them does.
CONSTRAINTS: t.Final = """
SELECT o.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'table', o.conrelid::regclass::text,
    'type', CASE o.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion'
                           WHEN 'c' THEN 'check' WHEN 'n' THEN 'not null' ELSE 'foreign key' END,
    'definition', pg_get_constraintdef(o.oid),
    'validated', o.convalidated,
    'disabled', (
        SELECT jsonb_object_agg(f.proname, CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END)
        FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid
        WHERE g.tgconstraint = o.oid AND g.tgisinternal AND g.tgenabled <> 'O'),
    'index', CASE WHEN o.contype IN ('p', 'u', 'x') THEN (
        SELECT jsonb_strip_nulls(jsonb_build_object(@index(), 'comment', obj_description(x.indexrelid, 'pg_class'),
            'depends_on_extensions', (
                SELECT jsonb_agg(e.extname ORDER BY e.extname COLLATE "C")
                FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid AND d.deptype = 'x'
                  AND d.refclassid = 'pg_extension'::regclass)))
        FROM pg_index AS x JOIN pg_class AS k ON k.oid = x.indexrelid WHERE x.indexrelid = o.conindid) END)
FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid
WHERE o.conrelid = ANY(%(relations)s::oid[]) AND (o.contype IN ('p', 'u', 'x', 'c', 'f') OR (o.contype = 'n' AND NOT o.convalidated))
  AND NOT (o.contype = 'f' AND o.conparentid <> 0)
  AND NOT (o.contype IN ('c', 'n') AND o.coninhcount > 0)
"""

INDEXES: t.Final = """
SELECT x.indexrelid, 0, 0::oid, NULL::aclitem[], jsonb_build_object('table', x.indrelid::regclass::text, @index())
FROM pg_index AS x JOIN pg_class AS k ON k.oid = x.indexrelid
WHERE x.indrelid = ANY(%(relations)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_constraint AS o WHERE o.conindid = x.indexrelid AND o.contype IN ('p', 'u', 'x'))
"""

STATISTICS: t.Final = """
SELECT s.oid, 0, s.stxowner, NULL::aclitem[], jsonb_build_object(
    'table', s.stxrelid::regclass::text,
    'definition', pg_get_statisticsobjdef(s.oid),
    'target', nullif(s.stxstattarget, -1))
FROM pg_statistic_ext AS s WHERE s.stxrelid = ANY(%(relations)s::oid[])
"""

#: Not its value: that is data.
SEQUENCES: t.Final = """
SELECT c.oid, 0, c.relowner, coalesce(c.relacl, acldefault('s', c.relowner)), jsonb_build_object(
    'type', format_type(s.seqtypid, NULL), 'start', s.seqstart::text, 'increment', s.seqincrement::text,
    'minimum', s.seqmin::text, 'maximum', s.seqmax::text, 'cache', s.seqcache::text, 'cycle', s.seqcycle,
    'unlogged', c.relpersistence = 'u',
    'owned_by', (SELECT i.identity FROM pg_depend AS d
                 CROSS JOIN LATERAL pg_identify_object('pg_class'::regclass, d.refobjid, d.refobjsubid) AS i
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
                   AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0))
FROM pg_class AS c JOIN pg_sequence AS s ON s.seqrelid = c.oid
WHERE c.oid = ANY(%(relations)s::oid[])
"""

KINDS: t.Final = (
    Kind("schema", "pg_namespace", SCHEMAS),
    Kind("table", "pg_class", TABLES),
    Kind("column", "pg_class", COLUMNS),
    Kind("constraint", "pg_constraint", CONSTRAINTS),
    Kind("index", "pg_class", INDEXES),
    Kind("statistics", "pg_statistic_ext", STATISTICS),
    Kind("sequence", "pg_class", SEQUENCES),
)
