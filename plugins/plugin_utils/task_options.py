# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that a task leaves open, from the variables of its host: connection, ledger and lease are set once for all."""

from __future__ import annotations

import functools
import json
import os
import typing as t
from pathlib import Path

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC
from . import role_options, settings, whose_password

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: The variable that says it, by option, as it is typed: in an inventory the names of all begin with scout_.
VARIABLES: t.Final = {
    "dsn": "scout_dsn",
    "cron_dsn": "scout_cron_dsn",
    "password": "scout_password",
    "contract": "scout_contract",
    "allow_superuser": "allow_superuser",
    "allow_owner": "allow_owner",
    "require_tls": "require_tls",
    "incident": "incident",
    "ledger": "ledger",
    "takeover": "takeover",
}

#: What stands for none, where a module has no default.
EMPTY: t.Final = ("", [], {}, None)


def names() -> frozenset[str]:
    """The variables that some module takes an option from."""
    return frozenset(variable for option, variable in VARIABLES.items() if option in CONNECTION_SPEC | LEDGER_SPEC)


def left_open(
    spec: Collection[str], given: Collection[str], variables: Mapping[str, t.Any], templar: t.Any, loader: t.Any
) -> dict[str, t.Any]:
    """Values for the options of `spec` that are not `given`; one whose variable is not set, or omitted, is not among them, nor is
    a password that belongs to another server than the one that was typed.

    Raises AnsibleError where a variable cannot be templated.
    """
    open_options = set(spec) - set(given)
    if withholds(open_options, variables, templar, loader):
        open_options -= {"password"}
    found = {
        option: variables[variable]
        for option, name in VARIABLES.items()
        if option in open_options and (variable := settings.find(name, variables, loader))
    }
    token = _lease_token(variables)
    if "lease_token" in open_options and token:
        found["lease_token"] = token
    made: dict[str, t.Any] = templar.template(found)
    # A name is a name, and no template.
    if "actor" in open_options and (actor := told_by(variables)):
        made["actor"] = actor
    return made


def withholds(open_options: Collection[str], variables: Mapping[str, t.Any], templar: t.Any, loader: t.Any) -> bool:
    """Whether the password that a host has is not for the server that was typed."""
    asked = {"dsn", "password"} <= set(open_options)
    return asked and whose_password.is_of_another(variables, loader, templar=templar)


def told_by(variables: Mapping[str, t.Any]) -> str | None:
    """Who a controller of automation says that it works for; None where nobody does."""
    named = (os.environ.get("SCOUT_ACTOR"), *(variables.get(name) for name in ("awx_user_name", "tower_user_name")))
    return next((str(name) for name in named if name), None)


def _lease_token(variables: Mapping[str, t.Any]) -> int | None:
    """The token of the lease that role lease has taken and not released again."""
    held: Mapping[str, t.Any] = variables.get("lease_result") or {}
    released: Mapping[str, t.Any] = variables.get("lease_release_result") or {}
    return held.get("token") if held.get("token") != released.get("token") else None


def given(
    task: t.Any,
    spec: Mapping[str, Mapping[str, t.Any]],
    variables: Mapping[str, t.Any],
    templar: t.Any,
    roles: Path | None = None,
) -> dict[str, t.Any]:
    """A task's options, with those that it leaves to the role it stands in: in the `roles` of a collection, by default of this one,
    those of which `meta/options.yml` says so. Among these an empty one stands for none, where the module has no default and
    requires none.

    Raises AnsibleError where one cannot be templated.
    """
    # What module_defaults has comes after what somebody says to the role.
    return task.args | _of_role(task, spec, variables, templar, roles or _roles())


def _of_role(
    task: t.Any, spec: Mapping[str, Mapping[str, t.Any]], variables: Mapping[str, t.Any], templar: t.Any, roles: Path
) -> dict[str, t.Any]:
    if task._role is None or (role := Path(task._role._role_path).resolve()).parent != roles:
        return {}
    file, module = Path(task.get_path().rpartition(":")[0]).stem, task.action.rpartition(".")[2]
    left = handed_on().get(f"{role.name}/{file}", {}).get(module, {})
    found = templar.template({option: variables[name] for option, name in left.items() if name in variables})
    kept = {option: value for option, value in found.items() if value not in EMPTY or not _may_be_none(spec[option])}
    return settings.decrypted(kept)


def _may_be_none(option: Mapping[str, t.Any]) -> bool:
    return option.get("default") is None and not option.get("required")


@functools.cache
def _roles() -> Path:
    return role_options.folder("").resolve()


@functools.cache
def handed_on() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """By role and file of tasks, and module, the variable of the role for each option that a task there leaves open."""
    return json.loads(Path(__file__).with_name("handed_on.json").read_text(encoding="utf-8"))
