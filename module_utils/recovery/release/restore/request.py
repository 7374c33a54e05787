# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a rollback: to which capture, for which objects, and by which statements."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

from ...core import advice
from ...core.errors import BadInput
from ...moves.engine import job as engine_job
from ..captures import document as captures_document
from ..captures import store as captures_store
from .down_scripts import Script
from .object_names import has_taken, key_of
from .owners import OWNERS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...invoke import Call
    from ...postgres.session import Row
    from ..captures.document import Document

#: Where columns that come back are to stand, besides "any".
EXACT: t.Final = "exact"
DROP: t.Final = "drop"
RESTORE: t.Final = "restore"
DIGEST: t.Final = re.compile(r"[0-9a-fA-F]{64}")

RESTORE_SPEC: dict[str, dict[str, t.Any]] = {
    "capture_id": {"type": "str"},
    "release_digest": {"type": "str"},
    "allow_lossy": {"type": "bool", "default": False},
    "drop_function": {"type": "str"},
    "drop_column": {"type": "str"},
    "down_scripts": {"type": "list", "elements": "path", "default": []},
}


@dataclasses.dataclass(frozen=True)
class Order:
    """What is wanted: which capture, whether one object of it alone, and by which scripts instead of a plan."""

    action: str
    document: Document
    only: str | None = None
    scripts: tuple[Script, ...] = ()
    allow_lossy: bool = False
    #: The options as they were given, for the ledger.
    asked: Mapping[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    #: The run that is taken back by this.
    undone: Row | None = None
    #: Whether the capture was read from the ledger, which knows where its objects are by now; a file says where they were.
    in_ledger: bool = True
    #: Roles that may own what this makes although they are superusers, or own nothing of the release today.
    allow_owners: tuple[str, ...] = ()

    @property
    def given_up(self) -> tuple[str, ...]:
        """What the run that is undone had lost: an undo cannot restore it."""
        return tuple(self.undone["effects"].get("lost", ())) if self.undone else ()

    @property
    def way_out(self) -> str:
        """What shows a person more where data would be lost: an undo cannot lose any, a rollback to its capture can."""
        shown = f"`rollback.yml --check -e scout_capture_id={advice.value(str(self.document['capture_id']))}` goes the same way; "
        return shown if self.undone else ""

    @property
    def allow_strange(self) -> str:
        """How a person allows owners that nobody expects."""
        which = f"rollback.yml -e scout_release={advice.value(str(self.document['release']))}"
        if self.undone:
            which = f"undo.yml -e scout_run_id={self.undone['run_id']}"
        return f"if that is right: `{which} -e scout_allow_owners={OWNERS}`; else look who wrote that capture"

    @property
    def goal(self) -> str:
        """What is rolled back to, for a person."""
        taken_by = self.document.get("taken_by")
        return f"the state before run {taken_by[:8]}" if taken_by else self.document["release"]


def read(call: Call, params: Mapping[str, t.Any]) -> tuple[Order, list[str]]:
    """The options, checked. Raises BadInput for what cannot be rolled back to."""
    if params["ledger"] == "off":
        raise BadInput(
            "refused to roll back with ledger=off",
            on=call.session.where,
            next_step="leave ledger at auto: the state before is kept in it, so that this can be undone",
        )
    if params["drop_function"] and params["drop_column"]:
        raise BadInput("drop_function and drop_column exclude each other", next_step="give one of them at a time")
    scripts = tuple(Script.read(path) for path in params["down_scripts"])
    word = next((name for name in ("drop_function", "drop_column") if params[name]), None)
    if scripts and word:
        raise BadInput(f"down_scripts and {word} exclude each other", next_step="give one of them")
    asked = {name: params[name] for name in ("release", *RESTORE_SPEC) if params[name]}
    asked |= unusual(params)
    asked |= {"down_scripts": [script.digest for script in scripts]} if scripts else {}
    present = call.look().present
    with engine_job.reading(call.session, "could not read the capture to roll back to"):
        document = _document(call, params, word)
        _refuse_other(call, document, params["release_digest"])

        def gone(key: str) -> bool:
            return present and has_taken(call.session, key)

        only, warnings = key_of(call.session, word, params[word], document, gone) if word else (None, list[str]())
    in_ledger = not params["release_file"]
    owners = tuple(params["allow_owners"])
    order = Order(
        "rollback", document, only, scripts, params["allow_lossy"], asked, in_ledger=in_ledger, allow_owners=owners
    )
    return order, warnings


def _refuse_other(call: Call, document: Document, pinned: str | None) -> None:
    """Raises BadInput where the capture is not the one whose digest was pinned: whoever may write the ledger can replace one."""
    if not pinned:
        return
    if not DIGEST.fullmatch(pinned):
        raise BadInput(
            f"release_digest {pinned[:80]!r} is not a digest",
            next_step="give all 64 digits, as capture_release.yml showed them",
        )
    if not captures_document.has_digest(document, pinned):
        raise BadInput(
            f"refused the capture of {document['release']}: it is not the one that was pinned",
            on=call.session.where,
            said=f"its digest is {document['digest']}, not {pinned.lower()}",
            next_step=(
                "look who replaced it (scout_ops.releases); to roll back to the one that was pinned give its capture_id, or its "
                "file: -e scout_release_file=…"
            ),
        )


def _document(call: Call, params: Mapping[str, t.Any], word: str | None) -> Document:
    """The capture that is meant."""
    name, ledger = params["release"], call.look()
    if params["release_file"]:
        made = captures_document.load(Path(params["release_file"]).expanduser())
        if name and made["release"] != name:
            raise BadInput(
                f"release_file {params['release_file']} does not match",
                said=f"it holds release {made['release']}, not {name}",
                next_step="give the file of that release, or leave it out: captures are kept in the ledger",
            )
        return made
    found: Document | None = None
    if ledger.present and params["capture_id"]:
        found = captures_store.by_id(ledger, params["capture_id"])
    elif ledger.present and name:
        found = captures_store.current(ledger, name)
    elif ledger.present and word:
        found = captures_store.latest_asked_for(ledger)
    if found is not None:
        return found
    known = captures_store.names(ledger)
    what = f"capture {params['capture_id']}" if params["capture_id"] else f"release {name}" if name else ""
    raise BadInput(
        f"there is no capture of {what}" if what else "no release is named to roll back to",
        on=call.session.where,
        said=f"captured are: {', '.join(known)}" if known else "nothing is captured in this database",
        next_step=(
            "name one of these: -e scout_release=…"
            if known
            else "capture_release.yml before the next deployment; or give the file of a capture: -e scout_release_file=…"
        ),
    )


def unusual(params: Mapping[str, t.Any]) -> dict[str, str]:
    """Options that say how, where they are not what they usually are."""
    usual = {"column_order": EXACT, "new_partitions": DROP, "default_grants": RESTORE}
    return {name: value for name, value in usual.items() if params.get(name) == value}
