# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of the sessions that were ended, and of those left alone."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import terminate_sessions
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import sessions
from tests.unit.scout.test_sessions import KEY, activity

ONE, OTHER = activity(1, KEY), activity(2, KEY)


@pytest.mark.parametrize(
    ("end", "leave", "how", "text"),
    [
        ((), (), (), "no stuck session"),
        ((ONE,), (), (), "nothing done"),
        ((), (ONE,), (), "1 session left alone"),
        ((ONE,), (), ("cancelled",), "1 session cancelled"),
        ((ONE, OTHER), (), ("terminated", "terminated"), "2 sessions terminated"),
        ((ONE,), (OTHER,), ("ended by itself",), "1 session ended by itself, 1 session left alone"),
    ],
)
def test_what_was_done_is_said_in_one_line(
    end: tuple[sessions.Activity, ...], leave: tuple[sessions.Activity, ...], how: tuple[str, ...], text: str
) -> None:
    todo = sessions.Plan(end, tuple((each, "role dba is protected") for each in leave), ())
    done = [terminate_sessions.Ended(each, way, 0.1) for each, way in zip(end, how, strict=False)]
    assert terminate_sessions.summary(done, todo) == text
