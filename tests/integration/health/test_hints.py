# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failing pipeline is told on a channel of its database, to whoever listens; and only where one is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import call

CHANNEL = 'scout "9f2c'


@pytest.fixture
def listener(scout_db: str) -> Iterator[psycopg.Connection[Any]]:
    """A role that may do nothing but log in, and knows the channel."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("SET ROLE dashboard_reader")
        connection.execute('LISTEN "scout ""9f2c"')
        yield connection


def heard(listener: psycopg.Connection[Any]) -> list[Any]:
    """All that came."""
    return [json.loads(each.payload) for each in listener.notifies(timeout=0.5)]


def test_an_assessment_tells_of_a_failing_pipeline_and_of_no_other(
    scout_db: str, listener: psycopg.Connection[Any]
) -> None:
    assert call("scout_health_info", scout_db, channel=CHANNEL, pipeline="luzon")["verdict"] == "healthy"
    assert heard(listener) == []
    library.poison_event(scout_db)
    library.gold_stale(scout_db)
    assert call("scout_health_info", scout_db)["verdict"] == "failing"
    assert call("scout_health_info", scout_db, channel=CHANNEL, check=True)["verdict"] == "failing"
    assert heard(listener) == []
    assert call("scout_health_info", scout_db, channel=CHANNEL, pipeline="luzon")["verdict"] == "failing"
    assert heard(listener) == [{"pipeline": "luzon", "verdict": "failing"}]


def test_a_name_that_is_too_long_is_refused(scout_db: str) -> None:
    refused = call("scout_health_info", scout_db, channel="x" * 64)
    assert "channel has more than 63 bytes" in refused["msg"]
