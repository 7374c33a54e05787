# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that what comes back forbids: checks of tables and of domains, unique indexes, exclusion constraints.

Their expressions are those of the release. They are evaluated only where they call nothing that somebody else has written: a look
at rows runs with the rights of the operator."""

from __future__ import annotations

import functools
import typing as t

from ...postgres.driver import sql
from ...scout.judging import roles
from ...scout.row_images import named
from ..ddl.statement import printed
from ..planner import attributes
from . import definitions, expressions
from .definitions import parts
from .looks import Read, counted, key_of, number, obstacle, sample_of
from .situation import Obstacle

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...postgres.session import Session
    from ..catalog.entries import Entry
    from .situation import Situation

#: What an expression may need without calling what others wrote.
HARMLESS: t.Final = ("column", "table", "schema", "enum", "composite", "collation", "extension", "constraint", "index")
#: The rows of a table as they will be: columns by their names and types in the capture.
ROWS: t.Final = """(
    SELECT {sample} AS scout_recovery_sample, r.tableoid AS scout_recovery_table, r.ctid AS scout_recovery_place{columns} FROM {table} AS r
) AS {own}"""
SAMPLE: t.Final = sql.SQL("scout_recovery_sample")
#: Groups of rows that are the same, by two of their keys: what is the same may be anybody's.
TWICE: t.Final = """(
    SELECT concat_ws(' and ', min(sample), nullif(max(sample), min(sample))) AS sample
    FROM (SELECT {sample} AS sample, {values} FROM {rows} WHERE {some}) AS e
    WHERE {known} GROUP BY {groups} HAVING count(*) > 1
) AS g"""
#: Pairs of rows of which neither may be there with the other.
PAIRS: t.Final = """
(SELECT {values} FROM {rows} WHERE {some}) AS e JOIN (SELECT {values} FROM {rows} WHERE {some}) AS f
ON {conflict} AND (e.scout_recovery_table, e.scout_recovery_place) < (f.scout_recovery_table, f.scout_recovery_place)
"""
CALLS: t.Final = " because it calls what others have written ({what}), which nobody does to look; a rehearsal with rehearse_rows shows it"


def reads(found: Situation) -> Iterator[Read]:
    """All that has to be looked at."""
    for key in sorted(found.wanted):
        entry, there = found.wanted[key], found.now(key)
        if key not in found.keys:
            continue
        if entry.kind in ("constraint", "index") and not _stands(entry, there):
            yield from _of_table(found, entry)
        elif entry.kind == "domain" and there is not None:
            yield from _of_domain(found, entry, there)


def _stands(entry: Entry, there: Entry | None) -> bool:
    """Whether it holds today in the same words."""
    same = there is not None and there.facts.get("definition") == entry.facts.get("definition")
    return same and there is not None and there.facts.get("validated", True) is not False


def _of_table(found: Situation, entry: Entry) -> Iterator[Read]:
    definition, table = str(entry.facts.get("definition", "")), str(entry.facts.get("table", ""))
    names = [
        parts(need.partition(":")[2])[-1] for need in entry.needs if need.startswith("column:") and _is_of(need, table)
    ]
    now = found.now(f"table:{table}")
    if now is None or now.facts.get("foreign") or (names and found.standing(table, names) is None):
        return
    ask = None
    if check := expressions.check(definition):
        ask = functools.partial(_check, found=found, entry=entry, check=check) if check.holds else None
    elif unique := expressions.unique_index(definition):
        ask = functools.partial(_twice, found=found, entry=entry, unique=unique)
    elif exclusion := expressions.exclusion(definition):
        ask = functools.partial(_pairs, found=found, entry=entry, exclusion=exclusion)
    if ask:
        yield Read(entry.key, table, ask)


def _is_of(column: str, table: str) -> bool:
    return parts(column.partition(":")[2])[:-1] == parts(table)


def _called(session: Session, found: Situation, entry: Entry) -> str | None:
    """Why its expressions are not evaluated; None where they call nobody else's code."""
    others: list[str] = []
    for need in entry.needs:
        now = found.live.get(found.was.get(need, need))
        owner = now.owner if now else None
        ours = owner is not None and (owner == session.facts.role or _is_superuser(session, owner))
        if need.partition(":")[0] not in HARMLESS and not ours:
            others.append(need.replace(":", " ", 1))
    return CALLS.format(what=", ".join(others)) if others else None


