# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a password of an inventory is: it belongs to the server that the inventory names, and goes to no other that was typed."""

from __future__ import annotations

import copy
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.utils.vars import load_extra_vars

from ..module_utils.recovery.core.errors import RecoveryError
from ..module_utils.recovery.postgres import dsn
from . import settings

if t.TYPE_CHECKING:
    from collections.abc import Mapping

DSN: t.Final = "scout_dsn"
PASSWORD: t.Final = "scout_password"
WARNING: t.Final = (
    "scout_password was not used: it belongs to the server that scout_dsn of the inventory names, and -e scout_dsn leads to another. "
    "Where that one asks for a password, .pgpass or PGPASSFILE has it"
)


def is_of_another(
    variables: Mapping[str, t.Any], loader: t.Any, *, hostvars: t.Any = None, templar: t.Any = None
) -> bool:
    """Whether a connection string was typed, with no password besides, that leads to another server than the one of the inventory, or
    without that than the one of the environment. Where no server is known, or none is typed, it is not."""
    typed: Mapping[str, t.Any] = load_extra_vars(loader)
    if DSN not in typed or PASSWORD in typed or not variables.get(PASSWORD):
        return False
    named = _of_inventory(variables, hostvars if hostvars is not None else variables.get("hostvars"), templar)
    if named is None:
        named, source = dsn.choose_dsn(None, os.environ)
        if source == dsn.UNSET:
            return False
    try:
        own, given = (dsn.parse_dsn(str(each), DSN) for each in (named, typed[DSN]))
    except RecoveryError:
        return True
    return dsn.servers(own, os.environ) != dsn.servers(given, os.environ)


def _of_inventory(variables: Mapping[str, t.Any], hostvars: t.Any, templar: t.Any) -> t.Any:
    """The connection string that a host has without what was typed; None where it has none."""
    name = variables.get("inventory_hostname")
    if hostvars is None or not name or (host := hostvars._inventory.get_host(name)) is None:
        return None
    manager = copy.copy(hostvars._variable_manager)
    manager._extra_vars = {}
    own: dict[str, t.Any] = manager.get_vars(host=host, include_hostvars=False)
    value = own.get(DSN)
    if not value or templar is None:
        return value or None
    try:
        return settings.decrypted(templar.copy_with_new_env(available_variables={**variables, **own}).template(value))
    except AnsibleError:
        return "known later"
