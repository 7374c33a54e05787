# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Scout's materialized views say of some days, beside what silver says of them: each known figure is computed anew from silver,
by its name."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ..postgres.driver import sql
from . import contract, gold_contents, gold_views

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ..postgres.session import Row, Session
    from .gold_views import View

_OF_CAMPAIGN: t.Final = ("t.campaign_id IS NOT NULL", "t.campaign_influenced")


def _of_kind(kind: str) -> tuple[str, ...]:
    of = f"FILTER (WHERE t.customer_type::text = '{kind}')"
    return f"count(*) {of}", f"count(DISTINCT t.customer_id) {of}"


def _at(time_of_day: str) -> tuple[str, ...]:
    of = f"FILTER (WHERE t.time_of_day::text = '{time_of_day}')"
    return tuple(f"sum(t.{column}) {of}" for column in ("total_amount", "net_amount"))


#: What a column shows of the sales `t` of a day, or of one store or region on it, and of their lines `l`. Where deployments differ,
#: each way in which they do: all days have to agree in one.
FIGURES: t.Final[dict[str, tuple[str, ...]]] = {
    "transaction_count": ("count(*)",),
    "txn_count": ("count(*)",),
    "total_sales": ("sum(t.total_amount)",),
    "total_discount": ("sum(t.discount_amount)",),
    "total_tax": ("sum(t.tax_amount)",),
    "net_sales": ("sum(t.net_amount)",),
    "peso_total": ("sum(t.peso_value)", "sum(t.total_amount)"),
    "unique_customers": ("count(DISTINCT t.customer_id)",),
    "new_customers": _of_kind("new"),
    "returning_customers": _of_kind("returning"),
    "vip_customers": _of_kind("vip"),
    "units_sold": ("max(l.units)",),
    "unique_products_sold": ("max(l.products)",),
    "avg_basket_size": ("avg(t.basket_size)", "avg(t.item_count)", "avg(t.unique_products)", "max(l.units) / count(*)"),
    "avg_transaction_value": ("avg(t.total_amount)", "avg(t.net_amount)"),
    "morning_sales": _at("morning"),
    "afternoon_sales": _at("afternoon"),
    "evening_sales": _at("evening"),
    "night_sales": _at("night"),
    "campaign_transactions": tuple(f"count(*) FILTER (WHERE {of})" for of in _OF_CAMPAIGN),
    "campaign_sales": tuple(f"sum(t.total_amount) FILTER (WHERE {of})" for of in _OF_CAMPAIGN),
    "campaign_effectiveness": tuple(
        f"{percent} * {part} FILTER (WHERE {of}) / nullif({whole}, 0)"
        for percent in ("100.0", "1.0")
        for of in _OF_CAMPAIGN
        for part, whole in (("count(*)", "count(*)"), ("sum(t.total_amount)", "sum(t.total_amount)"))
    ),
    "active_stores": ("count(DISTINCT t.store_id)",),
    "revenue_per_capita": ("sum(t.total_amount)", "sum(t.net_amount)", "sum(t.peso_value)"),
}
#: Parts of one figure, which are all made in the same one of these ways.
TOGETHER: t.Final = ("morning_sales", "afternoon_sales", "evening_sales", "night_sales")
#: What is shown by head, and the column of the view that says of how many.
BY_HEAD: t.Final = {"revenue_per_capita": "population"}
#: Those that add up over the rows of a day.
ADD_UP: t.Final = ("transaction_count", "txn_count", "total_sales", "net_sales", "peso_total")
#: The column by which a view divides a day, and what has the same of a sale: in one deployment the region of the sale, in another the
#: one of its store.
DIVIDED_BY: t.Final[dict[str, tuple[str, ...]]] = {"store_id": ("t.store_id",), "region_name": ("t.region", "s.region")}
#: Sales of regions that the dimension does not name are shown all together.
REGIONS: t.Final = "dim_region"
STORES: t.Final = "dim_store"
NAMED: t.Final = "EXISTS (SELECT FROM {regions} AS r WHERE r.region_name = t.scout_key)"
SHOWN: t.Final = "EXISTS (SELECT FROM shown_parts AS r WHERE r.key = t.scout_key)"
OF_STORE: t.Final = "LEFT JOIN {stores} AS s ON s.store_id = t.store_id"

