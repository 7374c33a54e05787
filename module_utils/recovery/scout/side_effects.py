# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment has added to the tables of a move that would change rows behind its back: cascades and triggers."""

from __future__ import annotations

import typing as t

from ..core.errors import NotConverged
from . import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: Foreign keys that would silently take rows along which no image is kept of.
CASCADES = """
SELECT c.conname AS name, c.conrelid::regclass::text AS table
FROM pg_catalog.pg_constraint AS c
WHERE c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd')
  AND c.confrelid = ANY(%(emptied)s::regclass[])
  AND c.conrelid <> %(lines)s::regclass AND c.conparentid = 0
"""

#: Triggers of users on the tables of a move; what they do after a statement its RETURNING does not tell.
TRIGGERS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
               AND g.tgrelid = ANY(%(tables)s::regclass[])) AS some
"""


#: What stands on tables that the pipeline writes or reads and can change what becomes of a row: triggers, rules, policies.
ON_TABLES = """
SELECT 1 AS nth, format('trigger %%I on %%s', g.tgname, g.tgrelid::regclass) AS what
FROM pg_catalog.pg_trigger AS g
WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgrelid = ANY(%(tables)s::regclass[])
UNION ALL
SELECT 2, format('rule %%I on %%s', r.rulename, r.ev_class::regclass)
FROM pg_catalog.pg_rewrite AS r WHERE r.ev_enabled <> 'D' AND r.ev_class = ANY(%(tables)s::regclass[])
UNION ALL
SELECT 3, format('row-level security hides rows of %%s from its owner', c.oid::regclass)
FROM pg_catalog.pg_class AS c WHERE c.relrowsecurity AND c.relforcerowsecurity AND c.oid = ANY(%(tables)s::regclass[])
ORDER BY 1, 2
"""


def on_tables(session: Session) -> list[str]:
    """What stands on the pipeline's tables and may change, refuse or hide their rows, in words; inside a transaction."""
    return [row["what"] for row in session.rows(ON_TABLES, tables=[*contract.names().required_tables])]


def refuse_cascades(session: Session) -> None:
    """Raises where deleting would silently change rows of other tables; inside a transaction."""
    names = contract.names()
    emptied = [names.bronze, names.etl_ledger, names.transactions, names.line_items]
    found = session.rows(CASCADES, emptied=emptied, lines=names.line_items)
    if found:
        what = ", ".join(f"{row['table']} ({row['name']})" for row in found)
        raise NotConverged(
            "refused to move anything",
            on=session.where,
            said=f"deleting would cascade into tables whose rows are not saved first: {what}",
            next_step="make these foreign keys NO ACTION, or move those rows first",
        )


def has_triggers(session: Session) -> bool:
    """Whether users have triggers on the tables of a move; inside a transaction."""
    return session.row(TRIGGERS, tables=[*contract.names().required_tables])["some"]
