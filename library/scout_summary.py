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
version_added: 1.0.0
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
        preflight, lease, assess, plan, unfinished, evidence, pause, terminate_sessions, complete_pause, foresee, quarantine, cleanup,
        redrive, undo, window_recovery, drain, refresh_gold, assess_again, resume, runs, gate, incident,
        notify, report_folder, report_html, report_markdown, drill, commit, plan_revert, plan_deploy,
        revert, deploy, rollback, proof, pause_again. Steps that did not run are empty.
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
  notice:
    description:
      - If the operation resumed ingestion or left it paused, return only RV(title) and RV(body), write no file and do not fail.
        Otherwise the option has no effect.
    type: bool
    default: false
  first:
    description:
      - Only show what was wrong and what has been done, before a run of the scheduler is waited for; no file, and it never fails.
    type: bool
    default: false
  contract:
    description: The names of the pipeline's objects where they are not those of Scout v5.2, as the steps had them.
    type: dict
    default: {}
  result_file:
    description: Write the document here. All hosts of a run share the file.
    type: path
attributes:
  check_mode:
    support: full
    description: Says what would be done; O(result_file) is written, because a plan is a result.
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
  returned: unless there is a RV(title)
  type: dict
lines:
  description: The lines for a person.
  returned: unless there is a RV(title)
  type: list
  elements: str
verdict:
  description: The verdict in one or a few words, such as V(RECOVERED) or V(STILL FAILING).
  returned: unless there is a RV(title)
  type: str
exit_code:
  description: The exit code of the playbook for this database alone.
  returned: unless there is a RV(title)
  type: int
drawn:
  description: The same below the lines that the callback P(scout.recovery.screen#callback) has for the phases.
  returned: never, as the callback takes it
  type: list
  elements: str
title:
  description: Title of a notice, with the operation, the database and the outcome.
  returned: with O(notice), if the operation resumed ingestion or left it paused
  type: str
body:
  description: The lines for a person, as one text.
  returned: with RV(title)
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import Params, WithoutSession, execute
from ..module_utils.recovery.summary import command

SPEC: dict[str, dict[str, t.Any]] = {
    "operation": {"type": "str", "required": True},
    "incident": {"type": "str", "default": "adhoc"},
    "steps": {"type": "list", "elements": "dict", "required": True},
    "resume": {"type": "bool", "default": True},
    "left_out": {"type": "dict", "default": {}},
    "notice": {"type": "bool", "default": False},
    "first": {"type": "bool", "default": False},
    "contract": {"type": "dict", "default": {}},
    "result_file": {"type": "path"},
}


def run(
    call: WithoutSession, params: Params
) -> command.SummaryResult | command.FirstLinesResult | command.NoticeResult:
    """The lines and the document of one operation on one host."""
    return command.summarize(params, check=call.check)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
