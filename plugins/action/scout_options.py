# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks on the controller what was set for the roles of an operation, whatever the connection."""

from __future__ import annotations

import json
import typing as t

import ansible.template
from ansible.plugins.action import ActionBase

from ..plugin_utils.front import mistyped, module_of, validated  # isort: skip  # first: it serves the others from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.text import count
from ..module_utils.recovery.invoke import failure
from ..plugin_utils import arguments, extra_vars, role_options

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: From ansible-core 2.19 on a text is a template only where somebody vouches for it.
trusted: Callable[[str], str] = getattr(ansible.template, "trust_as_template", str)

#: Loaded before the controller forks.
MODULE = module_of("scout_options")


class ActionModule(ActionBase):
    """Runs scout_options in process."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Success where every option is as its role specifies it, else a failure that names each that is not."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            ignored = mistyped(self._loader, variables)
            roles: list[str] = validated(MODULE, self._task.args)["roles"]
            problems = dict.fromkeys(problem for role in roles for problem in self._problems(role, variables))
            if problems:
                raise BadInput("; ".join(problems), next_step="correct it and run the same command again")
        except BadInput as e:
            return failure(e)
        told = {"warnings": ignored} if ignored else {}
        return {"changed": False, "summary": f"the options of {count(len(roles), 'role')} are as specified", **told}

    def _problems(self, role: str, variables: dict[str, t.Any]) -> list[str]:
        """What is wrong with a role's options; BadInput where a variable is none, but looks like one."""
        folder = role_options.folder(role)
        spec = role_options.specification(folder)
        _refuse_strange(folder.name, variables, spec)
        # Defaults of a role that is included, and not imported, are not among the variables yet.
        defaults = {} if spec.keys() <= variables.keys() else self._defaults(folder)
        problems = role_options.wrong(spec, self._values(spec, defaults | variables))
        return [role_options.by_public_name(each, self._defaults(folder), variables) for each in problems]

    def _values(self, spec: Mapping[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """What the variables give for each option, as plain values."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        given = {name: variables[name] for name in spec if variables.get(name) is not None}
        plain: dict[str, t.Any] = json.loads(json.dumps(templar.template(given), default=str))
        return {name: arguments.as_list(spec[name], value) for name, value in plain.items()}

    def _defaults(self, folder: Path) -> dict[str, t.Any]:
        """The defaults of a role, as templates."""
        found = self._loader.load_from_file(str(role_options.defaults_file(folder))) or {}
        return {name: trusted(value) if isinstance(value, str) else value for name, value in found.items()}


def _refuse_strange(role: str, variables: Mapping[str, t.Any], spec: Mapping[str, t.Any]) -> None:
    """Refuses a variable that nothing reads and that is nearly an option of the role."""
    read, options = extra_vars.known()
    for name, meant in role_options.nearly(role, variables, spec, read | options).items():
        raise BadInput(
            f"{name!r} is not a variable of role {role}, and would be ignored", next_step=f"perhaps {meant} is meant"
        )
