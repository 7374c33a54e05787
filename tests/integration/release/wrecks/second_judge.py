# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What postgres-ddl says of a database: it reads the catalog in its own way, and nobody here or at PostgreSQL has written it.

Of the wrecks of the table it sees five in six; it knows nothing of enums, domains, comments on constraints, and statistics.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from psycopg.conninfo import conninfo_to_dict

with warnings.catch_warnings():
    # Its regular expressions are no raw strings, which is said when they are compiled.
    warnings.simplefilter("ignore", SyntaxWarning)
    from postgres_ddl.Config import Config
    from postgres_ddl.Database import Database

NAME = "wreck"
#: It writes those that nobody has touched otherwise than the same ones granted, which pg_dump tells to be equal.
OF_ROUTINES = re.compile(r"(GRANT|REVOKE) .* ON (FUNCTION|PROCEDURE) ")


def judged(dsn: str, *without: str) -> dict[str, list[str]]:
    """Its statements by object, lines in an order that no history can tell; but for those of some schemas."""
    at = conninfo_to_dict(dsn)
    # It asks for a password, which the server does not.
    asked = {
        "host": at["host"],
        "port": at["port"],
        "database": at["dbname"],
        "username": at["user"],
        "password": "none",
    }
    Config.Connects = {NAME: asked}
    Config.SchemasExclude = ["information_schema", "pg_catalog", "scout_ops", *without]
    database: Any = Database(NAME)
    database.Parse()
    return {key: _lines(each.DDL_Create()) for key, each in database.Objects.items()}


def _lines(text: str) -> list[str]:
    lines = [line.strip().rstrip(",;") for line in text.splitlines()]
    return sorted(line for line in lines if not OF_ROUTINES.match(line))
