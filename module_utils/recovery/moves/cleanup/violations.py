# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a sale `t` or its line `l`, the only definition: conditions that rules, assessments and gates are made of.

Each is NULL or false where nothing is wrong. Tables stand here as in the contract.
"""

from __future__ import annotations

import typing as t

#: NaN is above every other number, so no comparison finds it.
NOT_FINITE: t.LiteralString = "('NaN', 'Infinity', '-Infinity')"

NEGATIVE_TOTAL: t.LiteralString = "t.total_amount < 0"
EMPTY_BASKET: t.LiteralString = "t.item_count <= 0 OR t.item_count IS NULL"
#: An amount of the sale is missing or not a number.
INVALID_AMOUNTS: t.LiteralString = (
    f"t.total_amount IS NULL OR t.net_amount IS NULL OR t.total_amount IN {NOT_FINITE} OR t.net_amount IN {NOT_FINITE} "
    f"OR t.discount_amount IN {NOT_FINITE} OR t.tax_amount IN {NOT_FINITE}"
)

INVALID_LINE: t.LiteralString = "l.quantity <= 0 OR l.unit_price < 0"
#: A figure of the line is missing or not a number.
INVALID_FIGURES: t.LiteralString = (
    "l.quantity IS NULL OR l.unit_price IS NULL OR l.line_amount IS NULL "
    f"OR l.quantity::numeric IN {NOT_FINITE} OR l.unit_price IN {NOT_FINITE} OR l.line_amount IN {NOT_FINITE}"
)

#: What the lines of a sale come to.
SUMS: t.LiteralString = "sum(l.quantity * l.unit_price) AS gross, sum(coalesce(l.discount_amount, 0)) AS lines_off"
#: What belongs to it of the sale.
TOTALS: t.LiteralString = "t.total_amount AS total, coalesce(t.discount_amount, 0) AS off"
#: Whether they differ by more than a hundredth, and half a peso, with or without discounts; of a query with all four.
MISMATCH: t.LiteralString = f"""\
total NOT IN {NOT_FINITE} AND gross NOT IN {NOT_FINITE}
      AND least(abs(total - gross), abs(total - gross + lines_off), abs(total - gross + off),
                abs(total - gross + lines_off + off)) > greatest(abs(total) * 0.01, 0.50)"""
#: The same of one sale, looked at alone.
LINES_DO_NOT_ADD_UP: t.LiteralString = f"""\
EXISTS (
    SELECT FROM (SELECT {SUMS}, {TOTALS} FROM {{line_items}} AS l WHERE l.transaction_id = t.transaction_id) AS s
    WHERE {MISMATCH}
)"""  # noqa: S608  # made of literals alone
