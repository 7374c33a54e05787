# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of damage to rows of silver and to the ETL's marks, each by its name, `count` times."""

from __future__ import annotations

import itertools
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .damage_hand import Hand

UNMARK = "DELETE FROM scout.etl_processed WHERE event_id = ANY (%(ids)s)"


def rows_missing(hand: Hand) -> None:
    """Deleted from silver; the ETL's ledger says they are loaded."""
    taken = hand.take()
    hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", taken)
    hand.done.missing |= taken.keys()


def rows_and_marks_missing(hand: Hand) -> None:
    """Never loaded, by the looks of it."""
    taken = hand.take()
    hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", taken)
    hand.execute(UNMARK, taken, ids=list(taken.values()))
    hand.done.pending |= set(taken.values())


def marks_missing(hand: Hand) -> None:
    """Silver is right, and the ETL does not know."""
    taken = hand.take()
    hand.execute(UNMARK, taken, ids=list(taken.values()))
    hand.done.pending |= set(taken.values())


def totals_wrong(hand: Hand) -> None:
    """Negative, which no correction ever fixes."""
    taken = hand.take()
    hand.execute(
        "UPDATE scout.silver_transactions SET total_amount = -total_amount - 1 WHERE transaction_id = ANY (%(names)s)",
        taken,
    )
    hand.done.wrong |= taken.keys()


#: Every field that the ETL derives, with another value; `coalesce` because some are NULL.
FIELDS = {
    "store_id": "store_id || 'x'",
    "ts": "ts + interval '1 second'",
    "date_key": "date_key + 1",
    "time_of_day": "CASE time_of_day WHEN 'night' THEN 'morning' ELSE 'night' END::scout.time_of_day",
    "customer_id": "coalesce(customer_id, '') || 'x'",
    "customer_type": "NULL",
    "discount_amount": "discount_amount + 0.01",
    "tax_amount": "tax_amount + 0.01",
    "net_amount": "net_amount + 0.01",
    "payment_method": "payment_method || 'x'",
    "item_count": "item_count + 1",
    "unique_products": "unique_products + 1",
    "basket_size": "basket_size + 1",
    "units_per_transaction": "units_per_transaction + 1",
    "peso_value": "peso_value + 0.01",
    "product_category": "'x'",
    "handshake_triggered": "NOT handshake_triggered",
    "campaign_id": "coalesce(campaign_id, '') || 'x'",
    "campaign_influenced": "NOT campaign_influenced",
    "region": "region || 'x'",
    "province": "province || 'x'",
    "city": "city || 'x'",
    "quality_score": "0.5",
    "source_event_id": "gen_random_uuid()",
}


def fields_wrong(hand: Hand) -> None:
    """One field of each, all fields in turn."""
    for column, value in FIELDS.items():
        taken = dict(itertools.islice(hand.take().items(), 1))
        hand.execute(
            f"UPDATE scout.silver_transactions SET {column} = {value} WHERE transaction_id = ANY (%(names)s)", taken
        )
        hand.done.wrong |= taken.keys()


def lines_dropped(hand: Hand) -> None:
    """The first line of each."""
    _on_lines(hand, f"DELETE FROM scout.silver_line_items AS l USING ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id")


def all_lines_dropped(hand: Hand) -> None:
    _on_lines(hand, "DELETE FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)")


def lines_wrong(hand: Hand) -> None:
    """One more unit; another price; another name."""
    for change in (
        "quantity = quantity + 1",
        "unit_price = unit_price + 1",
        "line_amount = 0",
        "product_name = 'x'",
        "category = NULL",
    ):
        _on_lines(
            hand,
            f"UPDATE scout.silver_line_items AS l SET {change} FROM ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id",
        )


def lines_of_another_product(hand: Hand) -> None:
    """A line that is missing and a line too many at once."""
    change = "product_id = product_id || 'x'"
    _on_lines(
        hand, f"UPDATE scout.silver_line_items AS l SET {change} FROM ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id"
    )


def lines_extra(hand: Hand) -> None:
    """As the ETL leaves behind when a correction has fewer lines than its sale."""
    _on_lines(
        hand,
        """INSERT INTO scout.silver_line_items (transaction_id, product_id, product_name, quantity, unit_price, line_amount, line_sequence)
           SELECT name, 'EXTRA', 'Unknown Product', 1, 1, 1, 99 FROM unnest(%(names)s::text[]) AS name""",
    )


def _on_lines(hand: Hand, statement: str) -> None:
    taken = hand.take()
    hand.execute(statement, taken)
    hand.done.wrong |= taken.keys()


def rows_extra(hand: Hand) -> None:
    """Made of an event of the window that speaks of another transaction, as after a change of a payload."""
    taken = hand.take()
    for name, event in taken.items():
        hand.execute(CLONE, [name], source=event, extra=f"{name}-extra")
        hand.done.extra.add(f"{name}-extra")


FIRST_LINES = """
SELECT DISTINCT ON (transaction_id) line_id FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)
ORDER BY transaction_id, line_sequence
"""

CLONE = """
INSERT INTO scout.silver_transactions
SELECT r.* FROM scout.silver_transactions AS t CROSS JOIN LATERAL jsonb_populate_record(
    NULL::scout.silver_transactions,
    to_jsonb(t) || jsonb_build_object('id', gen_random_uuid(), 'transaction_id', %(extra)s::text, 'source_event_id', %(source)s::uuid)) AS r
WHERE t.transaction_id = ANY (%(names)s)
"""

#: By name, in the order in which they are done.
KINDS: t.Final[dict[str, Callable[[Hand], None]]] = {
    function.__name__: function
    for function in (
        rows_missing,
        rows_and_marks_missing,
        marks_missing,
        totals_wrong,
        fields_wrong,
        lines_dropped,
        all_lines_dropped,
        lines_wrong,
        lines_of_another_product,
        lines_extra,
        rows_extra,
    )
}