OF_SILVER: t.Final = re.compile(r"\bt\.(\w+)")
NUMBERS: t.Final = ("int2", "int4", "int8", "numeric", "float4", "float8")

COLUMNS = """
SELECT a.attname::text AS name, y.typname::text AS type, y.typnamespace = 'pg_catalog'::regnamespace AS builtin
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(name)s) AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
"""
#: The latest days on which there were sales.
DAYS: t.LiteralString = """
WITH RECURSIVE latest (day, nth) AS (
    SELECT max(date_key), 1 FROM {transactions} WHERE date_key < current_date + 2
    UNION ALL
    SELECT (SELECT max(date_key) FROM {transactions} AS s WHERE s.date_key < latest.day), nth + 1
    FROM latest WHERE latest.day IS NOT NULL AND nth < %(among)s
)
"""
LATEST = DAYS + "SELECT day::text AS day FROM latest WHERE day IS NOT NULL ORDER BY 1"  # noqa: S608  # made of literals alone
MOST_DAYS: t.Final = 2
#: Those of the latest days whose sales are all as old as that, the latest first.
SETTLED: t.LiteralString = f"""{DAYS}SELECT day::text AS day FROM latest
WHERE day::text <> ALL(%(moved)s::text[])
  AND NOT EXISTS (SELECT FROM {{transactions}} AS t WHERE t.date_key = day AND greatest(t.processed_at, t.updated_at) > %(before)s)
  AND NOT EXISTS (SELECT FROM {{transactions}} AS t JOIN {{line_items}} AS i USING (transaction_id)
                  WHERE t.date_key = day AND i.updated_at > %(before)s)
ORDER BY 1 DESC LIMIT %(most)s
"""  # noqa: S608  # made of literals alone
AMONG_DAYS: t.Final = 8
#: Between which days a view has rows.
ENDS = "SELECT min({day}::date)::text AS first, max({day}::date)::text AS last FROM {view}"
#: The key of a whole day.
ALL: t.Final = sql.SQL("''::text")
#: By what a sale belongs to a part of its day.
SALE_KEY: t.Final = sql.SQL("t.scout_key")

#: Of each day: what a view shows of it, and its sales, once for all that is compared.
BESIDE = """
WITH source AS MATERIALIZED (
    {source}
), sales AS MATERIALIZED (
    SELECT t.*, {there_key} AS scout_key FROM {transactions} AS t {more} WHERE t.date_key = ANY(%(days)s::date[])
), {levels}
SELECT level, name, way, count(*) AS rows, (array_agg(jsonb_build_array(day, key, shown, there) ORDER BY day DESC, key))[1] AS first
FROM ({compared}) AS every
WHERE shown IS DISTINCT FROM there AND (abs(shown - there) <= 1e-9 * greatest(1e-3, abs(there))) IS NOT TRUE
GROUP BY 1, 2, 3
"""
#: What is shown of each day in one row, or of each part of it where it has one row, what silver has of the same, and how often they
#: are not equal. A view may round, which the scale of its figures tells; floats are not exact.
LEVEL = """
{shown_here} AS (
    SELECT {day} AS day, {shown_key} AS key, count(*) AS rows, {shown} FROM source GROUP BY 1, 2
), {there_here} AS (
    SELECT t.date_key AS day, {sale_key} AS key, {there} FROM sales AS t {lines} WHERE {known} GROUP BY 1, 2
), {compared_here} AS (
    SELECT {level} AS level, day, key, name, way, s.value AS shown, t.value AS there
    FROM (SELECT day, key, n.name, n.way, n.shown AS value, n.there AS other
          FROM {shown_here} AS s {join} {there_here} AS t USING (day, key)
          CROSS JOIN LATERAL (VALUES {pairs}) AS n (name, way, shown, there)
          WHERE {once}) AS s
    CROSS JOIN LATERAL (SELECT round(coalesce(s.other, 0), least(greatest(scale(s.value), 0), 100)) AS value) AS t
)"""

