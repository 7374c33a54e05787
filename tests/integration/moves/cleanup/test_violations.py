# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad quality is one thing: an assessment, a gate, a cleanup and the evidence count the same sales of a damaged pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.cleanup import rules
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.gates import checks, judge
from tests.integration.modules import call, connect
from tests.integration.moves.cleanup.test_scan import moved

#: Without these silver refuses what a deployment may hold.
LAX = (
    "ALTER TABLE scout.silver_transactions ALTER COLUMN total_amount DROP NOT NULL, ALTER COLUMN net_amount DROP NOT NULL",
    "ALTER TABLE scout.silver_transactions ALTER COLUMN item_count DROP NOT NULL",
    "ALTER TABLE scout.silver_line_items ALTER COLUMN quantity DROP NOT NULL, ALTER COLUMN unit_price DROP NOT NULL",
    "ALTER TABLE scout.silver_line_items ALTER COLUMN line_amount DROP NOT NULL",
)
SALE = (
    "UPDATE scout.silver_transactions SET {}, processed_at = now(), updated_at = now() WHERE transaction_id = %(sale)s"
)
LINES = "UPDATE scout.silver_line_items SET {}, updated_at = now() WHERE transaction_id = %(sale)s"
#: The total stays what the lines come to.
AGREES = """
UPDATE scout.silver_transactions AS t SET discount_amount = 0, total_amount = coalesce(
    (SELECT sum(quantity * unit_price) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id), 0)
WHERE transaction_id = %(sale)s
"""
SALES = (
    "SELECT transaction_id FROM scout.silver_transactions WHERE transaction_id LIKE '1-%%' ORDER BY 1 LIMIT %(many)s"
)

#: What is done to a sale, and what an assessment and a cleanup call it.
DAMAGE: dict[str, tuple[tuple[str, ...], set[str], set[str]]] = {
    "negative total": (
        (SALE.format("total_amount = -500"),), {"NEGATIVE_TOTAL", "LINE_TOTAL_MISMATCH"}, {"negative_total", "lines_do_not_add_up"},
    ),
    "negative total its lines agree with": (
        (LINES.format("unit_price = 0"), SALE.format("total_amount = -0.2")), {"NEGATIVE_TOTAL"}, {"negative_total"},
    ),
    "lines that do not add up": (
        (SALE.format("total_amount = total_amount * 2 + 500"),), {"LINE_TOTAL_MISMATCH"}, {"lines_do_not_add_up"},
    ),
    "a discount explains it": ((SALE.format("discount_amount = total_amount / 2, total_amount = total_amount / 2"),), set(), set()),
    "empty basket": ((SALE.format("item_count = 0"),), {"EMPTY_BASKET"}, {"empty_basket"}),
    "basket of unknown size": ((SALE.format("item_count = NULL"),), {"EMPTY_BASKET"}, {"empty_basket"}),
    "total is no number": ((SALE.format("total_amount = 'NaN'"),), {"NOT_A_NUMBER"}, {"invalid_amounts"}),
    "total is missing": ((SALE.format("total_amount = NULL"),), {"NOT_A_NUMBER"}, {"invalid_amounts"}),
    "net amount is no number": ((SALE.format("net_amount = 'NaN'"),), {"NOT_A_NUMBER"}, {"invalid_amounts"}),
    "net amount is missing": ((SALE.format("net_amount = NULL"),), {"NOT_A_NUMBER"}, {"invalid_amounts"}),
    "tax is no number": ((SALE.format("tax_amount = 'NaN'"),), {"NOT_A_NUMBER"}, {"invalid_amounts"}),
    "no quantity": ((LINES.format("quantity = 0"), AGREES), {"INVALID_LINE_ITEM"}, {"invalid_line"}),
    "negative price": (
        (LINES.format("quantity = 1, unit_price = -0.01"), SALE.format("total_amount = 0, discount_amount = 0")),
        {"INVALID_LINE_ITEM"}, {"invalid_line"},
    ),
    "quantity is missing": ((LINES.format("quantity = NULL"),), {"NOT_A_NUMBER"}, {"invalid_line"}),
    "price is no number": ((LINES.format("unit_price = 'NaN'"),), {"NOT_A_NUMBER"}, {"invalid_line"}),
    "price is missing": ((LINES.format("unit_price = NULL"),), {"NOT_A_NUMBER"}, {"invalid_line"}),
    "line amount is no number": ((LINES.format("line_amount = 'NaN'"),), {"NOT_A_NUMBER"}, {"invalid_line"}),
    "line amount is missing": ((LINES.format("line_amount = NULL"),), {"NOT_A_NUMBER"}, {"invalid_line"}),
}  # fmt: skip

#: The check of a gate for each alert of an assessment.
CHECKS = {
    "NEGATIVE_TOTAL": "negative_totals", "LINE_TOTAL_MISMATCH": "line_mismatch", "INVALID_LINE_ITEM": "invalid_lines",
    "EMPTY_BASKET": "empty_baskets", "NOT_A_NUMBER": "not_a_number",
}  # fmt: skip
CRITICAL = ("NEGATIVE_TOTAL", "LINE_TOTAL_MISMATCH", "INVALID_LINE_ITEM")


@pytest.fixture
def damaged(scout_db: str) -> dict[str, str]:
    """The sale of each kind of damage, in a pipeline that is otherwise sound."""
    with connect(scout_db) as connection:
        for statement in LAX:
            connection.execute(statement)  # type: ignore[call-overload]
        found = [row[0] for row in connection.execute(SALES, {"many": len(DAMAGE)})]
        for sale, (statements, _, _) in zip(found, DAMAGE.values(), strict=True):
            for statement in statements:
                connection.execute(statement, {"sale": sale})  # type: ignore[call-overload]
    return dict(zip(DAMAGE, found, strict=True))


def expected(part: int) -> dict[str, int]:
    """How many sales are called so."""
    made: dict[str, int] = {}
    for kind in DAMAGE.values():
        names: Any = kind[part]
        for name in names:
            made[name] = made.get(name, 0) + 1
    return made


def test_all_count_the_same(scout_db: str, damaged: dict[str, str]) -> None:
    with open_session(Settings(scout_db)) as session:
        cleaned = moved(session, rules.choose())
    assert cleaned.keys() <= set(damaged.values())
    assert {kind: set(cleaned.get(sale, ())) for kind, sale in damaged.items()} == {
        kind: called for kind, (_, _, called) in DAMAGE.items()
    }
    alerts = expected(1)
    gate = checks(judge(scout_db))
    assert {name: gate[check]["value"] for name, check in CHECKS.items()} == alerts
    assessed = call("scout_health_info", scout_db)
    [critical] = [each for each in assessed["indicators"] if each["name"] == "critical_alerts"]
    assert critical["value"] == sum(alerts[name] for name in CRITICAL)
    # Every sale that an assessment or a gate complains of is one that a cleanup finds, and the other way round.
    assert {kind for kind, (_, called, _) in DAMAGE.items() if called} == {k for k, (_, _, c) in DAMAGE.items() if c}


def test_older_violations_are_the_same_ones(scout_db: str, damaged: dict[str, str]) -> None:
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET processed_at = now() - interval '9 days'")
    cleanup = expected(2)
    older = checks(judge(scout_db))["older_violations"]
    assert older["value"] == cleanup["negative_total"] + cleanup["empty_basket"]
