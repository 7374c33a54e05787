# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the ledger is. One that somebody else made, or has a hand in, is not used: its triggers would run as the operator."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ...core.errors import ForeignLedger
from ...postgres.driver import sql
from ...scout import contract
from ...scout.judging import roles

if t.TYPE_CHECKING:
    from ...postgres.session import Session

#: What of the schema belongs to others, is granted to others, or runs code of others. Ours is the role of the session and each whose
#: rights it inherits, by a membership that was granted: a superuser is a member of everybody else only by force. The owner of the
#: pipeline is not ours, even where we may become him: whoever changes the pipeline would change the ledger.
FOREIGN = """
WITH RECURSIVE n AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = 'scout_ops'
), pipeline AS (
    SELECT s.nspowner AS owner FROM pg_catalog.pg_namespace AS s WHERE s.nspname = %(pipeline)s
    UNION SELECT p.proowner FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS s ON s.oid = p.pronamespace
    WHERE s.nspname = %(pipeline)s
), ours AS (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
    UNION
    SELECT m.roleid FROM ours JOIN pg_catalog.pg_auth_members AS m ON m.member = ours.oid
    WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
      AND NOT EXISTS (SELECT FROM pipeline WHERE pipeline.owner = m.roleid)
), relations AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
    FROM n JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
), things AS (
    SELECT 'SCHEMA scout_ops' AS object, nspowner AS owner, nspacl AS acl FROM n
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'i' THEN 'INDEX ' ELSE 'TABLE ' END || name, relowner, relacl FROM relations
    UNION ALL
    SELECT 'FUNCTION ' || p.oid::regprocedure::text, p.proowner, NULL FROM n JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid
    UNION ALL
    SELECT 'TYPE ' || y.oid::regtype::text, y.typowner, NULL FROM n JOIN pg_catalog.pg_type AS y ON y.typnamespace = n.oid
    WHERE y.typtype <> 'c' AND y.typcategory <> 'A'
), parts AS (
    SELECT 'pg_class'::regclass AS classid, oid, name FROM relations
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, name FROM relations JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = relations.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, name FROM relations JOIN pg_catalog.pg_constraint AS k ON k.conrelid = relations.oid
), used AS MATERIALIZED (
    -- Else everything in the database that depends on anything would be identified.
    SELECT parts.name, d.refclassid, d.refobjid
    FROM parts JOIN pg_catalog.pg_depend AS d ON d.classid = parts.classid AND d.objid = parts.oid
), found AS (
    SELECT object, 'owner' AS kind, pg_catalog.pg_get_userbyid(owner)::text AS who, NULL AS what, NULL AS fix
    FROM things WHERE owner NOT IN (SELECT oid FROM ours)
    UNION ALL
    SELECT object, 'grant', coalesce(r.rolname, 'PUBLIC'), pg_catalog.string_agg(a.privilege_type, ', '),
           'REVOKE ALL ON ' || object || ' FROM ' || coalesce(quote_ident(r.rolname), 'PUBLIC')
    FROM things CROSS JOIN LATERAL pg_catalog.aclexplode(acl) AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    WHERE a.grantee <> owner AND a.grantee NOT IN (SELECT oid FROM ours) GROUP BY object, r.rolname
    UNION ALL
    SELECT 'TABLE ' || name, 'grant', coalesce(r.rolname, 'PUBLIC'),
           a.privilege_type || pg_catalog.format(' (%%I)', t.attname),
           pg_catalog.format('REVOKE ALL (%%I) ON %%s FROM %%s', t.attname, name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM relations JOIN pg_catalog.pg_attribute AS t ON t.attrelid = relations.oid AND t.attacl IS NOT NULL
    CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    WHERE a.grantee <> relowner AND a.grantee NOT IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'TABLE ' || name, 'code', p.proowner::regrole::text, 'trigger ' || g.tgname,
           pg_catalog.format('DROP TRIGGER %%I ON %%s', g.tgname, name)
    FROM relations JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = relations.oid AND NOT g.tgisinternal
    JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
    UNION ALL
    SELECT 'TABLE ' || name, 'code', relowner::regrole::text, 'rule ' || w.rulename,
           CASE relkind WHEN 'v' THEN 'DROP VIEW ' || name WHEN 'm' THEN 'DROP MATERIALIZED VIEW ' || name
                        ELSE pg_catalog.format('DROP RULE %%I ON %%s', w.rulename, name) END
    FROM relations JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = relations.oid
    UNION ALL
    SELECT 'TABLE ' || name, 'code', relowner::regrole::text, 'policy ' || p.polname,
           pg_catalog.format('DROP POLICY %%I ON %%s', p.polname, name)
    FROM relations JOIN pg_catalog.pg_policy AS p ON p.polrelid = relations.oid
    UNION ALL
    SELECT 'TABLE ' || used.name, 'code', NULL, 'use of ' || i.type || ' ' || i.identity, NULL
    FROM used CROSS JOIN LATERAL pg_catalog.pg_identify_object(used.refclassid, used.refobjid, 0) AS i
    WHERE pg_catalog.btrim(i.schema, '"') NOT IN ('scout_ops', 'pg_catalog')
       OR used.refclassid = 'pg_proc'::regclass
    UNION ALL
    SELECT 'TABLE ' || name, 'code', c.relowner::regrole::text, pg_catalog.format('child table %%I.%%I', s.nspname, c.relname), NULL
    FROM relations JOIN pg_catalog.pg_inherits AS h ON h.inhparent = relations.oid AND relations.relkind IN ('r', 'p')
    JOIN pg_catalog.pg_class AS c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
)
SELECT object, kind, who, what, fix FROM found ORDER BY kind DESC, object <> 'SCHEMA scout_ops', object LIMIT 200
"""

