# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures that an incident keeps of an assessment or a gate, and how a person says them; pure."""

from __future__ import annotations

import math
import typing as t

from ..core.text import in_words

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: The figures that a report draws.
DRAWN: t.Final = ("bronze_staleness", "silver_staleness", "gold_staleness", "backlog_events", "backlog_age")


def figures_of(found: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What is followed, of the result of an assessment or a gate, with its judgement; nothing where there is none."""
    seen: list[Mapping[str, t.Any]] = found.get("indicators") or found.get("checks") or []
    known = {
        each["name"]: each
        for each in seen
        if each["name"] in DRAWN and isinstance(each["value"], int | float) and math.isfinite(each["value"])
    }
    if not known:
        return {}
    ingestion: Mapping[str, t.Any] = found.get("ingestion") or {}
    state = ingestion.get("state")
    return {
        "figures": {name: each["value"] for name, each in known.items()},
        "statuses": {name: each["status"] for name, each in known.items()},
        **({"state": state} if state else {}),
    }


def valued(name: str, value: float) -> str:
    """A value of a figure as a person says it."""
    if name.endswith("_staleness"):
        return in_words(value * 60)
    return f"{value:,.0f}"
