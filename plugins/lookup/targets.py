# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says which hosts a playbook is for, and fails where that would be none."""

from __future__ import annotations

DOCUMENTATION = r"""
name: targets
short_description: The hosts a playbook of this collection is for
version_added: 1.0.0
description:
  - Gives a pattern for C(hosts) that matches at least one host, so that a mistyped name ends the run instead of
    letting it do nothing and report success.
  - The pattern is the variable C(target), given with C(-e) or by whoever imports the playbook.
    Without it this is the group C(scout). Where the inventory has no hosts at all it is C(localhost), so that
    the playbooks work without an inventory on the database that C(scout_dsn) or E(SCOUT_DSN) names.
  - Where that leaves more than one host, each has to say by C(scout_dsn) which database it is, and no two may be the same
    one, unless C(allow_shared_database) is given with C(-e). Where C(--limit) leaves no host, or a variable of a host is
    a mistyped name of this collection's, such as C(scout_dns), the run ends as well.
  - Where C(--tags), C(--skip-tags) or C(--start-at-task) would leave out a part of one of our playbooks that changes something, the
    run ends as well.
  - Every playbook begins with it, before anything that was typed is used. From then on whatever was given with C(-e), on the
    command line or in a file, is data - nothing in it is a template. A name that only a playbook sets is refused.
options:
  _terms:
    description: One pattern of hosts, whatever C(target) is.
    type: list
    elements: str
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Assess the pipeline
  hosts: "{{ lookup('scout.recovery.targets') }}"
  tasks: []
"""

RETURN = r"""
_raw:
  description: The pattern.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..plugin_utils import extra_vars, printed, right_database, typed_secrets, whole_run


class LookupModule(LookupBase):
    """Checks a pattern against the inventory before the play begins."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **_options: t.Any) -> list[str]:
        """The pattern itself, the default, or an error that says what can be named."""
        try:
            for playbook in printed.own_playbooks():
                whole_run.refuse_parts(playbook)
            typed = extra_vars.as_data(self._loader)
            if said := typed_secrets.warning():
                self._display.warning(said)
        except BadInput as e:
            raise AnsibleLookupError(f"{e}") from e
        # What Ansible has gathered for this template, it had gathered when what was typed could still be one.
        variables = {**(variables or {}), **typed}
        templar = self._templar.copy_with_new_env(available_variables=variables)
        groups: dict[str, list[str]] = variables.get("groups", {})
        given = terms[0] if terms else variables.get("target", "")
        pattern = self._pattern(str(templar.template(given)).strip(), variables, groups)
        try:
            right_database.check(pattern, templar, variables, typed)
        except BadInput as e:
            raise AnsibleLookupError(f"{e}") from e
        return [pattern]

    def _pattern(self, given: str, variables: dict[str, t.Any], groups: dict[str, list[str]]) -> str:
        if given:
            matching = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=self._loader)
            if matching.run([given], variables=variables):
                return given
            raise AnsibleLookupError(f"no host matches target {given[:80]!r}. Next: name one of {_names(groups)}")
        if groups.get(right_database.GROUP):
            return right_database.GROUP
        if set(groups.get("all", [])) <= {"localhost"}:
            return "localhost"
        raise AnsibleLookupError(
            f"the inventory has no host in group {right_database.GROUP}. Next: put the databases there, or name with -e target=… "
            f"one of {_names(groups)}"
        )


def _names(groups: dict[str, list[str]]) -> str:
    """Groups and hosts that can be named, the first of many."""
    names = [name for name in groups if name not in ("all", "ungrouped") and groups[name]]
    names += [host for host in groups.get("all", []) if host not in names]
    return ", ".join(["all", *names][:12]) + (", …" if len(names) > 11 else "")
