# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether lines are linked to the products that they are of, as the catalog has them."""

from __future__ import annotations

import typing as t

from ...postgres.driver import psycopg
from ...scout import contract, gold_views

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session

#: Of the lines of some sales, and of others that are linked, those whose product the catalog has, those linked, and those to another one.
LINKED = """
WITH lines AS (
    (SELECT product_id, product_key, true AS ours FROM {line_items} WHERE transaction_id = ANY(%(names)s))
    UNION ALL
    (SELECT product_id, product_key, false FROM {line_items}
     WHERE product_key IS NOT NULL AND transaction_id <> ALL(%(names)s) LIMIT %(most)s)
)
SELECT ours, count(*) FILTER (WHERE known) AS known, count(*) FILTER (WHERE known AND product_key IS NOT NULL) AS linked,
       count(*) FILTER (WHERE product_key IS NOT NULL AND NOT same) AS wrong,
       left(min(product_id) FILTER (WHERE product_key IS NOT NULL AND NOT same), 60) AS product
FROM lines AS l CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM {products} AS p WHERE p.product_id = l.product_id AND p.product_key IS NOT NULL) AS known,
           EXISTS (SELECT FROM {products} AS p WHERE p.product_id = l.product_id AND p.product_key = l.product_key) AS same) AS of
GROUP BY ours
"""
#: Others that wait for it, before which ours may not have had their turn.
WAITING = """
SELECT count(*) AS lines FROM (
    SELECT FROM {line_items} AS l WHERE product_key IS NULL AND transaction_id <> ALL(%(names)s) AND updated_at >= now() - interval '1 day'
      AND EXISTS (SELECT FROM {products} AS p WHERE p.product_id = l.product_id AND p.product_key IS NOT NULL) LIMIT %(most)s) AS w
"""
MOST: t.Final = 500


def wrongly(session: Session, sales: Sequence[str]) -> str:
    """What the lines of these sales are linked to otherwise than the catalog says, in words; empty where they are right, and where lines
    are usually linked in another way. Inside a transaction."""
    names = contract.names()
    if gold_views.code_of_others(session, names.products):
        return ""
    try:
        with session.savepoint():
            rows = session.rows(contract.compose(LINKED), names=list(sales), most=MOST)
    except psycopg.Error:
        # A deployment may have another catalog.
        return ""
    of = {row["ours"]: row for row in rows}
    ours, usual = of.get(True), of.get(False)
    if not ours or not usual or 2 * usual["wrong"] > usual["linked"]:
        return ""
    if ours["wrong"]:
        return f"it links lines to products that they are not of, such as one of {ours['product']}"
    if ours["linked"] or not ours["known"]:
        return ""
    waiting = session.row(contract.compose(WAITING), names=list(sales), most=MOST)["lines"]
    return "" if waiting == MOST else "it links no line, although the catalog has their products"
