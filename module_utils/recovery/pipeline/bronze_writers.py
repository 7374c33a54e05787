# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sends events into bronze, and whom it refuses: by what roles may do, and by an insert as each of them that is rolled back."""

from __future__ import annotations

import dataclasses
import typing as t
import uuid

from ..core.text import printable
from ..ledger import bootstrap, history
from ..postgres import acting
from ..postgres.driver import Jsonb, errors, psycopg, sql
from ..postgres.failures import words_of
from ..postgres.identifiers import identifier
from ..scout import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: Who might insert into bronze by the release that was captured last.
CAPTURED: t.Final = """
SELECT DISTINCT g.granted ->> 0 AS name
FROM (SELECT document FROM scout_ops.releases WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1) AS r
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.document -> 'entries') AS e (entry)
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(e.entry -> 'grants') AS g (granted)
WHERE e.entry ->> 'kind' = 'table' AND e.entry ->> 'name' = %(bronze)s AND g.granted ->> 1 = 'INSERT'
"""
#: Whoever may insert, is meant to, or has a session that did last, although no role that it may become is allowed to; besides the owner,
#: superusers and ourselves.
WRITERS = """
WITH roles AS MATERIALIZED (
    SELECT r.oid, r.rolname::text AS name,
           pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER') AS owns,
           pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT') AS inserts,
           pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE') AS uses,
           NOT c.relrowsecurity OR r.rolbypassrls OR EXISTS (
               SELECT FROM pg_catalog.pg_policy AS p CROSS JOIN unnest(p.polroles) AS of (oid)
               WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('a', '*')
                 AND (of.oid = 0 OR pg_catalog.pg_has_role(r.oid, of.oid, 'USAGE'))) AS let
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_roles AS r ON NOT r.rolsuper AND r.rolname <> current_user AND r.rolname !~ '^pg_'
    WHERE c.oid = to_regclass(%(bronze)s)
)
SELECT name, inserts, uses, let, name = ANY(%(meant)s) AS meant FROM roles AS r
WHERE NOT owns AND (inserts OR name = ANY(%(meant)s) OR EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.usesysid = r.oid AND a.datname = current_database() AND a.query ~* %(statement)s
      AND NOT EXISTS (SELECT FROM roles AS o WHERE (o.inserts OR o.owns) AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER'))))
ORDER BY name
"""
OWNER = "SELECT c.relowner::regrole::text AS name FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(%(bronze)s)"
STATEMENT: t.Final = r'\minsert\s+into\s+("?{schema}"?\s*\.\s*)?"?{table}"?(\s|\()'

#: The columns that a role may fill, of the event that was sent; and that event, as another one.
COLUMNS = """
SELECT a.attname::text AS name FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = to_regclass(%(bronze)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
  AND a.attname NOT IN ('event_id', 'ingested_at') AND pg_catalog.has_column_privilege(%(role)s, a.attrelid, a.attnum, 'INSERT')
ORDER BY a.attnum
"""
SENT: t.Final = "SELECT to_jsonb(b) AS event FROM {bronze} AS b WHERE event_id = %(event_id)s"
INSERT: t.Final = """
INSERT INTO {bronze} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{bronze}, %(event)s) AS sent
"""
#: A policy that asks for more than the row, such as for whom a request was made, says nothing to us.
ASKS = r"""
SELECT EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = to_regclass(%(bronze)s)
               AND concat(pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                          pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) ~ '\w\(') AS asks
"""
MOST_TRIED: t.Final = 5


class Refusal(t.NamedTuple):
    """Whom bronze refuses, in words, and the statement that lets them."""

    said: str
    fix: str


