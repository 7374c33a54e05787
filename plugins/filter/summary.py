# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that sums up an operation."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: summary
short_description: Sum up what an operation did
version_added: 2.0.0
description:
  - Makes, from the results of an operation's steps, the few lines a person reads last, and one document for a machine.
  - Role P(scout.recovery.summary#role) shows the lines and fails where the operation did not succeed.
options:
  _input:
    description:
      - Results of the steps by name, in the order in which they are done, as a list of dictionaries with one key. Empty if a step
        did not run.
    type: list
    elements: dict
    required: true
  operation:
    description: Name of the operation, as the playbook's.
    type: str
    required: true
  host:
    description: The host it was done for.
    type: str
    required: true
  hosts:
    description: All hosts that the operation can be done for. With several, a command that is named says for which it is.
    type: list
    elements: str
    required: true
  check:
    description: Whether it was done in check mode.
    type: bool
    default: false
  resume:
    description: Whether the operation was to resume ingestion.
    type: bool
    default: true
  left_out:
    description: Parts of the operation that were left out, by name, each with why.
    type: dict
    default: {}
  incident:
    description: The incident it was done for; if it is adhoc, the one that the steps worked for.
    type: str
    default: adhoc
  contract:
    description: The names of the pipeline's objects where they are not those of Scout v5.2, as the steps had them.
    type: dict
    default: {}
  verbose:
    description: Show every cause.
    type: bool
    default: false
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Sum up
  ansible.builtin.set_fact:
    summed_up: >-
      {{ [{'pause': pause_result}]
         | scout.recovery.summary('pause_ingestion', host=inventory_hostname, hosts=groups['scout']) }}
"""

RETURN = r"""
_value:
  description:
    - C(document) for a machine, which docs/result.schema.json describes; C(lines) for a person; C(verdict) in one or a few words; the
      C(exit_code) of the playbook for this database alone; C(row), a line of a table of hosts; C(title) of a notice, none where
      ingestion was neither resumed nor left paused.
  type: dict
"""

import json
import typing as t

from ..module_utils.recovery.summary.command import Summary, summarize


def summary(steps: list[dict[str, t.Any]], operation: str, host: str, hosts: list[str], **options: t.Any) -> Summary:
    """The summary of an operation on one host. Raises TypeError for an option it does not have."""
    # The controller's values carry tags that other libraries need not know.
    plain = json.loads(json.dumps({"steps": steps, "options": options}, default=str))
    given = plain["options"]
    names = given.pop("contract", None)
    return summarize(
        plain["steps"], operation=str(operation), host=str(host), several=len(hosts) > 1, contract_names=names, **given
    )


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"summary": summary}
