# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands on the running pipeline return."""

from __future__ import annotations

import typing as t

from ..core.results import ModuleResult


class Recorded(t.TypedDict):
    """The run in the ledger, and what is to be said of the ledger."""

    run_id: str | None
    warnings: list[str]


class Switched(Recorded):
    """The same of a pause or a resume, with what the pipeline's own switch said."""

    switch: t.NotRequired[dict[str, t.Any]]


class IngestionState(t.TypedDict):
    """How ingestion is now, each job with what it was before."""

    state: str
    jobs: list[dict[str, t.Any]]
    sessions_in_flight: list[dict[str, t.Any]]
    stuck: list[dict[str, t.Any]]
    paused_since: str | None
    paused_by: str | None
    paused_reason: str | None
    paused_by_another: bool


class SwitchResult(ModuleResult, Switched, IngestionState):
    """What scout_ingestion returns."""

    error: t.NotRequired[dict[str, t.Any]]
    seconds: float
    effects: dict[str, t.Any]
    diff: dict[str, t.Any]


class TerminationResult(ModuleResult, Recorded):
    """What scout_terminate_sessions returns."""

    ended: list[dict[str, t.Any]]
    left: list[dict[str, t.Any]]
    waiting: list[dict[str, t.Any]]
    tree: list[str]
    effects: dict[str, t.Any]
    diff: dict[str, t.Any]


class Progressed(t.TypedDict):
    """How far a drain came, whether it ended well or not."""

    changed: bool
    loaded: int
    poison: list[dict[str, t.Any]]
    kinds: list[dict[str, t.Any]]
    batches: int
    retries: int
    seconds: float
    effects: dict[str, t.Any]


class DrainResult(ModuleResult, Progressed, Recorded):
    """What scout_drain returns."""

    backlog: dict[str, t.Any]
    suspects: t.NotRequired[list[dict[str, t.Any]]]
    diff: dict[str, t.Any]


class Refreshes(t.TypedDict):
    """What was refreshed, whether all went well or not."""

    changed: bool
    refreshed: list[dict[str, t.Any]]
    effects: dict[str, t.Any]


class RefreshResult(ModuleResult, Refreshes, Recorded):
    """What scout_refresh_gold returns."""

    views: list[dict[str, t.Any]]
    diff: dict[str, t.Any]


class PreflightResult(ModuleResult):
    """What scout_preflight_info returns."""

    missing: list[dict[str, t.Any]]
    hindered: list[dict[str, str]]
    role: str
    superuser: bool
    server_version: int
    service: str | None
    pooled: bool
    warnings: list[str]
