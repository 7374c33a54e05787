# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ETL makes of events on an empty silver, computed here from its contract alone: it asks PostgreSQL for rows, never for a
conversion, and shares nothing with the toolkit or with the ETL's own text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.integration.modules import connect

Row = dict[str, Any]
LineKey = tuple[str, str, int]

MANILA = ZoneInfo("Asia/Manila")
TRANSACTION = "transaction.v1"
INT = range(-(2**31), 2**31)

#: What the ETL derives; the rest are generated ids, clocks, and what other jobs write.
COLUMNS = (
    "store_id", "ts", "date_key", "time_of_day", "customer_id", "customer_type", "total_amount", "discount_amount", "tax_amount",
    "net_amount", "payment_method", "item_count", "unique_products", "basket_size", "units_per_transaction", "peso_value",
    "product_category", "handshake_triggered", "handshake_score", "campaign_id", "campaign_influenced", "region", "province",
    "city", "quality_score", "source_event_id",
)  # fmt: skip
LINE_COLUMNS = ("product_name", "brand_name", "category", "quantity", "unit_price", "line_amount")

#: What a later event of the same transaction changes; everything else stays as first written.
CORRECTED = ("net_amount", "item_count", "unique_products")
LINE_CORRECTED = ("quantity", "unit_price", "line_amount")

READ = """
SELECT event_id, event_data::text, ingested_at FROM scout.bronze_events AS b
WHERE event_type = 'transaction.v1' AND {} ORDER BY ingested_at, event_id
"""
LOADED = "EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)"
OF_TRANSACTIONS = "event_data ->> 'transaction_id' = ANY (%(transactions)s)"
SILVER = f"SELECT transaction_id, {', '.join(COLUMNS)} FROM scout.silver_transactions"
LINES = f"SELECT transaction_id, product_id, line_sequence, {', '.join(LINE_COLUMNS)} FROM scout.silver_line_items"


