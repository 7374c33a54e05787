# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of small changes of the pipeline: what makes the same figures is no miss, and what few sales show is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.faults.etl_mutants import Judge
from tests.faults.mutations import FUNCTIONS, Mutant, changed
from tests.integration.modules import one

NOTHING = Mutant("nothing", "job", "SELECT 1")
#: Changes of the ETL that at most one of a hundred sales shows, by a part of their names.
RARE = (
    "coalesce((event_data->>'ts')::timestampt -> ((event_data",
    "coalesce((e->>'total_amount')::numeric,  -> ((e->>'total_amount')::numeric)",
    "item->>'quantity' -> item->>'quantity_'",
    "excluded.net_amount -> t.net_amount",
    "excluded.unit_price -> t.unit_price",
)


@pytest.fixture(scope="module")
def judge(pg_server: Server) -> Iterator[Judge]:
    template = builder.template(pg_server, events=2000)
    yield Judge(template)
    template.drop()


def test_nothing_makes_the_same_figures_however_old_the_template_is(judge: Judge) -> None:
    assert judge.verdict(NOTHING) == "equal"
    judge.template._renewed_at -= 2 * builder.TEMPLATE_AGE_SECONDS
    assert judge.verdict(NOTHING) == "equal"


@pytest.mark.parametrize("name", RARE)
def test_a_change_that_few_sales_show_is_told(name: str, judge: Judge) -> None:
    assert judge.verdict(_named(judge, name)) == "told"


def test_no_comment_ischanged() -> None:
    text = "    -- quirk 4\n    x = 4; -- as 4\n"
    assert {mutant.text.partition(";")[2] for mutant in changed("etl", text)} == {" -- as 4\n"}


def _named(judge: Judge, name: str) -> Mutant:
    dsn = judge.template.clone("mutant_texts")
    try:
        text = str(one(dsn, f"SELECT pg_get_functiondef('{FUNCTIONS['etl']}'::regprocedure)"))
    finally:
        judge.template.server.drop_database("mutant_texts")
    return next(mutant for mutant in changed("etl", text) if name in mutant.name)
