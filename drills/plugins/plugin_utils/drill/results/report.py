# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what a drill found: drill.json, drill.md and drill.svg."""

from __future__ import annotations

import datetime as dt
import importlib.util
import io
import json
import logging
import re
import typing as t
import warnings

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import cleaned
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count, in_words

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Document = dict[str, t.Any]

NAME: t.Final = "drill"
PHASES: t.Final = ("detected", "paused", "recovered", "resumed")
#: A cell of a table is read at a glance; drill.json has all of it.
LONGEST: t.Final = 300
STYLE: t.Final = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "scout-recovery",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
#: What Markdown and HTML would not show as it is.
ACTIVE: t.Final = re.compile(r"[\\`*_\[\]<>|~@&]")
GOOD, BAD, BUDGET = "#2a7f62", "#b3261e", "#c9c9c9"


def require() -> None:
    """Raises BadInput if the library that paints the picture is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput(
            "a drill needs the Python package matplotlib", next_step="python -m pip install 'matplotlib ~= 3.11.0'"
        )


def conclude(document: Document) -> str:
    """Set the verdict of a drill, and return it in a sentence."""
    verdicts = [each["verdict"] for each in document["scenarios"]]
    passed = verdicts.count("passed")
    if "interrupted" in verdicts:
        document["verdict"] = "interrupted"
        return f"stopped before its end: {passed} of {count(len(verdicts), 'scenario')} passed"
    document["verdict"] = "passed" if passed == len(verdicts) else "failed"
    if document["verdict"] == "passed":
        return f"{count(passed, 'scenario')} passed"
    return f"{len(verdicts) - passed} of {count(len(verdicts), 'scenario')} did not pass"


def save(document: Document, folder: Path) -> None:
    """Write drill.json as far as the drill has come."""
    text = json.dumps(cleaned(document), indent=1, ensure_ascii=False)
    files.write(folder / f"{NAME}.json", f"{text}\n".encode())


def write(document: Document, folder: Path) -> Path:
    """Write all three files, and return the path of the one for people."""
    save(document, folder)
    shown: Document = cleaned(document)
    files.write(folder / f"{NAME}.svg", paint(shown))
    page = folder / f"{NAME}.md"
    files.write(page, markdown(shown).encode("utf-8", errors="replace"))
    return page


def markdown(document: Mapping[str, t.Any]) -> str:
    """Return the drill for a person or a pull request."""
    took = in_words(document["seconds"])
    lines = [
        f"# Drill of {document['started_at'][:16].replace('T', ' ')} UTC: {document['verdict']}",
        "",
        f"Database: {_cell(document['database'])}, PostgreSQL {_cell(document['server'])}. Took {took}.",
        "",
        f"![The time of each scenario beside its budget]({NAME}.svg)",
        "",
        "| Scenario | Verdict | Budget | " + " | ".join(name.capitalize() for name in PHASES) + " | Events |",
        "|---|---|--:|" + "--:|" * len(PHASES) + "---|",
    ]
    for each in document["scenarios"]:
        times = " | ".join(_seconds(each["phases"].get(name)) for name in PHASES)
        budget = in_words(each["budget_seconds"])
        verdict = each["verdict"].replace("_", " ")
        lines.append(f"| {_cell(each['title'])} | {verdict} | {budget} | {times} | {_events(each['events'])} |")
    lines += ["", "Times are measured from the fault, and the budget is for the recovery."]
    for each in document["scenarios"]:
        if each["why"]:
            lines += ["", f"## {_cell(each['title'])}", ""]
            lines += [f"- {_cell(why)}" for why in dict.fromkeys(each["why"])]
            lines += ["", "| Step | Exit code | Time | Changed | Result |", "|---|--:|--:|--:|---|"]
            lines += [_step(step) for step in each["steps"]]
    return "\n".join(lines) + "\n"


def _step(step: Mapping[str, t.Any]) -> str:
    code, changed = ("–" if step[name] is None else str(step[name]) for name in ("rc", "changed"))
    return f"| {_cell(step['playbook'])} | {code} | {in_words(step['seconds'])} | {changed} | {_cell(step['said'])} |"


def _cell(value: t.Any) -> str:
    text = " ".join(str(value).split())
    return ACTIVE.sub(r"\\\g<0>", text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


def _seconds(value: float | None) -> str:
    return "–" if value is None else in_words(value)


def _events(events: Mapping[str, int] | None) -> str:
    if not events:
        return "–"
    astray = [f"{number:,} {kind}" for kind, number in events.items() if kind != "written" and number]
    return f"{events['written']:,} written, {', '.join(astray) or 'none lost or duplicated'}"


def paint(document: Mapping[str, t.Any]) -> bytes:
    """Return an SVG with the time of each scenario until it was recovered, beside its budget."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        # It takes half a second to load.
        figures: t.Any = importlib.import_module("matplotlib.figure")
        settings: t.Any = importlib.import_module("matplotlib")
        with settings.rc_context(STYLE):
            scenarios = list(reversed(document["scenarios"]))
            figure = figures.Figure(figsize=(7.6, 1.1 + 0.34 * len(scenarios)), layout="constrained")
            axes = figure.add_subplot()
            for row, each in enumerate(scenarios):
                recovered, budget = each["phases"].get("recovered"), each["budget_seconds"]
                late = recovered is None or recovered > budget
                axes.barh(row, budget, height=0.62, color=BUDGET)
                if recovered is not None:
                    axes.barh(row, recovered, height=0.3, color=BAD if late else GOOD)
                words = each["verdict"].replace("_", " ") if recovered is None else in_words(recovered)
                axes.annotate(
                    f"{words} of {in_words(budget)}", (max(recovered or 0.0, budget), row),
                    xytext=(4, 0), textcoords="offset points", va="center",
                )  # fmt: skip
            axes.set_xscale("log")
            axes.set_xlim(left=1)
            axes.margins(x=0.25)
            axes.set_yticks(range(len(scenarios)), [each["name"] for each in scenarios])
            axes.set_xlabel("seconds from the fault until recovered (grey: budget)")
            axes.tick_params(axis="y", length=0)
            out = io.BytesIO()
            created = dt.datetime.fromisoformat(document["started_at"])
            figure.savefig(out, format="svg", metadata={"Date": created, "Creator": None})
    return out.getvalue()
