# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of the ledger: the one vocabulary in which runs, privileges and the sight of rows speak of what is done."""

from __future__ import annotations

import typing as t

#: What moves rows: out of the pipeline into the dead letter queue, and back; or makes them again.
MOVES: t.Final = ("quarantine", "cleanup", "redrive", "undo", "window_recovery")
#: What an emergency reset does.
RESET: t.Final = ("assess", "pause", "terminate_sessions", "drain", "refresh_gold")
#: What goes back to a captured release.
ROLLBACK: t.Final = ("rollback",)

#: Whatever a run of the ledger may be; the lease's own lines are no runs of anything.
RUNS: t.Final = (
    *("pause", "resume", "terminate_sessions", "drain", "refresh_gold", "quarantine", "cleanup", "redrive", "undo"),
    *("window_recovery", "watch", "capture", "rollback", "deploy", "assess", "gate", "evidence", "downstream"),
)

#: Runs whose items are dead letters, and runs that keep a journal.
DEAD_LETTER_ACTIONS: t.Final = ("quarantine", "cleanup", "drain")
JOURNAL_ACTIONS: t.Final = ("redrive", "undo", "window_recovery")
#: Runs that undo takes back.
UNDOABLE: t.Final = (*DEAD_LETTER_ACTIONS, *JOURNAL_ACTIONS, *ROLLBACK)

#: Runs that mend something; each may be the fix.
FIXES: t.Final = (
    *("terminate_sessions", "drain", "refresh_gold", "quarantine", "cleanup", "redrive", "undo"),
    *("window_recovery", "rollback", "deploy"),
)
#: Runs by which somebody only looked, or what reads the pipeline heard of a change.
LOOKS: t.Final = ("assess", "gate", "downstream")

#: Writes rows of the pipeline, which it does where a policy is an error, whatever that shows.
WRITES_ROWS: t.Final = ("drain", *MOVES)
#: Judges or moves by the rows there are; a pause, a lease or a note needs none of them.
NEEDS_ROWS: t.Final = ("assess", "gate", "refresh_gold", "watch", *WRITES_ROWS)

#: Modules that act: they alter jobs, end sessions, or call and change what is in the database.
ACTS: t.Final = frozenset({"ingestion", "terminate_sessions", "drain", "refresh_gold", "proof", *MOVES, *ROLLBACK})

#: Modules whose name is not that of their action.
OF_MODULES: t.Final = {
    "begin": "assess",
    "dashboard": "assess",
    "health": "assess",
}


def of_module(name: str) -> str:
    """The action of a module by its name without `scout_` and `_info`."""
    return OF_MODULES.get(name, name)
