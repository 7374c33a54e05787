# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What violates the quality rules: each rule proved usable, then every row judged, without one write."""

from __future__ import annotations

import math
import typing as t

from ...core.errors import BadInput, DatabaseError, RecoveryError, SystemicFailure
from ...postgres.driver import psycopg, sql
from ...postgres.failures import translate
from ...postgres.without_values import message
from ...scout import contract
from ...scout.judging import predicates
from . import rules
from .findings import Figures, Finding, Report, Scope, is_systemic, line, percent

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session
    from .rules import Rule

#: A predicate stands where no aggregate, window or set may stand, and with a bound value, so that PostgreSQL itself takes
#: one statement only. No row is read.
PROBE: t.Final = "SELECT count(*) FROM (SELECT FROM {table} AS {alias} WHERE {predicate} LIMIT %(rows)s) AS probed"

#: Names that no predicate uses by accident, since it could read these parts if it did.
SALES: t.Final = """
scout_recovery_sales AS (
    SELECT q.rule, t.transaction_id AS item, t.transaction_id, NULL::uuid AS event_id, t.total_amount::numeric AS amount,
           t.ts AS at, t.processed_at, jsonb_build_object(
               'transaction_id', t.transaction_id, 'total_amount', t.total_amount::text, 'net_amount', t.net_amount::text,
               'discount_amount', t.discount_amount::text, 'item_count', t.item_count, 'ts', t.ts,
               'processed_at', t.processed_at, 'source_event_id', t.source_event_id) AS sample
    FROM (SELECT t.*, {names} AS "scout recovery rules" FROM {transactions} AS t WHERE {window} AND ({any})) AS t
    CROSS JOIN LATERAL unnest(t."scout recovery rules") AS q(rule)
)"""

LINES: t.Final = """
scout_recovery_lines AS (
    SELECT q.rule, l.line_id::text AS item, l.transaction_id, NULL::uuid AS event_id, l.line_amount::numeric AS amount,
           t.ts AS at, t.processed_at, jsonb_build_object(
               'transaction_id', l.transaction_id, 'line_id', l.line_id, 'product_id', l.product_id,
               'quantity', l.quantity, 'unit_price', l.unit_price::text, 'line_amount', l.line_amount::text, 'ts', t.ts,
               'processed_at', t.processed_at) AS sample
    FROM (SELECT l.*, {names} AS "scout recovery rules" FROM {line_items} AS l WHERE {window} AND ({any})) AS l
    CROSS JOIN LATERAL unnest(l."scout recovery rules") AS q(rule)
    LEFT JOIN {transactions} AS t ON t.transaction_id = l.transaction_id
)"""

#: An event moves with the sale made of it: one its payload names, if it has been loaded or that sale says so.
EVENTS: t.Final = """
scout_recovery_events AS (
    SELECT q.rule, b.event_id::text AS item, t.transaction_id, b.event_id, t.total_amount::numeric AS amount,
           b.event_ts AS at, b.ingested_at AS processed_at, jsonb_build_object(
               'event_id', b.event_id, 'event_type', b.event_type, 'source_system', b.source_system,
               'transaction_id', left(b.event_data ->> 'transaction_id', 200), 'event_ts', b.event_ts,
               'ingested_at', b.ingested_at) AS sample
    FROM (SELECT b.*, {names} AS "scout recovery rules" FROM {bronze} AS b WHERE {window} AND ({any})) AS b
    CROSS JOIN LATERAL unnest(b."scout recovery rules") AS q(rule)
    LEFT JOIN {transactions} AS t
      ON t.transaction_id = b.event_data ->> 'transaction_id'
     AND (t.source_event_id = b.event_id
          OR EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = b.event_id))
)"""

