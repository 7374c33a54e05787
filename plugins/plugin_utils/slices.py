# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This run as a slice of a rollout, which several controllers share: the record in a named ledger says whose turn it is."""

from __future__ import annotations

import hashlib
import os
import re
import time
import typing as t
import uuid

from ansible import context
from ansible.errors import AnsibleError
from ansible.template import Templar
from ansible.utils.display import Display

from ..module_utils.recovery import invoke
from ..module_utils.recovery.core.errors import BadInput, RecoveryError
from ..module_utils.recovery.postgres import dsn
from . import right_database, rollout, settings, task_options, voice

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..module_utils.recovery.fleet.row import Row

display = Display()

NAME: t.Final = re.compile(r"[A-Za-z0-9][\w .:#@+-]{0,63}")
#: How often a slice that waits asks, and for how long it asks a record that does not answer: as long as a failover lasts.
ASK_SECONDS: t.Final = 2.0
PATIENCE_SECONDS: t.Final = 60.0
GONE: t.Final = ("connection_failed", "connection_lost")

#: The slice that this process is; None in a run of its own.
current: Slice | None = None


class Slice:
    """A slice: what it knows of the rollout is what the record said last."""

    def __init__(self, name: str, params: Mapping[str, t.Any], given: Mapping[str, t.Any]) -> None:
        self.name, self.slice = name, str(uuid.uuid4())
        self._params = {**params, "rollout": name, "slice": self.slice}
        self._params |= {"batches": given[rollout.SERIAL], "most": given[rollout.MAX_FAIL]}
        self._tried: list[str] = []
        self._ended: dict[str, tuple[bool, Row | None]] = {}
        self.known: dict[str, t.Any] = {"hosts": [], "slices": 0, "where": ""}

    def join(self, operation: str, hosts: Mapping[str, str]) -> None:
        """Enters the hosts of this slice, each with where it is; raises AnsibleError where it may not, or cannot."""
        from ..module_utils.recovery.ledger.rollouts import record
        from . import keeping

        self._params["operation"] = operation
        self._tried.clear()
        made = self._tell("join", hosts=hosts)
        if made.get("failed"):
            raise AnsibleError(f"nothing was begun: {made['msg']}")
        if dsn.is_here(self._params["dsn"], os.environ):
            display.warning(
                f"scout_rollout_dsn is a database of this machine ({made['where']}): a slice on another machine would have another record"
            )
        keeping.start(self._params, {"slice": self.slice}, os.getpid(), record.SLICE_SECONDS)

    def turn(self) -> list[str]:
        """The hosts that begin now; waits for others, and says for which. None where none is left, or no further one begins."""
        waits: list[str] = []
        while True:
            made = self._patiently("turn", tried=self._tried)
            if made.get("failed"):
                return self._no_further(f"cannot tell whose turn it is: {made['msg']}")
            if made["stopped"]:
                return self._no_further(made["stopped"])
            if made["begin"] or not made["waits_for"]:
                self._tried += made["begin"]
                return made["begin"]
            if made["waits_for"] != waits:
                waits = made["waits_for"]
                voice.say(display, f"rollout {self.name}: waits for {', '.join(waits[:3])}{', …' if waits[3:] else ''}")
            time.sleep(ASK_SECONDS)

    def _no_further(self, why: str) -> list[str]:
        voice.say(display, f"rollout {self.name}: {why}: no further host is begun")
        return []

    def hear(self, row: Row, *, failed: bool) -> None:
        """A host has its summary: others are told at once, in case this slice dies."""
        self._ended[row["host"]] = (failed, row)
        self._tell("ended", ends={row["host"]: (failed, row)})

    def ended(self, failed: Mapping[str, bool]) -> None:
        """The hosts of a batch came to their ends."""
        ends = {host: (bad, self._ended.get(host, (bad, None))[1]) for host, bad in failed.items()}
        made = self._patiently("ended", ends=ends)
        if made.get("failed"):
            display.warning(f"rollout {self.name} was not told how {', '.join(ends)} ended: {made['msg']}")

    def leave(self) -> None:
        """Nothing of this slice is at work any more."""
        self._tell("left")

    def _patiently(self, do: str, **params: t.Any) -> dict[str, t.Any]:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            made = self._tell(do, **params)
            if not made.get("failed") or made["error"]["kind"] not in GONE or time.monotonic() > until:
                return made
            time.sleep(ASK_SECONDS)

    def _tell(self, do: str, **params: t.Any) -> dict[str, t.Any]:
        given = {**self._params, **params, "do": do}
        made = invoke.invoke(_tell, "scout_rollout", given, check=False, controller_pid=os.getpid())
        if made.get("failed"):
            made["msg"] = made["msg"].replace("scout_dsn", rollout.RECORD)
        else:
            self.known = {name: made[name] for name in ("hosts", "slices", "where")}
        return made

    def elsewhere(self) -> list[str]:
        """The hosts that are another slice's, or were well before."""
        return [each["host"] for each in self.known["hosts"] if each["host"] not in self._tried and _is_left(each)]

    def left_to_others(self, hosts: Iterable[str]) -> dict[str, str]:
        """Which of these another slice has that lives, each with whose; that they end well is not for this one to say."""
        mine = set(hosts)
        return {
            each["host"]: each["by"]
            for each in self.known["hosts"]
            if each["host"] in mine and not each["mine"] and each["alive"] and each["state"] != "well"
        }

    def others(self, operation: str, own: Iterable[str]) -> list[Row]:
        """The lines of all databases of the rollout but `own`."""
        told = set(own)
        return [_row(each, operation) for each in self.known["hosts"] if each["host"] not in told]

    def described(self) -> str:
        """What the table is of."""
        slices = self.known["slices"]
        return f"rollout {self.name}, {slices} slice{'' if slices == 1 else 's'}, its record in {self.known['where']}"


