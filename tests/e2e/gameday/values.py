# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every value of every table of the pipeline, so that an undo can be held to what it says: exactly as it was."""

from __future__ import annotations

import typing as t
from collections import Counter

from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle
from tests.e2e.gameday import ground

#: What is computed from other tables (gold) follows from them, and is no value of its own.
TABLES: t.Final = """
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'scout'::regnamespace AND c.relkind IN ('r', 'f') ORDER BY 1
"""
#: Tables of which only a playbook takes rows, and never the pipeline or the people of a round.
TAKEN_FROM: t.Final = ("bronze_events", "silver_transactions")
FEW: t.Final = 3

#: The rows of each table, as text, each with how often it is there.
Values = dict[str, Counter[str]]


def look(dsn: str) -> Values:
    """As they are now, in one snapshot."""
    with ground.connect(dsn, oracle.EXACTLY) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        names: list[str] = [name for (name,) in connection.execute(TABLES).fetchall()]
        return {
            name: Counter(
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier("scout", name))
                ).fetchall()
            )
            for name in names
        }


def differences(before: Values, after: Values) -> str:
    """What is there before and not after, and the other way round; empty where nothing is."""
    said: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, Counter()), after.get(name, Counter())
        said += [f"{name} lacks {row}" for row in list((was - now).elements())[:FEW]]
        said += [f"{name} has {row}" for row in list((now - was).elements())[:FEW]]
    return "; ".join(each[:200] for each in said[: 2 * FEW])


def not_back(before: Values, between: Values, after: Values) -> str:
    """Rows that were taken in between, and are not there as they were afterwards.

    A row that only differs in between was loaded once more by the pipeline, for a later event of the same sale.
    """
    said: list[str] = []
    for name in TAKEN_FROM:
        there, now = {_key(row) for row in between.get(name, ())}, after.get(name, Counter())
        lacks = [row for row in before.get(name, ()) if _key(row) not in there and row not in now]
        said += [f"{name} lacks {row}" for row in lacks[:FEW]]
    return "; ".join(each[:200] for each in said)


def _key(row: str) -> str:
    """The first column, which is the primary key of both tables."""
    return row.partition(",")[0]
