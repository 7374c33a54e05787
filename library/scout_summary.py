#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of an operation as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_summary
short_description: Say what an operation did
version_added: 0.1.0
description:
  - Builds, from the results of an operation's steps, the few lines a person reads last and one document for a machine.
  - Fails when the operation did not succeed although no step failed, so that the exit code says so.
  - Runs on the controller and connects to no database.
options:
  operation:
    description: Name of the operation, as the playbook's.
    type: str
    required: true
  incident:
    description: The incident it was done for; if it is adhoc, the one that the steps worked for.
    type: str
    default: adhoc
  steps:
    description:
      - Results of the steps by name, in the order in which they are done, as a list of one-key dictionaries. Names are
        preflight, lease, assess, plan, unfinished, evidence, pause, clear, complete_pause, quarantine, cleanup, redrive, undo,
        drain, refresh, assess_again, resume, runs, dashboard, metrics, watch, gate, incident, notify, notified, evidence_verify,
        report_folder, report_html, report_markdown, drill, commit, plan_revert, plan_deploy, revert, deploy, restore. Steps that
        did not run are empty.
    type: list
    elements: dict
    required: true
  resume:
    description: Whether the operation was to resume ingestion.
    type: bool
    default: true
  left_out:
    description: Parts of the operation that were left out, by name, each with why.
    type: dict
    default: {}
  news:
    description:
      - Only return what people are to be told, as RV(event), RV(happened) and RV(done); no lines, no file, and it never fails.
    type: bool
    default: false
  contract:
    description: The names of the pipeline's objects where they are not those of Scout v5.2, as the steps had them.
    type: dict
    default: {}
  result_file:
    description: Write the document here. All hosts of a run share the file.
    type: path
  junit_file:
    description:
      - Write the checks of an acceptance gate here as JUnit XML, a suite for each database. All hosts of a run share the file.
      - Needs junitparser on the host that runs the module.
    type: path
attributes:
  check_mode:
    support: full
    description: Says what would be done; O(result_file) and O(junit_file) are written, because a plan is a result.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: full
    description: Changes nothing in the database.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Say what happened
  scout.recovery.scout_summary:
    operation: pause_ingestion
    steps:
      - pause: "{{ ingestion_result }}"
    result_file: out.json
"""

RETURN = r"""
document:
  description: The result for a machine; docs/result.schema.json describes it.
  returned: success
  type: dict
lines:
  description: The lines for a person.
  returned: success
  type: list
  elements: str
event:
  description:
    - recovered where the pipeline works again, update where a recovery of an open incident left it paused, else null.
  returned: with O(news)
  type: str
happened:
  description: What happened, in words.
  returned: with O(news)
  type: str
done:
  description: What was done, in words.
  returned: with O(news)
  type: str
"""

import dataclasses
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import RecoveryError
from ..module_utils.recovery.invoke import failure
from ..module_utils.recovery.ledger.open_incident import ADHOC
from ..module_utils.recovery.postgres.session import INCIDENT
from ..module_utils.recovery.scout import contract
from ..module_utils.recovery.summary import dashboard, drill, gate, junit, render
from ..module_utils.recovery.summary.incident import news

SPEC: dict[str, dict[str, t.Any]] = {
    "operation": {"type": "str", "required": True},
    "incident": {"type": "str", "default": "adhoc"},
    "steps": {"type": "list", "elements": "dict", "required": True},
    "resume": {"type": "bool", "default": True},
    "left_out": {"type": "dict", "default": {}},
    "news": {"type": "bool", "default": False},
    "contract": {"type": "dict", "default": {}},
    "result_file": {"type": "path"},
    "junit_file": {"type": "path"},
}


def run(
    params: dict[str, t.Any], *, check: bool, host: str = "localhost", seconds: float | None = None, run_key: str = ""
) -> dict[str, t.Any]:
    """The lines and the document of one operation on one host."""
    with contract.using(_names(params)):
        return _run(params, check=check, host=host, seconds=seconds, run_key=run_key)


def _names(params: dict[str, t.Any]) -> contract.Contract:
    """Those that were given; what cannot be used was refused by the first step, and what happened is still to be said."""
    try:
        return contract.of(params.get("contract"))
    except RecoveryError:
        return contract.DEFAULT


def _run(params: dict[str, t.Any], *, check: bool, host: str, seconds: float | None, run_key: str) -> dict[str, t.Any]:
    # A name that cannot be used was refused by the first step; what happened is still to be said.
    incident = params["incident"] if INCIDENT.fullmatch(params["incident"]) else ADHOC
    steps = {name: result or {} for step in params["steps"] for name, result in step.items()}
    if incident == ADHOC:
        incident = next((r["incident"] for r in steps.values() if r.get("incident", ADHOC) not in (None, ADHOC)), ADHOC)
    left_out = params.get("left_out") or {}
    story = render.Story(
        params["operation"], host, incident, check, params["resume"], steps, seconds, left_out, str(Path.cwd())
    )
    made = render.document(story)
    if params.get("news"):
        return {"changed": False, **news(made, story.ran)}
    for name, save in (("result_file", render.save), ("junit_file", junit.save)):
        if params.get(name):
            try:
                save(Path(params[name]), made, run_key)
            except RecoveryError as e:
                story = dataclasses.replace(story, steps={**story.steps, name: failure(e)})
                made = render.document(story)
    result: dict[str, t.Any] = {
        "changed": False,
        "lines": [*_page(story), *render.lines(story)],
        "document": made,
        "ansible_stats": {"data": {"scout_result": made}, "per_host": True, "aggregate": False},
    }
    unwritten = next((story.steps[name] for name in ("result_file", "junit_file") if name in story.steps), None)
    if unwritten is not None:
        result.update(failed=True, msg=unwritten["msg"])
    elif not made["ok"] and not any(step.get("failed") for step in story.ran.values()):
        result.update(failed=True, msg=_why(made))
    return result


def _why(made: dict[str, t.Any]) -> str:
    """What was not reached although no step failed."""
    if made["error"]:
        return f"{made['error']['attempted']}: {made['error']['said']}"
    if made["drill"]:
        return drill.why(made["drill"])
    if made["outcome"] == gate.NOT_PASSED:
        return gate.message(made["gate"] or {})
    return f"ingestion left {made['ingestion']}: {', '.join(made['blockers'])}"


def _page(story: render.Story) -> list[str]:
    """The dashboard, where it was asked for, and an empty line."""
    answered = story.ran.get("dashboard", {})
    return [*dashboard.page(answered), ""] if "queries" in answered else []


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = run(module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
