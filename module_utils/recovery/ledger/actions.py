# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of the ledger: the one vocabulary in which runs, privileges and the sight of rows speak of what is done."""

from __future__ import annotations

import typing as t


class Action(t.NamedTuple):
    """What a run of the ledger may be."""

    name: str
    #: What a run of it is called on the timeline of a report.
    done: str
    #: What it does with rows of the pipeline: judges by them, writes some, or moves them.
    rows: t.Literal["", "judges", "writes", "moves"] = ""
    #: Where that is which undo takes back.
    undo: t.Literal["", "dead_letters", "journal", "schema"] = ""
    #: Whether somebody only looked.
    look: bool = False


TABLE: t.Final = (
    Action("pause", "Ingestion paused"),
    Action("resume", "Ingestion resumed"),
    Action("terminate_sessions", "Stuck sessions ended"),
    Action("drain", "Backlog loaded", "writes", "dead_letters"),
    Action("refresh_gold", "Gold refreshed", "judges"),
    Action("quarantine", "Events quarantined", "moves", "dead_letters"),
    Action("cleanup", "Bad rows cleaned up", "moves", "dead_letters"),
    Action("redrive", "Dead letters redriven", "moves", "journal"),
    Action("undo", "Run undone", "moves", "journal"),
    Action("window_recovery", "Window recovered", "moves", "journal"),
    Action("capture", "Release captured"),
    Action("rollback", "Release rolled back", undo="schema"),
    Action("deploy", "Function deployed"),
    Action("assess", "Pipeline assessed", "judges", look=True),
    Action("gate", "Acceptance gate run", "judges", look=True),
    Action("evidence", "Evidence collected"),
)

#: Whatever a run of the ledger may be; the lease's own lines are no runs of anything.
RUNS: t.Final = tuple(each.name for each in TABLE)
#: What moves rows: out of the pipeline into the dead letter queue, and back; or makes them again.
MOVES: t.Final = tuple(each.name for each in TABLE if each.rows == "moves")
#: What an emergency reset does.
RESET: t.Final = ("assess", "pause", "terminate_sessions", "drain", "refresh_gold")
#: What goes back to a captured release.
ROLLBACK: t.Final = tuple(each.name for each in TABLE if each.undo == "schema")
#: Runs whose items are dead letters, and runs that keep a journal.
DEAD_LETTER_ACTIONS: t.Final = tuple(each.name for each in TABLE if each.undo == "dead_letters")
JOURNAL_ACTIONS: t.Final = tuple(each.name for each in TABLE if each.undo == "journal")
UNDOABLE: t.Final = tuple(each.name for each in TABLE if each.undo)
LOOKS: t.Final = tuple(each.name for each in TABLE if each.look)
#: Writes rows of the pipeline, which it does where a policy is an error, whatever that shows.
WRITES_ROWS: t.Final = tuple(each.name for each in TABLE if each.rows in ("writes", "moves"))
#: Judges or moves by the rows there are; a pause, a lease or a note needs none of them.
NEEDS_ROWS: t.Final = tuple(each.name for each in TABLE if each.rows)

#: Modules that act: they alter jobs, end sessions, or call and change what is in the database.
ACTS: t.Final = frozenset({"ingestion", "terminate_sessions", "drain", "refresh_gold", "proof", *MOVES, *ROLLBACK})

#: Modules that change nothing but the ledger, and that what acts begins with, or comes back to.
LEADS: t.Final = ("lease", "capture")

#: Modules whose name is not that of their action.
OF_MODULES: t.Final = {
    "health": "assess",
}


def of_module(name: str) -> str:
    """The action of a module by its name without `scout_` and `_info`."""
    return OF_MODULES.get(name, name)