def _tell(call: invoke.Call, params: invoke.Params) -> dict[str, t.Any]:
    from ..module_utils.recovery.ledger.rollouts import record

    return record.tell(call.ensure("required"), params)


def _is_left(known: Mapping[str, t.Any]) -> bool:
    return not known["mine"] or known["state"] == "well"


def _row(known: Mapping[str, t.Any], operation: str) -> Row:
    """The line of a database as its slice left it, or what is known without one."""
    from ..module_utils.recovery.fleet.row import Row

    row = {name: known["row"][name] for name in Row.__annotations__} if known["row"] else None
    if row and known["state"] in ("well", "failed"):
        return t.cast("Row", row)
    standing_of = {
        "at work": "at work",
        "waiting": "not begun",
        "lost": "interrupted",
        "well": "done",
        "failed": "failed",
    }
    found, did = standing_of[known["state"]], f"in the slice of {known['by']}"
    return Row(
        operation=operation, host=known["host"], database="", standing=found, verdict=found, did=did, now="", command="",
        in_full=False,
    )  # fmt: skip


def of(runs: t.Any, typed: Mapping[str, t.Any], given: Mapping[str, t.Any], hosts: _Hosts) -> Slice | None:
    """The slice that a run is, None where it is one of its own. Raises BadInput for what cannot be one."""
    global current  # a process is one slice at most
    if current is None and runs is not None and runs._tqm is not None and not context.CLIARGS.get("check"):
        name, where = (_one(each, typed, hosts, runs._loader) for each in (rollout.SHARED, rollout.RECORD))
        if name:
            _refuse(name, where, given)
            variables = {**dict(hosts[0][1]), **typed} if hosts else dict(typed)
            current = Slice(name, _reached(variables, where), given)
    return current


_Hosts = t.Sequence[tuple[str, t.Mapping[str, t.Any]]]


def _one(name: str, typed: Mapping[str, t.Any], hosts: _Hosts, loader: t.Any) -> str:
    """What was typed, else what all hosts of the inventory have; empty where that is nothing."""
    long = settings.long(name)
    if found := next((typed[each] for each in (name, long) if typed.get(each) not in (None, "")), None):
        return str(found)
    values: dict[str, str] = {}
    for host, own in hosts:
        if own.get(long) not in (None, ""):
            values[str(settings.decrypted(Templar(loader=loader, variables=dict(own)).template(own[long])))] = host
    if len(values) > 1:
        first, second = list(values.values())[:2]
        raise BadInput(
            f"{long} of {right_database.shown(first)} is not that of {right_database.shown(second)}",
            said="a run is in one rollout with all of its hosts",
            next_step=f"set {long} once for the group",
        )
    return next(iter(values), "")