#: One row for each violated rule, and one without a rule for what would move: every sale once, however many it violates.
REPORT: t.Final = """
WITH {parts},
hits AS MATERIALIZED ({hits}),
figures AS (
    SELECT rule, count(*) AS violations, count(DISTINCT transaction_id) AS transactions, count(event_id) AS events,
           sum(amount) FILTER (WHERE amount NOT IN ('NaN', 'Infinity', '-Infinity')) AS amount,
           count(*) FILTER (WHERE item IS NOT NULL AND (amount IN ('NaN', 'Infinity', '-Infinity')) IS NOT FALSE) AS no_amount,
           min(at) AS from_ts, max(at) AS to_ts, min(processed_at) AS from_processed, max(processed_at) AS to_processed
    FROM hits GROUP BY rule
),
days AS (
    SELECT h.rule, array_agg(DISTINCT t.date_key::text ORDER BY t.date_key::text) AS gold_days
    FROM hits AS h JOIN {transactions} AS t ON t.transaction_id = h.transaction_id GROUP BY h.rule
),
shown AS (
    SELECT rule, jsonb_agg(sample ORDER BY nth) AS samples
    FROM (SELECT rule, sample, row_number() OVER (PARTITION BY rule ORDER BY at DESC, item) AS nth FROM hits) AS h
    WHERE nth <= %(samples)s GROUP BY rule
),
moved AS (
    SELECT DISTINCT t.transaction_id, t.ts, t.processed_at, t.date_key, t.total_amount::numeric AS amount
    FROM hits AS h JOIN {transactions} AS t ON t.transaction_id = h.transaction_id
    WHERE h.rule = ANY(%(moving)s::text[])
)
SELECT f.rule, f.violations, f.transactions, f.events, f.amount::text, f.no_amount, d.gold_days, s.samples,
       to_jsonb(f.from_ts) #>> '{{}}' AS from_ts, to_jsonb(f.to_ts) #>> '{{}}' AS to_ts,
       to_jsonb(f.from_processed) #>> '{{}}' AS from_processed, to_jsonb(f.to_processed) #>> '{{}}' AS to_processed
FROM figures AS f LEFT JOIN days AS d USING (rule) LEFT JOIN shown AS s USING (rule)
UNION ALL
SELECT NULL, 0, count(*), (SELECT count(DISTINCT event_id) FROM hits WHERE rule = ANY(%(moving)s::text[])),
       (sum(amount) FILTER (WHERE amount NOT IN ('NaN', 'Infinity', '-Infinity')))::text,
       count(*) FILTER (WHERE (amount IN ('NaN', 'Infinity', '-Infinity')) IS NOT FALSE),
       array_agg(DISTINCT date_key::text ORDER BY date_key::text) FILTER (WHERE date_key IS NOT NULL), NULL,
       to_jsonb(min(ts)) #>> '{{}}', to_jsonb(max(ts)) #>> '{{}}',
       to_jsonb(min(processed_at)) #>> '{{}}', to_jsonb(max(processed_at)) #>> '{{}}'
FROM moved
"""

#: By the alias of the table.
PARTS: t.Final[dict[str, tuple[t.LiteralString, str]]] = {
    "t": (SALES, "scout_recovery_sales"),
    "l": (LINES, "scout_recovery_lines"),
    "b": (EVENTS, "scout_recovery_events"),
}

#: Classes of SQLSTATE for which the predicate is at fault, not the server or another session.
OF_THE_PREDICATE: t.Final = ("0A", "21", "22", "25", "2F", "38", "39", "42", "54", "P0")


def check(session: Session, chosen: Sequence[Rule]) -> None:
    """Proves each rule usable in this database without reading a row. Raises BadInput, with PostgreSQL's words, for
    one that is not."""
    with session.read():
        for rule in chosen:
            if found := predicates.refused(session, rule.predicate):
                raise _wrong(rule, found.said, next_step=found.next_step)
            try:
                with session.savepoint():
                    _probe(session, rule, sql.SQL("true"), rows=0)
            except psycopg.Error as e:
                raise _blame(session, rule, e, "check") from e


