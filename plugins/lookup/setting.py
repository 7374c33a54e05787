# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person set, by a short word or by its name in an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: setting
short_description: What was set for a playbook of this collection
version_added: 1.0.0
description:
  - Gives the value of a variable that has two names, as C(last) and C(scout_last).
  - What was given with C(-e) comes first, by either name. Nothing in it is taken for a template, so that a text can quote one,
    and nobody who passes on the words of somebody else has them executed.
  - Then the short word, where a play, a task, an imported playbook or whoever imports a role says it. One of an inventory, as in
    group_vars, is not read - it may be anybody's.
  - Then C(scout_) and that word, which is what an inventory calls it. It is templated as usual.
  - Last the default.
options:
  _terms:
    description: The short word.
    type: list
    elements: str
    required: true
  default:
    description: The value where nobody has set one.
    type: raw
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Undo the run that was named
  scout.recovery.scout_undo:
    run_id: "{{ lookup('scout.recovery.setting', 'run_id', default='') }}"
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..plugin_utils import settings


class LookupModule(LookupBase):
    """Knows where a variable comes from."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, default: t.Any = None, **_options: t.Any
    ) -> list[t.Any]:
        """Each value."""
        return [settings.value(str(term), variables or {}, self._templar, self._loader, default) for term in terms]
