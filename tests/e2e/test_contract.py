# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline in which nothing is called as in Scout v5.2, through the playbooks, and what they say of it."""

from __future__ import annotations

import json

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.integration.modules import one
from tests.integration.renamed import NAMES, old_names, rename


@pytest.fixture
def other(broken: Pipeline) -> Pipeline:
    """It has a backlog, poison in it, and gold that is behind."""
    rename(broken.dsn)
    return broken


def test_a_reset_recovers_it_and_says_its_names(other: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", other.dsn, incident="INC-1", scout_contract=NAMES)
    assert (played.rc, played.result["outcome"]) == (0, "recovered"), played.text
    assert not old_names([played.text, played.summary, played.result])
    assert "pos.inbox_rejected (run " in played.summary
    assert one(other.dsn, "SELECT count(*) FROM pos.inbox_rejected WHERE error_details ->> 'incident' = 'INC-1'") > 0
    jobs = other.rows("SELECT active FROM cron.job WHERE jobname = ANY (%s)", [NAMES["load_job"], NAMES["link_job"]])
    assert jobs == [(True,), (True,)]


def test_what_is_no_contract_is_one_clear_line(healthy: Pipeline, stage: Stage, subtests: pytest.Subtests) -> None:
    wrong: dict[str, tuple[object, str]] = {
        "key": ({"bronz": "inbox"}, "scout_contract has no key 'bronz'"),
        "name": (json.dumps({"bronze": "In Box"}), "bronze 'In Box' is not usable"),
        "text": ("inbox", "contract"),
    }
    hosts = {host: {"scout_dsn": healthy.dsn, "scout_contract": given} for host, (given, _) in wrong.items()}
    played = stage.play("assess", None, "-i", stage.inventory(hosts))
    assert played.rc == 2, played.text
    for host, (_, said) in wrong.items():
        with subtests.test(msg=host):
            assert said in played.failures(host)
