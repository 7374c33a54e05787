# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a round must not change: who may do what, and how jobs are; read by the game day's own queries, not by the toolkit."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import next_runs

#: Every right of every role outside the ledger, by the object it is on; 0 for what is not on an object.
RIGHTS: t.Final = """
WITH schemas AS (SELECT * FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|information_schema|scout_ops)')
SELECT 0::oid, pg_catalog.format('role %I is %s', r.rolname, what) FROM pg_catalog.pg_roles AS r
CROSS JOIN LATERAL (VALUES ('superuser', r.rolsuper), ('createrole', r.rolcreaterole), ('createdb', r.rolcreatedb),
    ('replication', r.rolreplication), ('bypassrls', r.rolbypassrls)) AS v (what, so) WHERE so
UNION ALL
SELECT 0, pg_catalog.format('%I is a member of %I', m.member::regrole, m.roleid::regrole) FROM pg_catalog.pg_auth_members AS m
UNION ALL
SELECT c.oid, pg_catalog.format('%s has %s', a.grantee::regrole, a.privilege_type)
FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(
    coalesce(c.relacl, pg_catalog.acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner))) AS a
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relnamespace IN (SELECT oid FROM schemas)
UNION ALL
SELECT p.oid, pg_catalog.format('%s has %s', a.grantee::regrole, a.privilege_type)
FROM pg_catalog.pg_proc AS p
CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
WHERE p.pronamespace IN (SELECT oid FROM schemas)
UNION ALL
SELECT n.oid, pg_catalog.format('%s has %s', a.grantee::regrole, a.privilege_type)
FROM schemas AS n CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS a
"""
OBJECTS: t.Final = """
SELECT oid, oid::regclass::text FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL SELECT oid, oid::regprocedure::text FROM pg_catalog.pg_proc
UNION ALL SELECT oid, nspname FROM pg_catalog.pg_namespace
"""
JOBS: t.Final = "SELECT jobname, schedule, command, username, database, active FROM cron.job ORDER BY jobname"
#: What the toolkit keeps for itself, as text; data saved for an undo are there to be the data.
KEPT: t.Final = """
SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = pg_catalog.to_regnamespace('scout_ops') AND c.relkind IN ('r', 'p')
  AND c.relname NOT IN ('images', 'protected_data')
"""

Job = tuple[str, str, str, str, bool]


@dataclasses.dataclass(frozen=True)
class Ground:
    """At one moment."""

    rights: frozenset[tuple[int, str]]
    #: What there is, by the identity that it keeps under any name.
    objects: dict[int, str]
    #: Schedule, command, role, database and whether it is active, by name.
    jobs: dict[str, Job]

    def gained(self, later: Ground, *, owners_changed: bool) -> list[str]:
        """Rights that somebody has later on what there was before; those of a new owner are not the toolkit's doing."""
        return sorted(
            f"{text} on {self.objects[oid]}" if oid else text
            for oid, text in later.rights - self.rights
            if not oid or (oid in self.objects and not owners_changed)
        )

    def other_jobs(self, later: Ground) -> list[str]:
        """How jobs differ, in words."""
        said = [f"{name} is gone" for name in self.jobs if name not in later.jobs]
        said += [f"{name} is new" for name in later.jobs if name not in self.jobs]
        for name, before in self.jobs.items():
            now = later.jobs.get(name, before)
            if now != before:
                said.append(f"{name} was {before} and is {now}")
        return said


def connect(dsn: str, options: str = "") -> psycopg.Connection[t.Any]:
    """A session that nothing that was set hinders, with `options` of its own."""
    return next_runs.unhindered(dsn, "gameday", options=options)


def look(dsn: str) -> Ground:
    """As it is now."""
    with connect(dsn) as connection:
        return Ground(
            frozenset(connection.execute(RIGHTS).fetchall()),
            dict(connection.execute(OBJECTS).fetchall()),
            {name: tuple(rest) for name, *rest in connection.execute(JOBS).fetchall()},
        )


def ledger_says(dsn: str, word: str) -> list[str]:
    """The tables of the ledger in which a word is."""
    with connect(dsn) as connection:
        names: list[str] = [name for (name,) in connection.execute(KEPT).fetchall()]
        return [
            name
            for name in names
            if connection.execute(
                f"SELECT FROM {name} AS kept WHERE kept::text LIKE %s LIMIT 1".encode(), [f"%{word}%"]
            ).fetchone()
            is not None
        ]
