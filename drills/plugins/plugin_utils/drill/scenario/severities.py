# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The severities of incidents with their response times, which are the budgets until ingestion is paused; pure."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: The runbook's; a team may have others.
SEVERITIES: t.Final[dict[str, dict[str, t.Any]]] = {
    "critical": {
        "response_minutes": 5,
        "escalation": ["incident commander", "engineering team", "stakeholders"],
    },
    "high": {"response_minutes": 30, "escalation": ["on-call engineer", "team lead"]},
    "medium": {"response_minutes": 120, "escalation": ["standard support during business hours"]},
}


def severities(given: Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """The team's severities, or the runbook's where it has none. Raises BadInput for what cannot be one."""
    made: dict[str, dict[str, t.Any]] = {}
    for name, terms in (given or SEVERITIES).items():
        values = t.cast("dict[str, t.Any]", terms) if isinstance(terms, dict) else {}
        minutes, escalation = values.get("response_minutes"), values.get("escalation", [])
        usable = isinstance(minutes, int | float) and not isinstance(minutes, bool) and 0 < minutes <= 60 * 24 * 365
        told = isinstance(escalation, list) and all(isinstance(who, str) for who in t.cast("list[t.Any]", escalation))
        if not usable or not told or set(values) - {"response_minutes", "escalation"}:
            raise BadInput(
                f"severity {str(name)[:40]!r} is not usable as it is given",
                next_step="give each as {response_minutes: 30, escalation: [on-call engineer, team lead]}",
            )
        made[str(name)] = {"response_minutes": minutes, "escalation": escalation}
    return made
