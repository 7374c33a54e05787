# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a window recovery says, before anything is rebuilt and after."""

from __future__ import annotations

import typing as t

from ..engine import job as engine_job


class WindowFound(t.TypedDict):
    """What does not depend on whether anything is rebuilt."""

    window: dict[str, t.Any]
    narrowed: dict[str, t.Any]
    mode: str
    plan: dict[str, t.Any]
    loaded: int
    poison: list[dict[str, t.Any]]


class WindowPlanned(engine_job.MoveOutcome):
    """What differs in check mode."""

    plan: dict[str, t.Any]


class WindowRecovered(engine_job.FinishedMove):
    """What differs once it came to its end."""

    loaded: int
    poison: list[dict[str, t.Any]]
    reconciliation: dict[str, t.Any]
    warnings: list[str]


class WindowResult(engine_job.MoveOutcome, WindowFound):
    """What scout_window_recovery returns."""

    reconciliation: dict[str, t.Any]
    batches: t.NotRequired[dict[str, t.Any]]
    warnings: t.NotRequired[list[str]]
