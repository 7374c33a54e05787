# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says in which batches a playbook goes over its hosts, and how."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
short_description: In which batches a playbook of this collection goes over its hosts
version_added: 1.0.0
description:
  - Gives a value for C(serial) or C(strategy) of a play - that of the variable C(serial) or C(strategy), or of C(scout_serial) or
    C(scout_strategy), given with C(-e), else that of C(scout_serial) or C(scout_strategy) in the inventory.
  - C(serial) is a number of hosts, a share of them as C(20%), or a list of these as C(1,10,100%). Without it all hosts are one batch.
  - C(strategy) is C(free), C(host_pinned) or C(linear).
  - C(max_fail_percentage) or C(scout_max_fail_percentage) says after which share of hosts that failed in a batch no other begins. Every
    host of a batch is brought to its end before.
  - Unless C(--forks) or the configuration gives a number, as many hosts are worked on at a time as there are, up to four for each core
    of this machine, and five at least.
  - With C(rollout) or C(scout_rollout), and C(scout_rollout_dsn), this run is one slice of a rollout that several controllers share.
    The record in that database then says which hosts begin, so that batches and shares are those of all slices.
  - A value that is none of these is refused before anything begins.
options:
  _terms:
    description: C(serial) or C(strategy).
    type: list
    elements: str
    required: true
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Assess the pipeline
  hosts: "{{ lookup('scout.recovery.targets') }}"
  strategy: "{{ lookup('scout.recovery.rollout', 'strategy') }}"
  serial: "{{ lookup('scout.recovery.rollout', 'serial') }}"
  tasks: []
"""

RETURN = r"""
_raw:
  description: The value for the play.
  type: list
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..plugin_utils import batches


class LookupModule(LookupBase):
    """Reads what was typed, and what the inventory has."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **_options: t.Any) -> list[t.Any]:  # noqa: ARG002
        """The value, or an error that says what it can be."""
        try:
            given = batches.shared(batches.given(self._loader))
            batches.watch(given)
            batches.widen()
        except BadInput as e:
            raise AnsibleLookupError(f"{e}") from e
        # A list of one value is that value.
        return [given[str(terms[0])]]
