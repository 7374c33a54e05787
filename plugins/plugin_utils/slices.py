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
from ..module_utils.recovery.core.text import printable
from ..module_utils.recovery.postgres import dsn
from . import right_database, rollout, settings, task_options, voice

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..module_utils.recovery.fleet.row import Row

display = Display()

NAME: t.Final = re.compile(r"[A-Za-z0-9][\w .:#@+-]{0,63}")
#: How often a slice that waits asks, and for how long it asks a record that does not answer: as long as a failover lasts, or as
#: another slice that is frozen keeps the record's row.
ASK_SECONDS: t.Final = 2.0
PATIENCE_SECONDS: t.Final = 60.0
GONE: t.Final = ("connection_failed", "connection_lost", "database_error", "wrong_database")
#: What another slice's line may name as a command.
PLAYBOOK: t.Final = re.compile(r"ansible-playbook (?:playbooks/\w+\.yml|scout\.recovery\.\w+)(?: |$)")

#: The slice that this process is; None in a run of its own.
current: Slice | None = None


class Slice:
    """A slice: what it knows of the rollout is what the record said last."""

    def __init__(self, name: str, params: Mapping[str, t.Any], given: Mapping[str, t.Any]) -> None:
        self.name = name
        self._params = {**params, "rollout": name, "batches": given[rollout.SERIAL], "most": given[rollout.MAX_FAIL]}
        self._plays: list[str] = []
        self._tried: list[str] = []
        #: How hosts ended, and how those did that the record has not been told of.
        self._ended: dict[str, Row] = {}
        self._untold: dict[str, tuple[bool, Row | None]] = {}
        #: Since when the record does not answer, and what it does instead of hearing what it is told.
        self._silent_since: float | None = None
        self._deaf = ""
        self.known: dict[str, t.Any] = {"hosts": [], "slices": 0, "where": ""}

    def join(self, operation: str, hosts: Mapping[str, str]) -> None:
        """Enters the hosts of this slice, each with where it is; raises AnsibleError where it may not, or cannot."""
        from ..module_utils.recovery.ledger.rollouts import record
        from . import keeping

        if self._plays:
            self.leave()
        self._plays.append(operation)
        # What a play of the same name did before is another operation: not done by that.
        number = self._plays.count(operation)
        operation = operation if number == 1 else f"{operation} ({number})"
        self._params |= {"operation": operation, "slice": str(uuid.uuid4()), "hosts": hosts}
        for of_a_play in (self._tried, self._ended, self._untold):
            of_a_play.clear()
        made = self._tell("join")
        if made.get("failed"):
            raise AnsibleError(f"nothing was begun: {made['msg']}")
        if dsn.is_here(self._params["dsn"], os.environ):
            display.warning(
                f"scout_rollout_dsn is a database of this machine ({made['where']}): a slice on another machine would have another record"
            )
        keeping.start(self._params, {"slice": self._params["slice"]}, os.getpid(), record.SLICE_SECONDS)

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
                for host in made["again"]:
                    self.say(f"{host} begins again: how it ended is not on record")
                return made["begin"]
            if made["waits_for"] != waits:
                waits = made["waits_for"]
                self.say(f"waits for {', '.join(waits[:3])}{', …' if waits[3:] else ''}")
            time.sleep(ASK_SECONDS)

    def say(self, what: str) -> None:
        """Names of hosts and people come out of the record."""
        voice.say(display, printable(f"rollout {self.name}: {what}"))

    def _no_further(self, why: str) -> list[str]:
        self.say(f"{why}: no further host is begun")
        return []

    def hear(self, row: Row, *, failed: bool) -> None:
        """A host has its summary: others are told at once, in case this slice dies."""
        self._ended[row["host"]] = row
        self._untold[row["host"]] = (failed, row)
        if self._silent_since is None:
            self._tell("told")

    def ended(self, failed: Mapping[str, bool]) -> None:
        """The hosts of a batch came to their ends."""
        self._untold |= {host: (bad, self._ended.get(host)) for host, bad in failed.items()}
        made = self._patiently("told")
        if made.get("failed"):
            display.warning(
                f"the record of rollout {self.name} does not know how {', '.join(self._untold)} ended: to other slices they are lost "
                f"until the same command is typed again. {printable(made['msg'])}"
            )

    def leave(self) -> None:
        """Nothing of this slice is at work any more."""
        self._tell("left")

    def _patiently(self, do: str, **params: t.Any) -> dict[str, t.Any]:
        """What the record says, once it answers; as long as a failover lasts, in all."""
        while True:
            made, since = self._tell(do, **params), self._silent_since
            if since is None or time.monotonic() > since + PATIENCE_SECONDS:
                return made
            time.sleep(ASK_SECONDS)

    def _tell(self, do: str, **params: t.Any) -> dict[str, t.Any]:
        given = {**self._params, **params, "do": do, "ends": dict(self._untold)}
        made = invoke.invoke(_tell, "scout_rollout", given, check=False, controller_pid=os.getpid())
        if made.get("failed"):
            made["msg"] = made["msg"].replace("scout_dsn", rollout.RECORD)
            gone = made["error"]["kind"] in GONE
            self._silent_since = (self._silent_since or time.monotonic()) if gone else None
            self._deaf = "does not answer" if gone else "does not take what it is told"
        else:
            self._silent_since, self._deaf = None, ""
            self._untold.clear()
            self.known = {name: made[name] for name in ("hosts", "slices", "where")}
        return made

    def elsewhere(self) -> list[str]:
        """The hosts that are another slice's, or were well before."""
        return [each["host"] for each in self.known["hosts"] if each["host"] not in self._tried and _is_left(each)]

    def left_to_others(self, hosts: Iterable[str]) -> dict[str, str]:
        """Which of these another slice has, and is not known to have ended well, each with what is to be said of that."""
        mine, words = set(hosts), {"failed": "failed in", "lost": "was lost with"}
        return {
            each["host"]: f"{words.get(each['state'], 'is left to')} the slice of {each['by']}"
            for each in self.known["hosts"]
            if each["host"] in mine and not each["mine"] and each["state"] != "well"
        }

    def others(self, operation: str, own: Iterable[str]) -> list[Row]:
        """The lines of all databases of the rollout but `own`."""
        told = set(own)
        return [_row(each, operation) for each in self.known["hosts"] if each["host"] not in told]

    def described(self) -> str:
        """What the table is of."""
        slices = self.known["slices"]
        silent = (
            "" if self._silent_since is None else ", which does not answer: of other slices this is what it said last"
        )
        return f"rollout {self.name}, {slices} slice{'' if slices == 1 else 's'}, its record in {self.known['where']}{silent}"


