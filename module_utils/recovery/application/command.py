# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for the application, from options to a result: deploy its edge function, and revert its commits."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

from ..core import subprocesses
from ..core.errors import BadInput
from ..invoke import WithoutSession, check_options
from . import edge_function, revert_plan
from . import revert as reverting
from .deployments import InFile, InLedger, Records
from .repository import Repository

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ..invoke import Call, Params
    from .edge_function import DeployResult
    from .revert_plan import RevertResult


def deploy(call: Call | WithoutSession, params: Params) -> DeployResult:
    """Edge functions deployed from a commit's tree, unless that was the last: commit, tree, files, what ran before, and seconds.

    What is deployed is written down first, in the ledger or in `state_file`. Raises BadInput for options that cannot be used,
    ProgramFailed where git or the Supabase CLI fails, and LeaseHeld.
    """
    check_options(params)
    records = _records(call, params)
    wanted = edge_function.Wanted(
        **{field.name: params[field.name] for field in dataclasses.fields(edge_function.Wanted)}
    )
    with _repository(call, params, "scout-edge") as repository:
        if params["functions"] is None:
            return edge_function.deploy(repository, records, wanted, check=call.check, say=call.progress.say)
        return edge_function.deploy_all(
            repository,
            records,
            wanted,
            params["functions"],
            skip_missing=params["skip_missing"],
            check=call.check,
            say=call.progress.say,
        )


def revert(call: WithoutSession, params: Params) -> RevertResult:
    """Commits of the application reverted by one new commit: what is reverted and what stays, the commit, and whether it is pushed.

    Raises BadInput for options that cannot be used, NotConverged where it cannot be reverted or the remote has moved on, and
    ProgramFailed where git fails.
    """
    check_options(params)
    given: Params = {field.name: params[field.name] for field in dataclasses.fields(revert_plan.Wanted)}
    given |= {name: tuple(given[name] or ()) for name in ("commits", "paths")}
    with _repository(call, params, "scout-git") as repository:
        return reverting.revert(repository, revert_plan.Wanted(**given), check=call.check, say=call.progress.say)


def _records(call: Call | WithoutSession, params: Params) -> Records:
    """Where a deployment is written down."""
    if isinstance(call, WithoutSession):
        return InFile(Path(params["state_file"]).expanduser().absolute(), params["incident"], call.controller)
    if params["ledger"] == "off":
        raise BadInput(
            "refused to deploy without recording what was deployed before",
            next_step="leave ledger as auto, or give state_file",
        )
    return InLedger(
        call.session,
        look=call.look,
        ensure=lambda: call.ensure("required"),
        lease_token=params["lease_token"],
        takeover=params["takeover"],
    )


@contextlib.contextmanager
def _repository(call: Call | WithoutSession, params: Params, name: str) -> Generator[Repository]:
    """The clone that was named, with a folder for temporary files that goes with it."""
    with subprocesses.scratch(name) as folder:
        yield Repository(
            params["repository"],
            scratch=folder,
            seconds=params["timeout_seconds"],
            checkpoint=call.progress.checkpoint,
        )
