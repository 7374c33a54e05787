# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands on the record of an incident return."""

from __future__ import annotations

import typing as t

from ..core.results import ModuleResult
from .timeline import Described


class IncidentResult(ModuleResult, Described):
    """What scout_incident returns of an incident that it opened, noted, updated or closed."""

    operation: str
    incident_open: bool
    warnings: list[str]
    diff: dict[str, t.Any]


class SeenResult(ModuleResult):
    """What it returns of a look at the pipeline."""

    operation: str
    incident: str | None
    run_id: str | None
    warnings: list[str]


class IncidentInfoResult(ModuleResult):
    """What scout_incident_info returns."""

    operation: str
    incident: str | None
    record: Described | None
    overdue: list[dict[str, t.Any]]
    timeline: list[dict[str, t.Any]]
    report: dict[str, t.Any] | None
