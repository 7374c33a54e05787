# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail scout_audit: who did what, in a chain that the operator, who owns the ledger, can only add to.

Its function runs as a role as which nobody logs in (docs/operator_role.sql makes both), stamps the login, the client's address, the
clock and the hash before, and holds the one row that is the end of the chain until its transaction is over. So it is called last in a
transaction: whoever waits for that row holds nothing that its holder still needs.
"""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session

#: SHA-256 of the function's body, of every version there was: by its name alone nothing is called.
KNOWN: t.Final = ("0bafb03a5d217ec1ace2683786bfc909ae91adeb6379aaa9801ebf5884f38f11",)

#: Whether the trail is there as docs/operator_role.sql makes it, and ours to add to. Its owner is nobody whom anybody could be, so
#: what was looked at stays so; a superuser is told apart by the heads that went out.
WHOLE: t.Final = """
EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
    WHERE n.nspname = 'scout_audit' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
      AND NOT (o.rolcanlogin OR o.rolsuper OR o.rolcreaterole OR o.rolreplication OR o.rolbypassrls)
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_auth_members AS m
          WHERE m.roleid = o.oid AND (coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
                                      OR coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)))
      AND (SELECT count(*) FILTER (WHERE c.relname IN ('entries', 'head') AND c.relkind = 'r' AND c.relowner = n.nspowner
                                     AND NOT (c.relrowsecurity OR c.relhastriggers OR c.relhasrules)
                                     AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                     AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) AS a
                                                     WHERE a.grantee <> c.relowner AND a.privilege_type <> 'SELECT')
                                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                                     WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))
           FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid) = 2
      AND (SELECT count(*) = 1 AND bool_and(
               p.proname = 'append' AND p.proowner = n.nspowner AND p.prosecdef AND p.prokind = 'f' AND p.pronargdefaults = 0
               AND pg_catalog.oidvectortypes(p.proargtypes) = 'text, uuid, text, text, text, text, text'
               AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp'] AND l.lanname = 'plpgsql'
               AND pg_catalog.encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = ANY ({known})
               AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))
           FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang WHERE p.pronamespace = n.oid))
"""

#: The digest of a run's row, as far as it stays as it is: whoever adopts, undoes or abandons a run changes the rest. While it runs,
#: its effects grow.
OF_RUN: t.Final = """
pg_catalog.encode(sha256(convert_to(jsonb_build_array(
    r.run_id, r.parent_run_id, r.action, r.actor, r.controller, r.started_at, r.finished_at, r.status, r.parameters,
    CASE WHEN r.finished_at IS NOT NULL THEN r.effects - 'abandoned' END, r.error, r.undoes, r.backend_role)::text, 'UTF8')), 'hex')
"""

#: The digests of an entry of an incident's record, and of the incident's own row.
OF_ENTRY: t.Final = """
pg_catalog.encode(sha256(convert_to(jsonb_build_array(e.entry, e.incident, e.at, e.actor, e.kind, e.text, e.details)::text, 'UTF8')), 'hex')
"""
OF_INCIDENT: t.Final = """
pg_catalog.encode(sha256(convert_to(jsonb_build_array(
    i.incident, i.title, i.severity, i.opened_at, i.opened_by, i.closed_at, i.closed_by, i.root_cause, i.next_update_at
)::text, 'UTF8')), 'hex')
"""

APPEND: t.Final = """
DO LANGUAGE plpgsql $scout_recovery$
BEGIN
    IF {whole} THEN
        {append};
    END IF;
END $scout_recovery$
"""
RUNS: t.Final = """
PERFORM scout_audit.append(CASE WHEN r.finished_at IS NULL THEN 'begun' ELSE 'ended' END, r.run_id, r.action, r.incident, r.actor,
                           r.status, {digest})
