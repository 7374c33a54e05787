# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types, functions, casts, operators, collations, views and what hangs on tables, as PostgreSQL itself writes them."""

from __future__ import annotations

import typing as t

from .query import Kind

ENUMS: t.Final = """
SELECT y.oid, 0, y.typowner, coalesce(y.typacl, acldefault('T', y.typowner)), jsonb_build_object(
    'labels', coalesce((SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = y.oid), '[]'))
FROM pg_type AS y WHERE y.oid = ANY(%(types)s::oid[]) AND y.typtype = 'e'
"""

DOMAINS: t.Final = """
SELECT y.oid, 0, y.typowner, coalesce(y.typacl, acldefault('T', y.typowner)), jsonb_build_object(
    'type', format_type(y.typbasetype, y.typtypmod),
    'collation', CASE WHEN y.typcollation <> b.typcollation THEN y.typcollation::regcollation::text END,
    'default', pg_get_expr(y.typdefaultbin, 'pg_type'::regclass),
    'not_null', y.typnotnull,
    'not_null_constraint', (
        SELECT jsonb_strip_nulls(jsonb_build_object('name', n.conname, 'comment', obj_description(n.oid, 'pg_constraint')))
        FROM pg_constraint AS n WHERE n.contypid = y.oid AND n.contype = 'n'),
    'constraints', (
        SELECT jsonb_object_agg(o.conname, jsonb_strip_nulls(jsonb_build_object(
            'definition', pg_get_constraintdef(o.oid), 'validated', o.convalidated,
            'comment', obj_description(o.oid, 'pg_constraint'))))
        FROM pg_constraint AS o WHERE o.contypid = y.oid AND o.contype = 'c'))
FROM pg_type AS y JOIN pg_type AS b ON b.oid = y.typbasetype
WHERE y.oid = ANY(%(types)s::oid[]) AND y.typtype = 'd'
"""

COMPOSITES: t.Final = """
SELECT y.oid, 0, y.typowner, coalesce(y.typacl, acldefault('T', y.typowner)), jsonb_build_object(
    'attributes', coalesce((
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> b.typcollation THEN a.attcollation::regcollation::text END,
            'comment', col_description(a.attrelid, a.attnum))) ORDER BY a.attnum)
        FROM pg_attribute AS a JOIN pg_type AS b ON b.oid = a.atttypid
        WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '[]'))
FROM pg_type AS y WHERE y.oid = ANY(%(types)s::oid[]) AND y.typtype = 'c'
"""

RANGES: t.Final = """
SELECT y.oid, 0, y.typowner, coalesce(y.typacl, acldefault('T', y.typowner)), jsonb_build_object(
    'subtype', format_type(r.rngsubtype, NULL),
    'multirange', r.rngmultitypid::regtype::text,
    'operator_class', (SELECT format('%%I.%%I', n.nspname, k.opcname) FROM pg_opclass AS k
                       JOIN pg_namespace AS n ON n.oid = k.opcnamespace WHERE k.oid = r.rngsubopc),
    'collation', CASE WHEN r.rngcollation <> 0 THEN r.rngcollation::regcollation::text END,
    'canonical', CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::regprocedure::text END,
    'difference', CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::regprocedure::text END)
FROM pg_type AS y JOIN pg_range AS r ON r.rngtypid = y.oid
WHERE y.oid = ANY(%(types)s::oid[]) AND y.typtype = 'r'
"""

#: The definition has the settings, SECURITY DEFINER, volatility and all else that CREATE FUNCTION takes.
FUNCTIONS: t.Final = """
SELECT p.oid, 0, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), jsonb_build_object(
    'sort', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function' ELSE 'function' END,
    'definition', pg_get_functiondef(p.oid),
    'arguments', pg_get_function_arguments(p.oid),
    'result', pg_get_function_result(p.oid))
FROM pg_proc AS p WHERE p.oid = ANY(%(functions)s::oid[]) AND p.prokind <> 'a'
"""

