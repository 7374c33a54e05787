#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what was set for roles against their specifications."""

from __future__ import annotations

DOCUMENTATION = r"""
module: scout_options
short_description: Check the variables of roles against their argument specs
version_added: 1.0.0
description:
  - Checks every option of the named roles (type, elements, choices) as its own default and the variables of the host give it,
    before any of them begins. A wrong value is named by the variable that a person set.
  - Refuses a variable that has a role's prefix and is nearly one of its options, which Ansible would ignore.
  - Runs on the controller, whatever the connection is, and needs no database.
options:
  roles:
    description: The roles an operation is made of, of this collection or by their full names.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Check what was set before anything begins
  scout.recovery.scout_options:
    roles: [ingestion, summary]
"""

RETURN = r"""
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.results import ModuleResult
from ..module_utils.recovery.invoke import Params, WithoutSession, execute

SPEC: dict[str, dict[str, t.Any]] = {"roles": {"type": "list", "elements": "str", "required": True}}


class OptionsResult(ModuleResult):
    """What scout_options returns."""

    warnings: t.NotRequired[list[str]]


def run(_call: WithoutSession, _params: Params) -> OptionsResult:
    """Refuses: on a target it has nothing that it needs."""
    raise BadInput("scout_options runs on the controller", next_step="name the task by its full name")


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
