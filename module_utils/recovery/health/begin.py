# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an operation begins: privileges, the lease and an assessment on one session, each with a result of its own."""

from __future__ import annotations

import typing as t

from ..core.errors import PauseHeld, RecoveryError
from ..core.results import ModuleResult
from ..invoke import failure
from ..ledger import actions, lease, pauses
from ..pipeline import preflight
from ..postgres.driver import psycopg
from ..postgres.failures import translate
from . import command

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..invoke import Call, Params, Result


#: A reset that finds nothing to repair takes the time to look that the one after a repair has; it ends as soon as all is known.
AGAIN_SECONDS: t.Final = 600.0


class BeginResult(ModuleResult):
    """What scout_begin returns."""

    token: int | None
    preflight: dict[str, t.Any]
    lease: dict[str, t.Any]
    assess: dict[str, t.Any]
    warnings: list[str]


def begin(call: Call, params: Params) -> BeginResult:
    """The results of a preflight, of taking the lease and of an assessment, as their own modules return them.

    Raises what the first step that fails raises, and PauseHeld where something is to be repaired in a pause of somebody else, with
    the results until then; a lease that was taken is among them, with its token, for it is still to be released.
    """
    steps: dict[str, tuple[str, Callable[[], Mapping[str, t.Any]]]] = {
        "preflight": ("preflight", lambda: preflight.check(call, params)),
        "lease": ("lease", lambda: _lease(call, params)),
        "assess": ("health", lambda: command.assess(call, {**params, "again_seconds": _again_seconds(params)})),
    }
    titles: list[str] = params["phases"]
    done: dict[str, Result] = {name: {} for name in steps}
    for place, (name, (operation, step)) in enumerate(steps.items()):
        if place and place <= len(titles):
            call.progress.say(titles[place - 1])
        about: Result = {"operation": operation, "database": call.session.where, "incident": call.incident}
        try:
            done[name] = {**about, "failed": False, **step()}
        except (RecoveryError, psycopg.Error) as e:
            error = translate(e, f"{name} failed") if isinstance(e, psycopg.Error) else e
            seen = call.ingestion(params)
            done[name] = {**about, **failure(error), "ingestion": seen}
            error.result = {**done, "token": done["lease"].get("token"), "ingestion": seen}
            raise error from e
    told = _ask_first(call, params, done)
    for each in done.values():
        told += each.get("warnings") or []
    return {
        "changed": False,
        "token": done["lease"]["token"],
        "preflight": done["preflight"],
        "lease": done["lease"],
        "assess": done["assess"],
        "warnings": list(dict.fromkeys(told)),
        "summary": done["assess"]["summary"],
    }


def _again_seconds(params: Params) -> float:
    """How long a second look may take; 0 for what does not end with a verdict on the pipeline, and should not wait for one."""
    return AGAIN_SECONDS if {*actions.RESET} <= {*params["actions"]} else 0.0


def _ask_first(call: Call, params: Params, done: dict[str, Result]) -> list[str]:
    """What is to be said of whose pause there is work in; raises PauseHeld, with the results, where that is somebody else's."""
    if not done["assess"]["needs_reset"]:
        return []
    try:
        return pauses.ask_first(call.look(params["ledger"]), "repair", takeover=params["takeover"])
    except PauseHeld as e:
        token = done["lease"]["token"]
        done["lease"] |= failure(e)
        e.result = {**done, "token": token, "ingestion": e.result["ingestion"]}
        raise


def _lease(call: Call, params: Params) -> lease.LeaseResult:
    """The lease taken, or in check mode only looked at."""
    if call.check:
        return lease.foresee(call.look(params["ledger"]), takeover=params["takeover"])
    ledger = call.ensure(params["ledger"])
    return lease.hold(ledger, call.progress, takeover=params["takeover"], ttl_seconds=params["ttl_seconds"])
