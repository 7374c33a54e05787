# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of an incident, for a person and for a machine."""

from __future__ import annotations

import re
import typing as t

from ..core.times import readable

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

REPORT: t.Final = "incident_report"
OPERATIONS: t.Final = ("incident_open", "incident_note", "incident_update", "incident_close", REPORT)
#: The steps that write a report.
WRITTEN: t.Final = ("report_html", "report_markdown")
#: The step that makes the folder they are in.
FOLDER: t.Final = "report_folder"
#: What the system said, as Ansible quotes it, and what Ansible says before it.
ERRNO = re.compile(r"\[Errno \d+\] ([^:]+)")
PREFIX = re.compile(r"^(?:Task failed: |Module failed: )+")
ASSESS: t.Final = "ansible-playbook playbooks/assess.yml"
WHICH: t.Final = (
    *("incident", "title", "severity", "state", "opened_at", "opened_by", "closed_at", "closed_by"),
    *("root_cause", "next_update_at", "response_due_at", "escalation", "overdue", "missing", "phases"),
)
#: These notify people by themselves, or recover nothing.
SILENT: t.Final = (*OPERATIONS, "pause_ingestion")


def _record_of(result: Mapping[str, t.Any]) -> Result:
    """The record in what either module returned; empty where there is none."""
    if result.get("operation") == "incident_info":
        return result["record"] or {}
    return dict(result) if result.get("operation") == "incident" else {}


def in_order(warnings: list[str], result: Mapping[str, t.Any]) -> list[str]:
    """Warnings of what was done to the record before those of how it stood, and no late update of what is closed."""
    record = _record_of(result)
    late = f"the update of {record.get('incident')} promised for "
    own = t.cast("list[str]", result.get("warnings") or [])
    first = [each for each in own if each in warnings]
    rest = [each for each in warnings if each not in first]
    return [*first, *(each for each in rest if record.get("state") != "closed" or not each.startswith(late))]


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """The record for a machine; None where no step looked at it."""
    record = _record_of(result)
    return {name: record[name] for name in WHICH} if record else None


def parts(operation: str, result: Mapping[str, t.Any]) -> dict[str, str]:
    """What is overdue, and how far the checklist is, each on lines of its own."""
    record = _record_of(result)
    if not record:
        return {}
    # Few operations are about an incident, and all of them make their summary here.
    from ..incidents import timeline

    made = {"late": "; ".join(map(timeline.overdue_words, record["overdue"]))}
    if operation in OPERATIONS:
        return made | {"list": _checklist(record["phases"])}
    if record["state"] == "open":
        made["for"] = f"{record['incident']}, {record['severity']}: {record['title']}"
    return made


def written(steps: Mapping[str, Result], *, check: bool) -> str:
    """What became of the files of a report."""
    files = [steps[name] for name in WRITTEN if steps.get(name) and not steps[name].get("failed")]
    if not files:
        return ""
    if not any(file.get("changed") for file in files):
        return "the report is up to date"
    return "the report would be written" if check else "wrote the report"


def files(steps: Mapping[str, Result]) -> list[str]:
    """Where the files of a report are, the page first."""
    shown = [steps.get(name) or {} for name in WRITTEN]
    return [str(file.get("dest") or file.get("path")) for file in shown if file.get("dest") or file.get("path")]


def explained(name: str, result: Result) -> Result:
    """A step of Ansible's own that wrote a report and failed, with what to do next; any other as it is."""
    if name not in (FOLDER, *WRITTEN) or not result.get("failed") or result.get("error"):
        return result
    text = PREFIX.sub("", str(result.get("msg") or "a step failed"))
    reason = ERRNO.search(text)
    if reason or name == FOLDER:
        attempted, said = "could not write the report", reason[1] if reason else text
        step = "give a writable folder with enough space: -e report_dir=…"
    else:
        attempted, said = "could not render the report template", text
        option = "report_template_html" if name == "report_html" else "report_template_markdown"
        step = f"fix the template, or leave out {option}"
    error = {
        "attempted": attempted,
        "on": str(result.get("path") or ""),
        "said": said,
        "sqlstate": "",
        "next_step": step,
    }
    return result | {"error": error}


def lacking(operation: str, result: Mapping[str, t.Any]) -> str:
    """What a report has no words for yet."""
    record = _record_of(result)
    return ", ".join(each.replace("_", " ") for each in record["missing"]) if record and operation == REPORT else ""


def _checklist(phases: list[Result]) -> str:
    """`2 of 22 items done; still open in phase 1: impact assessed, stakeholders notified`."""
    items = [item for phase in phases for item in phase["items"]]
    text = f"{sum(item['done'] for item in items)} of {len(items)} checklist items done"
    current = next((phase for phase in phases if not phase["done"]), None)
    if current is None:
        return text
    left = ", ".join(item["text"] for item in current["items"] if not item["done"])
    return f"{text}; open in phase {current['phase']}, {current['title']}: {left}"


def now(result: Mapping[str, t.Any]) -> str:
    """`INC-2041 is open, critical, since 09:12 UTC; next update by 09:42 UTC`; empty where no step looked at it."""
    record = _record_of(result)
    if not record:
        return ""
    if record["state"] == "closed":
        return f"{record['incident']} is closed since {_minute(record['closed_at'])}"
    text = f"{record['incident']} is open, {record['severity']}, since {_minute(record['opened_at'])}"
    return f"{text}; next update by {_minute(record['next_update_at'])}" if record["next_update_at"] else text


def what_next(operation: str, result: Mapping[str, t.Any]) -> list[str]:
    """What is left to do, in order."""
    record = _record_of(result)
    if not record:
        return []
    if operation == REPORT:
        return [_to_note(record), "this again"] if record["missing"] else []
    if record["state"] == "closed":
        return [_to_note(record)] if record["missing"] else []
    late = [each["what"] for each in record["overdue"]]
    made = (
        ["tell others how it stands: incident_update.yml with text and next_update_minutes"] if "update" in late else []
    )
    return [*made, ASSESS] if operation == "incident_open" or "response" in late else made


def _to_note(record: Mapping[str, t.Any]) -> str:
    """What only a person can say, and so no command can hold."""
    return (
        f"say what is missing: incident_note.yml with incident={record['incident']} and {', '.join(record['missing'])}"
    )


def is_news(made: Mapping[str, t.Any]) -> bool:
    """Whether people should be notified of an operation, from its document: it resumed ingestion or left it paused."""
    if made["check_mode"] or made["operation"] in SILENT:
        return False
    changed = {step["name"] for step in made["steps"] if step["changed"] and not step["failed"]}
    return bool({"pause", "unfinished", "resume"} & changed)


def _minute(moment: str) -> str:
    return f"{readable(moment)[:16]} UTC"
