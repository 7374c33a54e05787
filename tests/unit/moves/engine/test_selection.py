# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The times that an error suggests are times that are taken."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import selection
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import times


@pytest.mark.parametrize("text", ["2026-11-25", "2026-11-25 01:00", "2026-11-25T01:00:30", "2026-11-25T01", "20261125"])
def test_what_is_suggested_in_place_of_a_naive_time_can_be_typed(text: str) -> None:
    session: Any = None
    with pytest.raises(BadInput) as raised:
        times.moment(session, text, None, "window_start")
    suggested = re.findall(r"(?:write|or) (\d\S+?),?(?= |$)", raised.value.next_step)
    assert len(suggested) == 2
    for each in suggested:
        assert times.moment(session, each, None, "window_start").tzinfo is not None


AT = datetime.datetime(2026, 11, 25, 1, tzinfo=datetime.UTC)
EVENT = "5e6f9c1e-0000-4000-8000-000000000001"
ALL = selection.Selection(
    times.Window("event_ts", AT, AT + datetime.timedelta(hours=1)), ("pos",), ("transaction.v1",), ("S-1",), ("T-1", "T-2"),
    (EVENT,), "($.total_amount < 0)", "5:7:6,4294967301", ("a.zip/1.json",),
)  # fmt: skip


def test_a_selection_comes_back_as_it_was() -> None:
    assert selection.Selection.from_dict(ALL.as_dict()) == ALL
    nothing = selection.Selection(times.Window("ingested_at"))
    assert selection.Selection.from_dict(nothing.as_dict()) == nothing
    # As an earlier release wrote it.
    earlier = {key: value for key, value in nothing.as_dict().items() if key not in ("snapshot", "source_files")}
    assert selection.Selection.from_dict(earlier) == nothing
