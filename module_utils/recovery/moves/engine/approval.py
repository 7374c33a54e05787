# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that two people have looked at: one made it, another one approved it, each with a key of their own."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

from ...core import files
from ...core.errors import BadInput
from ...ledger.controller import same_login
from ...ledger.trust import signatures
from . import plan_file

if t.TYPE_CHECKING:
    from collections.abc import Mapping

KIND: t.Final = "approval"
#: Of an option that has to be given where two people are wanted.
TWO_PERSON_SPEC: t.Final[dict[str, dict[str, t.Any]]] = {"two_person": {"type": "bool", "default": False}}


def approve(name: str, found: plan_file.Written, by: str, *, check: bool = False) -> bool:
    """Signs the plan that was read from a file, and shown, with the key of this controller, for `by`, and writes that plan with the
    approval into the file; whether it was not approved before. In check mode nothing is written.

    Raises BadInput without a key, for a plan that is not signed by another key, and for one that the same person made.
    """
    refused = f"refused to approve plan_file {name}"
    if not signatures.has_key():
        raise BadInput(
            refused,
            said="this controller has no key to sign with",
            next_step=f"name a file with yours in {signatures.KEY_FILE}, and that of {found.by or 'the planner'} as a line below it",
        )
    planner = signatures.signer_of(found.signature)
    if found.approval is None:
        if not found.by or same_login(found.by, by):
            raise BadInput(
                refused,
                said=f"{found.by or 'nobody on record'} made it, and this is {by}",
                next_step="have somebody else look at it and approve it",
            )
        made = {"by": by, "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        signed = signatures.sign(KIND, _signable(found, made))
        if planner == signatures.signer_of(signed):
            raise BadInput(
                refused,
                said=f"it was signed by key {planner}, which is the first of this controller",
                next_step=f"approve it with a key of your own, as the first line of the file that {signatures.KEY_FILE} names",
            )
        if not check:
            whole = found.whole | {KIND: made | {"signature": signed}}
            files.write(Path(name).expanduser(), f"{json.dumps(whole, indent=1)}\n".encode(), "plan_file")
        return True
    _verify(name, found)
    return False


def planned(params: Mapping[str, t.Any], *, action: str, database: str) -> tuple[plan_file.Plan | None, dict[str, str]]:
    """The plan in `plan_file`, if one is given, and `planned_by` and `approved_by` where two people are wanted. The file is read once:
    what is carried out is what was approved.

    Raises BadInput for a plan of another action or database; and where two people are wanted, and there is no plan, no approval, one
    by the same person or the same key, or none that the keys of this controller verify."""
    name, is_wanted = params["plan_file"], params.get("two_person")
    if not name:
        if is_wanted:
            raise BadInput(
                "refused to go on without a plan that somebody else approved: two_person is set",
                next_step="create one with --check -e plan_file=plan.json, and have somebody else run: scout approve plan.json",
            )
        return None, {}
    found = plan_file.read(name)
    people = {"planned_by": found.by, "approved_by": _verify(name, found)} if is_wanted else {}
    return plan_file.fitting(found, name, action=action, database=database), people


def _verify(name: str, found: plan_file.Written) -> str:
    """Who approved it; raises BadInput unless somebody else did, with another key that this controller knows."""
    given = found.approval
    refused, again = f"refused plan_file {name}", f"have somebody else look at it and run: scout approve {name}"
    if given is None:
        raise BadInput(refused, said="nobody has approved it: two_person is set", next_step=again)
    if not signatures.has_key():
        raise BadInput(
            refused,
            said="its approval cannot be verified: this controller has no key",
            next_step=f"name a file with the keys of both in {signatures.KEY_FILE}, a line each",
        )
    signature, made = given.get("signature"), {each: given.get(each) for each in ("by", "at")}
    signatures.refuse_unsigned(KIND, _signable(found, made), signature, f"the approval of plan_file {name}")
    planner, approver = signatures.signer_of(found.signature), signatures.signer_of(signature)
    by = str(made["by"])
    if not planner or not approver or planner == approver or not found.by or same_login(found.by, by):
        raise BadInput(
            refused, said=f"{by} approved what {found.by or 'nobody'} made, with the same key or name", next_step=again
        )
    return by


def _signable(found: plan_file.Written, made: Mapping[str, t.Any]) -> bytes:
    """The plan with the planner's signature, and who approved it when."""
    return b"\0".join((found.content, str(found.signature).encode(), json.dumps(made, sort_keys=True).encode()))
