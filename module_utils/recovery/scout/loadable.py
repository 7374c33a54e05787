# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events the ETL can load, the only definition: what it needs of an event and what it converts. Two projections: the
conversions themselves, which fail as the ETL would and say why, and a condition that never fails."""

from __future__ import annotations

import dataclasses
import typing as t

from ..postgres.driver import sql
from . import contract
from .row_images import COLUMNS, literal

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..postgres.session import Session

#: What the ETL takes for a sale; it passes over every other payload without a word.
SELLS = "jsonb_typeof({e}) = 'object' AND {e} ? 'transaction_id'"

#: The transaction an event is about, as the ETL reads it.
SALE: t.Final = """CASE WHEN {b}.event_type = {transaction_event} AND jsonb_typeof({b}.event_data) = 'object'
    THEN {b}.event_data ->> 'transaction_id' END"""

#: What keeps a sale from being stored, each with its words.
LACKS: t.Final[tuple[tuple[t.LiteralString, str], ...]] = (
    ("{e} ->> 'transaction_id' IS NULL", "transaction_id is null"),
    ("{e} ->> 'store_id' IS NULL", "store_id is missing"),
    ("coalesce({e} ->> 'total_amount', {e} ->> 'net_amount') IS NULL", "neither total_amount nor net_amount is given"),
)
#: What keeps an item of it from being stored, and its words.
ITEM_LACKS: t.LiteralString = "item ->> 'product_id' IS NULL"
ITEM_LACKS_WORDS: t.Final = "an item has no product_id"


def sale(alias: str) -> sql.Composed:
    """The transaction an event `alias` is about, as the ETL reads it; NULL where it is about none."""
    return contract.compose(SALE, b=sql.Identifier(alias))


@dataclasses.dataclass(frozen=True)
class _Conversion:
    """A value the ETL converts: of several keys only the first that is given, to the type of the column of that name, or this
    one. Where it is `clamped`, a number below 0 becomes 0 before it has to fit."""

    keys: tuple[str, ...]
    type: str = "numeric(10,2)"
    clamped: bool = False


#: Of an event, and of its items.
CONVERTED: t.Final = (
    *(_Conversion((key,)) for key in ("total_amount", "net_amount", "discount_amount", "tax_amount")),
    _Conversion(("ts",), "timestamp with time zone"),
)
CONVERTED_ITEMS: t.Final = (
    _Conversion(("qty", "quantity"), "integer"),
    *(_Conversion((key,), clamped=True) for key in ("unit_price", "line_amount")),
)

#: Whether a text can be converted, on servers that cannot be asked (before PostgreSQL 16): narrower than what they accept.
SHAPES: t.Final[dict[str, t.LiteralString]] = {
    "integer": "({0} ~ '^\\s*[+-]?[0-9]{{1,9}}\\s*$')",
    "numeric": (
        "CASE WHEN {0} ~ '^\\s*[+-]?([0-9]{{1,20}}(\\.[0-9]{{0,20}})?|\\.[0-9]{{1,20}})\\s*$'"
        " THEN abs(round({0}::numeric, {scale})) < {limit}"
        " ELSE lower({0}) = 'nan' END"
    ),
    "timestamp with time zone": (
        "CASE WHEN {0} ~ '^[12][0-9]{{3}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{{1,6}})?)?(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?)?$'"
        " THEN substr({0}, 9, 2)::int <= extract(day FROM make_date(substr({0}, 1, 4)::int, substr({0}, 6, 2)::int, 1)"
        " + interval '1 month - 1 day') ELSE false END"
    ),
}

MALFORMED = """
{b}.event_type = {transaction_event} AND {sells} AND NOT coalesce(
    NOT ({lacks}) AND {converts}
    AND CASE WHEN NOT {e} ? 'items' THEN true
             WHEN jsonb_typeof({e} -> 'items') <> 'array' THEN false
             ELSE NOT EXISTS (
                 SELECT FROM jsonb_array_elements(
                     CASE WHEN jsonb_typeof({e} -> 'items') = 'array' THEN {e} -> 'items' ELSE '[]' END
                 ) AS item
                 WHERE {item_lacks} OR NOT ({items_convert})) END,
    false)
"""

PROBE = """
SELECT sum(converted), coalesce(jsonb_object_agg(event_id, problem) FILTER (WHERE problem IS NOT NULL), '{{}}') AS problems
FROM (
    SELECT b.event_id::text AS event_id, num_nonnulls({conversions}, i.lines) AS converted,
           CASE {lacks} WHEN i.lacking > 0 THEN {item_lacks_words} END AS problem
    FROM {source} AS b
    CROSS JOIN LATERAL (SELECT b.event_data AS e) AS event
    CROSS JOIN LATERAL (
        SELECT count(num_nonnulls({item_conversions})) AS lines, count(*) FILTER (WHERE {item_lacks}) AS lacking
        FROM jsonb_array_elements(CASE WHEN e ? 'items' THEN e -> 'items' ELSE '[]' END) AS item
    ) AS i
    WHERE b.event_id = ANY(%(ids)s::uuid[]) AND {sells}
) AS probed
"""


@dataclasses.dataclass(frozen=True)
class Types:
    """The types of silver's columns by name, of sales and of their lines."""

    sales: Mapping[str, str]
    lines: Mapping[str, str]


