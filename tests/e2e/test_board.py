# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every panel of the Grafana dashboard has an answer from a real Prometheus, and the picture of it shows these.

`SCOUT_WRITE_SCREENS=1` has the test write the picture instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import debian
from tests.e2e import board, board_picture


def test_every_panel_has_an_answer_and_the_picture_is_of_them(tmp_path: Path, subtests: pytest.Subtests) -> None:
    try:
        with board.served(tmp_path) as address:
            panels = board.answers(address)
    except debian.Unavailable as e:
        pytest.skip(f"{e}; promtool's tests of the queries stand alone")
    for panel, answers in panels:
        with subtests.test(panel=panel["title"]):
            assert all(answer.series for answer in answers), "a query that nothing answers"
    drawn = board_picture.svg(panels)
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        board.PICTURE.write_text(drawn, encoding="utf-8")
    assert drawn == board.PICTURE.read_text(encoding="utf-8"), (
        "the picture is older than the dashboard: SCOUT_WRITE_SCREENS=1 writes it again"
    )