#: What is asked of the lines of a day, or of a part of it, only where a figure is made of them: there are more of them than sales.
LINES = """
LEFT JOIN (
    SELECT t.date_key AS day, {sale_key} AS key, sum(i.quantity) AS units, count(DISTINCT i.product_id) AS products
    FROM sales AS t JOIN {line_items} AS i USING (transaction_id) GROUP BY 1, 2
) AS l ON l.day = t.date_key AND l.key = {sale_key}
"""
OF_LINES: t.Final = re.compile(r"\bl\.")


@dataclasses.dataclass(frozen=True)
class _Level:
    """What is compared: days, or the parts of days. Its name, the key of a row of the view and of a sale, the figures as they are shown,
    the ways in which silver may have them, how rows are joined, which of them are compared, and which sales."""

    name: str
    shown_key: sql.Composable
    sale_key: sql.Composable
    shown: Mapping[str, sql.Composable]
    ways: Mapping[str, list[str]]
    join: t.LiteralString
    once: t.LiteralString
    known: sql.Composable

    def here(self, what: str) -> sql.Identifier:
        """A name of the statement that is this level's."""
        return sql.Identifier(f"{what}_{self.name}")


class Computed(t.NamedTuple):
    """What views say otherwise than silver, in words, and the days that all of them were asked of."""

    told: list[str]
    days: list[str]


def unlike_silver(session: Session, found: Iterable[View], days: Iterable[str], *, defined: bool = False) -> list[str]:
    """What views that show all sales of a day say of these days otherwise than silver does, in words, a line for each store, region or
    day; with `defined`, what they would say after a refresh, as far as only code that is trusted tells that. Inside a transaction."""
    told, given = list[str](), list(days)
    silver = columns(session, contract.names().transactions)
    for each in found:
        if (each.foreign_code if defined else not each.populated) or not given:
            continue
        kinds = columns(session, each.full_name)
        # A type of others may have a cast of others.
        view = dataclasses.replace(each, columns=tuple(name for name in each.columns if kinds.get(name)))
        counted = gold_views.counted(view, of_some_days=True)
        here = _within(session, view, counted[0], given) if counted and gold_views.waits(view) else given
        if counted is None or not here:
            continue
        numbers = {name for name, kind in kinds.items() if kind in NUMBERS}
        ways = {
            name: [way for way in FIGURES[name] if set(OF_SILVER.findall(way)) <= silver.keys()]
            for name in FIGURES.keys() & numbers
            if f"{view.full_name}.{name}" not in contract.names().partial_views
        }
        source = _definition(view) if defined else sql.Identifier(contract.names().schema, view.name)
        told += _of_view(session, view, (source, counted[0]), ways, here)
    return told


def _within(session: Session, view: View, day: str, days: list[str]) -> list[str]:
    """Those of the days that are neither the first nor the last one that a view shows, which it may show a part of."""
    if not view.populated:
        return []
    shown = {"view": sql.Identifier(contract.names().schema, view.name), "day": sql.Identifier(day)}
    ends = session.row(contract.compose(ENDS, **shown))
    return [each for each in days if ends["first"] is not None and ends["first"] < each < ends["last"]]


def of_latest_days(session: Session, found: Iterable[View]) -> list[str]:
    """What they would say so, after a refresh, of the latest days on which there were sales."""
    days = [row["day"] for row in session.rows(contract.compose(LATEST), among=MOST_DAYS)]
    return unlike_silver(session, found, days, defined=True)


def as_computed(
    session: Session,
    found: Iterable[View],
    *,
    still: tuple[float, float] | None,
    settled_seconds: float,
    moved: Callable[[datetime.datetime], Collection[str]],
) -> Computed | None:
    """What they say so as they were computed last, of the latest days that neither the ETL nor a move has changed since; no query of
    theirs is asked. None where that cannot be told of each. An ETL run that is in flight at a refresh shows an earlier time than it, by
    as much as `settled_seconds`, but for a refresh between the two moments (in seconds) when all was `still`."""
    told: list[str] = []
    of_all: list[str] | None = None
    for view in found:
        if not view.populated or gold_views.counted(view, of_some_days=True) is None:
            continue
        if (at := gold_views.refreshed_at(session, view)) is None:
            return None
        quiet = still is not None and still[0] <= at.timestamp() <= still[1]
        before = at - datetime.timedelta(seconds=0.0 if quiet else settled_seconds)
        values = {"moved": [*moved(at)], "before": before, "among": AMONG_DAYS, "most": MOST_DAYS}
        days = [row["day"] for row in session.rows(contract.compose(SETTLED), **values)]
        if not days:
            return None
        told += unlike_silver(session, [view], days)
        of_all = days if of_all is None else [each for each in of_all if each in days]
    return Computed(told, of_all or [])


