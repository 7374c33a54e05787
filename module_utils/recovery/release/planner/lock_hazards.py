# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement of a rollback does to concurrent sessions: the strongest lock it takes on what is there, and what
that, or the statement itself, costs; pure. The locks are those of PostgreSQL's documentation, and tests compare
them with pg_locks."""

from __future__ import annotations

import re
import typing as t

#: From the weakest to the strongest, as pg_locks calls them.
LOCKS: t.Final = (
    "",
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
#: From here on nobody else can write.
BLOCKS_WRITES: t.Final = LOCKS.index("ShareLock")

NONE: t.Final = "none"
WRITES: t.Final = "blocks writes"
REWRITES: t.Final = "rewrites"
LOSES: t.Final = "loses data"


class Hazard(t.NamedTuple):
    """The lock by its name in pg_locks, empty where it is none, and one of none, blocks writes, rewrites, loses data."""

    lock: str
    effect: str


#: The first that fits counts: what a statement begins with, what else it says, the lock, and the effect beyond the lock's.
RULES: t.Final[tuple[tuple[str, str, str, str], ...]] = (
    (r"(GRANT|REVOKE|SET LOCAL ROLE|RESET ROLE|ALTER DEFAULT PRIVILEGES)\b", "", "", ""),
    (r"SELECT cron\.", "", "RowExclusiveLock", ""),
    (r"SELECT setval\(", "", "RowExclusiveLock", ""),
    (r"INSERT INTO .* SELECT ", "FROM scout_ops.protected_data AS d WHERE", "RowExclusiveLock", ""),
    (r"INSERT INTO .* SELECT ", "OVERRIDING SYSTEM VALUE", "AccessExclusiveLock", REWRITES),
    (r"(INSERT|UPDATE|DELETE)\b", "", "RowExclusiveLock", ""),
    (
        r"COMMENT ON (TABLE|COLUMN|VIEW|MATERIALIZED VIEW|INDEX|SEQUENCE|STATISTICS)\b",
        "",
        "ShareUpdateExclusiveLock",
        "",
    ),
    (r"COMMENT ON (CONSTRAINT|TRIGGER|POLICY|RULE)\b", "", "AccessExclusiveLock", ""),
    (r"(COMMENT|SECURITY LABEL) ", "", "ShareUpdateExclusiveLock", ""),
    (r"CREATE (UNIQUE )?INDEX\b", "", "ShareLock", ""),
    (r"CREATE STATISTICS\b", "", "ShareUpdateExclusiveLock", ""),
    (r"CREATE (OR REPLACE )?(CONSTRAINT )?TRIGGER\b", "", "ShareRowExclusiveLock", ""),
    (r"CREATE (OR REPLACE )?(RULE|VIEW)\b", "", "AccessExclusiveLock", ""),
    (r"CREATE POLICY\b", "", "AccessExclusiveLock", ""),
    (r"CREATE (UNLOGGED )?TABLE .*INHERITS", "", "ShareUpdateExclusiveLock", ""),
    (r"CREATE (MATERIALIZED VIEW)\b", "", "AccessShareLock", ""),
    (
        r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|CAST|OPERATOR|COLLATION)\b",
        "",
        "AccessShareLock",
        "",
    ),
    (r"(CREATE|DO)\b", "", "AccessExclusiveLock", ""),
    (r"DROP TABLE .* of before\"", "", "AccessExclusiveLock", ""),
    (r"DROP TABLE\b", "", "AccessExclusiveLock", LOSES),
    (r"DROP (ROUTINE|TYPE|DOMAIN|CAST|OPERATOR|COLLATION)\b", "", "AccessShareLock", ""),
    (r"DROP\b", "", "AccessExclusiveLock", ""),
    (r"REFRESH\b", "", "AccessExclusiveLock", ""),
    (r"ALTER INDEX .* SET STATISTICS", "", "ShareUpdateExclusiveLock", ""),
    (r"ALTER (STATISTICS|PUBLICATION)\b", "", "ShareUpdateExclusiveLock", ""),
    (r"ALTER TABLE .* DROP COLUMN ", "", "AccessExclusiveLock", LOSES),
    (r"ALTER TABLE (?>.*? ALTER COLUMN ).* TYPE ", "", "AccessExclusiveLock", REWRITES),
    (r"ALTER TABLE .* ADD COLUMN ", r"GENERATED|nextval|DEFAULT", "AccessExclusiveLock", REWRITES),
    (r"ALTER TABLE .* SET (LOGGED|UNLOGGED|TABLESPACE)", "", "AccessExclusiveLock", REWRITES),
    (r"ALTER SEQUENCE .* SET (LOGGED|UNLOGGED)", "", "AccessExclusiveLock", ""),
    (r"ALTER TABLE .* VALIDATE CONSTRAINT", "", "ShareRowExclusiveLock", ""),
    (r"ALTER TABLE (?>.*? ALTER COLUMN ).* SET STATISTICS", "", "ShareUpdateExclusiveLock", ""),
    (r"ALTER (ROUTINE|OPERATOR|COLLATION|SCHEMA)\b", "", "AccessShareLock", ""),
    (r"ALTER\b", "", "AccessExclusiveLock", ""),
)
COMPILED: t.Final = tuple(
    (re.compile(rf"\A(?:{start})", re.DOTALL), re.compile(also), lock, effect) for start, also, lock, effect in RULES
)


def judge(statement: str) -> Hazard:
    """The hazard of one statement; that of a statement nobody knows is the worst lock."""
    for start, also, lock, effect in COMPILED:
        if start.match(statement) and also.search(statement):
            blocks = LOCKS.index(lock) >= BLOCKS_WRITES
            return Hazard(lock, effect or (WRITES if blocks else NONE))
    return Hazard(LOCKS[-1], WRITES)


def worst(statements: t.Iterable[str]) -> Hazard:
    """The strongest lock and the worst effect of several."""
    order = (NONE, WRITES, REWRITES, LOSES)
    found = [judge(each) for each in statements]
    lock = max((each.lock for each in found), key=LOCKS.index, default="")
    return Hazard(lock, max((each.effect for each in found), key=order.index, default=NONE))
