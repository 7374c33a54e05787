# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses what was set for the roles of an operation where it is not as they specify it, before anything begins."""

from __future__ import annotations

import json
import re
import typing as t

import ansible.template

from ..module_utils.recovery.core.errors import BadInput
from . import arguments, extra_vars, role_options, settings, task_options

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

#: The variable that names the roles of an operation.
ROLES = "preflight_roles"
#: From ansible-core 2.19 on a text is a template only where somebody vouches for it.
trusted: Callable[[str], str] = getattr(ansible.template, "trust_as_template", str)
#: An option that is as its role has it, unless the variable it takes is set: a plain value, of which nothing has to be templated.
UNLESS_SET = re.compile(
    rf"\{{\{{ {settings.READ.pattern}, default=(?:'[^'{{}}]*'|\d[\d.]*|true|false|\[\]|\{{\}})\) \}}\}}"
)


def refuse_wrong(roles: Iterable[str], variables: dict[str, t.Any], templar: t.Any, loader: t.Any) -> None:
    """Raises BadInput that names each option that is not as its role specifies it, or a variable that looks like one."""
    problems = dict.fromkeys(problem for role in roles for problem in _problems(role, variables, templar, loader))
    if problems:
        raise BadInput("; ".join(problems), next_step="correct it and run the same command again")


def refuse_nearly(role: Path, variables: Mapping[str, t.Any]) -> None:
    """Raises BadInput where a variable is no option of the role in this folder, which is one of ours, but looks like one:
    whoever includes the role in a play of their own would not learn of it."""
    read, options = extra_vars.known()
    # What one step tells another may be named like an option, too.
    known = read | options | extra_vars.internal()
    strange = [name for name in variables if name.startswith(f"{role.name}_") and name not in known]
    if strange and extra_vars.ours(str(role.parent.parent / "playbooks")):
        _refuse_strange(role.name, dict.fromkeys(strange), role_options.specification(role))


def read_before_fork(roles: t.Any) -> None:
    """Reads the files of an operation's roles once for all hosts. What a task has for `roles` is a list or, as a text, the
    template of one."""
    for name in re.findall(r"\w+", str(roles)):
        if role_options.exists(name):
            folder = role_options.folder(name)
            role_options.specification(folder)
            role_options.defaults(folder)
            role_options.words(folder)


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
    defaults = {} if spec.keys() <= variables.keys() else _defaults(folder)
    problems = role_options.wrong(spec, _values(spec, defaults | variables, templar, loader))
    if not problems:
        return []
    defaults = _defaults(folder)
    return [
        role_options.by_public_name(each, defaults, variables, lambda name: settings.find(name, variables, loader))
        for each in problems
    ]


def _values(spec: Mapping[str, t.Any], variables: dict[str, t.Any], templar: t.Any, loader: t.Any) -> dict[str, t.Any]:
    """What the variables give for each option that is not as its role has it, as plain values. Each template would be compiled
    again for every host."""
    templar = templar.copy_with_new_env(available_variables=variables)
    given = {
        name: variables[name]
        for name in spec
        if variables.get(name) is not None
        and not (
            (read := UNLESS_SET.fullmatch(str(variables[name]))) and settings.find(read[1], variables, loader) is None
        )
    }
    plain: dict[str, t.Any] = json.loads(json.dumps(templar.template(given), default=str))
    return {name: arguments.as_list(spec[name], value) for name, value in plain.items()}


def _defaults(folder: Path) -> dict[str, t.Any]:
    """The defaults of a role, as templates."""
    found = role_options.defaults(folder)
    return {name: trusted(value) if isinstance(value, str) else value for name, value in found.items()}


def _refuse_strange(role: str, variables: Mapping[str, t.Any], spec: Mapping[str, t.Any]) -> None:
    """Refuses a variable that nothing reads and that is nearly an option of the role."""
    read, options = extra_vars.known()
    for name, meant in role_options.nearly(role, variables, spec, read | options).items():
        raise BadInput(
            f"{name!r} is not a variable of role {role}, and would be ignored", next_step=f"perhaps {meant} is meant"
        )
