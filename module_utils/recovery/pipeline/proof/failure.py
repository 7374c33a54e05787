# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it means that a job's command failed, by PostgreSQL's error and what is known of the owner of the job; pure."""

from __future__ import annotations

import typing as t

from ...core.text import in_words, printable
from ...postgres.driver import errors
from ...postgres.failures import words_of
from . import reading
from .judgement import FAILED, UNKNOWN

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.driver import psycopg
    from .reading import Owner

#: What works for the scheduler, but not within a function.
NOT_HERE: t.Final = ("0A000", "2D000", "25001", "25P01")
BECOMES: t.Final = "cannot set parameter"
NO_ROLE: t.Final = "permission denied to set role"
FORBIDDEN: t.Final = "permission denied"


class Failed(Exception):
    """A command that went wrong: what is to be said of it."""

    def __init__(self, status: str, said: str, sqlstate: str | None = None, next_step: str = "") -> None:
        super().__init__(said)
        self.status, self.said, self.sqlstate, self.next_step = status, said, sqlstate, next_step


def login(owner: Owner) -> Failed | None:
    """Why the scheduler could not even begin, or has less time than a batch takes."""
    if found := owner.obstacle:
        return Failed(FAILED, f"the scheduler cannot run it: {found[0]}", next_step=found[1])
    for setting in owner.hindering:
        if setting.name == reading.READ_ONLY:
            return Failed(FAILED, f"{setting.name} is on for {setting.place}", "25006", setting.reset)
        said = f"{setting.name} of {round(setting.seconds * 1000):,} ms is set for {setting.place}, less than a batch takes"
        return Failed(FAILED, said, "57014", setting.reset)
    return None


def too_late(seconds: float) -> Failed:
    """That the time for all trials is over."""
    said = f"it takes longer than the {in_words(seconds)} there are for it"
    return Failed(
        UNKNOWN,
        said,
        None,
        "give it more time with scout_proof_timeout_seconds; a smoke test, with scout_smoke_timeout_seconds",
    )


def of_surroundings(e: psycopg.Error, owner: Owner, seconds: float, lock_seconds: float) -> Failed | None:
    """That a time limit ended it, that of its owner's sessions or of the `seconds` of the proof; that somebody else holds a lock; that it
    cannot be tried; or that its sessions become another role. None where it is the command itself."""
    said, becomes = printable(words_of(e)), owner.becomes
    if isinstance(e, errors.QueryCanceled) and "statement timeout" in said:
        setting = owner.settings.get("statement_timeout")
        if setting is None or setting.seconds >= seconds:
            return too_late(seconds)
        said = f"it takes longer than the {setting.value} that {setting.place} allows"
        return Failed(FAILED, said, e.sqlstate, setting.reset)
    if isinstance(e, errors.LockNotAvailable):
        step = "terminate_sessions.yml --check shows who holds the lock, then run the same command again"
        return Failed(UNKNOWN, f"it waited {in_words(lock_seconds)} for a lock", e.sqlstate, step)
    if e.sqlstate in NOT_HERE or (isinstance(e, errors.InsufficientPrivilege) and said.startswith(BECOMES)):
        step = "look at its next run in cron.job_run_details, or run it again with proof=false"
        return Failed(UNKNOWN, f"it cannot be tried within a transaction: {said}", e.sqlstate, step)
    if becomes is None:
        return None
    if said.startswith(NO_ROLE):
        return Failed(UNKNOWN, f"{said}, to which role is set for {becomes.place}", e.sqlstate, becomes.reset)
    said = f"{said}, as {becomes.value}, to which role is set for {becomes.place}"
    return Failed(FAILED, said, e.sqlstate, becomes.reset)


def is_forbidden(e: psycopg.Error) -> bool:
    """Whether a role lacks a privilege, which no event is to blame for."""
    return words_of(e).startswith(FORBIDDEN)


def of_command(e: psycopg.Error, owner: Owner, functions: Sequence[str], event: str, remedy: str) -> Failed:
    """Why the command itself failed: with the `event` that it fails on, or the role that lacks something; and the statements that fix
    it, which the `remedy` is where there is one."""
    said = printable(words_of(e))
    definers = owner.definers(functions) if is_forbidden(e) else []
    if definers:
        said = f"{said}, as {definers[0]}, who owns {functions[0]}"
    elif event:
        said = f"{said}: {event}"
    if not remedy and isinstance(e, errors.InsufficientPrivilege):
        remedy = "; ".join(owner.grants(functions))
    return Failed(FAILED, said, e.sqlstate, remedy)
