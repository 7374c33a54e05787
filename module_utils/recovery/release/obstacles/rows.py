# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that a rollback would stumble over: labels in use, no value, duplicates, orphans, texts that are no number."""

from __future__ import annotations

import functools
import typing as t

from ...postgres.driver import sql
from ...scout.row_images import literal, named
from ..ddl import partitions
from ..ddl.statement import printed
from . import definitions
from .definitions import NUMBERS, TEXTS, WHOLE, parts
from .looks import Read, counted, key_of, number, obstacle, sample_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...postgres.session import Session
    from ..catalog.entries import Entry
    from .situation import Obstacle, Situation

#: Groups of rows that are the same, by two of their keys.
TWICE: t.Final = """(
    SELECT concat_ws(' and ', min({sample}), nullif(max({sample}), min({sample}))) AS sample
    FROM {table} AS r WHERE {some} GROUP BY {columns} HAVING count(*) > 1
) AS g"""
HIDDEN: t.Final = "SELECT coalesce(pg_catalog.row_security_active(pg_catalog.to_regclass(%(name)s)), false) AS hidden"


def reads(found: Situation, server_version: int) -> Iterator[Read]:
    """All that has to be looked at, each bounded and in a transaction that is READ ONLY."""
    for key in sorted(found.wanted):
        entry, there = found.wanted[key], found.now(key)
        match entry.kind:
            case "enum" if there is not None and ("create", key) in found.steps:
                yield from _labels(found, entry, there)
            case "column" if there is not None and not found.is_remade(key):
                yield from _column(found, entry, there, server_version)
            case "table" if key in found.filled and entry.facts.get("partition_of"):
                yield from _in_default(found, entry)
            case "constraint" if key in found.keys:
                yield from _constraint(found, entry, there)
            case _:
                pass


def hidden(session: Session, found: Situation, table: str) -> bool:
    """Whether a policy may hide rows of a table of the capture."""
    name = sql.Identifier(*found.place(table)).as_string()
    return session.row(HIDDEN, name=name)["hidden"]


def _labels(found: Situation, enum: Entry, there: Entry) -> Iterator[Read]:
    gone = [each for each in there.facts.get("labels") or () if each not in (enum.facts.get("labels") or ())]
    own = ((key, e, found.now(key)) for key, e in found.wanted.items() if e.kind == "column")
    for key, column, now in own if gone else ():
        if now is None or there.key not in now.needs or found.is_remade(key) or key in found.filled:
            continue
        table, name = column.table, parts(now.name)[-1]
        whole = found.now(f"table:{table}")
        if whole is None or whole.facts.get("partition_of"):
            continue
        value = sql.SQL("ARRAY[{}::text]")
        if str(now.facts["type"]).endswith("[]"):
            value = sql.SQL("{}::text[]")
        labels = sql.SQL(", ").join(map(literal, gone))
        wrong = sql.SQL("{} && ARRAY[{}]::text[]").format(value.format(named("r", name)), labels)
        shown = ", ".join(gone)
        yield _read(
            found, key, table, wrong, "labels", f"with a label of {enum.name} that goes ({shown})",
            f"give these rows another value of {column.name}",
        )  # fmt: skip


def _column(found: Situation, column: Entry, there: Entry, server_version: int) -> Iterator[Read]:
    table, name = column.table, parts(there.name)[-1]
    now = found.now(f"table:{table}")
    if now is None or now.facts.get("partition_of") or column.facts.get("generated") is not None:
        return
    if column.facts.get("not_null") and not there.facts.get("not_null") and column.key not in found.filled:
        wrong = sql.SQL("num_nulls({}) = 1").format(named("r", name))
        yield _read(
            found, column.key, table, wrong, "no_value", "without the value that they must have",
            f"give these rows a value of {column.name}",
        )  # fmt: skip
    # What was kept fills a column, and of the rest what fits.
    if column.facts["type"] != there.facts["type"] and column.key not in found.filled:
        wrong = unfit(name, str(there.facts["type"]), str(column.facts["type"]), server_version)
        if wrong is not None:
            yield _read(
                found, column.key, table, wrong, "cast", f"whose value is no {column.facts['type']}",
                f"change these values of {column.name}",
            )  # fmt: skip


def _in_default(found: Situation, part: Entry) -> Iterator[Read]:
    """Rows of the default partition that would have to be in one that comes back with its own."""
    own: dict[str, str] = part.facts["partition_of"]
    whole = found.wanted.get(f"table:{own['table']}")
    fits = partitions.fits(str(whole.facts.get("partition_key")), own["bound"]) if whole else None
    default = {"table": own["table"], "bound": partitions.DEFAULT}
    for e in found.wanted.values() if fits else ():
        if e.facts.get("partition_of") == default and found.now(e.key) is not None:
            if whole and "." in str(whole.facts["partition_key"]):
                # PostgreSQL writes a schema to all that is not its own.
                yield Read(part.key, e.name, _unread_key)
                continue
            yield _read(
                found, part.key, e.name, printed(fits or ""), "violation", f"for {part.name}, which comes back with its own",
                f"save these rows elsewhere, and take them out of {e.name}",
            )  # fmt: skip