def _definition(view: View) -> sql.Composable:
    # It stands in a query with placeholders.
    return sql.SQL("({})").format(gold_contents.written(view.definition.replace("%", "%%")))


def _of_view(
    session: Session, view: View, by: tuple[sql.Composable, str], ways: dict[str, list[str]], days: list[str]
) -> list[str]:
    """What does not add up of a day, else what is shown otherwise of a store or a region on it: in the first way in which sales belong to
    these that agrees, else in that with the fewest."""
    part = next((name for name in DIVIDED_BY if name in view.columns), "")
    keys = _keys(session, part)
    levels = [_days(ways), *([_parts(session, view, part, ways)] if keys else [])]
    told: list[list[str]] = []
    for key in keys or [(ALL, sql.SQL(""))]:
        wrong = _beside(session, by, key, [level for level in levels if level.ways], days)
        if said := _told(view, levels[0], wrong) if not told else []:
            return said
        told.append(_told(view, levels[-1], wrong))
        levels = levels[-1:]
        if not told[-1]:
            break
    return min(told, key=len)


def _days(ways: Mapping[str, list[str]]) -> _Level:
    """All rows that a view has of a day."""
    names = {name: ways[name] for name in ADD_UP if ways.get(name)}
    shown = {name: sql.SQL("sum({})::numeric").format(sql.Identifier(name)) for name in names}
    return _Level("days", ALL, ALL, shown, names, "FULL JOIN", "true", sql.SQL("true"))


def _parts(session: Session, view: View, part: str, ways: Mapping[str, list[str]]) -> _Level:
    """A store or a region on a day, or a day of which there is one row."""
    names = {name: found for name, found in ways.items() if found and BY_HEAD.get(name, name) in view.columns}
    shown_key = sql.SQL("coalesce({}::text, '')").format(sql.Identifier(part)) if part else ALL
    heads = [head for name, head in BY_HEAD.items() if name in names]
    shown = {
        name: sql.SQL("(array_agg({}))[1]::numeric").format(sql.Identifier(name))
        for name in dict.fromkeys([*names, *heads])
    }
    known = _known(session, part)
    return _Level("parts", shown_key, SALE_KEY, shown, names, "RIGHT JOIN", "coalesce(s.rows, 1) = 1", known)


def _keys(session: Session, part: str) -> list[tuple[sql.Composable, sql.Composable]]:
    """By what a sale may belong to a part of its day, each with what has to be joined for it."""
    if not part:
        return [(ALL, sql.SQL(""))]
    stores = sql.Identifier(contract.names().schema, STORES)
    known = {"t": columns(session, contract.names().transactions), "s": _of_dimension(session, STORES)}
    return [
        (
            sql.SQL("{}.{}").format(sql.Identifier(table), sql.Identifier(column)),
            sql.SQL(OF_STORE).format(stores=stores) if table == "s" else sql.SQL(""),
        )
        for table, column in (key.split(".") for key in DIVIDED_BY[part])
        if column in known[table]
    ]


def _of_dimension(session: Session, name: str) -> dict[str, str]:
    """The columns of a dimension that may be read; none where reading it would run code of others, as where somebody else has made
    what a deployment does not have."""
    full_name = f"{contract.names().schema}.{name}"
    return {} if gold_views.code_of_others(session, full_name) else columns(session, full_name)


def _known(session: Session, part: str) -> sql.Composable:
    """Which parts a view has to show."""
    if part != "region_name":
        return sql.SQL("true")
    schema = contract.names().schema
    there = "region_name" in _of_dimension(session, REGIONS)
    return sql.SQL(NAMED).format(regions=sql.Identifier(schema, REGIONS)) if there else sql.SQL(SHOWN)


