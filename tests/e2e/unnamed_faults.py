# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of a reset of a pipeline with a fault, by what its scheduler makes of it next."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.play import Played
from tests.faults import Fault


def judge(fault: Fault, filled: Callable[[str], str], played: Played, wrong: str) -> None:
    """Whether what a reset says is true: it ends well where the next runs work, and else names the fault."""
    assert fault.named
    assert (played.rc == 0) == (not wrong), f"{wrong}\n{played.text}"
    assert not wrong or filled(fault.named) in played.summary, f"{wrong}\n{played.text}"
    assert "-vvv" not in played.summary
