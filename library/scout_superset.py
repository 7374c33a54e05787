#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The caches of Superset after gold has changed, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_superset
short_description: Invalidate Superset's caches of what was changed, and warm dashboards
version_added: 1.1.0
description:
  - Logs in to Superset, finds the datasets that read the given tables and views, invalidates their caches, and asks the charts of the
    named dashboards that read them once, so that they are in the cache again. A chart that no longer finds a column is named.
  - Whatever Superset answers, or does not, never fails the task. RV(unreached) says why not all of it was done, and the warnings.
  - Changes nothing in Superset but its caches. Passwords and tokens appear in no result and on no screen. A redirect is not followed.
  - Runs on the controller and connects to no database.
options:
  url:
    description: Address of Superset, https, or http to this machine.
    type: str
    required: true
  user:
    description: Who logs in; by default the environment variable E(SUPERSET_USERNAME).
    type: str
    default: ""
  password:
    description: The password, from a vault; by default the environment variable E(SUPERSET_PASSWORD).
    type: str
    default: ""
  provider:
    description: How Superset knows the user.
    type: str
    choices: [db, ldap]
    default: db
  relations:
    description: Tables and views that were changed, with their schema.
    type: list
    elements: str
    required: true
  dashboards:
    description: Dashboards to warm, each by its number or its slug.
    type: list
    elements: str
    default: []
  ca_file:
    description: File with the certificates to trust, where these are not the system's.
    type: path
  timeout_seconds:
    description: How long all of it may take, in seconds.
    type: float
    default: 60.0
attributes:
  check_mode:
    support: full
    description: Says of which relations it would look for datasets; connects to nothing.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: none
    description: Every run invalidates the caches again.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Show the figures of now
  scout.recovery.scout_superset:
    url: https://superset.example.org
    user: scout
    password: "{{ vault_superset_password }}"
    relations: [scout.gold_daily_sales]
    dashboards: [sales]
"""

RETURN = r"""
datasets:
  description: Datasets that read what was changed, with id and name, the relation.
  returned: success
  type: list
  elements: dict
invalidated:
  description: Whether Superset accepted to invalidate their caches, and no chart was seen to be answered from them afterwards.
  returned: success
  type: bool
warmed:
  description: Names of the charts that were warmed.
  returned: success
  type: list
  elements: str
broken:
  description: Charts that fail, with dashboard, chart, column (the one that it does not find, else empty) and said.
  returned: success
  type: list
  elements: dict
unreached:
  description: Why not all of it was done; empty where it was.
  returned: success
  type: str
effects:
  description: The same as a dictionary.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import Params, WithoutSession, execute
from ..module_utils.recovery.notifications import superset

SPEC: dict[str, dict[str, t.Any]] = {
    "url": {"type": "str", "required": True},
    "user": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "provider": {"type": "str", "choices": ["db", "ldap"], "default": "db"},
    "relations": {"type": "list", "elements": "str", "required": True},
    "dashboards": {"type": "list", "elements": "str", "default": []},
    "ca_file": {"type": "path"},
    "timeout_seconds": {"type": "float", "default": 60.0},
}


def run(call: WithoutSession, params: Params) -> superset.SupersetResult:
    """Sees to its caches."""
    return superset.carry_out(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
