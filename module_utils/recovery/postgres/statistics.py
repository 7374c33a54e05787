# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL knows of a table without reading it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .session import Session

ROWS = "SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_catalog.pg_class WHERE oid = to_regclass(%(name)s)"


def rows_of(session: Session, table: str) -> float:
    """How many rows a table has by its statistics; 0 where nobody has looked yet, or there is none of that name."""
    found = session.rows(ROWS, name=table)
    return found[0]["rows"] if found else 0.0
