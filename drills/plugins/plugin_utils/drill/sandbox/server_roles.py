# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles and memberships of a staging server that the role of a drill has a hand in: they are as before when it is over."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count

from . import scratch_names

if t.TYPE_CHECKING:
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

#: Of this role, and of each that it may administer: what it may and how it is set; each membership that one of them has granted;
#: and the databases that it owns. What scratch roles are goes with them. From PostgreSQL 16 on whoever makes a role may administer
#: it; before, nothing tells who made one, and no schema is cloned there.
READ: t.Final = """
WITH me AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user
), ours AS (
    SELECT r.oid, r.rolname FROM pg_catalog.pg_roles AS r
    WHERE NOT pg_catalog.starts_with(r.rolname, %(prefix)s) AND (r.oid = (SELECT oid FROM me) OR EXISTS (
        SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = r.oid AND m.admin_option AND m.member = (SELECT oid FROM me)))
)
SELECT 'role ' || o.rolname AS what, pg_catalog.to_jsonb(r)::text AS how
FROM ours AS o JOIN pg_catalog.pg_roles AS r ON r.oid = o.oid WHERE o.rolname !~ '^pg_'
UNION ALL
SELECT 'membership of ' || m.member::regrole || ' in ' || m.roleid::regrole || ' by ' || m.grantor::regrole, pg_catalog.to_jsonb(m)::text
FROM pg_catalog.pg_auth_members AS m
WHERE m.grantor IN (SELECT oid FROM ours)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                  WHERE r.oid IN (m.member, m.roleid) AND pg_catalog.starts_with(r.rolname, %(prefix)s))
UNION ALL
SELECT 'database ' || d.datname, d.datdba::regrole::text FROM pg_catalog.pg_database AS d
WHERE d.datdba = (SELECT oid FROM me) AND NOT pg_catalog.starts_with(d.datname, %(prefix)s)
"""
NAMED: t.Final = 5

Roles = dict[str, str]


def read(session: Session) -> Roles:
    """What each is, by its name in words."""
    with session.read():
        return {row["what"]: row["how"] for row in session.rows(READ, prefix=scratch_names.PREFIX)}


def require_unchanged(session: Session, before: Roles) -> None:
    """Raises NotConverged where something has come, has changed or is gone since: code of the drilled schema may have done it."""
    after = read(session)
    told = [
        f"{what} {'is gone' if what not in after else 'has come' if what not in before else 'has changed'}"
        for what in sorted({*before, *after})
        if before.get(what) != after.get(what)
    ]
    if told:
        more = f"; and {count(len(told) - NAMED, 'more')}" if len(told) > NAMED else ""
        raise NotConverged(
            "the drill left other roles on the staging server than there were",
            on=session.where,
            said="; ".join(told[:NAMED]) + more,
            next_step="see whether somebody else did that meanwhile; if not, undo it, and look for code in the schema that does",
        )