def scan(
    session: Session,
    chosen: Sequence[Rule],
    scope: Scope | None = None,
    *,
    samples: int = 5,
    max_share: float = 0.05,
) -> Report:
    """Judges every row in scope on one snapshot, writing nothing. Raises BadInput, naming the rule, where one fails
    on some row."""
    if not (math.isfinite(max_share) and 0 <= max_share <= 1):
        raise BadInput(f"max_share {max_share} is not usable", next_step="give a share from 0 to 1, as 0.05 for 5 %")
    if not 0 <= samples <= 1000:
        raise BadInput(f"samples {samples} is not usable", next_step="give a number from 0 to 1000")
    scope = scope or Scope()
    tables = [table for table in rules.aliases() if any(rule.table == table for rule in chosen)]
    with session.read():
        try:
            with session.savepoint():
                scanned = {table: _count(session, table, scope) for table in tables}
                found = _found(session, chosen, tables, scope, samples) if tables else []
        except psycopg.Error as e:
            raise _culprit(session, chosen, scope, e) from e
    by_rule: dict[str | None, Row] = {row["rule"]: row for row in found}
    findings = tuple(_finding(rule, scanned[rule.table], by_rule.get(rule.name), max_share) for rule in chosen)
    return Report(scope, max_share, scanned, findings, _figures(by_rule.get(None)))


def refuse_systemic(session: Session, report: Report) -> None:
    """Raises SystemicFailure where a rule that moves rows is violated by more than `max_share` of what was scanned."""
    if not report.systemic:
        return
    raise SystemicFailure(
        "refused to move rows: this looks systemic, not bad data",
        on=session.where,
        said="; ".join(line(finding) for finding in report.systemic) + f"; max_share is {percent(report.max_share)}",
        next_step="look at the samples: if they are valid, set the rule's action to report or improve its predicate; if "
        "not, fix the source that sent them and rebuild; raise max_share only to move them all",
        result={"report": report.as_dict()},
    )


def violating(chosen: Sequence[Rule], alias: str = "t") -> sql.Composed:
    """A text[] of the names of the `quarantine` rules that a row violates, the gravest first: of a sale `t` (with the rules
    on its lines) or an event `b`. It must be the only relation of that query level, and values must be bound, if only {}."""
    return _names(_moving(chosen, alias), alias)


def violates(chosen: Sequence[Rule], alias: str = "t") -> sql.Composed:
    """Whether a row violates any of these rules; to be used as `violating`."""
    return _any(_moving(chosen, alias), alias)


def _moving(chosen: Sequence[Rule], alias: str) -> list[Rule]:
    aliases = {"t": {"t", "l"}, "b": {"b"}}[alias]
    return [rule for rule in rules.gravest_first(chosen) if rule.moves and rule.alias in aliases]


def _expression(rule: Rule) -> sql.Composable:
    """The predicate as a boolean that is never NULL; a % in it survives psycopg's binding of values."""
    text = rule.predicate.replace("%", "%%")
    return sql.SQL("({}) IS TRUE").format(sql.SQL(t.cast("t.LiteralString", text)))


def _of_row(rule: Rule, alias: str) -> sql.Composable:
    """The same of a row called `alias`: a sale violates a rule on lines if one of its lines does."""
    if rule.alias == alias:
        return _expression(rule)
    return contract.compose(
        "EXISTS (SELECT FROM {line_items} AS l WHERE l.transaction_id = {}.transaction_id AND {})",
        sql.Identifier(alias),
        _expression(rule),
    )


def _names(chosen: Sequence[Rule], alias: str) -> sql.Composed:
    cases = [
        sql.SQL("CASE WHEN {} THEN {} END").format(_of_row(rule, alias), sql.Literal(rule.name)) for rule in chosen
    ]
    return sql.SQL("array_remove(ARRAY[{}]::text[], NULL)").format(sql.SQL(", ").join(cases))


def _any(chosen: Sequence[Rule], alias: str) -> sql.Composed:
    return sql.Composed([sql.SQL(" OR ").join([_of_row(rule, alias) for rule in chosen] or [sql.SQL("false")])])


def _window(table: str, scope: Scope) -> sql.Composable:
    """The scope as a condition on a row of the table, with values to be bound by name."""
    clock = sql.SQL("b.event_ts" if table == contract.names().bronze else "t.ts")
    bounds = [
        sql.SQL("{} {}").format(clock, bound)
        for bound, given in ((sql.SQL(">= %(start)s"), scope.start), (sql.SQL("< %(end)s"), scope.end))
        if given is not None
    ]
    if not bounds:
        return sql.SQL("true")
    inside = sql.SQL(" AND ").join(bounds)
    if table != contract.names().line_items:
        return inside
    return contract.compose(
        "EXISTS (SELECT FROM {transactions} AS t WHERE t.transaction_id = l.transaction_id AND {})", inside
    )


