# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a play is about to work on, after --limit, and whether what they set can be right."""

from __future__ import annotations

import inspect
import typing as t

from ansible import context
from ansible.errors import AnsibleError
from ansible.executor.playbook_executor import PlaybookExecutor

from ..module_utils.recovery.core.errors import BadInput
from . import extra_vars, right_database
from .right_database import HERE, Host, shown

if t.TYPE_CHECKING:
    from collections.abc import Mapping

#: What Ansible before 2.19 makes of a variable that is omitted.
OMITTED: t.Final = "__omit_place_holder__"


def check(pattern: str, templar: t.Any, variables: Mapping[str, t.Any], typed: Mapping[str, t.Any]) -> None:
    """Raises BadInput where a play on `pattern` would work on no host, on one whose database is not known, on one database
    twice, or where a host has a mistyped variable. `variables` are those of the play, without a host's."""
    executor = _executor()
    if executor is None:
        # Nothing is run.
        return
    found = {str(host.get_name()): host for host in executor._inventory.get_hosts(pattern)}
    if not found:
        limit = shown(t.cast("str | None", context.CLIARGS.get("subset")) or "")
        raise BadInput(
            f"--limit {limit} leaves none of the hosts of {shown(pattern)}",
            next_step="correct --limit (-l), or name a host with -e target=HOST",
        )
    manager = executor._variable_manager
    hosts: dict[str, Host] = {}
    for name, host in found.items():
        own = {**variables, **manager.get_vars(host=host, include_hostvars=False), **_of_play(variables)}
        extra_vars.refuse_misspelt(own.keys() - typed.keys(), name)
        hosts[name] = _host(name, own, templar)
    if len(hosts) > 1:
        right_database.refuse_nameless(hosts)
        if not extra_vars.is_yes(typed.get(right_database.ALLOW, False)):
            right_database.refuse_shared(hosts)


def _of_play(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a play sets for all of its hosts, which goes before what they set."""
    return {name: variables[name] for name in ("scout_dsn",) if name in variables}


def _host(name: str, variables: dict[str, t.Any], templar: t.Any) -> Host:
    """Where a host's connection string leads, and from where it is used."""
    own = templar.copy_with_new_env(available_variables=variables)
    connection = _templated(own, variables.get("ansible_connection")) or HERE[0]
    away = "" if connection in HERE else str(_templated(own, variables.get("ansible_host")) or name)
    dsn = _templated(own, variables.get("scout_dsn"))
    given = isinstance(dsn, str) and dsn and not dsn.startswith(OMITTED)
    return Host(dsn if given else None, away)


def _templated(templar: t.Any, value: t.Any) -> t.Any:
    """The value; a text that leads nowhere for one that is made of what only a task knows."""
    try:
        return templar.template(value)
    except AnsibleError:
        return "known later"


def _executor() -> t.Any:
    """What runs the playbooks, which has the inventory after --limit; Ansible hands it to no plugin before a play begins."""
    frame = inspect.currentframe()
    while frame is not None:
        runs = frame.f_locals.get("self")
        if isinstance(runs, PlaybookExecutor):
            return runs
        frame = frame.f_back
    return None
