# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that no part of the toolkit has a name for, each with what fixes it: only the next runs of the jobs tell."""

from __future__ import annotations

from typing import LiteralString

import psycopg

from .registry import fault
from .stuck_sessions import LOCK_TIMEOUT

#: What is done, and what undoes it.
UNNAMED: dict[str, tuple[tuple[LiteralString, ...], tuple[LiteralString, ...]]] = {
    "right_lost": (
        ("REVOKE ALL ON scout.silver_transactions FROM loader",),
        ("GRANT ALL ON scout.silver_transactions TO loader",),
    ),
    "trigger_refuses": (
        (
            """CREATE FUNCTION scout.not_today() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not today'; END $$""",
            """CREATE TRIGGER not_today BEFORE INSERT ON scout.silver_line_items
            FOR EACH ROW EXECUTE FUNCTION scout.not_today()""",
        ),
        ("DROP FUNCTION scout.not_today() CASCADE",),
    ),
    "table_renamed": (
        ("ALTER TABLE scout.dim_product RENAME TO dim_product_old",),
        ("ALTER TABLE scout.dim_product_old RENAME TO dim_product",),
    ),
}
NEEDED = ("role loader", "table scout.silver_transactions", "table scout.silver_line_items", "table scout.dim_product")


@fault(*NEEDED, what=tuple(UNNAMED))
def unnamed(dsn: str, what: str = "right_lost") -> None:
    """Something that nobody looks for keeps a job from its work."""
    _execute(dsn, UNNAMED[what][0])


@fault("role loader", "table scout.silver_line_items", what=tuple(UNNAMED))
def unnamed_fixed(dsn: str, what: str = "right_lost") -> None:
    """Somebody read what the reset said, and fixed what `unnamed` broke."""
    _execute(dsn, UNNAMED[what][1])


def _execute(dsn: str, statements: tuple[LiteralString, ...]) -> None:
    with psycopg.connect(dsn, application_name="fault", options=LOCK_TIMEOUT) as connection:
        for statement in statements:
            connection.execute(statement)
