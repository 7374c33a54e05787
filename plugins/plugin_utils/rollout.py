# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which batches a play goes over its hosts, how it does so, and when it goes no further; and that it is not cut short."""

from __future__ import annotations

import json
import re
import typing as t

from ansible import context

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.text import printable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: How many hosts there are in each batch: a number, a share, or a list of these.
SERIAL: t.Final = "serial"
STRATEGY: t.Final = "strategy"
MAX_FAIL: t.Final = "max_fail_percentage"
#: What each is without anybody's word.
DEFAULTS: t.Final[Mapping[str, t.Any]] = {SERIAL: "100%", STRATEGY: "free", MAX_FAIL: 100.0}
#: The name of a rollout that several runs share, and where its record is.
SHARED: t.Final = "rollout"
RECORD: t.Final = "scout_rollout_dsn"
#: The names of a host's variables begin so; each can be given with -e by both names.
PREFIX: t.Final = "scout_"
STRATEGIES: t.Final = ("free", "host_pinned", "linear")
BUILTIN: t.Final = "ansible.builtin."
BATCH: t.Final = re.compile(r"[1-9]\d*|(?:[1-9]\d?|100)%")
LONGEST: t.Final = 60
#: Ansible's own number of forks, and how many a core may have.
FEWEST_FORKS: t.Final = 5
FORKS_PER_CORE: t.Final = 4
#: Playbooks that take no lease and change nothing of a pipeline; of these a part can be run.
LOOKING: t.Final = frozenset(
    {"acceptance_gate", "assess", "audit_verify", "evidence", "evidence_verify", "incident_report", "preflight", "runs"}
)


def names() -> frozenset[str]:
    """The variables by which each can be given, and a rollout that several runs share."""
    return frozenset(f"{prefix}{name}" for name in (*DEFAULTS, SHARED) for prefix in ("", PREFIX)) | {RECORD}


def of(name: str, typed: Mapping[str, t.Any], hosts: Iterable[tuple[str, Mapping[str, t.Any]]]) -> t.Any:
    """What was typed, else what the hosts of the inventory have, else the default, as Ansible takes it: `serial` a list,
    `strategy` the name of a plugin, `max_fail_percentage` a number. Raises BadInput where it is none of them, or hosts differ."""
    for given in (name, f"{PREFIX}{name}"):
        if given in typed:
            return READERS[name](typed[given], given)
    variable = f"{PREFIX}{name}"
    found = {json.dumps(own[variable], default=str): host for host, own in hosts if variable in own}
    if len(found) > 1:
        (one, first), (two, second) = list(found.items())[:2]
        raise BadInput(
            f"{variable} is {_shown(one)} for {_shown(first)} and {_shown(two)} for {_shown(second)}",
            said="a run has one for all of its hosts",
            next_step=f"set {variable} once for the group, or give it with -e {name}=…",
        )
    return READERS[name](json.loads(next(iter(found))) if found else DEFAULTS[name], variable)


def _batches(value: t.Any, name: str) -> list[int | str]:
    entries = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    texts = [str(each).strip() for each in t.cast("list[t.Any]", entries)]
    if not texts or not all(BATCH.fullmatch(each) for each in texts):
        raise BadInput(
            f"{name} {_shown(value)} is no number of hosts, no share of them as 20%, and no list of these",
            next_step=f"for example -e {name}=1, or -e {name}=1,10,100%",
        )
    return [int(each) if each.isdecimal() else each for each in texts]


def _strategy(value: t.Any, name: str) -> str:
    found = str(value).removeprefix(BUILTIN)
    if found not in STRATEGIES:
        raise BadInput(f"{name} {_shown(value)} is unknown", next_step=f"name one of {', '.join(STRATEGIES)}")
    return f"{BUILTIN}{found}"


def _share(value: t.Any, name: str) -> float:
    text = str(value).strip().removesuffix("%")
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", text) or float(text) > 100:
        raise BadInput(f"{name} {_shown(value)} is no percentage", next_step=f"give 0 to 100: -e {name}=20")
    return float(text)


READERS: t.Final[Mapping[str, Callable[[t.Any, str], t.Any]]] = {
    SERIAL: _batches,
    STRATEGY: _strategy,
    MAX_FAIL: _share,
}


def _shown(value: t.Any) -> str:
    return printable(value, LONGEST)


def forks(hosts: int, cores: int) -> int:
    """How many processes work at a time where nobody said: most of them wait for a database."""
    return max(FEWEST_FORKS, min(hosts, FORKS_PER_CORE * cores))


def goes_no_further(failed: int, hosts: int, most: float) -> bool:
    """Whether of a batch of so many hosts a greater share failed than `most` percent."""
    return hosts > 0 and 100 * failed / hosts > most


def refuse_parts(playbook: str) -> None:
    """BadInput where only a part of an operation was asked for: without its lease, its pause or its evidence."""
    given = {
        "--tags": [each for each in context.CLIARGS.get("tags") or () if each != "all"],
        "--skip-tags": context.CLIARGS.get("skip_tags") or (),
        "--start-at-task": context.CLIARGS.get("start_at_task") or "",
    }
    found = [option for option, value in given.items() if value]
    if found and playbook not in LOOKING:
        raise BadInput(
            f"{' and '.join(found)} would leave out steps that the others rely on: the lease, the pause, the evidence",
            said="nothing was changed",
            next_step=f"run the same command without {' and '.join(found)}; what is done already is not done again",
        )
