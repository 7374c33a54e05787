# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the pipeline's own ETL load chosen events once more, all of them or none, and finds the first that it refuses."""

from __future__ import annotations

import contextlib
import typing as t

from ...postgres.driver import psycopg
from ...scout import event_queue
from ...scout.poison_probe import Refused, verdict_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ...postgres.acting import Actor
    from ...postgres.session import Session


class _Found(Exception):
    def __init__(self, answer: tuple[str, Refused] | None) -> None:
        self.answer = answer
        super().__init__(answer)


class Reload:
    """Inside the transaction of a batch."""

    def __init__(self, session: Session, pipeline: Actor) -> None:
        self.session = session
        self.pipeline = pipeline
        #: What was loaded from then on was not seen by the scan at the start.
        self.since: t.Any = None
        #: When the batches of this run began: what was loaded then was loaded by it.
        self.ours: list[str] = []

    @contextlib.contextmanager
    def all_or_nothing(self) -> Generator[None]:
        """A block of which nothing stays where PostgreSQL ends it. Raises Refused, or the error where it is of the system."""
        try:
            with self.session.savepoint():
                yield
        except psycopg.Error as e:
            if verdict_on(e) != "event" or self.session.connection.closed:
                raise
            raise Refused(e) from e

    def first_refused(self, prepare: Callable[[], Sequence[str]]) -> tuple[str, Refused] | None:
        """The first that is refused of the events that `prepare` gives, once it has made room for them, and why; changes nothing."""
        try:
            with self.session.savepoint():
                with event_queue.exactly(self.session, list(prepare())) as turns:
                    for turn in turns:
                        with self.naming(turn[0]):
                            event_queue.load(self.session, len(turn), self.pipeline)
                raise _Found(None)
        except _Found as found:
            return found.answer

    @contextlib.contextmanager
    def naming(self, event_id: str) -> Generator[None]:
        """A part of `prepare`, or of what follows, that only this event can be refused for."""
        try:
            with self.all_or_nothing():
                yield
        except Refused as e:
            raise _Found((event_id, e)) from e
