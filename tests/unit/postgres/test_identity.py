# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another host of the connection means for the one that is worked on."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import WrongDatabase
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.identity import Server, beside

NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
HERE = Server("db1", "5432", False, NOON, "7", 2, NOON)
THERE = dataclasses.replace(HERE, host="db2", started=NOON + dt.timedelta(seconds=1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timeline": 3}, "refused to work on the old primary of a failover on db1:5432: it is on timeline 2, and db2:5432 takes writes"),
        ({"timeline": 3, "standby": True}, "db2:5432 is a standby of a server on timeline 3"),
        ({}, "refused to choose between two primaries on db1:5432"),
        ({"system": "8", "written": NOON + dt.timedelta(1)}, "refused to work on a server whose ledger is older"),
    ],
)  # fmt: skip
def test_who_acts_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(WrongDatabase) as raised:
        beside(HERE, dataclasses.replace(THERE, **changes), "scout_dsn")  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "scout_dsn" in raised.value.next_step


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"standby": True}, ""),
        ({"standby": True, "timeline": 1}, ""),
        ({"standby": True, "timeline": None}, ""),
        ({"timeline": 1}, "db2:5432 of scout_dsn is the old primary (timeline 1, here 2) and still takes writes"),
        ({"timeline": None}, "nobody may see which of both came after the other"),
        ({"system": "8", "written": None}, "db2:5432 of scout_dsn is not of the same cluster"),
        ({"system": "8", "standby": True, "written": NOON + dt.timedelta(1)}, "is not of the same cluster"),
    ],
)
def test_what_is_only_said(changes: dict[str, object], said: str) -> None:
    told = beside(HERE, dataclasses.replace(THERE, **changes), "scout_dsn")  # type: ignore[arg-type]
    assert said in told
    assert bool(told) == bool(said)
