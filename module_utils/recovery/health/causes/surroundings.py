# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes beside the pipeline: runs of ours that were broken off, prepared transactions, and the server's limits."""

from __future__ import annotations

import json
import shlex
import typing as t

from ...core.text import in_words
from ...moves.cleanup.command import CLEANUP_SPEC
from ...moves.quarantine.command import SELECTION_SPEC
from ...moves.redrive.command import REDRIVE_SPEC
from ...moves.undo.command import UNDO_SPEC
from ...moves.window.command import WINDOW_SPEC
from .base import UNDO, Diagnosis, cause

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...postgres.session import Row
    from ..facts import Facts

#: The options of each action that moves rows: others of a run in the ledger somebody else wrote there.
OPTIONS: t.Final = {
    "quarantine": SELECTION_SPEC,
    "cleanup": CLEANUP_SPEC,
    "redrive": REDRIVE_SPEC,
    "undo": UNDO_SPEC,
    "window_recovery": WINDOW_SPEC,
}
#: The playbook of each of them, and what a person calls options that a module calls otherwise.
PLAYBOOK: t.Final = {
    "quarantine": "quarantine",
    "cleanup": "quality_cleanup",
    "redrive": "redrive",
    "undo": "undo",
    "window_recovery": "window_recovery",
}
VARIABLES: t.Final = {"clock": "window_clock", "failed_from": "window_start", "failed_to": "window_end"}


def interrupted(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """What was broken off half way comes first: half of the rows have moved."""
    for run in found.wider.interrupted or []:
        ended = {"running": "was killed", "interrupted": "was killed", "stopped": "was interrupted"}.get(
            run["status"], "failed"
        )
        what = f"{run['action'].replace('_', ' ')} run {run['run_id']} of {run['actor']} {ended} before its end"
        moved: dict[str, int] = run["effects"].get("moved") or {}
        evidence = f"begun {in_words(run['seconds'] or 0)} ago"
        evidence += (
            f", moved {', '.join(f'{number:,} {name}' for name, number in moved.items() if number)}"
            if any(moved.values())
            else ""
        )
        yield cause(what, f"{evidence}; to undo it: {UNDO} -e scout_run_id={run['run_id']}", again(run))


def again(run: Row) -> str:
    """The command that goes on with a run."""
    asked: dict[str, t.Any] = run["asked"]
    if not set(asked) <= set(OPTIONS[run["action"]]):
        return (
            f"no command of this version goes on with it: it has options that {run['action'].replace('_', ' ')} does not have; "
            f"{UNDO} -e scout_run_id={run['run_id']} undoes it"
        )
    given = {
        f"scout_{VARIABLES.get(name, name)}": value for name, value in asked.items() if value not in (None, "", [], {})
    }
    variables = shlex.quote(json.dumps(given, default=str))
    return f"ansible-playbook scout.recovery.{PLAYBOOK[run['action']]} -e {variables}"


def prepared(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A prepared transaction outlives its session, and nobody can be ended for it."""
    for row in found.wider.prepared or []:
        held = ", ".join(row["relations"])
        what = f"prepared transaction {row['gid']} holds {held}"
        evidence = (
            f"prepared {in_words(row['seconds'] or 0)} ago by {row['role']}; no session holds it, so none can be ended"
        )
        yield cause(what, evidence, f"ROLLBACK PREPARED {_literal(row['gid'])};")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def server(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """One line for all limits of the server that are near."""
    if found.wider.server:
        yield cause(
            "the database comes near a limit",
            "; ".join(found.wider.server),
            "tell the administrator of the server; docs/troubleshooting.md has queries that show what fills a disk",
            blocks=False,
        )