def _is_superuser(session: Session, role: str) -> bool:
    return roles.mighty(session, [role]).get(role, "").startswith("superuser ")


def _rows(found: Situation, table: str, *, alone: bool = False) -> sql.Composed:
    """The rows of a table, as an item of FROM that is called as the table is in the capture."""
    columns: list[sql.Composable] = []
    for column in found.columns_of(table):
        name = parts(column.name)[-1]
        if (there := found.standing(table, [name])) and (now := found.now(column.key)):
            value = named("r", there[0])
            before, after = str(now.facts["type"]), str(column.facts["type"])
            if before != after and definitions.typed(before) and definitions.typed(after):
                value = sql.SQL("{}::{}").format(value, printed(after))
            columns.append(sql.SQL(", {} AS {}").format(value, named(name)))
    at = named(*found.place(table))
    return sql.SQL(ROWS).format(
        sample=sample_of(key_of(found, table)),
        columns=sql.SQL("").join(columns),
        table=sql.SQL("ONLY {}").format(at) if alone else at,
        own=named(parts(table)[-1]),
    )


def _said(expression: str) -> sql.Composable:
    """An expression of PostgreSQL's in a query with placeholders."""
    return printed(expression.replace("%", "%%"))


def _check(session: Session, *, found: Situation, entry: Entry, check: expressions.Check) -> Obstacle | str | None:
    if not_run := _called(session, found, entry):
        return not_run
    table = str(entry.facts["table"])
    wrong = sql.SQL("({}) IS FALSE").format(_said(check.expression))
    row = counted(session, SAMPLE, _rows(found, table, alone=check.alone), wrong)
    what = f"{number(row)} that {_called_as(entry)} forbids, {entry.facts['definition']}"
    return obstacle(row, "violation", entry.key, table, what, f"change these rows of {table}")


def _twice(session: Session, *, found: Situation, entry: Entry, unique: expressions.Unique) -> Obstacle | str | None:
    if not_run := _called(session, found, entry):
        return not_run
    table = str(entry.facts["table"])
    names = [f"e{number}" for number, _ in enumerate(unique.elements)]
    values = [
        sql.SQL("{} AS {}").format(_said(each), named(name)) for name, each in zip(names, unique.elements, strict=True)
    ]
    columns = [expressions.column(each) for each in unique.elements]
    known = [sql.SQL("{} IS NOT NULL").format(named("e", name)) for name in names]
    source = sql.SQL(TWICE).format(
        sample=SAMPLE,
        values=sql.SQL(", ").join(values),
        rows=_rows(found, table),
        some=_said(unique.some or "true"),
        known=sql.SQL("true") if unique.nulls_count else sql.SQL(" AND ").join(known),
        groups=sql.SQL(", ").join(named("e", name) for name in names),
    )
    row = counted(session, sql.SQL("g.sample"), source, sql.SQL("true"))
    groups = f"has {number(row, 'value')} of {', '.join(columns)} more than once, which {_called_as(entry)} forbids"
    return obstacle(row, "duplicates", entry.key, table, groups, f"leave one row of each in {table}")