def _unread_key(session: Session) -> str:
    """Why nothing was found out."""
    return f" because the key of its table may call what others have written, which role {session.facts.role} does not do to look"


def unfit(name: str, before: str, after: str, server_version: int) -> sql.Composable | None:
    """Which values of a column cannot become another type; None where only trying tells."""
    one, two = definitions.typed(before), definitions.typed(after)
    if one is None or two is None:
        return None
    value, text = named("r", name), sql.SQL("{}::text").format(named("r", name))
    number: sql.Composable = sql.SQL("{}::numeric").format(value)
    wrong: list[sql.Composable] = []
    if one.name in TEXTS and two.name not in TEXTS:
        if server_version >= 160000:
            return sql.SQL("NOT pg_catalog.pg_input_is_valid({}, {})").format(text, literal(after))
        if two.name not in definitions.LIKE:
            return None
        fits = sql.SQL("{} ~* {}").format(text, literal(definitions.LIKE[two.name]))
        wrong = [sql.SQL("NOT ({})").format(fits)]
        number = sql.SQL("CASE WHEN {} THEN {}::numeric END").format(fits, text)
    elif one.name not in NUMBERS:
        return None
    if two.name in WHOLE and WHOLE.get(one.name, 2**64) > WHOLE[two.name]:
        limit = WHOLE[two.name]
        bounds = (sql.SQL(t.cast("t.LiteralString", str(each))) for each in (-limit, limit - 1))
        wrong.append(sql.SQL("round({}) NOT BETWEEN {} AND {}").format(number, *bounds))
    elif two.name == "numeric" and two.digits is not None:
        limit = sql.SQL(t.cast("t.LiteralString", str(10 ** max(0, two.digits - two.behind))))
        behind = sql.SQL(t.cast("t.LiteralString", str(two.behind)))
        wrong.append(sql.SQL("abs(round({}, {})) >= {}").format(number, behind, limit))
    return sql.SQL(" OR ").join(wrong) if wrong else None


def _constraint(found: Situation, entry: Entry, there: Entry | None) -> Iterator[Read]:
    """A key or reference that does not hold today in the same words, and has to."""
    definition, table = str(entry.facts.get("definition", "")), str(entry.facts.get("table", ""))
    same = there is not None and there.facts.get("definition") == definition
    if same and there is not None and there.facts.get("validated", True) is not False:
        return
    if unique := definitions.unique(definition):
        columns = found.standing(table, unique.columns)
        if columns:
            ask = functools.partial(_twice, found=found, entry=entry, table=table, columns=columns, unique=unique)
            yield Read(entry.key, table, ask)
    elif entry.facts.get("type") == "foreign key" and entry.facts.get("validated", True):
        refers = definitions.reference(definition)
        columns = found.standing(table, refers.columns) if refers else None
        others = found.standing(refers.table, refers.there) if refers else None
        if refers and columns and others:
            yield _orphans(found, entry, columns, refers.table, others)


def _orphans(found: Situation, key: Entry, columns: list[str], to: str, others: list[str]) -> Read:
    table = str(key.facts["table"])
    pairs = zip(columns, others, strict=True)
    wrong = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS p WHERE {})").format(
        sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(named("r", each)) for each in columns),
        named(*found.place(to)),
        sql.SQL(" AND ").join(sql.SQL("{} = {}").format(named("p", b), named("r", a)) for a, b in pairs),
    )
    return _read(
        found, key.key, table, wrong, "orphans", f"with no row in {to} to refer to",
        f"give {to} the rows that are missing, or change those of {table}",
    )  # fmt: skip


def _twice(
    session: Session, *, found: Situation, entry: Entry, table: str, columns: list[str], unique: definitions.Unique
) -> Obstacle | None:
    listed = [named("r", each) for each in columns]
    key = key_of(found, table) or (columns if entry.facts.get("type") == "primary key" else [])
    source = sql.SQL(TWICE).format(
        sample=sample_of(key),
        table=named(*found.place(table)),
        some=sql.SQL(" AND ").join(
            [sql.SQL("{} IS NOT NULL").format(each) for each in listed] if not unique.nulls_count else [sql.SQL("true")]
        ),
        columns=sql.SQL(", ").join(listed),
    )
    row = counted(session, sql.SQL("g.sample"), source, sql.SQL("true"))
    which = entry.key.replace(":", " ", 1)
    groups = f"has {number(row, 'value')} of {', '.join(columns)} more than once, which {which} forbids"
    return obstacle(row, "duplicates", entry.key, table, groups, f"leave one row of each in {table}")


def _read(found: Situation, key: str, table: str, wrong: sql.Composable, kind: str, what: str, next_step: str) -> Read:
    def ask(session: Session) -> Obstacle | None:
        source = sql.SQL("{} AS r").format(named(*found.place(table)))
        row = counted(session, sample_of(key_of(found, table)), source, wrong)
        return obstacle(row, kind, key, table, f"{number(row)} {what}", next_step)

    return Read(key, table, ask)
