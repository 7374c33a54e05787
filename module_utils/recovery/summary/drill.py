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

OPERATIONS: t.Final = ("drill", "gameday")
WORDS: t.Final = {"not_run": "not run"}
#: How many reasons of a scenario are shown; the scorecard has them all.
REASONS: t.Final = 2


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """Verdict and phases for a machine; None where nothing was drilled."""
    drill: Result | None = result.get("document")
    if not drill:
        return None
    return {
        "verdict": result["verdict"],
        "drill": drill["drill"],
        "sandbox": drill["sandbox"],
        "folder": result["folder"],
        "scorecard": result["scorecard"],
        "elsewhere": result["elsewhere"],
        "scenarios": [
            {name: each[name] for name in ("name", "severity", "verdict", "seconds", "phases", "events", "why")}
            for each in drill["scenarios"]
        ],
    }


def lines(result: Mapping[str, t.Any], seconds: float | None, *, check: bool) -> list[str]:
    """A line for each scenario, why some did not pass, and where the scorecard is; as long as there are scenarios."""
    if check:
        title = f"drill planned, {count(len(result['scenarios']), 'scenario')}"
        return [title, *_part("would", ", ".join(result["scenarios"])), *_elsewhere(result), *_part("now", "nothing was run"),
                *_part("next", "run it without --check")]  # fmt: skip
    drill: Result = result["document"]
    what = "game day" if drill.get("gameday") else "drill"
    title = f"{what} {str(result['verdict']).upper()}, sandbox {drill['sandbox']}"
    title += f", {in_words(drill['seconds'] if seconds is None else seconds)}"
    wide = max((len(each["name"]) for each in drill["scenarios"]), default=0)
    made = [title]
    for each in drill["scenarios"]:
        word = WORDS.get(each["verdict"], each["verdict"])
        made.append(cut(f"  {word:<11} {each['name']:<{wide}}  {_slowest(each)}".rstrip(), WIDTH))
    for each in drill["scenarios"]:
        why = list(dict.fromkeys(each["why"])) if each["verdict"] not in ("passed", "not_run") else []
        more = f"; and {len(why) - REASONS} more" if len(why) > REASONS else ""
        made += _part("why", f"{each['name']}: {'; '.join(why[:REASONS])}{more}") if why else []
    made += _part("said", str(result["summary"]))
    made += _elsewhere(result)
    # A path is not broken, so that it can be opened.
    made += [f"  {'see':<7}{result['scorecard']}"]
    return [*made, *(line for warning in result.get("warnings") or () for line in _part("warn", str(warning)))]


def why(drill: Mapping[str, t.Any]) -> str:
    """Why the exit code is not 0, from the document of a summary."""
    wrong = [each["name"] for each in drill["scenarios"] if each["verdict"] != "passed"]
    return f"the drill did not pass: {', '.join(wrong) or drill['verdict']}"


def _slowest(scenario: Mapping[str, t.Any]) -> str:
    """The phase that took the largest part of its budget: `recovered 41 s of 30 min`."""
    late = [phase for phase in scenario["phases"] if phase["budget"] is not None]
    if not late:
        return ""
    slowest = max(late, key=_share)
    took = "never" if slowest["seconds"] is None else in_words(slowest["seconds"])
    return f"{slowest['phase']} {took} of {in_words(slowest['budget'])}"


def _share(phase: Mapping[str, t.Any]) -> float:
    return float("inf") if phase["seconds"] is None else phase["seconds"] / phase["budget"]


def _elsewhere(result: Mapping[str, t.Any]) -> list[str]:
    left = result.get("elsewhere")
    return _part("left", f"{', '.join(left)}, for another sandbox") if left else []


def _part(name: str, text: str) -> list[str]:
    body = textwrap.wrap(" ".join(text.split()), WIDTH - INDENT, break_on_hyphens=False, max_lines=4, placeholder=" …")
    return labelled(name, body)