class Poison(Exception):
    """The ETL ends with this SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Number(str):
    """A number as jsonb writes it."""

    __slots__ = ()


@dataclass(frozen=True)
class Event:
    """A transaction event of bronze; its payload as JSON text."""

    event_id: UUID
    text: str
    ingested_at: datetime


@dataclass
class Silver:
    """Transactions and line items by their keys; events that cannot be loaded, with the SQLSTATE; events that leave no trace."""

    transactions: dict[str, Row] = field(default_factory=dict)
    lines: dict[LineKey, Row] = field(default_factory=dict)
    poison: dict[UUID, str] = field(default_factory=dict)
    swallowed: set[UUID] = field(default_factory=set)

    def of(self, transaction: str) -> tuple[Row | None, dict[LineKey, Row]]:
        """One transaction with its lines."""
        return self.transactions.get(transaction), {k: row for k, row in self.lines.items() if k[0] == transaction}


def made_of(events: Iterable[Event], zone: str = "UTC") -> Silver:
    """What the ETL makes of these events, one in a transaction, in the order given, where its sessions are in that time zone."""
    made = Silver()
    for event in events:
        payload = json.loads(event.text, parse_float=Number, parse_int=Number)
        if not isinstance(payload, dict) or "transaction_id" not in payload:
            made.swallowed.add(event.event_id)
            continue
        try:
            name, row, lines = _sale(payload, event, ZoneInfo(zone))
        except Poison as error:
            made.poison[event.event_id] = error.sqlstate
            continue
        if name in made.transactions:
            made.transactions[name] |= {column: row[column] for column in CORRECTED}
        else:
            made.transactions[name] = row
        for key, line in lines.items():
            if key in made.lines:
                made.lines[key] |= {column: line[column] for column in LINE_CORRECTED}
            else:
                made.lines[key] = line
    return made


def events(dsn: str, condition: str = "true", **values: Any) -> list[Event]:
    """Transaction events `b` of bronze that meet the condition, oldest first."""
    with connect(dsn, options="-c TimeZone=UTC -c DateStyle=ISO") as connection:
        return [Event(*row) for row in connection.execute(READ.format(condition), values)]  # type: ignore[call-overload]


def expected(
    dsn: str, transactions: Iterable[str] | None = None, *, also: Iterable[UUID] = (), zone: str = "UTC"
) -> Silver:
    """What silver should hold of these transactions (all, if not given): made of the events that the ETL's ledger has, and of
    `also`."""
    condition = f"({LOADED} OR event_id = ANY (%(also)s))"
    if transactions is not None:
        condition += f" AND {OF_TRANSACTIONS}"
    return made_of(events(dsn, condition, transactions=list(transactions or ()), also=list(also)), zone)


def actual(dsn: str, transactions: Iterable[str] | None = None) -> Silver:
    """What silver holds."""
    wanted = "" if transactions is None else " WHERE transaction_id = ANY (%(transactions)s)"
    values = {"transactions": list(transactions or ())}
    found = Silver()
    with connect(dsn, options="-c TimeZone=UTC -c DateStyle=ISO") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, *row in connection.execute(SILVER + wanted, values):  # type: ignore[call-overload]
            found.transactions[name] = dict(zip(COLUMNS, row, strict=True))
        for name, product, sequence, *row in connection.execute(LINES + wanted, values):  # type: ignore[call-overload]
            found.lines[name, product, sequence] = dict(zip(LINE_COLUMNS, row, strict=True))
    return found


def differences(there: Silver, meant: Silver) -> list[str]:
    """What is only there (+), missing (-) or different (field: meant -> there), a line each."""
    kinds: Sequence[tuple[str, dict[Any, Row], dict[Any, Row]]] = (
        ("", there.transactions, meant.transactions),
        ("line ", there.lines, meant.lines),
    )
    found: list[str] = []
    for what, has, should in kinds:
        found += [f"+ {what}{key}" for key in has.keys() - should.keys()]
        found += [f"- {what}{key}" for key in should.keys() - has.keys()]
        for key in has.keys() & should.keys():
            found += [
                f"{what}{key} {name}: {should[key][name]!r} -> {value!r}"
                for name, value in has[key].items()
                if not _same(value, should[key][name])
            ]
    return sorted(found)


def _same(one: Any, other: Any) -> bool:
    """NaN equals itself, as PostgreSQL has it."""
    return one == other or (isinstance(one, Decimal) and isinstance(other, Decimal) and one.is_nan() and other.is_nan())


# --- one event


def _sale(payload: Row, event: Event, zone: ZoneInfo) -> tuple[str, Row, dict[LineKey, Row]]:
    """The transaction and the lines the event says; raises Poison in the order in which PostgreSQL meets the faults."""
    written = _text(payload.get("ts"))
    ts = _moment(written, zone) if written is not None else event.ingested_at
    items: Any = payload.get("items", [])
    if not isinstance(items, list):
        raise Poison("22023")
    units = [_quantity(item) for item in items]
    total = _numeric(payload.get("total_amount"))
    net = _numeric(payload.get("net_amount"))
    campaign = _text(payload.get("campaign_id"))
    customer = _text(payload.get("customer_type"))
    score = payload.get("handshake_score")
    row: Row = {
        "store_id": _text(payload.get("store_id")),
        "ts": ts,
        "date_key": _written_date(written) if written is not None else event.ingested_at.astimezone(zone).date(),
        "time_of_day": _time_of_day(ts.astimezone(MANILA).hour),
        "customer_id": _text(payload.get("customer_id")),
        "customer_type": customer if customer in ("new", "returning", "vip") else None,
        "total_amount": _amount(_or(total, 0)),
        "discount_amount": _amount(_or(_numeric(payload.get("discount_amount")), 0)),
        "tax_amount": _amount(_or(_numeric(payload.get("tax_amount")), 0)),
        "net_amount": _amount(_or(net, total)),
        "payment_method": _or(_text(payload.get("payment_method")), "unknown"),
        "item_count": len(items),
        "unique_products": len({_text(_of(item, "product_id")) for item in items} - {None}),
        "basket_size": len(items),
        "units_per_transaction": _integer(str(sum(units))),
        "peso_value": _or(total, Decimal(0)),
        "product_category": _text(_of(items[0], "category")) if items else None,
        "handshake_triggered": payload.get("handshake_triggered") is True,
        "handshake_score": _numeric(score) if isinstance(score, Number) else None,
        "campaign_id": campaign,
        "campaign_influenced": campaign is not None,
        "region": _text(payload.get("region")),
        "province": _text(payload.get("province")),
        "city": _text(payload.get("city")),
        "quality_score": Decimal(1),
        "source_event_id": event.event_id,
    }
    name = _text(payload["transaction_id"])
    if name is None or row["store_id"] is None or row["net_amount"] is None:
        raise Poison("23502")
    lines: dict[LineKey, Row] = {}
    for number, item in enumerate(items, 1):
        product = _text(_of(item, "product_id"))
        line: Row = {
            "product_name": _or(_text(_of(item, "product_name")), "Unknown Product"),
            "brand_name": _or(_text(_of(item, "brand_name")), "Unknown Brand"),
            "category": _or(_text(_of(item, "category")), "Uncategorized"),
            "quantity": units[number - 1],
            "unit_price": _amount(_not_negative(_numeric(_of(item, "unit_price")))),
            "line_amount": _amount(_not_negative(_numeric(_of(item, "line_amount")))),
        }
        if product is None:
            raise Poison("23502")
        lines[name, product, number] = line
    return name, row, lines


def _of(item: Any, key: str) -> Any:
    """`item -> key`: only objects have keys."""
    return item.get(key) if isinstance(item, dict) else None


def _or[T](value: T | None, default: Any) -> Any:
    return default if value is None else value


def _text(value: Any) -> str | None:
    """`->>`: strings as they are, anything else as jsonb prints it."""
    if value is None or (isinstance(value, str) and not isinstance(value, Number)):
        return value
    return _printed(value)


def _printed(value: Any) -> str:
    match value:
        case dict():
            return (
                "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {_printed(v)}" for k, v in value.items()) + "}"
            )
        case list():
            return "[" + ", ".join(map(_printed, value)) + "]"
        case Number():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


#: Digits may be parted by single underscores since PostgreSQL 16; whole numbers may have another base.
DIGITS = r"\d+(_\d+)*"
NUMERIC = re.compile(rf"\s*[+-]?({DIGITS}(\.({DIGITS})?)?|\.{DIGITS})([eE][+-]?{DIGITS})?\s*", re.ASCII)
WHOLE = re.compile(rf"\s*[+-]?{DIGITS}\s*", re.ASCII)
BASED = re.compile(r"\s*([+-]?)0(?:[xX]((?:_?[0-9a-fA-F])+)|[oO]((?:_?[0-7])+)|[bB]((?:_?[01])+))\s*")


def _numeric(value: Any) -> Decimal | None:
    written = _text(value)
    if written is None:
        return None
    if NUMERIC.fullmatch(written):
        return Decimal(written.strip().replace("_", ""))
    if (based := _based(written)) is not None:
        return Decimal(based)
    special = written.strip().lower().lstrip("+-")
    if special in ("nan", "infinity", "inf"):
        return Decimal(written.strip())
    raise Poison("22P02")


def _amount(value: Any) -> Decimal | None:
    """As numeric(10,2), halves away from zero; NaN fits, infinity does not."""
    if value is None:
        return None
    value = Decimal(value)
    if value.is_nan():
        return value
    if value.is_infinite():
        raise Poison("22003")
    # Far more digits than fit are too large, and too many for Decimal's context.
    if value.adjusted() > 20:
        raise Poison("22003")
    rounded = value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    if abs(rounded) >= 10**8:
        raise Poison("22003")
    return rounded


def _not_negative(value: Decimal | None) -> Decimal:
    return Decimal(0) if value is None or (not value.is_nan() and value < 0) else value


def _quantity(item: Any) -> int:
    first = _integer(_text(_of(item, "qty")))
    # Evaluated only where the first is NULL.
    number = first if first is not None else _integer(_text(_of(item, "quantity")))
    return max(1 if number is None else number, 1)


def _integer(written: str | None) -> int | None:
    if written is None:
        return None
    number = int(written.replace("_", "")) if WHOLE.fullmatch(written) else _based(written)
    if number is None:
        raise Poison("22P02")
    if number not in INT:
        raise Poison("22003")
    return number


def _based(written: str) -> int | None:
    """A hexadecimal, octal or binary number."""
    if not (found := BASED.fullmatch(written)):
        return None
    sign, *digits = found.groups()
    [(text, base)] = [(text, base) for text, base in zip(digits, (16, 8, 2), strict=True) if text]
    return int(sign + text.replace("_", ""), base)


def _moment(written: str, zone: ZoneInfo) -> datetime:
    """A point of time; without an offset in the zone of the session."""
    return _dated(written, lambda at: (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC))


def _written_date(written: str) -> date:
    """The date as it is written, whatever the offset says."""
    return _dated(written, lambda at: at.date())


def _dated[T](written: str, use: Callable[[datetime], T]) -> T:
    try:
        return use(datetime.fromisoformat(written.strip()))
    except (ValueError, OverflowError) as error:
        raise Poison("22007") from error


def _time_of_day(hour: int) -> str:
    if 5 <= hour <= 11:
        return "morning"
    if 12 <= hour <= 16:
        return "afternoon"
    return "evening" if 17 <= hour <= 20 else "night"