#: The ledger that is there: one that was dropped and made again is another.
THERE = "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'scout_ops'"
#: So long a session believes what it has seen: nobody but its owners can let others in.
BELIEVED_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class _Found:
    """Something of the ledger that is not ours alone: of kind owner, grant or code."""

    object: str
    kind: str
    who: str | None
    what: str | None
    fix: str | None

    def describe(self) -> str:
        """`TABLE scout_ops.leases has trigger x of mallory`."""
        if self.kind == "owner":
            return f"{self.object} belongs to {self.who}"
        if self.kind == "grant":
            return f"{self.object} is granted to {self.who} ({self.what})"
        return f"{self.object} has {self.what}" + (f" of {self.who}" if self.who else "")


def _read(session: Session) -> list[_Found]:
    return [_Found(**row) for row in session.rows(FOREIGN, pipeline=contract.names().schema)]


def foreign(session: Session) -> ForeignLedger | None:
    """Why the ledger that is there may not be used; None where it is ours, or there is none. Inside the caller's transaction."""
    there = session.rows(THERE)
    if not there or (session.ours == there[0]["oid"] and time.monotonic() < session.ours_until):
        return None
    found = _read(session)
    if not found:
        session.ours, session.ours_until = there[0]["oid"], time.monotonic() + BELIEVED_SECONDS
        return None
    owners = sorted({one.who for one in found if one.kind == "owner" and one.who})
    fixes = list(dict.fromkeys(one.fix for one in found if one.fix))
    if owners or len(fixes) < len(found):
        # Nobody is to become a role that may do more than an owner should: the ledger comes to the operator instead.
        mighty = bool(owners and roles.mighty(session, owners))
        grants = (
            [roles.operator_of_its_own(session)]
            if mighty
            else [roles.membership(session, owner) for owner in owners[:3]]
        )
        ours = "; ".join(f"`{grant}`" for grant in grants)
        steps = (
            f"if that role keeps your team's ledger: {ours}. Else look at it, then " if ours else "look at it, then "
        ) + "`ALTER SCHEMA scout_ops RENAME TO scout_ops_not_ours` keeps all of it out of the way"
    else:
        steps = "; ".join(f"`{fix}`" for fix in fixes[:20])
    return ForeignLedger(
        "refused to use the ledger scout_ops",
        on=session.where,
        said="; ".join(one.describe() for one in found[:5])
        + (f"; and {len(found) - 5} more" if len(found) > 5 else ""),
        next_step=f"{steps}. Until then -e scout_ledger=off works without it",
        result={"foreign": [dataclasses.asdict(one) for one in found[:20]]},
    )


def require(session: Session) -> None:
    """Raises ForeignLedger unless the ledger is ours; inside the caller's transaction."""
    if problem := foreign(session):
        raise problem


def revoke_all(session: Session) -> None:
    """Takes from everybody else what default privileges gave them of a ledger just made; raises ForeignLedger where more than that
    is in the way. Inside the caller's transaction."""
    for one in _read(session):
        if one.kind == "grant" and one.fix:
            session.connection.execute(sql.SQL(t.cast("t.LiteralString", one.fix)))
    session.ours = 0
    require(session)
