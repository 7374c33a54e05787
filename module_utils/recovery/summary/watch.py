# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of a watch."""

from __future__ import annotations

import typing as t

from ..health.watch.course import SHOWN, valued

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

PAUSE: t.Final = "ansible-playbook playbooks/pause_ingestion.yml"
WHICH: t.Final = ("verdict", "why", "run_id", "seconds", "planned", "counts", "trends", "samples_file", "charts")


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """What a watch saw, for a machine; None where there was none, or where it could not begin."""
    return {name: result.get(name) for name in WHICH} if result.get("operation") == "watch" else None


def saw(result: Mapping[str, t.Any], *, check: bool) -> str:
    """`healthy after 30 min: 61 healthy; backlog 12,000 to 0`; what a check saw is one sample only."""
    text = str(result.get("summary", ""))
    return text if check else "; ".join([text, *_moved(result)]) if text else ""


def _moved(result: Mapping[str, t.Any]) -> list[str]:
    """What a person follows, at the beginning and at the end, where that says more than one value."""
    trends: Mapping[str, Mapping[str, t.Any]] = result.get("trends") or {}
    ends = {
        label: [valued(name, trends[name][end]) for end in ("first", "last")]
        for name, label, _ in SHOWN
        if name in trends
    }
    return [f"{label} {first} to {last}" for label, (first, last) in ends.items() if first != last]


def chart(result: Mapping[str, t.Any]) -> list[str]:
    """Where the chart is, on a line that is never broken, so that it can be opened."""
    return list(result.get("charts") or [])[:1]


def urgent(steps: Mapping[str, Mapping[str, t.Any]]) -> list[str]:
    """What comes before everything else: a pipeline that fails and could not be paused."""
    return [PAUSE] if "watch" in steps and steps.get("pause", {}).get("failed") else []