def types(session: Session) -> Types:
    """Those of this database."""
    names = contract.names()
    found: dict[str, dict[str, str]] = {names.transactions: {}, names.line_items: {}}
    for row in session.rows(COLUMNS, tables=[*found]):
        found[row["table"]][row["name"]] = row["type"]
    return Types(found[names.transactions], found[names.line_items])


def probe(known: Types, source: sql.Composable) -> sql.Composed:
    """A query of `source`, which has `event_id` and `event_data`, for those of `ids` that cannot be stored, in `problems`;
    raises what the first conversion raises that the ETL could not make."""
    e = sql.Identifier("e")
    whens = [sql.SQL("WHEN {} THEN {}").format(sql.SQL(lack).format(e=e), literal(words)) for lack, words in LACKS]
    return contract.compose(
        PROBE,
        source=source,
        sells=sql.SQL(SELLS).format(e=e),
        lacks=sql.SQL(" ").join(whens),
        item_lacks=sql.SQL(ITEM_LACKS),
        item_lacks_words=literal(ITEM_LACKS_WORDS),
        conversions=_conversions(CONVERTED, known.sales, e),
        item_conversions=_conversions(CONVERTED_ITEMS, known.lines, sql.Identifier("item")),
    )


def malformed(known: Types, server_version: int) -> sql.Composed:
    """Whether the event `b` is a sale that the ETL could not load, as a condition that is never NULL and never fails."""
    b, e = sql.Identifier("b"), sql.SQL("b.event_data")
    return contract.compose(
        MALFORMED,
        b=b,
        e=e,
        sells=sql.SQL(SELLS).format(e=e),
        lacks=sql.SQL(" OR ").join(sql.SQL(lack).format(e=e) for lack, _ in LACKS),
        converts=_valid(CONVERTED, known.sales, e, server_version),
        item_lacks=sql.SQL(ITEM_LACKS),
        items_convert=_valid(CONVERTED_ITEMS, known.lines, sql.Identifier("item"), server_version),
    )


def _values(conversion: _Conversion, holder: sql.Composable) -> list[sql.Composable]:
    return [sql.SQL("({} ->> {})").format(holder, literal(key)) for key in conversion.keys]


def _type(conversion: _Conversion, columns: Mapping[str, str]) -> str:
    return next((columns[key] for key in conversion.keys if key in columns), conversion.type)


def _conversions(
    conversions: Iterable[_Conversion], columns: Mapping[str, str], holder: sql.Composable
) -> sql.Composed:
    """Each conversion, as the ETL makes it."""
    made: list[sql.Composable] = []
    for each in conversions:
        kind = sql.SQL(t.cast("t.LiteralString", _type(each, columns)))
        cast = sql.SQL("greatest({}::numeric, 0)::{}" if each.clamped else "{}::{}")
        casts = [cast.format(value, kind) for value in _values(each, holder)]
        made.append(sql.SQL("coalesce({})").format(sql.SQL(", ").join(casts)))
    return sql.SQL(", ").join(made)


def _valid(
    conversions: Iterable[_Conversion], columns: Mapping[str, str], holder: sql.Composable, version: int
) -> sql.Composed:
    """Whether all of them can be made."""
    made: list[sql.Composable] = []
    for each in conversions:
        kind = _type(each, columns)
        cases = [
            sql.SQL("WHEN {} IS NOT NULL THEN {}").format(value, _converts(value, kind, version, clamped=each.clamped))
            for value in _values(each, holder)
        ]
        made.append(sql.SQL("CASE {} ELSE true END").format(sql.SQL(" ").join(cases)))
    return sql.SQL(" AND ").join(made)


def _converts(text: sql.Composable, kind: str, version: int, *, clamped: bool) -> sql.Composed:
    """Whether a text can become this type."""
    if version >= 160000:
        fits = sql.SQL("pg_input_is_valid({}, {})").format(text, literal(kind))
        below = sql.SQL("CASE WHEN pg_input_is_valid({0}, 'numeric') THEN {0}::numeric < 0 ELSE false END").format(text)
        return sql.SQL("({} OR {})").format(fits, below) if clamped else fits
    name, _, size = kind.removesuffix(")").partition("(")
    digits, _, scale = size.partition(",")
    limit = 10 ** (int(digits) - int(scale or 0)) if digits else 10**30
    shape = sql.SQL(SHAPES[name if name in SHAPES else "numeric"])
    return shape.format(text, limit=sql.Literal(limit), scale=sql.Literal(int(scale or 0) if digits else 20))
