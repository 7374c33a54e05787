# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights of each owner that a rollback acts as, and what these owners themselves lack."""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql
from ...postgres.privileges import Need, lacked
from ...scout import cron_jobs
from ...scout.judging import impostors, roles
from ..catalog.entries import split_qualified, table_of
from .definitions import parts
from .situation import Obstacle

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...postgres.session import Session
    from .situation import Situation

ROLES: t.Final = """
SELECT n.name, r.oid IS NOT NULL AS there, coalesce(r.rolsuper, false) AS superuser,
       coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE') AND pg_catalog.pg_has_role(r.oid, %(becoming)s), false) AS ours
FROM unnest(%(names)s::text[]) AS n (name) LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = n.name
"""
#: Who has the migration history.
HISTORY: t.Final = """
SELECT o.rolname::text AS owner, o.rolsuper AS mighty,
       pg_catalog.pg_has_role(o.oid, 'USAGE') AND pg_catalog.pg_has_role(o.oid, %(becoming)s) AS ours
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
WHERE c.oid = pg_catalog.to_regclass(%(name)s)
"""
#: Whose rows no policy hides from us, unless it is forced upon their owner too.
SIGHT: t.Final = """
SELECT w.name, coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE'), false) AS ours, u.rolsuper OR u.rolbypassrls AS sees
FROM unnest(%(names)s::text[]) AS w (name)
LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = w.name
JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user
"""
#: What is done to a row of a migration history.
WRITES: t.Final = ("create", "alter", "drop")
#: Those of which the owner of the whole has not the rights of theirs.
PARTITIONS: t.Final = """
SELECT name AS whole, c.oid::regclass::text AS part, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_get_userbyid(w.relowner)::text AS of, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(w.relowner)) AS role
FROM unnest(%(names)s::text[]) AS name JOIN pg_catalog.pg_class AS w ON w.oid = pg_catalog.to_regclass(name) AND w.relkind = 'p'
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(w.oid) AS tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
WHERE NOT pg_catalog.pg_has_role(w.relowner, c.relowner, 'USAGE') ORDER BY 1, 2
"""

#: What is in a schema, and has an owner of its own.
IN_SCHEMAS: t.Final = (
    *(
        "table",
        "view",
        "materialized_view",
        "sequence",
        "function",
        "aggregate",
        "enum",
        "domain",
        "composite",
        "range",
    ),
)


