# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of a drill, for a person and for a machine."""

from __future__ import annotations

import textwrap
import typing as t

from ..core.text import count, cut, in_words
from .layout import INDENT, WIDTH, labelled

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

OPERATIONS: t.Final = ("drill",)
SCENARIO: t.Final = ("name", "verdict", "seconds", "budget_seconds", "phases", "events", "why")
#: How many reasons of a scenario are shown; drill.md has them all.
REASONS: t.Final = 2


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """Return verdict and times for a machine; None if nothing was drilled."""
    drill: Result | None = result.get("document")
    if not drill:
        return None
    return {
        **{name: result[name] for name in ("verdict", "folder", "page", "elsewhere")},
        "drill": drill["drill"],
        "database": drill["database"],
        "scenarios": [{name: each[name] for name in SCENARIO} for each in drill["scenarios"]],
    }


def lines(result: Mapping[str, t.Any], *, check: bool) -> list[str]:
    """Return a line for each scenario, why some did not pass, and where the result is."""
    if check:
        title = f"drill planned, {count(len(result['scenarios']), 'scenario')}"
        return [title, *_part("would", ", ".join(result["scenarios"])), *_elsewhere(result), *_part("now", "nothing was run"),
                *_part("next", "run it without --check")]  # fmt: skip
    drill: Result = result["document"]
    took = in_words(drill["seconds"])
    made = [cut(f"drill {str(result['verdict']).upper()}, {drill['database']}, {took}", WIDTH)]
    wide = max((len(each["name"]) for each in drill["scenarios"]), default=0)
    for each in drill["scenarios"]:
        recovered = each["phases"].get("recovered")
        took = f"recovered {in_words(recovered)} of {in_words(each['budget_seconds'])}" if recovered is not None else ""
        made.append(cut(f"  {each['verdict'].replace('_', ' '):<11} {each['name']:<{wide}}  {took}".rstrip(), WIDTH))
    for each in drill["scenarios"]:
        why = list(dict.fromkeys(each["why"]))
        more = f"; and {len(why) - REASONS} more" if len(why) > REASONS else ""
        made += _part("why", f"{each['name']}: {'; '.join(why[:REASONS])}{more}") if why else []
    made += [*_part("said", str(result["summary"])), *_elsewhere(result)]
    # A path is not broken, so that it can be opened.
    made += [f"  {'see':<7}{result['page']}"]
    return [*made, *(line for warning in result.get("warnings") or () for line in _part("warn", str(warning)))]


def _elsewhere(result: Mapping[str, t.Any]) -> list[str]:
    left = result.get("elsewhere")
    return _part("left", f"{', '.join(left)}, for the embedded reference only") if left else []


def _part(name: str, text: str) -> list[str]:
    body = textwrap.wrap(" ".join(text.split()), WIDTH - INDENT, break_on_hyphens=False, max_lines=4, placeholder=" …")
    return labelled(name, body)