def _tell(call: invoke.Call, params: invoke.Params) -> dict[str, t.Any]:
    from ..module_utils.recovery.ledger.rollouts import record

    return record.tell(call.ensure("required"), params)


def _is_left(known: Mapping[str, t.Any]) -> bool:
    return not known["mine"] or known["state"] == "well"


def _row(known: Mapping[str, t.Any], operation: str) -> Row:
    """The line of a database as its slice left it, or what is known without one."""
    from ..module_utils.recovery.fleet.row import STANDINGS, Row

    state, told = known["state"], known["row"]
    if state in ("well", "failed") and _is_line(told) and (state == "well" or told["standing"] in STANDINGS):
        line = {name: told[name] for name in Row.__annotations__}
        command = told["command"] if PLAYBOOK.match(told["command"]) else ""
        return t.cast("Row", {**line, "host": known["host"], "command": command})
    standing_of = {
        "at work": "at work",
        "waiting": "not begun",
        "lost": "interrupted",
        "well": "done",
        "failed": "failed",
    }
    found, did = standing_of[state], f"in the slice of {known['by']}"
    return Row(
        operation=operation, host=known["host"], database="", standing=found, verdict=found, did=did, now="", command="",
        in_full=False,
    )  # fmt: skip


def _is_line(told: t.Any) -> bool:
    """Whether that is the line of a database: whoever may write the record may write anything."""
    from ..module_utils.recovery.fleet.row import Row

    return isinstance(told, dict) and all(
        isinstance(told.get(name), bool if name == "in_full" else str) for name in Row.__annotations__
    )


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
    for host, how in taken.items():
        shared.say(f"{host} {how}")
    left = [host for host in mine if host not in begun and (host in taken or host not in shared.elsewhere())]
    manager._failed_hosts.update(dict.fromkeys(left, True))
    return int(manager.RUN_FAILED_BREAK_PLAY) if left else 0