def owners(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Roles that own what is touched, or grant on it, and that are gone, or as whom we may not act; inside the caller's
    transaction."""
    about: dict[str, str] = {}
    for does, key in sorted(found.steps):
        for entry in filter(None, (found.now(key), found.wanted.get(key))):
            if entry.owner and entry.kind not in ("cron_job", "extension"):
                about.setdefault(entry.owner, key)
        now, wanted = found.now(key), found.wanted.get(key)
        granted = does == "create" or (
            does == "settle" and (now is None or wanted is None or now.grants != wanted.grants)
        )
        if wanted is not None and granted:
            for grant in wanted.grants:
                about.setdefault(grant[3], key)
    becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
    for row in session.rows(ROLES, names=sorted(about), becoming=becoming):
        name, key = row["name"], about[row["name"]]
        role = sql.Identifier(name).as_string()
        if not row["there"]:
            yield Obstacle("owner", key, f"there is no role {name} any more", f"`CREATE ROLE {role}`")
        elif not (row["ours"] or session.facts.superuser):
            kind, _, what = key.partition(":")
            said = f"the rights of owner {name} are missing, to change {kind.replace('_', ' ')} {what}"
            yield Obstacle("privilege", key, said, _grant(session, name))


def _grant(session: Session, name: str) -> str:
    return f"`{roles.membership(session, name)}`"


def partitions(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Partitions that belong to somebody else than their table, whose owner may not change them with it, as a scheduler makes them that
    works as another role; inside the caller's transaction."""
    about: dict[str, str] = {}
    for _, key in sorted(found.steps):
        entry = found.now(key) or found.wanted.get(key)
        if entry is not None and (
            entry.kind == "column" or (entry.kind == "constraint" and not entry.facts.get("index"))
        ):
            about.setdefault(entry.table, key)
    rows = [] if session.facts.superuser else session.rows(PARTITIONS, names=sorted(about))
    for name in dict.fromkeys(row["whole"] for row in rows):
        own = [row for row in rows if row["whole"] == name]
        said = f"{own[0]['part']} and {len(own) - 1} more" if len(own) > 1 else own[0]["part"]
        said += f", of partitioned table {name}, belong to {own[0]['owner']}, and {own[0]['of']} may not change them"
        given = "; ".join(f"ALTER TABLE {row['part']} OWNER TO {row['role']}" for row in own)
        yield Obstacle("privilege", about[name], said, f"`{given}`")


def makers(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Owners, and ourselves, that may not make in a schema what is made there, which a superuser gives to anybody; inside the
    caller's transaction."""
    if session.facts.superuser:
        return
    needs: dict[Need, str] = {}
    for does, key in sorted(found.steps):
        entry, now = found.wanted.get(key), found.now(key)
        given = does == "settle" and now is not None and entry is not None and now.owner != entry.owner
        if entry is None or entry.kind not in IN_SCHEMAS or not (does == "create" or given):
            continue
        schema = parts(entry.name.partition("(")[0])[0]
        # What a schema's own rights are by then, is what the plan makes of them.
        if f"schema:{sql.Identifier(schema).as_string()}" in found.keys or f"schema:{schema}" in found.keys:
            continue
        for role in filter(None, (entry.owner, session.facts.role)):
            needs.setdefault(Need("SCHEMA", sql.Identifier(schema).as_string(), "CREATE", role), key)
    made = [key for does, key in sorted(found.steps) if does == "create" and key.startswith("schema:")]
    makes = Need("DATABASE", sql.Identifier(session.facts.database).as_string(), "CREATE")
    asked = [*sorted(needs, key=lambda need: (need.role or "", need.object)), *([makes] if made else [])]
    for need in lacked(session, asked):
        if need == makes:
            said = f"{made[0].partition(':')[2]} is to be made, and role {session.facts.role} may make no schema"
        else:
            said = f"{need.role} may make nothing in schema {parts(need.object)[0]}"
        yield Obstacle("privilege", needs.get(need) or made[0], said, f"`{need.grant(session)}`")


def jobs(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Jobs that are changed, and that pg_cron lets only their owners change; inside the caller's transaction."""
    about: dict[str, str] = {}
    for key in sorted(found.keys):
        entry = found.wanted.get(key) or found.now(key)
        if entry is not None and entry.kind == "cron_job" and entry.owner:
            about.setdefault(entry.owner, key)
    if about and (problem := cron_jobs.foreign(session)):
        yield Obstacle("owner", next(iter(about.values())), problem.said or "", problem.next_step or "")
        return
    there = f"in database {beside.facts.database}: " if about and (beside := session.beside()) else ""
    for owner, key in about.items():
        for grant in cron_jobs.missing_grants(session, owner):
            said = f"a right to change the jobs of {owner} is missing"
            yield Obstacle("privilege", key, said, f"{there}`{grant}`" if grant.startswith("GRANT ") else grant)


def history(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Rows of the migration history that go or come back, and that we may not write: with the rights of its owner, or with our own
    where that is a superuser; and code of others that would run when they are written. Inside the caller's transaction."""
    for table in found.histories:
        about = {
            does: key for does, key in sorted(found.steps) if does in WRITES and _history(found, key) == parts(table)
        }
        if about:
            yield from _of_history(session, table, about)


def _history(found: Situation, key: str) -> list[str]:
    """The parts of the name of the table that a row is of; empty for what is no row of a migration history."""
    entry = found.wanted.get(key) or found.now(key)
    if entry is None or entry.kind not in ("migration", "manifest"):
        return []
    return parts(entry.table if entry.kind == "manifest" else found.histories[0])


def _of_history(session: Session, table: str, about: Mapping[str, str]) -> Iterator[Obstacle]:
    """What stands against writing one of them; `about` has a key by what is done."""
    for code in impostors.history_calls(session, ".".join(parts(table)), writing=True):
        yield Obstacle("owner", next(iter(about.values())), code.describe(), f"`{code.fix}`")
    if session.facts.superuser:
        return
    becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
    for row in session.rows(HISTORY, name=table, becoming=becoming):
        whose = f"the migration history {table} of {row['owner']}"
        again = about.get("create") or about.get("alter")
        if again and not (row["mighty"] or row["ours"]):
            said = f"{whose} gets rows again, for which the rights of its owner are missing"
            yield Obstacle(
                "privilege",
                again,
                said,
                _grant(session, row["owner"]),
            )
            continue
        written = {"create": "INSERT", "alter": "UPDATE", "drop": "DELETE"}
        needs = [Need("SCHEMA", split_qualified(table)[0], "USAGE")]
        needs += [
            Need("TABLE", table, privilege)
            for does, privilege in written.items()
            if does in about and (row["mighty"] or does == "drop")
        ]
        if lacks := lacked(session, needs):
            said = f"{whose} is rolled back, too, and role {session.facts.role} may not write it"
            grants = "; ".join(need.grant(session) for need in lacks)
            yield Obstacle("privilege", next(iter(about.values())), said, f"`{grants}`")


def sight(session: Session, found: Situation) -> Iterator[Obstacle]:
    """Tables that get data back, and whose rows a policy will hide from us: nobody could tell that all of it came; inside the
    caller's transaction."""
    tables = {key if key.startswith("table:") else table_of(key) for key in found.filled}
    hiding = [
        found.wanted[key] for key in sorted(tables & found.wanted.keys()) if found.wanted[key].facts.get("row_security")
    ]
    sees = {row["name"]: row for row in session.rows(SIGHT, names=sorted({each.owner or "" for each in hiding}))}
    for table in hiding:
        row = sees[table.owner or ""]
        if not (row["sees"] or (row["ours"] and not table.facts.get("row_security_forced"))):
            me = sql.Identifier(session.facts.role).as_string()
            said = f"a policy will hide rows of {table.name} from role {session.facts.role}, so nobody can tell that its data has come back"
            yield Obstacle("row_security", table.key, said, f"`ALTER ROLE {me} BYPASSRLS`")