def _refuse(name: str, where: str, given: Mapping[str, t.Any]) -> None:
    if not NAME.fullmatch(name):
        raise BadInput(
            f"rollout {right_database.shown(name)!r} is no name",
            next_step="give letters, digits and . : # @ + - _, 64 at most",
        )
    if not where:
        raise BadInput(
            f"rollout {name} has no record: scout_rollout_dsn is not set",
            said="without it the slices know nothing of each other",
            next_step="set scout_rollout_dsn to one of the databases, the same for all slices",
        )
    if any(each != "100%" and not isinstance(each, int) for each in given[rollout.SERIAL]):
        raise BadInput(
            f"a share of hosts in serial={','.join(map(str, given[rollout.SERIAL]))} is of a number that no slice knows",
            next_step="give numbers of hosts, and 100% for all others: -e scout_serial=1,10,100%",
        )


def _reached(variables: Mapping[str, t.Any], where: str) -> dict[str, t.Any]:
    """How the record is reached: as a host of this slice is, but for its connection string."""
    from . import standing

    made = standing.params({**variables, "scout_dsn": where, "scout_password": None, "scout_cron_dsn": None})
    takeover = variables.get("takeover", variables.get("scout_takeover"))
    return made | {"actor": task_options.told_by(variables), "takeover": standing.yes(takeover), "ledger": "required"}


def places(runs: t.Any, hosts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each host with a digest of where its database is, without secrets, so that a name means one."""
    for name in hosts:
        own = runs._variable_manager.get_vars(host=runs._inventory.get_host(name), include_hostvars=False)
        named = right_database.dsn_of(name, own, Templar(loader=runs._loader, variables=own))
        given, source = dsn.choose_dsn(named, os.environ)
        try:
            parts = dsn.parse_dsn(given, source)
        except RecoveryError:
            parts = {}
        where = [str(parts.get(each) or "") for each in ("service", "host", "hostaddr", "port", "dbname")]
        yield name, hashlib.sha256("\0".join(where).encode()).hexdigest()


def in_turns(runs: t.Any, run: t.Any, shared: Slice, play: t.Any) -> int:
    """Runs a play on the hosts of this slice, as their turns come in the rollout."""
    manager, inventory = runs._tqm, runs._inventory
    hosts = {str(host.get_name()): host for host in inventory.get_hosts(play.hosts)}
    mine = list(hosts)
    shared.join(str(play.get_name()), dict(places(runs, mine)))
    result, begun = 0, set[str]()
    while batch := shared.turn():
        begun.update(batch)
        inventory.restrict_to_hosts([hosts[name] for name in batch])
        result |= int(run(play=play))
        failed = {*manager._failed_hosts, *manager._unreachable_hosts}
        shared.ended({host: host in failed for host in batch})
        if result & int(manager.RUN_FAILED_BREAK_PLAY):
            break
    inventory.restrict_to_hosts(list(hosts.values()))
    if not begun:
        manager.send_callback("v2_playbook_on_play_start", play)
    return result | _unfinished(shared, mine, begun, manager)


def _unfinished(shared: Slice, mine: Sequence[str], begun: set[str], manager: t.Any) -> int:
    """That not all hosts of the slice are well, where some did not begin here: they fail, so that no other play has them."""
    taken = shared.left_to_others(mine)
    for host, by in taken.items():
        voice.say(display, f"rollout {shared.name}: {host} is left to the slice of {by}")
    left = [host for host in mine if host not in begun and (host in taken or host not in shared.elsewhere())]
    manager._failed_hosts.update(dict.fromkeys(left, True))
    return int(manager.RUN_FAILED_BREAK_PLAY) if left else 0
