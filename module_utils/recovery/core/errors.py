# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed errors that tell a tired person four things: attempted, on what, what PostgreSQL said, what to do next."""

from __future__ import annotations

import typing as t

from . import advice
from .text import LONGEST as LONGEST_REASON
from .text import printable, visible

#: How much an error repeats of what was attempted and where.
LONGEST: t.Final = 1500


class RecoveryError(Exception):
    """A refusal or failure that changed nothing it does not name; `next_step` says what to do."""

    kind: t.ClassVar[str] = "error"

    def __init__(
        self,
        attempted: str,
        *,
        on: str = "",
        said: str = "",
        sqlstate: str | None = None,
        next_step: str = "",
        result: dict[str, t.Any] | None = None,
    ) -> None:
        self.attempted = printable(attempted, LONGEST)
        self.on = printable(on, LONGEST)
        self.said = printable(said, LONGEST_REASON)
        self.sqlstate = sqlstate
        #: What to do next; a command in it stands between backticks.
        self.next_step = visible(next_step)
        self.result: dict[str, t.Any] = result or {}
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: what failed, where, why, what next."""
        text = self.attempted
        if self.on:
            text += f" on {self.on}"
        if self.said:
            text += f": {self.said}"
        if self.sqlstate:
            text += f" (SQLSTATE {self.sqlstate})"
        if self.next_step:
            text += f". Next: {advice.plain(self.next_step)}"
        return text

    def as_dict(self) -> dict[str, t.Any]:
        """The same four things for a machine, with the error's kind."""
        return {
            "kind": self.kind,
            "attempted": self.attempted,
            "on": self.on,
            "said": self.said,
            "sqlstate": self.sqlstate,
            "next_step": advice.plain(self.next_step),
            "advice": advice.words([self.next_step]),
            "commands": advice.commands([self.next_step]),
        }


class BadInput(RecoveryError):
    """An option's value cannot be used; nothing was tried."""

    kind = "bad_input"


class ConnectionFailed(RecoveryError):
    """The database could not be reached, or refused the login."""

    kind = "connection_failed"


class ConnectionLost(RecoveryError):
    """Our session ended in the middle; what had been committed stays, the rest was rolled back."""

    kind = "connection_lost"


class WrongDatabase(RecoveryError):
    """The database is a standby, is read-only, or does not hold what we operate on."""

    kind = "wrong_database"


class MissingPrivilege(RecoveryError):
    """The role lacks a privilege; the next step is the GRANT that fixes it."""

    kind = "missing_privilege"


class ForeignLedger(RecoveryError):
    """The ledger is somebody else's, or somebody else has a hand in it."""

    kind = "foreign_ledger"


class LedgerVersion(RecoveryError):
    """The ledger is of a later release, or has not been upgraded from an earlier one."""

    kind = "ledger_version"


class LeaseHeld(RecoveryError):
    """Another operator is working."""

    kind = "lease_held"


class PauseHeld(RecoveryError):
    """Somebody else paused ingestion, so it is theirs to resume."""

    kind = "pause_held"


class LeaseLost(RecoveryError):
    """Our lease was taken over while we worked; the transaction that noticed was rolled back."""

    kind = "lease_lost"


class NotConverged(RecoveryError):
    """The wanted state was not reached; `result` holds the progress made."""

    kind = "not_reached"


class SystemicFailure(RecoveryError):
    """Too much is wrong to repair row by row; nothing more was moved."""

    kind = "systemic"


class Stopped(RecoveryError, KeyboardInterrupt):
    """Someone asked us to stop, or the process that started us is gone; psycopg cancels what runs, as on Ctrl-C."""

    kind = "stopped"


class DatabaseError(RecoveryError):
    """PostgreSQL refused a statement."""

    kind = "database_error"


class ProgramFailed(RecoveryError):
    """Another program, git or a CLI, failed or took too long; what it said is quoted without secrets."""

    kind = "program_failed"


class Unexpected(RecoveryError):
    """A fault of this toolkit; what was committed stays, the rest was rolled back."""

    kind = "unexpected"
