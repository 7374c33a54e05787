# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of published tables that a rollback restores or renames: a subscriber that lacks one stops at the next row."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...postgres.session import Session
    from ..catalog.entries import Entry
    from ..planner.plan import Plan

PUBLISHED: t.Final = """
SELECT pg_catalog.quote_ident(p.schemaname) || '.' || pg_catalog.quote_ident(p.tablename) AS name,
       pg_catalog.string_agg(DISTINCT p.pubname::text, ', ') AS publications
FROM pg_catalog.pg_publication_tables AS p
WHERE pg_catalog.quote_ident(p.schemaname) || '.' || pg_catalog.quote_ident(p.tablename) = ANY(%(tables)s::text[])
GROUP BY 1 ORDER BY 1
"""


def told(session: Session, plan: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> list[str]:
    """What has to be done on subscribers first, a line for each published table; inside the caller's transaction."""
    columns: dict[str, list[Entry]] = {}
    for step in plan.all_steps:
        entry = wanted.get(step.key)
        if entry is None or entry.kind != "column" or f"table:{entry.table}" not in live:
            continue
        if step.does == "rename" or (step.does == "create" and step.key not in live):
            columns.setdefault(entry.table, []).append(entry)
    return [
        f"{row['name']} is published ({row['publications']}): a subscriber without {_listed(columns[row['name']])} stops at the next row, "
        f"so there first: ALTER TABLE {row['name']} {', '.join(_added(each) for each in columns[row['name']])}"
        for row in session.rows(PUBLISHED, tables=sorted(columns))
    ]


def _listed(columns: list[Entry]) -> str:
    return ", ".join(each.own for each in columns)


def _added(column: Entry) -> str:
    return f"ADD COLUMN {column.own} {column.facts['type']}"