AGGREGATES: t.Final = """
SELECT p.oid, 0, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), jsonb_build_object(
    'arguments', pg_get_function_arguments(p.oid),
    'result', pg_get_function_result(p.oid),
    'sort', CASE g.aggkind WHEN 'o' THEN 'ordered set' WHEN 'h' THEN 'hypothetical set' ELSE 'normal' END,
    'direct_arguments', nullif(g.aggnumdirectargs, 0),
    'state_function', g.aggtransfn::regprocedure::text,
    'state_type', format_type(g.aggtranstype, NULL),
    'state_size', nullif(g.aggtransspace, 0),
    'final_function', CASE WHEN g.aggfinalfn <> 0 THEN g.aggfinalfn::regprocedure::text END,
    'final_extra', CASE WHEN g.aggfinalextra THEN true END,
    'final_modify', CASE WHEN g.aggfinalfn <> 0 THEN g.aggfinalmodify::text END,
    'combine_function', CASE WHEN g.aggcombinefn <> 0 THEN g.aggcombinefn::regprocedure::text END,
    'serial_function', CASE WHEN g.aggserialfn <> 0 THEN g.aggserialfn::regprocedure::text END,
    'deserial_function', CASE WHEN g.aggdeserialfn <> 0 THEN g.aggdeserialfn::regprocedure::text END,
    'initial', g.agginitval,
    'moving_state_function', CASE WHEN g.aggmtransfn <> 0 THEN g.aggmtransfn::regprocedure::text END,
    'moving_inverse_function', CASE WHEN g.aggminvtransfn <> 0 THEN g.aggminvtransfn::regprocedure::text END,
    'moving_state_type', CASE WHEN g.aggmtranstype <> 0 THEN format_type(g.aggmtranstype, NULL) END,
    'moving_state_size', nullif(g.aggmtransspace, 0),
    'moving_final_function', CASE WHEN g.aggmfinalfn <> 0 THEN g.aggmfinalfn::regprocedure::text END,
    'moving_final_extra', CASE WHEN g.aggmfinalextra THEN true END,
    'moving_final_modify', CASE WHEN g.aggmfinalfn <> 0 THEN g.aggmfinalmodify::text END,
    'moving_initial', g.aggminitval,
    'sort_operator', CASE WHEN g.aggsortop <> 0 THEN g.aggsortop::regoperator::text END,
    'parallel', CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END)
FROM pg_proc AS p JOIN pg_aggregate AS g ON g.aggfnoid = p.oid
WHERE p.oid = ANY(%(functions)s::oid[])
"""

CASTS: t.Final = """
SELECT k.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'method', CASE k.castmethod WHEN 'b' THEN 'binary' WHEN 'i' THEN 'inout' ELSE 'function' END,
    'function', CASE WHEN k.castfunc <> 0 THEN k.castfunc::regprocedure::text END,
    'context', CASE k.castcontext WHEN 'a' THEN 'assignment' WHEN 'i' THEN 'implicit' END)
FROM pg_cast AS k WHERE k.oid = ANY(%(casts)s::oid[])
"""

#: One without a function is only spoken of by others.
OPERATORS: t.Final = """
SELECT o.oid, 0, o.oprowner, NULL::aclitem[], jsonb_build_object(
    'function', o.oprcode::regprocedure::text,
    'left', CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END,
    'right', CASE WHEN o.oprright <> 0 THEN format_type(o.oprright, NULL) END,
    'commutator', CASE WHEN o.oprcom <> 0 THEN o.oprcom::regoperator::text END,
    'negator', CASE WHEN o.oprnegate <> 0 THEN o.oprnegate::regoperator::text END,
    'restrict', CASE WHEN o.oprrest <> 0 THEN o.oprrest::regproc::text END,
    'join', CASE WHEN o.oprjoin <> 0 THEN o.oprjoin::regproc::text END,
    'hashes', CASE WHEN o.oprcanhash THEN true END,
    'merges', CASE WHEN o.oprcanmerge THEN true END)
FROM pg_operator AS o WHERE o.oid = ANY(%(operators)s::oid[]) AND o.oprcode <> 0
"""

