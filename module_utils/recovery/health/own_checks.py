# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The team's own checks as data, `gate_checks`, and how many rows each finds; an unreadable one is unknown, and never a pass."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..core.errors import BadInput
from ..moves.cleanup import rules
from ..postgres.driver import sql
from ..postgres.read_budget import Budget
from ..scout import contract
from ..scout.judging import predicates
from . import thresholds

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.session import Row, Session

SEVERITIES: t.Final = ("fail", "warn", "info")
MOST: t.Final = 50
#: Names that results have for something else.
TAKEN: t.Final = frozenset({*thresholds.TABLE, "ingestion", "smoke_test"})
LEAST_SECONDS: t.Final = 0.05

#: Of the row by its alias: its key, and when it last changed. The start is of the transaction, so that an index can be used.
ROWS: t.Final[dict[str, tuple[t.LiteralString, t.LiteralString]]] = {
    "t": ("t.transaction_id", "(t.processed_at >= {since} OR t.updated_at >= {since})"),
    "l": ("l.line_id::text", "l.updated_at >= {since}"),
    "b": ("b.event_id::text", "b.ingested_at >= {since}"),
}
SINCE: t.Final = "now() - make_interval(hours => %(hours)s)"

#: A predicate stands where no aggregate, window or set may stand, and with a bound value, so that PostgreSQL itself takes one
#: statement only.
OF_ROWS: t.Final = """
SELECT count(*)::float8 AS found, (array_agg(left(key, 60)))[1:3] AS samples
FROM (SELECT {key} AS key FROM {table} AS {alias} WHERE {recent} AND ({predicate}) IS TRUE) AS wrong
"""
OF_THE_WHOLE: t.Final = """
SELECT count(*)::float8 AS found, NULL::text[] AS samples FROM (SELECT WHERE %(hours)s > 0 AND ({predicate}) IS TRUE) AS wrong
"""


@dataclasses.dataclass(frozen=True)
class OwnCheck:
    """A condition that is true for what is wrong: for a row of a table, or, without a table, for the database as a whole."""

    name: str
    predicate: str
    table: str | None = None
    ok: float = 0.0
    fail: float = 0.0
    severity: str = "fail"
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a check came to: how many rows it found, with some of their keys; None where that is unknown."""

    check: OwnCheck
    found: float | None = None
    samples: tuple[str, ...] = ()


KEYS: t.Final = tuple(field.name for field in dataclasses.fields(OwnCheck))


def parse(given: object) -> tuple[OwnCheck, ...]:
    """The checks as people write them. Raises BadInput, naming the value, for every mistake that needs no database to be seen."""
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        raise _refused("the checks", given, "they must be a list of dictionaries")
    entries = t.cast("Sequence[object]", given)
    if len(entries) > MOST:
        raise BadInput(f"{len(entries)} checks are too many", next_step=f"keep at most {MOST} in gate_checks")
    made: dict[str, OwnCheck] = {}
    for entry in entries:
        check = _one(entry)
        if check.name in made:
            raise _refused(f"check {check.name}", check.name, "two checks have this name")
        made[check.name] = check
    return tuple(made.values())


def read(session: Session, budget: Budget, checks: Sequence[OwnCheck], hours: int) -> tuple[Asked, ...]:
    """What each finds in the rows that changed within so many hours, on the caller's snapshot and within the budget, of which each
    gets an equal share of what is left; why one is unknown is in the budget's problems, by its name."""
    made: list[Asked] = []
    for place, check in enumerate(checks):
        share = Budget(session, max(LEAST_SECONDS, budget.left / (len(checks) - place)))
        row = share.read(check.name, functools.partial(_ask, check=check, hours=hours))
        budget.problems |= share.problems
        made.append(Asked(check, row["found"], tuple(row["samples"] or ())) if row else Asked(check))
    return tuple(made)


def _ask(session: Session, check: OwnCheck, hours: int) -> Row:
    if refusal := predicates.refused(session, check.predicate):
        said = "; ".join(part for part in refusal if part)
        raise BadInput(f"check {check.name} is not evaluated", said=said)
    predicate = sql.SQL(t.cast("t.LiteralString", check.predicate.replace("%", "%%")))
    if check.table is None:
        return session.row(sql.SQL(OF_THE_WHOLE).format(predicate=predicate), hours=hours)
    alias = rules.aliases()[check.table]
    key, recent = ROWS[alias]
    query = sql.SQL(OF_ROWS).format(
        key=sql.SQL(key),
        table=sql.Identifier(*check.table.split(".")),
        alias=sql.Identifier(alias),
        recent=sql.SQL(recent).format(since=sql.SQL(SINCE)),
        predicate=predicate,
    )
    return session.row(query, hours=hours)


def _one(entry: object) -> OwnCheck:
    if not isinstance(entry, dict):
        raise _refused("a check", entry, "it must be a dictionary")
    given = {str(key): value for key, value in t.cast("dict[object, object]", entry).items() if value is not None}
    name = given.get("name")
    if not isinstance(name, str) or not rules.NAME.fullmatch(name):
        raise _refused("a check's name", name, "it must be a lowercase letter and then at most 40 of a-z, 0-9 and _")
    where = f"check {name}"
    if name in TAKEN:
        raise _refused(where, name, "a built-in check has this name")
    for key in given:
        if key not in KEYS:
            raise _refused(where, key, f"this key is unknown; a check has {', '.join(KEYS)}")
    predicate = given.get("predicate")
    if predicate is None or (isinstance(predicate, str) and not predicate.strip()):
        raise _refused(where, predicate, "its predicate is missing: an SQL condition that is true for what is wrong")
    if why := predicates.unusable(predicate):
        raise _refused(f"predicate of {where}", predicate, why)
    severity = given.get("severity", "fail")
    if severity not in SEVERITIES:
        raise _refused(f"severity of {where}", severity, f"it must be {', '.join(SEVERITIES)}")
    ok = _number(f"ok of {where}", given.get("ok", 0))
    fail = _number(f"fail of {where}", given.get("fail", ok))
    if ok > fail:
        raise _refused(f"ok of {where}", given.get("ok"), f"it is above fail, which is {fail:g}")
    return OwnCheck(
        name,
        str(predicate).strip(),
        _table(where, given),
        ok,
        fail,
        str(severity),
        _message(where, given.get("message")),
    )


def _table(where: str, given: dict[str, object]) -> str | None:
    value = given.get("table")
    tables = rules.aliases()
    found = next((table for table in tables if value in (table, contract.bare(table))), None)
    if value is not None and found is None:
        known = ", ".join(map(contract.bare, tables))
        raise _refused(f"table of {where}", value, f"it must be one of {known}, or left out")
    return found


def _number(what: str, value: object) -> float:
    try:
        return thresholds.number(what, value)
    except BadInput:
        raise _refused(what, value, "it must be a number, 0 or more") from None


def _message(where: str, value: object) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else value or ""
    if not isinstance(text, str) or len(text) > rules.LONGEST_MESSAGE or not text.isprintable():
        raise _refused(
            f"message of {where}", value, f"it must be readable text of at most {rules.LONGEST_MESSAGE} characters"
        )
    return text


def _refused(what: str, value: object, why: str) -> BadInput:
    shown = repr(value)
    return BadInput(
        f"{what} {shown if len(shown) <= 200 else shown[:200] + '…'} is not usable",
        said=why,
        next_step="correct it in gate_checks",
    )
