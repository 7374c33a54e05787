# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that captures a release, from options to a result."""

from __future__ import annotations

import typing as t

from ...core.results import ModuleResult
from . import capture as capturing
from . import deployers

if t.TYPE_CHECKING:
    from ...invoke import Call, Params
    from ...postgres.session import Row


class CaptureResult(ModuleResult, capturing.Captured):
    """What scout_capture returns."""

    run_id: str | None
    effects: dict[str, t.Any]
    diff: dict[str, t.Any]


def capture(call: Call, params: Params) -> CaptureResult:
    """A release captured: its id, digest, objects by kind, data saved with it, and what differs from the capture before.

    Raises BadInput for options that cannot be used, NotConverged where the release is captured already and differs unless
    `recapture` is set, or the schema changes during the capture, LeaseHeld, and MissingPrivilege where a rollback could not drop
    what `deployed_by` creates.
    """
    want = capturing.wanted(params)
    if params["deployed_by"]:
        deployers.require_droppable(call.session, want.scope.schemas, params["deployed_by"])
    ledger = capturing.place(call, want, params["ledger"])
    want = capturing.known(call.session, want)
    seen = capturing.look(call, ledger, want)
    todo = capturing.plan(seen, want, call.session.where)
    done: Row = {"document": seen.existing or seen.made, "run_id": None, "effects": {}}
    if call.check and todo.capture:
        done["document"] = seen.made
    elif todo.changed and not call.check:
        done = capturing.apply(call, ledger, seen, want, todo, params)
    kept = done["document"]
    result = capturing.described(seen, want, kept)
    return {
        **result,
        "changed": todo.changed,
        "run_id": done["run_id"],
        "effects": done["effects"],
        "warnings": [*ledger.warnings, *result["warnings"]],
        "summary": capturing.summary(seen, want, todo, kept, check=call.check),
        "diff": capturing.shown(seen, kept),
    }
