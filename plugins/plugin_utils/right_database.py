# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a play has hosts, and each of them a database of its own: asked before anything begins, without a connection."""

from __future__ import annotations

import inspect
import itertools
import os
import socket
import time
import typing as t

from ansible import context
from ansible.errors import AnsibleError
from ansible.executor.playbook_executor import PlaybookExecutor

from ..module_utils.recovery.core.errors import BadInput, RecoveryError
from ..module_utils.recovery.core.text import printable
from ..module_utils.recovery.core.values import is_loopback
from ..module_utils.recovery.postgres import dsn
from ..module_utils.recovery.postgres.driver import import_error
from . import extra_vars, settings
from .extra_vars import ALLOW

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Modules of such hosts run here, with the environment of here.
HERE: t.Final = ("local", "ansible.builtin.local")
#: The hosts that a playbook is for, unless told.
GROUP: t.Final = "scout"
#: How long names are looked up, all together; where DNS does not answer, they are compared as names.
LOOK_UP_SECONDS: t.Final = 2.0
LONGEST: t.Final = 80
#: What Ansible before 2.19 makes of a variable that is omitted.
OMITTED: t.Final = "__omit_place_holder__"


class Host(t.NamedTuple):
    """A host of the play: its connection string (None without one), and from where it connects (empty for here)."""

    dsn: str | None
    seen_from: str = ""


class Endpoint(t.NamedTuple):
    """Where a database may be: `kind` is socket (with its folder), loopback, address or name."""

    seen_from: str
    kind: str
    where: str
    port: str
    dbname: str


def check(pattern: str, templar: t.Any, variables: Mapping[str, t.Any], typed: Mapping[str, t.Any]) -> None:
    """Raises BadInput where a play on `pattern` would work on no host, on one whose database is not known, on one database
    twice, or where a host has a mistyped variable. `variables` are those of the play, without a host's; what of them was
    `typed` is data."""
    runs = executor()
    if runs is None:
        # Nothing is run.
        return
    found = {str(host.get_name()): host for host in runs._inventory.get_hosts(pattern)}
    if not found:
        limit = shown(t.cast("str | None", context.CLIARGS.get("subset")) or "")
        raise BadInput(
            f"--limit {limit} leaves none of the hosts of {shown(pattern)}",
            next_step="correct --limit (-l), or name a host with -e target=HOST",
        )
    manager = runs._variable_manager
    hosts: dict[str, Host] = {}
    for name, host in found.items():
        own = {**variables, **manager.get_vars(host=host, include_hostvars=False), **_of_play(variables)}
        extra_vars.refuse_misspelt(own.keys() - typed.keys(), name)
        hosts[name] = _host(name, own, templar)
    if len(hosts) > 1:
        refuse_nameless(hosts)
        if not extra_vars.is_yes(typed.get(ALLOW, False)):
            refuse_shared(hosts)


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
        return settings.decrypted(templar.template(value))
    except AnsibleError:
        return "known later"


def executor() -> t.Any:
    """What runs the playbooks, which has the inventory after --limit; Ansible hands it to no plugin before a play begins."""
    frame = inspect.currentframe()
    while frame is not None:
        runs = frame.f_locals.get("self")
        if isinstance(runs, PlaybookExecutor):
            return runs
        frame = frame.f_back
    return None


def refuse_nameless(hosts: Mapping[str, Host]) -> None:
    """Raises BadInput where one of several hosts has no connection string and would take the one that the environment has
    for all of them. A host that is reached by ssh has an environment of its own."""
    nameless = [name for name, host in hosts.items() if host.dsn is None and not host.seen_from]
    if len(hosts) > 1 and nameless:
        raise no_dsn(nameless[0], len(hosts), len(nameless) - 1)


def no_dsn(name: str, among: int, others: int = 0) -> BadInput:
    """The refusal of a host that does not say where its database is, `among` so many, as `others` do not either."""
    too = f", nor have {others} more" if others else ""
    return BadInput(
        f"host {shown(name)} has no scout_dsn{too}, and is one of {among}",
        said="it would work on whichever database the environment names, for all of them",
        next_step=f"give {shown(name)} its scout_dsn in the inventory, or name one host with -e target=HOST",
    )


def refuse_shared(hosts: Mapping[str, Host]) -> None:
    """Raises BadInput for the first two hosts whose connection strings lead to one database, as far as names and addresses
    tell: the same name of a database, on a server of which one address is the same."""
    if import_error is not None:
        # Each module says it.
        return
    addresses = _Addresses()
    known = {name: list(_endpoints(host, addresses)) for name, host in hosts.items() if host.dsn is not None}
    for (one, here), (two, there) in itertools.combinations(known.items(), 2):
        shared = next((a for a in here for b in there if _same(a, b)), None)
        if shared:
            where = f"database {shown(shared.dbname)} on {shown(shared.where)}:{shared.port}"
            raise BadInput(
                f"hosts {shown(one)} and {shown(two)} are one database",
                said=f"both lead to {where}",
                next_step=f"correct scout_dsn of one, or name one host with -e target={shown(one)}; "
                f"-e {ALLOW}=true allows it, one after the other",
            )


def shown(text: str) -> str:
    """A name as it may stand on a screen."""
    return printable(text, LONGEST)


def _same(one: Endpoint, two: Endpoint) -> bool:
    if one == two:
        return True
    # A server of this machine listens on both, usually.
    kinds = {one.kind, two.kind}
    return kinds == {"socket", "loopback"} and (one.seen_from, one.port, one.dbname) == (
        two.seen_from,
        two.port,
        two.dbname,
    )


def _endpoints(host: Host, addresses_of: _Addresses) -> Iterator[Endpoint]:
    """All that libpq may connect to; nothing where it cannot be told, which the module then says."""
    try:
        given = {name: str(value) for name, value in dsn.parse_dsn(host.dsn or "", "scout_dsn").items() if value}
    except RecoveryError:
        return
    parts = dsn.defaults(given.get("service")) | given
    dbname = parts.get("dbname") or parts.get("user", "")
    for name, address, port in dsn.endpoints(parts):
        for kind, where in _places(name, address, None if host.seen_from else addresses_of):
            yield Endpoint(host.seen_from, kind, where, port, dbname)


def _places(name: str, address: str, addresses_of: _Addresses | None) -> list[tuple[str, str]]:
    """What a host of a connection string is: its kind, and where that is. Names are looked up here only for here."""
    if not address and (not name or name.startswith(("/", "@"))):
        return [("socket", os.path.realpath(name) if name.startswith("/") else name or "the default socket")]
    if is_loopback(address or name):
        return [("loopback", "localhost")]
    found = [address] if address else addresses_of.of(name) if addresses_of else []
    places = {("loopback", "localhost") if is_loopback(each) else ("address", each) for each in found}
    return sorted(places) or [("name", name.lower())]


class _Addresses:
    """What names of servers resolve to, each asked once, and none once that has taken too long."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._left = LOOK_UP_SECONDS

    def of(self, name: str) -> list[str]:
        """Its addresses; none where it has none, or that cannot be told."""
        if name not in self._known and self._left > 0:
            began = time.monotonic()
            try:
                found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                self._known[name] = sorted({str(entry[4][0]) for entry in found})
            except (OSError, UnicodeError):
                self._known[name] = []
            self._left -= time.monotonic() - began
        return self._known.get(name, [])