@dataclasses.dataclass(frozen=True)
class Writers:
    """Who may insert into bronze besides its owner: whom nothing keeps off, whom policies do, who may not use the schema, and who no
    longer may although a release or the contract says so. Whoever only tried to may be anybody: nobody is advised to let them."""

    owner: str = ""
    able: tuple[str, ...] = ()
    kept_off: tuple[str, ...] = ()
    shut_out: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()

    @property
    def in_vain(self) -> str:
        """What is said of those who only tried; nothing where nobody did."""
        if not self.tried:
            return ""
        who = " and ".join(map(printable, self.tried[:3]))
        said = f"{who} tried to insert into {contract.names().bronze}, and may not"
        return f"{said}: if events come from there, add it to writers of scout_contract"

    @property
    def refused(self) -> list[Refusal]:
        """Those who no longer may, and where nobody can, those who were let and are kept off: of several some may be none who send."""
        bronze, schema = contract.names().bronze, contract.names().schema
        found = [
            Refusal(f"{role} may not insert into {bronze}", f"GRANT INSERT ON {bronze} TO {identifier(role)};")
            for role in self.gone
        ]
        if self.able:
            return found
        if self.kept_off:
            who, names = " and ".join(self.kept_off[:3]), ", ".join(map(identifier, self.kept_off))
            policy = f"CREATE POLICY scout_writers ON {bronze} FOR INSERT TO {names} WITH CHECK (true);"
            found.append(Refusal(f"row security of {bronze} refuses what {who} would insert", policy))
        usage = "{} may not use schema {}, so it inserts nothing"
        return found + [
            Refusal(usage.format(role, schema), f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {identifier(role)};")
            for role in self.shut_out
        ]


def read(session: Session) -> Writers:
    """By what the catalog says; inside a transaction."""
    names = contract.names()
    schema, _, table = names.bronze.partition(".")
    rows = session.rows(
        WRITERS,
        bronze=names.bronze,
        meant=[*names.writing_roles, *_captured(session)],
        statement=STATEMENT.format(schema=schema, table=table),
    )
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if row["inserts"]:
            kind = "shut_out" if not row["uses"] else "able" if row["let"] else "kept_off"
        else:
            kind = "gone" if row["meant"] else "tried"
        kinds.setdefault(kind, []).append(row["name"])
    owner = next((row["name"] for row in session.rows(OWNER, bronze=names.bronze)), "")
    return Writers(owner, **{kind: tuple(found) for kind, found in kinds.items()})


def _captured(session: Session) -> list[str]:
    if not (history.readable(session) and bootstrap.readable(session)):
        return []
    return [row["name"] for row in session.rows(CAPTURED, bronze=contract.names().bronze)]


def refused(session: Session, writers: Writers, event_id: str) -> list[Refusal]:
    """The same, and where each that may insert is refused all the same, of which this event, which was sent, is an example. Inside a
    transaction that is rolled back, in which bronze runs no code of others."""
    found = writers.refused
    if found or not writers.able:
        return found
    sent = session.rows(contract.compose(SENT), event_id=event_id)
    # A job may delete what it has loaded.
    tried = [_tried(session, role, row["event"]) for row in sent for role in writers.able[:MOST_TRIED]]
    return [each for each in tried if each] if all(tried) else []


def in_words(refused: list[Refusal]) -> str:
    """What is said of them."""
    return "; ".join(each.said for each in refused)


def _tried(session: Session, role: str, event: dict[str, t.Any]) -> Refusal | None:
    """Why bronze refuses such an event of this role; None where it takes it, and where that is not to be seen."""
    bronze = contract.names().bronze
    columns = [row["name"] for row in session.rows(COLUMNS, bronze=bronze, role=role) if row["name"] in event]
    insert = contract.compose(INSERT, columns=sql.SQL(", ").join(map(sql.Identifier, columns)))
    another = {**event, "event_hash": "\\x" + uuid.uuid4().hex}
    try:
        with session.savepoint(), acting.as_role(session, role):
            session.execute(insert, event=Jsonb(another))
            raise psycopg.Rollback
    except (errors.InsufficientPrivilege, errors.RaiseException) as e:
        said = e.diag.message_primary or ""
        by_policy = "row-level security" in said
        if "set role" in said or (by_policy and session.row(ASKS, bronze=bronze)["asks"]):
            return None
        look = f"look at the policies of {bronze}" if by_policy else f"look at what refuses it in {bronze}"
        return Refusal(f"{bronze} refuses what {role} would insert: {words_of(e)}", look)
    except psycopg.Error:
        if session.connection.closed:
            raise
    return None