#: The columns of the locale have other names in other versions, and PostgreSQL 14 has that of ICU where libc's is.
COLLATIONS: t.Final = """
SELECT c.oid, 0, c.collowner, NULL::aclitem[], jsonb_build_object(
    'provider', CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
    'locale', CASE WHEN c.collprovider <> 'c' THEN coalesce(j #>> '{colllocale}', j #>> '{colliculocale}', j #>> '{collcollate}') END,
    'lc_collate', CASE WHEN c.collprovider = 'c' THEN j #>> '{collcollate}' END,
    'lc_ctype', CASE WHEN c.collprovider = 'c' THEN j #>> '{collctype}' END,
    'rules', j #>> '{collicurules}',
    'nondeterministic', CASE WHEN NOT c.collisdeterministic THEN true END)
FROM pg_collation AS c CROSS JOIN LATERAL to_jsonb(c) AS j WHERE c.oid = ANY(%(collations)s::oid[])
"""

VIEWS: t.Final = """
SELECT c.oid, 0, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)), jsonb_build_object(@view())
FROM pg_class AS c WHERE c.oid = ANY(%(relations)s::oid[]) AND c.relkind = 'v'
"""

MATERIALIZED: t.Final = """
SELECT c.oid, 0, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)), jsonb_build_object(@view(),
    'populated', c.relispopulated,
    'access_method', (SELECT amname FROM pg_am AS m WHERE m.oid = c.relam),
    'tablespace', (SELECT spcname FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
    'toast_options', (SELECT @sorted(o.reloptions) FROM pg_class AS o WHERE o.oid = c.reltoastrelid))
FROM pg_class AS c WHERE c.oid = ANY(%(relations)s::oid[]) AND c.relkind = 'm'
"""

#: A trigger that a partition has from its parent counts only where it is switched otherwise.
TRIGGERS: t.Final = """
SELECT g.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'relation', g.tgrelid::regclass::text,
    'definition', pg_get_triggerdef(g.oid),
    'enabled', CASE g.tgenabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END,
    'inherited', CASE WHEN g.tgparentid <> 0 THEN true END)
FROM pg_trigger AS g LEFT JOIN pg_trigger AS u ON u.oid = g.tgparentid
WHERE g.tgrelid = ANY(%(relations)s::oid[]) AND (NOT g.tgisinternal OR (g.tgparentid <> 0 AND g.tgconstraint = 0))
  AND g.tgenabled IS DISTINCT FROM u.tgenabled
"""

RULES: t.Final = """
SELECT r.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'relation', r.ev_class::regclass::text,
    'definition', pg_get_ruledef(r.oid),
    'enabled', CASE r.ev_enabled WHEN 'O' THEN 'origin' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' ELSE 'always' END)
FROM pg_rewrite AS r WHERE r.ev_class = ANY(%(relations)s::oid[]) AND r.rulename <> '_RETURN'
"""

POLICIES: t.Final = """
SELECT p.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'table', p.polrelid::regclass::text,
    'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete'
                             ELSE 'all' END,
    'permissive', p.polpermissive,
    'roles', (SELECT jsonb_agg(n.name ORDER BY n.name COLLATE "C") FROM unnest(p.polroles) AS r
              CROSS JOIN LATERAL (SELECT CASE WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END) AS n (name)),
    'using', pg_get_expr(p.polqual, p.polrelid),
    'with_check', pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy AS p WHERE p.polrelid = ANY(%(relations)s::oid[])
"""

KINDS: t.Final = (
    Kind("enum", "pg_type", ENUMS),
    Kind("domain", "pg_type", DOMAINS),
    Kind("composite", "pg_type", COMPOSITES),
    Kind("range", "pg_type", RANGES),
    Kind("function", "pg_proc", FUNCTIONS),
    Kind("aggregate", "pg_proc", AGGREGATES),
    Kind("cast", "pg_cast", CASTS),
    Kind("operator", "pg_operator", OPERATORS),
    Kind("collation", "pg_collation", COLLATIONS),
    Kind("view", "pg_class", VIEWS),
    Kind("materialized_view", "pg_class", MATERIALIZED),
    Kind("trigger", "pg_trigger", TRIGGERS),
    Kind("rule", "pg_rewrite", RULES),
    Kind("policy", "pg_policy", POLICIES),
)
