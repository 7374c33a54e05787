# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The batches of the run that this process controls: what was given for them, and whether another one begins."""

from __future__ import annotations

import functools
import os
import typing as t

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from . import extra_vars, right_database, rollout, slices, voice

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

display = Display()


def given(loader: t.Any) -> dict[str, t.Any]:
    """`serial`, `strategy` and `max_fail_percentage` as Ansible takes them. Raises BadInput for what it would not take. From now
    on nothing that was typed is a template."""
    typed = extra_vars.as_data(loader)
    hosts = list(_hosts(typed))
    return {name: rollout.of(name, typed, hosts) for name in rollout.DEFAULTS}


def _hosts(typed: Mapping[str, t.Any]) -> Iterator[tuple[str, Mapping[str, t.Any]]]:
    """The hosts that the run is for, each with its variables; none where nothing is run."""
    runs = right_database.executor()
    if runs is None:
        return
    inventory = runs._inventory
    target = str(typed.get("target") or "")
    pattern = target or (right_database.GROUP if right_database.GROUP in inventory.groups else "all")
    for host in inventory.get_hosts(pattern, ignore_restrictions=True):
        yield str(host.get_name()), runs._variable_manager.get_vars(host=host, include_hostvars=False)


def widen() -> None:
    """Lets as many processes work as the cores of this machine and the hosts of the run allow, unless somebody gave a number."""
    runs = right_database.executor()
    usual, origin = C.config.get_config_value_and_origin("DEFAULT_FORKS")
    if runs is None or runs._tqm is None or origin != "default" or runs._tqm._forks != usual:
        return
    hosts = list(_hosts(load_extra_vars(runs._loader)))
    runs._tqm._forks = rollout.forks(len(hosts), _cores())


def _cores() -> int:
    """How many cores this process may use; on macOS, which does not tell that, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(given: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same for a run of its own. In a slice of a rollout the record says which hosts begin, so that to Ansible they are one
    batch. Raises BadInput for what cannot be a slice."""
    runs = right_database.executor()
    typed = load_extra_vars(runs._loader) if runs else {}
    found = slices.of(runs, typed, given, list(_hosts(typed)) if runs else [])
    if found is None:
        return dict(given)
    if "run" not in vars(runs._tqm):
        runs._tqm.run = functools.partial(slices.in_turns, runs, runs._tqm.run, found)
    return {**given, **{name: rollout.DEFAULTS[name] for name in (rollout.SERIAL, rollout.MAX_FAIL)}}


def watch(given: Mapping[str, t.Any]) -> None:
    """From now on a batch is judged at its end: where a greater share of its hosts failed than was given, no other begins. What
    Ansible has for that stops hosts in the middle of their steps with its strategy linear, and does nothing with free."""
    runs = right_database.executor()
    most = float(given[rollout.MAX_FAIL])
    if runs is None or runs._tqm is None or most >= rollout.DEFAULTS[rollout.MAX_FAIL] or "run" in vars(runs._tqm):
        return
    manager, run = runs._tqm, runs._tqm.run
    begun: set[str] = set()

    def judged(play: t.Any) -> int:
        batch = {str(host.get_name()) for host in runs._inventory.get_hosts(play.hosts)}
        begun.update(batch)
        result = int(run(play=play))
        failed = batch & {*manager._failed_hosts, *manager._unreachable_hosts}
        if not rollout.goes_no_further(len(failed), len(batch), most):
            return result
        if any(
            str(host.get_name()) not in begun
            for host in runs._inventory.get_hosts(play.hosts, ignore_restrictions=True)
        ):
            voice.say(display, f"{len(failed)} of {len(batch)} failed, more than {most:g} %: no further host is begun")
        # As its strategy linear does: after a batch of which all count as failed there is no other, nor another play.
        manager._failed_hosts.update(dict.fromkeys(batch, True))
        return result | int(manager.RUN_FAILED_BREAK_PLAY)

    manager.run = judged
