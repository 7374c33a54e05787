# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text that a person typed, as it was typed: braces in it are braces."""

from __future__ import annotations

DOCUMENTATION = r"""
name: typed
short_description: A text of the command line, exactly as it was typed
version_added: 0.1.0
description:
  - Gives the value of a variable. Where it was given with C(-e), nothing in it is taken for a template, so that a note can
    quote one, and nobody who passes on the words of somebody else has them executed.
  - A variable from elsewhere is templated as usual. One that is not set is an empty text.
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Note what was typed
  scout.recovery.scout_incident:
    state: noted
    text: "{{ lookup('scout.recovery.typed', 'text') }}"
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
"""

import typing as t

from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """Knows what came from the command line."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **_options: t.Any) -> list[t.Any]:
        """Each value."""
        typed = load_extra_vars(t.cast("t.Any", self._loader))
        usual = t.cast("t.Any", lookup_loader).get("ansible.builtin.vars", loader=self._loader, templar=self._templar)
        return [
            _bare(typed[name]) if name in typed else usual.run([name], variables=variables, default="")[0]
            for name in terms
        ]


def _bare(value: t.Any) -> t.Any:
    """The value without the mark by which Ansible takes a text for a template."""
    return "".join(value) if isinstance(value, str) else value
