# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of the report of an incident: what became of its files, and why one could not be written."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

OPERATION: t.Final = "incident_report"
#: The steps that write a file each, and the one that makes their folder.
WRITTEN: t.Final = ("report_markdown", "report_chart")
FOLDER: t.Final = "report_folder"
#: What the system said, as Ansible quotes it, and what Ansible says before it.
ERRNO = re.compile(r"\[Errno \d+\] ([^:]+)")
PREFIX = re.compile(r"^(?:Task failed: |Module failed: )+")


def written(steps: Mapping[str, Result], *, check: bool) -> str:
    """What became of the files."""
    files = [steps[name] for name in WRITTEN if steps.get(name) and not steps[name].get("failed")]
    if not files:
        return ""
    if not any(file.get("changed") for file in files):
        return "the report is up to date"
    return "the report would be written" if check else "wrote the report"


def files(steps: Mapping[str, Result]) -> list[str]:
    """Where they are, the report first."""
    shown = [steps.get(name) or {} for name in WRITTEN]
    return [str(file.get("dest") or file.get("path")) for file in shown if file.get("dest") or file.get("path")]


def explained(name: str, result: Result) -> Result:
    """A step that failed to write a file, with what to do next; any other as it is."""
    if name not in (FOLDER, *WRITTEN) or not result.get("failed") or result.get("error"):
        return result
    text = PREFIX.sub("", str(result.get("msg") or "a step failed"))
    reason = ERRNO.search(text)
    if reason or name == FOLDER:
        attempted, said = "could not write the report", reason[1] if reason else text
        step = "give a writable folder with enough space: -e scout_report_dir=…"
    else:
        attempted, said, step = (
            "could not render the report",
            text,
            "correct the template that scout_report_template names",
        )
    error = {
        "kind": "program_failed",
        "attempted": attempted,
        "on": str(result.get("path") or ""),
        "said": said,
        "sqlstate": "",
        "next_step": step,
    }
    return result | {"error": error}