def _beside(
    session: Session,
    by: tuple[sql.Composable, str],
    key: tuple[sql.Composable, sql.Composable],
    levels: Sequence[_Level],
    days: list[str],
) -> list[Row]:
    if not levels:
        return []
    source, day = by
    query = contract.compose(
        BESIDE,
        # Day by day: only a constant is taken to all that a view reads, and a view reads all of silver.
        source=sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT * FROM {} AS v WHERE v.{} = {}").format(source, sql.Identifier(day), sql.Literal(each))
            for each in days
        ),
        there_key=sql.SQL("coalesce({}::text, '')").format(key[0]),
        more=key[1],
        levels=sql.SQL(", ").join(_composed(level, day) for level in levels),
        compared=sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT * FROM {}").format(level.here("compared")) for level in levels
        ),
    )
    with session.savepoint():
        session.execute(gold_contents.BY_INDEX)
        rows = session.rows(query, days=days)
        session.execute(gold_contents.AS_USUAL)
    return rows


def _composed(level: _Level, day: str) -> sql.Composed:
    every = [(name, nth, way) for name, ways in level.ways.items() for nth, way in enumerate(ways)]
    pairs: list[sql.Composable] = []
    for at, (name, nth, _) in enumerate(every):
        other = sql.SQL("t.{}").format(sql.Identifier(f"w{at}"))
        if head := BY_HEAD.get(name):
            other = sql.SQL("{} / nullif(s.{}, 0)").format(other, sql.Identifier(head))
        value = sql.SQL("coalesce(s.{}, 0)").format(sql.Identifier(name))
        pairs.append(sql.SQL("({}, {}, {}, {})").format(sql.Literal(name), sql.Literal(nth), value, other))
    there = [
        sql.SQL("({})::numeric AS {}").format(sql.SQL(t.cast("t.LiteralString", way)), sql.Identifier(f"w{at}"))
        for at, (_, _, way) in enumerate(every)
    ]
    shown = [sql.SQL("{} AS {}").format(how, sql.Identifier(name)) for name, how in level.shown.items()]
    of_lines = any(OF_LINES.search(way) for _, _, way in every)
    return contract.compose(
        LEVEL,
        **{f"{what}_here": level.here(what) for what in ("shown", "there", "compared")},
        lines=contract.compose(LINES, sale_key=level.sale_key) if of_lines else sql.SQL(""),
        level=sql.Literal(level.name),
        day=sql.Identifier(day),
        shown_key=level.shown_key,
        sale_key=level.sale_key,
        shown=sql.SQL(", ").join(shown),
        there=sql.SQL(", ").join(there),
        pairs=sql.SQL(", ").join(pairs),
        join=sql.SQL(level.join),
        once=sql.SQL(level.once),
        known=level.known,
    )


def _told(view: View, level: _Level, rows: Sequence[Row]) -> list[str]:
    """`gold_daily of 2026-11-25, S-103: total_sales 100.00 instead of 140.00`, of each figure that agrees in no way."""
    told: dict[str, list[str]] = {}
    names, here = level.ways, [row for row in rows if row["level"] == level.name]
    wrong = {name: {row["way"]: row for row in here if row["name"] == name} for name in names}
    together = [name for name in TOGETHER if name in names]
    both = range(min((len(names[name]) for name in together), default=0))
    usual = max(both, key=lambda way: sum(way not in wrong[name] for name in together), default=0)
    for name, ways in names.items():
        possible = (usual,) if name in together else range(len(ways))
        unlike = [wrong[name][way] for way in possible if way in wrong[name]]
        if len(unlike) < len(possible):
            continue
        fewest = min(unlike, key=lambda row: (row["rows"], row["way"]))
        day, key, shown, there = fewest["first"]
        told.setdefault(f"{view.full_name} of {day}{f', {key[:60]}' if key else ''}", []).append(
            f"{name} {_figure(shown)} instead of {_figure(there)}"
        )
    return [f"{where}: {', '.join(figures)}" for where, figures in told.items()]


def _figure(value: t.Any) -> str:
    return str(0 if value is None else value)[:40]


def columns(session: Session, relation: str) -> dict[str, str]:
    """The columns of a relation that may be read, by name, with the type where it is one of PostgreSQL's own."""
    return {row["name"]: row["type"] if row["builtin"] else "" for row in session.rows(COLUMNS, name=relation)}