def _pairs(
    session: Session, *, found: Situation, entry: Entry, exclusion: expressions.Exclusion
) -> Obstacle | str | None:
    if not_run := _called(session, found, entry):
        return not_run
    table = str(entry.facts["table"])
    named_values = [(f"e{place}", *each) for place, each in enumerate(exclusion.elements)]
    values = [sql.SQL("{} AS {}").format(_said(value), named(name)) for name, value, _ in named_values]
    both = (
        sql.SQL("{} {} {}").format(named("e", name), _said(operator), named("f", name))
        for name, _, operator in named_values
    )
    place = sql.SQL("scout_recovery_sample, scout_recovery_table, scout_recovery_place")
    source = sql.SQL(PAIRS).format(
        values=sql.SQL(", ").join([*values, place]),
        rows=_rows(found, table),
        some=_said(exclusion.some or "true"),
        conflict=sql.SQL(" AND ").join(both),
    )
    sample = sql.SQL("e.scout_recovery_sample || ' and ' || f.scout_recovery_sample")
    row = counted(session, sample, source, sql.SQL("true"))
    what = f"{number(row, 'pair')} of rows that {_called_as(entry)} forbids, {entry.facts['definition']}"
    return obstacle(row, "violation", entry.key, table, what, f"change one row of each pair in {table}")


def _called_as(entry: Entry) -> str:
    return entry.key.replace(":", " ", 1)


def _of_domain(found: Situation, domain: Entry, there: Entry) -> Iterator[Read]:
    """The columns that are of a domain which forbids more than today."""
    before, after = _constraints(there), _constraints(domain)
    has = {str(each["definition"]) for each in before.values()}
    checks = {
        name: expressions.check(str(each["definition"]))
        for name, each in after.items()
        if each["definition"] not in has
    }
    anew: dict[str, expressions.Check] = {name: each for name, each in checks.items() if each and each.holds}
    no_null = bool(domain.facts.get("not_null")) and not there.facts.get("not_null")
    if not (anew or no_null):
        return
    was, of_it = {now: key for key, now in found.was.items()}, attributes.columns_of(there.key, found.live)
    for column in found.live.values():
        key = was.get(column.key, column.key)
        table = column.table
        if (
            column.key not in of_it
            or ("drop", key) in found.steps
            or ("drop", was.get(f"table:{table}", f"table:{table}")) in found.steps
        ):
            continue
        ask = functools.partial(
            _of_column, found=found, domain=domain, there=there, column=column, checks=anew, no_null=no_null
        )
        yield Read(domain.key, table, ask)


def _of_column(
    session: Session,
    *,
    found: Situation,
    domain: Entry,
    there: Entry,
    column: Entry,
    checks: dict[str, expressions.Check],
    no_null: bool,
) -> Obstacle | str | None:
    table, kind = column.table, str(column.facts["type"])
    if kind != there.name and f"domain:{kind}" not in found.live:
        said = f"{_called_as(domain)} is in the values of {kind} in column {column.name}, where PostgreSQL adds no constraint to it"
        advice = f"have {column.name} dropped, or given a type without {domain.name} until this is done"
        return Obstacle("violation", domain.key, said, advice)
    if checks and (not_run := _called(session, found, domain)):
        return not_run
    wrong = [sql.SQL("({}) IS FALSE").format(_said(each.expression)) for each in checks.values()]
    wrong += [sql.SQL("value IS NULL")] if no_null else []
    source = sql.SQL("(SELECT {} AS scout_recovery_sample, {} AS value FROM {} AS r) AS d").format(
        sample_of(key_of(found, table)), named("r", parts(column.name)[-1]), named(*parts(table))
    )
    row = counted(session, SAMPLE, source, sql.SQL(" OR ").join(wrong))
    why = ", ".join([*sorted(checks), *(["NOT NULL"] if no_null else [])])
    what = f"{number(row)} whose {parts(column.name)[-1]} domain {domain.name} forbids ({why})"
    return obstacle(row, "violation", domain.key, table, what, f"change these values of {column.name}")


def _constraints(domain: Entry) -> dict[str, dict[str, t.Any]]:
    return domain.facts.get("constraints") or {}
