# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of small changes of the pipeline believes none by its name."""

from __future__ import annotations

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.faults.etl_mutants import Judge, chosen
from tests.faults.mutations import Mutant, mutants

ETL = "UPDATE cron.job SET {} WHERE jobname = 'bronze-to-silver-etl'"
#: What each comes to.
JUDGED = {
    "no change": ("SELECT 1", "equal"),
    "no SQL": ("ALTER TABLE scout.nothing ADD CHECK (false)", "invalid"),
    "a job that is off": (ETL.format("active = false"), "told"),
}


@pytest.fixture(scope="module")
def judge(pg_server: Server) -> Judge:
    return Judge(builder.template(pg_server, events=2000))


@pytest.mark.parametrize("name", JUDGED)
def test_a_change_is_judged_by_what_ten_minutes_come_to(name: str, judge: Judge) -> None:
    text, verdict = JUDGED[name]
    assert judge.verdict(Mutant(name, "job", text)) == verdict


def test_a_figure_of_gold_that_deployments_define_in_two_ways_is_told_by_the_release(
    judge: Judge, scout_db: str
) -> None:
    [mutant] = [
        each
        for each in mutants(scout_db)
        if each.of == "gold_region_choropleth" and "t.total_amount -> t.net" in each.name
    ][:1]
    assert judge.verdict(mutant) in ("told", "told by the release")


def test_a_sample_is_the_same_each_time_and_of_each_kind(scout_db: str) -> None:
    every = list(mutants(scout_db))
    names = [each.name for each in every]
    assert len(set(names)) == len(names)
    sample = chosen(every, "sample")
    assert sample == chosen(every[::-1], "sample")[::-1]
    assert {"etl", "gold_daily_metrics", "job", "trigger", "constraint"} <= {each.of for each in sample}
