# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What code of others could leave behind in a transaction to be run when it commits, which would be with our rights.

Whatever such code runs in (a sealed call, the check of a foreign key as the owner of its table), COMMIT comes after that has
ended. Two things run then: the queries of cursors WITH HOLD, and deferred triggers, as whoever commits (PostgreSQL 18 runs a
trigger as whoever queued it, which may still open such a cursor). So the last message of a transaction that writes looks for
both and commits in one. docs/security.md, "What runs at COMMIT", says what else was looked at.
"""

from __future__ import annotations

import typing as t

from ..core.errors import NotConverged
from .driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .driver import psycopg

#: What the look raises where it finds something; no error of PostgreSQL's has this code.
SQLSTATE: t.Final = "SRC01"

#: An event of a deferrable constraint is queued only by writing a row, so under a ROW EXCLUSIVE lock, which is kept until the end.
#: A trigger of somebody's own has to be ours or a superuser's. What PostgreSQL itself does for a foreign key, a unique or an
#: exclusion constraint calls operators, casts between unlike columns, and what the planner finds in the indexes of both tables:
#: all of that has to be a superuser's. On one snapshot for the whole transaction a trigger that came after it is not seen, but on
#: the tables locked before it there can be none: any other that was written has to be of who may make one on those, or ours, and
#: nobody else may make a trigger on it.
#: What is expensive to plan comes last, and only where there is a deferrable trigger.
LOOK: t.Final[t.LiteralString] = """
DO LANGUAGE plpgsql $scout_recovery$
DECLARE
    told text;
    written oid[] := ARRAY(
        SELECT l.relation FROM pg_catalog.pg_locks AS l
        WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.database <> 0);
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.format('cursor %I WITH HOLD', c.name), '; ') INTO told
    FROM pg_catalog.pg_cursors AS c WHERE c.is_holdable;
    IF told IS NULL AND {one_snapshot} THEN
        WITH made AS (
            SELECT c.oid, c.relowner, c.relacl, n.nspname || '.' || c.relname = ANY ({locked}) OR n.nspname = 'scout_ops' AS locked
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.oid = ANY (written) AND c.relkind IN ('r', 'p')
        )
        SELECT pg_catalog.string_agg(
            pg_catalog.format('a row of %s, on which %s may make triggers', m.oid::regclass, maker.oid::regrole), '; ') INTO told
        FROM made AS m CROSS JOIN LATERAL (
            SELECT m.relowner UNION SELECT a.grantee FROM pg_catalog.aclexplode(m.relacl) AS a WHERE a.privilege_type = 'TRIGGER'
        ) AS maker (oid)
        WHERE NOT m.locked AND maker.oid NOT IN (SELECT l.relowner FROM made AS l WHERE l.locked) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles AS r
            WHERE r.oid = maker.oid AND (r.rolsuper OR r.rolname IN (session_user, current_user)));
    END IF;
    IF told IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = ANY (written) AND g.tgdeferrable) THEN
        WITH trusted AS MATERIALIZED (
            SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolsuper OR r.rolname IN (session_user, current_user)
        ), pending AS (
            SELECT g.tgname, g.tgrelid, g.tgconstraint, g.tgisinternal, f.proowner
            FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
            WHERE g.tgrelid = ANY (written) AND g.tgdeferrable AND g.tgenabled IN ('O', 'A')
        )
        SELECT pg_catalog.string_agg(left_behind.what, '; ') INTO told FROM (
            SELECT pg_catalog.format('deferrable trigger %I on %s, whose function belongs to %s', p.tgname, p.tgrelid::regclass,
                                     p.proowner::regrole) AS what
            FROM pending AS p WHERE NOT p.tgisinternal AND p.proowner NOT IN (SELECT oid FROM trusted)
            UNION
            SELECT pg_catalog.format('deferrable constraint %I on %s, which calls what is not PostgreSQL''s', k.conname,
                                     k.conrelid::regclass)
            FROM pending AS p JOIN pg_catalog.pg_constraint AS k ON k.oid = p.tgconstraint
            WHERE p.tgisinternal AND (
                EXISTS (SELECT FROM unnest(k.conpfeqop || k.conppeqop || k.conffeqop || k.conexclop) AS called (oid)
                        JOIN pg_catalog.pg_operator AS o ON o.oid = called.oid JOIN pg_catalog.pg_proc AS f ON f.oid = o.oprcode
                        WHERE f.proowner NOT IN (SELECT oid FROM trusted))
                OR EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair (own, other)
                           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = pair.own
                           JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = pair.other
                           JOIN pg_catalog.pg_type AS y ON y.oid IN (a.atttypid, b.atttypid)
                           WHERE a.atttypid <> b.atttypid AND y.typowner NOT IN (SELECT oid FROM trusted))
                OR EXISTS (SELECT FROM pg_catalog.pg_index AS i
                           JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                           LEFT JOIN pg_catalog.pg_operator AS o
                             ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
                           JOIN pg_catalog.pg_proc AS f ON f.oid = coalesce(o.oprcode, d.refobjid)
                           WHERE i.indrelid IN (k.conrelid, k.confrelid) AND f.proowner NOT IN (SELECT oid FROM trusted)
                             AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)))
        ) AS left_behind;
    END IF;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = {code}, MESSAGE = told;
    END IF;
END $scout_recovery$
"""


def look(locked: Sequence[str] | None = None) -> sql.Composed:
    """The look, in a transaction of one snapshot with what was locked before that (names with their schema), else in one of which
    each statement has its own."""
    return sql.SQL(LOOK).format(
        locked=sql.Literal([*(locked or ())]),
        one_snapshot=sql.Literal(locked is not None),
        code=sql.Literal(SQLSTATE),
    )


def refused(error: psycopg.Error, role: str, where: str) -> NotConverged:
    """What is told of a transaction that has been rolled back because of that."""
    return NotConverged(
        f"refused to commit: code of others would run with the rights of role {role}",
        on=where,
        said=error.diag.message_primary or str(error),
        sqlstate=SQLSTATE,
        next_step="nothing of this step was changed; find out who made that. A trigger's table's owner runs `ALTER TABLE … "
        "DISABLE TRIGGER …`, the owner of a constraint makes it NOT DEFERRABLE, and a cursor is opened by code that the ETL, a "
        "trigger or an index calls: `\\df` and `\\do` in every schema list it. Then run the same command again",
    )
