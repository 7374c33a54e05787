# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a standby is behind, by when it replays what had been written."""

from __future__ import annotations

from typing import Any

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import throttle


def standbys() -> throttle.Standbys:
    session: Any = None
    return throttle.Standbys(session, 30.0, Progress())


def standby(replayed: int | None, written: int, seconds: float = 0.0) -> dict[str, Any]:
    return {"name": "reader", "replayed": replayed, "written": written, "seconds": seconds}


def test_one_that_stands_still_is_behind_for_as_long_as_that() -> None:
    made = standbys()
    assert made.behind(standby(100, 150), 10.0) == ("reader", 0.0)
    assert made.behind(standby(100, 200), 13.0) == ("reader", 3.0)
    assert made.behind(standby(100, 200), 15.0) == ("reader", 5.0)
    # It has what had been written at 10 and not yet what had been at 13.
    assert made.behind(standby(150, 200), 16.0) == ("reader", 3.0)
    assert made.behind(standby(199, 200), 17.0) == ("reader", 4.0)
    assert made.behind(standby(200, 200), 18.0) == ("reader", 0.0)
    assert list(made.written) == []