def _bounds(scope: Scope) -> dict[str, t.Any]:
    return {"start": scope.start, "end": scope.end}


def _from(table: str) -> dict[str, sql.Composable]:
    return {"table": sql.Identifier(*table.split(".")), "alias": sql.Identifier(rules.aliases()[table])}


def _count(session: Session, table: str, scope: Scope) -> int:
    query = sql.SQL("SELECT count(*) AS rows FROM {table} AS {alias} WHERE {window}").format(
        **_from(table), window=_window(table, scope)
    )
    [row] = session.connection.execute(query, _bounds(scope)).fetchall()
    return row["rows"]


def _found(session: Session, chosen: Sequence[Rule], tables: list[str], scope: Scope, samples: int) -> list[Row]:
    """One pass over each table: what its rules found, and what would move."""
    parts: list[sql.Composable] = []
    hits: list[sql.Composable] = []
    for table in tables:
        own = [rule for rule in chosen if rule.table == table]
        alias = rules.aliases()[table]
        part, name = PARTS[alias]
        parts.append(
            contract.compose(part, names=_names(own, alias), any=_any(own, alias), window=_window(table, scope))
        )
        hits.append(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
    query = contract.compose(REPORT, parts=sql.SQL(", ").join(parts), hits=sql.SQL(" UNION ALL ").join(hits))
    values = {**_bounds(scope), "samples": samples, "moving": [rule.name for rule in chosen if rule.moves]}
    return session.connection.execute(query, values).fetchall()


def _finding(rule: Rule, scanned: int, row: Row | None, max_share: float) -> Finding:
    if row is None:
        return Finding(rule, scanned, 0, False)
    systemic = is_systemic(row["violations"], scanned, max_share)
    return Finding(rule, scanned, row["violations"], systemic, _figures(row), tuple(row["samples"] or ()))


def _figures(row: Row | None) -> Figures:
    if row is None:
        return Figures()
    return Figures(
        transactions=row["transactions"],
        events=row["events"],
        amount=row["amount"],
        no_amount=row["no_amount"],
        window=(row["from_ts"], row["to_ts"]),
        processed=(row["from_processed"], row["to_processed"]),
        gold_days=tuple(row["gold_days"] or ()),
    )


def _probe(session: Session, rule: Rule, window: sql.Composable, *, rows: int | None, **values: t.Any) -> None:
    predicate = sql.SQL("{} AND {}").format(window, _expression(rule))
    query = sql.SQL(PROBE).format(**_from(rule.table), predicate=predicate)
    session.connection.execute(query, {"rows": rows, **values})


def _culprit(session: Session, chosen: Sequence[Rule], scope: Scope, error: psycopg.Error) -> RecoveryError:
    """Which rule it was that failed on a row, found by trying each alone where that can help."""
    if not session.connection.closed and (error.sqlstate or "")[:2] in OF_THE_PREDICATE:
        for rule in chosen:
            try:
                with session.savepoint():
                    _probe(session, rule, _window(rule.table, scope), rows=None, **_bounds(scope))
            except psycopg.Error as e:
                return _blame(session, rule, e, "judge all rows by")
    return translate(error, "could not judge the rows", on=session.where)


def _blame(session: Session, rule: Rule, error: psycopg.Error, attempt: str) -> RecoveryError:
    """Our error for what a rule made PostgreSQL say; another kind where the rule is not at fault."""
    translated = translate(error, f"could not {attempt} rule {rule.name}", on=session.where)
    if type(translated) is DatabaseError and (error.sqlstate or "")[:2] in OF_THE_PREDICATE:
        hint = error.diag.message_hint
        return _wrong(rule, translated.said + (f" ({message(hint)})" if hint else ""), sqlstate=error.sqlstate)
    return translated


def _wrong(rule: Rule, said: str, *, sqlstate: str | None = None, next_step: str = "") -> BadInput:
    shown = " ".join(rule.predicate.split())
    return BadInput(
        f"rule {rule.name} on {rule.table} is not usable with predicate {shown if len(shown) <= 300 else shown[:300] + '…'}",
        said=said,
        sqlstate=sqlstate,
        next_step=next_step or f"correct rule {rule.name} in quality_cleanup_rules, or name the rules to use in only",
    )