FROM scout_ops.runs AS r WHERE r.run_id = ANY ({ids}::uuid[])
"""
#: Of an entry its number and its incident's digest are what it came to.
INCIDENT: t.Final = """
PERFORM scout_audit.append('incident', NULL, e.kind, e.incident, e.actor, e.entry || ' ' || {of_incident}, {of_entry})
FROM (SELECT * FROM scout_ops.incident_entries AS e WHERE e.entry = ANY ({entries}::bigint[]) ORDER BY e.entry) AS e
JOIN scout_ops.incidents AS i USING (incident)
"""
EVIDENCE: t.Final = (
    "PERFORM scout_audit.append('evidence', NULL, 'evidence', {incident}, {actor}, {outcome}, {manifest_sha256})"
)

STATE: t.Final = """
SELECT {whole} AS whole, EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'scout_audit') AS there
"""
HEAD = "SELECT number, pg_catalog.encode(hash, 'hex') AS hash FROM scout_audit.head"
ENTRIES = "SELECT number, entry::text AS entry, pg_catalog.encode(hash, 'hex') AS hash FROM scout_audit.entries ORDER BY number"
LEDGERS_ENTRIES = """
SELECT e.entry, e.incident, e.kind, e.actor, {of_entry} AS digest, {of_incident} AS of_incident,
       e.entry = max(e.entry) OVER (PARTITION BY e.incident) AS last
FROM scout_ops.incident_entries AS e LEFT JOIN scout_ops.incidents AS i USING (incident) ORDER BY e.entry
"""
LEDGERS_RUNS = """
SELECT r.run_id::text AS run_id, r.action, r.incident, r.actor, r.status, r.started_at, {digest} AS digest
FROM scout_ops.runs AS r ORDER BY r.started_at, r.run_id
"""


def _whole() -> sql.Composed:
    return sql.SQL(WHOLE).format(known=sql.Literal(list(KNOWN)))


def append(session: Session, run_ids: Sequence[str]) -> None:
    """Adds that these runs have begun, or ended, as the ledger has them now; last in the transaction that wrote their rows. Nothing
    where there is no trail."""
    runs = sql.SQL(RUNS).format(digest=sql.SQL(OF_RUN), ids=sql.Literal(list(run_ids)))
    session.execute(sql.SQL(APPEND).format(whole=_whole(), append=runs))


def append_evidence(session: Session, incident: str, actor: str, where: str, manifest_sha256: str) -> None:
    """Adds that a snapshot was kept, `where` being its number and its place; last in the transaction that recorded it. Nothing where
    there is no trail."""
    kept = sql.SQL(EVIDENCE).format(
        incident=sql.Literal(incident),
        actor=sql.Literal(actor),
        outcome=sql.Literal(where),
        manifest_sha256=sql.Literal(manifest_sha256),
    )
    session.execute(sql.SQL(APPEND).format(whole=_whole(), append=kept))


def append_incident(session: Session, entries: Sequence[int]) -> None:
    """Adds that these entries were written into the record of an incident; last in the transaction that wrote them. Nothing where there
    is no trail."""
    written = sql.SQL(INCIDENT).format(
        of_incident=sql.SQL(OF_INCIDENT), of_entry=sql.SQL(OF_ENTRY), entries=sql.Literal(list(entries))
    )
    session.execute(sql.SQL(APPEND).format(whole=_whole(), append=written))


def lacking(session: Session) -> str:
    """Why there is no trail to add to, in words; empty where there is one. Inside the caller's transaction."""
    state = session.row(sql.SQL(STATE).format(whole=_whole()))
    if state["whole"]:
        return ""
    if not state["there"]:
        return "there is no schema scout_audit"
    return f"schema scout_audit is not as docs/operator_role.sql makes it, or role {session.facts.role} may not append to it"


def head(session: Session) -> str | None:
    """The end of the chain as it goes out, `57:` and 64 hexadecimal digits; None where there is no trail, or nothing in it. Inside the
    caller's transaction."""
    if lacking(session):
        return None
    last = session.row(HEAD)
    return f"{last['number']}:{last['hash']}" if last["number"] else None


def entries(session: Session) -> tuple[list[Row], Row]:
    """All entries, each with number, text and hash, and what the row of the end says; inside the caller's transaction."""
    return session.rows(ENTRIES), session.row(HEAD)


def runs_of_ledger(session: Session) -> list[Row]:
    """All runs of the ledger, each with the digest of its row as it is now; inside the caller's transaction."""
    return session.rows(sql.SQL(LEDGERS_RUNS).format(digest=sql.SQL(OF_RUN)))


def entries_of_incidents(session: Session) -> list[Row]:
    """All entries of the records of incidents, each with its digest as it is now, that of its incident, and whether it is the last of it;
    inside the caller's transaction."""
    return session.rows(sql.SQL(LEDGERS_ENTRIES).format(of_entry=sql.SQL(OF_ENTRY), of_incident=sql.SQL(OF_INCIDENT)))
