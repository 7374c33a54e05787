# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run stored among the dead letters, letter by letter: only that is ever put back on its word."""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql
from ...scout import contract

if t.TYPE_CHECKING:
    from ...postgres.session import Session

#: What a redrive that fails writes into a dead letter; all else stays as it was stored.
LATER: t.Final = "attempts,sqlstate,detail,constraint,column,redriven_by,repairs"

#: No text of JSON holds a line break, so the two cannot be told differently.
CONTENT: t.Final = (
    "substring(sha256(convert_to(coalesce({payload}::text, '') || chr(10) || coalesce((CASE jsonb_typeof({details})"
    " WHEN 'object' THEN {details} - '{{" + LATER + "}}'::text[] ELSE {details} END)::text, ''), 'UTF8')) for 16)"
)

NOTE = """
INSERT INTO scout_ops.stored (dlq_id, run_id, digest)
SELECT d.dlq_id, %(run_id)s::uuid, {content} FROM {dead_letters} AS d WHERE d.dlq_id = %(dlq_id)s::uuid
"""

HAS_TABLE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'scout_ops' AND c.relname = 'stored' AND c.relkind = 'r') AS there
"""


def content(payload: sql.Composable, details: sql.Composable) -> sql.Composed:
    """The expression of the digest of a dead letter: 16 bytes of a SHA-256, for its hash has to withstand a forger."""
    return sql.SQL(CONTENT).format(payload=payload, details=details)


def of_letter(alias: str) -> sql.Composed:
    """The same of a row of the dead letter queue."""
    return content(sql.Identifier(alias, "original_payload"), sql.Identifier(alias, "error_details"))


#: What an INSERT into the dead letter queue returns to be noted, and the part of the query that notes it for run `run`.
RETURNED: t.Final = sql.SQL("dlq_id, {} AS content").format(
    content(sql.Identifier("original_payload"), sql.Identifier("error_details"))
)
NOTED: t.Final = sql.SQL(
    "INSERT INTO scout_ops.stored (dlq_id, run_id, digest) SELECT dlq_id, %(run)s::uuid, content FROM stored"
)


def note(session: Session, run_id: str, dlq_id: str) -> None:
    """Notes a dead letter as this run has just stored it; in the transaction that did."""
    session.execute(contract.compose(NOTE, content=of_letter("d")), run_id=run_id, dlq_id=dlq_id)


def readable(session: Session) -> bool:
    """Whether there is such a record; inside the caller's transaction."""
    return session.row(HAS_TABLE)["there"]


#: Whether a dead letter d is what the run that it names stored. A subquery, lest a join be made of it that leaves the index.
AS_STORED = sql.SQL(
    "coalesce((SELECT s.digest = {} AND s.run_id::text = d.error_details ->> 'run_id'"
    " FROM scout_ops.stored AS s WHERE s.dlq_id = d.dlq_id), false)"
).format(of_letter("d"))

#: Whether the run that a dead letter d names noted anything: one of an earlier version, or without a ledger, did not.
RUN_NOTED = sql.SQL(
    "EXISTS (SELECT FROM scout_ops.stored AS s WHERE s.run_id = CASE WHEN d.error_details ->> 'run_id'"
    " ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (d.error_details ->> 'run_id')::uuid END)"
)
