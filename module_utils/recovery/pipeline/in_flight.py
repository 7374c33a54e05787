# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the work in flight to end, with a word to whoever waits; on demand it is cancelled."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import time
import typing as t

from ..core.errors import NotConverged
from ..core.text import count, in_words
from ..postgres.failures import attempting
from ..scout import contract, cron_jobs, sessions
from . import blockers, expected, terminate_sessions

if t.TYPE_CHECKING:
    from ..core.progress import Progress
    from ..ledger.runs import Run
    from ..postgres.session import Session
    from ..scout.sessions import Activity

#: How long somebody is waited for who holds what the pipeline needs, and does nothing.
IDLE_SECONDS: t.Final = 60.0
#: How often somebody who waits is told for how long already.
TELL_SECONDS = 5.0


@dataclasses.dataclass
class Waiting:
    """Waits until nobody loads silver or refreshes gold, and remembers whom it waited for."""

    session: Session
    run: Run
    names: list[str] | None
    #: None: as long as they are at work, until they count as stuck; for whoever only holds a lock, less.
    timeout_seconds: float | None
    leave_after_seconds: float | None
    cancel: bool
    progress: Progress
    began: float = dataclasses.field(default_factory=time.monotonic)
    seen: dict[t.Any, Activity] = dataclasses.field(default_factory=dict[t.Any, "Activity"])
    cancelled: dict[t.Any, Activity] = dataclasses.field(default_factory=dict[t.Any, "Activity"])
    everyone: list[Activity] = dataclasses.field(default_factory=list["Activity"])
    told: t.Any = None
    told_at: float = 0.0

    def wait(self) -> None:
        """Returns when nothing is in flight. Raises NotConverged, naming the sessions, at the timeout."""
        while working := self._working():
            self.seen |= {a.identity: a for a in working if a.identity not in self.seen}
            waited = time.monotonic() - self.began
            if waited >= (most := self._patience(working, waited)):
                found = self._blockers(working)
                raise NotConverged(
                    "new runs are blocked, but work is still in flight",
                    on=self.session.where,
                    said=f"after {in_words(waited)} still in flight: {found.said}",
                    next_step=(
                        f"wait and run the same command again, or with -e scout_cancel_running=true; or {found.next_step}"
                    ),
                    result={"state": "pausing", "sessions_in_flight": [a.as_dict() for a in working]},
                )
            if self.cancel:
                self._cancel(working)
            self._tell(working, waited, most)
            self.progress.wait(0.25)

    def _patience(self, working: list[Activity], waited: float) -> float:
        """How long they are waited for: a run that takes long by nature is not given up, nor its job left without a schedule."""
        if self.timeout_seconds is not None:
            return self.timeout_seconds
        return self.longest if sessions.end_by_themselves(working, self.everyone, waited) else IDLE_SECONDS

    @functools.cached_property
    def longest(self) -> float:
        """How long a run of the pipeline may take, in seconds."""
        with self.session.read():
            return expected.longest_seconds(self.session)

    def _tell(self, working: list[Activity], waited: float, most: float) -> None:
        """Whom it waits for, once; then only how long, every few seconds."""
        if working[0].identity != self.told:
            self.told, self.told_at = working[0].identity, waited
            self.progress.say(f"waiting for {count(len(working), 'session')} in flight: {self._blockers(working).said}")
        elif waited - self.told_at >= TELL_SECONDS:
            self.told_at = waited
            self.progress.say(f"still waiting: {in_words(waited)} of at most {in_words(most)}")

    def _blockers(self, working: list[Activity]) -> blockers.Blockers:
        """Not who waits, but whom they wait for."""
        superuser = self.session.facts.superuser
        return blockers.of(self.everyone, working, datetime.datetime.now(datetime.UTC), superuser=superuser)

    def _working(self) -> list[Activity]:
        self.progress.checkpoint()
        with attempting("could not read the sessions in flight", on=self.session.where), self.session.read():
            jobs = cron_jobs.ingestion_jobs(self.session, self.names)
            self.everyone = sessions.read(self.session, jobs)
        working = sessions.in_flight(self.everyone)
        limit = self.leave_after_seconds
        return [a for a in working if limit is None or not a.is_stuck(limit)]

    def _cancel(self, working: list[Activity]) -> None:
        """Records whom it cancels before it does; leaves alone whom nobody may touch."""
        superuser = self.session.facts.superuser
        todo = [
            a
            for a in working
            if a.identity not in self.cancelled
            and not sessions.untouchable(a, contract.PROTECTED_ROLES, we_are_superuser=superuser)
        ]
        if not todo:
            return
        self.cancelled |= {a.identity: a for a in todo}
        with (
            attempting("could not record the sessions before cancelling them", on=self.session.where),
            self.session.write(),
        ):
            self.run.record(cancelled=[a.as_dict() for a in self.cancelled.values()])
        for activity in todo:
            terminate_sessions.signal(self.session, terminate_sessions.CANCEL, activity)
