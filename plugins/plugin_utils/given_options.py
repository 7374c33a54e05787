# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses what was set for the roles of an operation where it is not as they specify it, before anything begins."""

from __future__ import annotations

import json
import typing as t

import ansible.template

from ..module_utils.recovery.core.errors import BadInput
from . import arguments, extra_vars, role_options, settings, task_options

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

#: From ansible-core 2.19 on a text is a template only where somebody vouches for it.
trusted: Callable[[str], str] = getattr(ansible.template, "trust_as_template", str)


def refuse_wrong(roles: Iterable[str], variables: dict[str, t.Any], templar: t.Any, loader: t.Any) -> None:
    """Raises BadInput that names each option that is not as its role specifies it, or a variable that looks like one."""
    problems = dict.fromkeys(problem for role in roles for problem in _problems(role, variables, templar, loader))
    if problems:
        raise BadInput("; ".join(problems), next_step="correct it and run the same command again")


def unread(roles: Iterable[str], variables: Mapping[str, t.Any], loader: t.Any) -> list[str]:
    """The warning of what an inventory has by a short word that these roles, or any task, would take with scout_ before it, if
    there is one."""
    words = task_options.names().union(*(role_options.words(role_options.folder(role)) for role in roles))
    told = settings.unread(words, variables, loader)
    return [told] if told else []


def _problems(role: str, variables: dict[str, t.Any], templar: t.Any, loader: t.Any) -> list[str]:
    """What is wrong with a role's options; BadInput where a variable is none, but looks like one."""
    folder = role_options.folder(role)
    spec = role_options.specification(folder)
    _refuse_strange(folder.name, variables, spec)
    # Defaults of a role that is included, and not imported, are not among the variables yet.
    defaults = {} if spec.keys() <= variables.keys() else _defaults(folder, loader)
    problems = role_options.wrong(spec, _values(spec, defaults | variables, templar))
    if not problems:
        return []
    defaults = _defaults(folder, loader)
    return [
        role_options.by_public_name(each, defaults, variables, lambda name: settings.find(name, variables, loader))
        for each in problems
    ]


def _values(spec: Mapping[str, t.Any], variables: dict[str, t.Any], templar: t.Any) -> dict[str, t.Any]:
    """What the variables give for each option, as plain values."""
    templar = templar.copy_with_new_env(available_variables=variables)
    given = {name: variables[name] for name in spec if variables.get(name) is not None}
    plain: dict[str, t.Any] = json.loads(json.dumps(templar.template(given), default=str))
    return {name: arguments.as_list(spec[name], value) for name, value in plain.items()}


def _defaults(folder: Path, loader: t.Any) -> dict[str, t.Any]:
    """The defaults of a role, as templates."""
    found = loader.load_from_file(str(role_options.defaults_file(folder))) or {}
    return {name: trusted(value) if isinstance(value, str) else value for name, value in found.items()}


def _refuse_strange(role: str, variables: Mapping[str, t.Any], spec: Mapping[str, t.Any]) -> None:
    """Refuses a variable that nothing reads and that is nearly an option of the role."""
    read, options = extra_vars.known()
    for name, meant in role_options.nearly(role, variables, spec, read | options).items():
        raise BadInput(
            f"{name!r} is not a variable of role {role}, and would be ignored", next_step=f"perhaps {meant} is meant"
        )
