# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Yields between two batches: to standbys that fall behind, and to sessions that waited for the last one."""

from __future__ import annotations

import collections
import json
import shlex
import time
import typing as t

from ...core.errors import NotConverged
from ...core.text import in_words

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.progress import Progress
    from ...postgres.session import Row, Session

#: The standby that is furthest behind. What the server itself calls lag stands still while a standby does. What keeps WAL and replays
#: none, as pg_receivewal does for backups, falls behind by a segment and is no standby.
STANDBY = """
SELECT s.application_name AS name, s.replay_lsn - '0/0' AS replayed,
       pg_catalog.pg_current_wal_insert_lsn() - '0/0' AS written,
       coalesce(extract(epoch FROM s.replay_lag), 0)::float8 AS seconds
FROM pg_catalog.pg_stat_replication AS s
WHERE s.state IN ('streaming', 'catchup') AND (s.replay_lsn IS NOT NULL OR s.write_lsn IS NULL)
  AND NOT s.application_name = ANY(%(ignored)s::text[]) ORDER BY replayed NULLS FIRST LIMIT 1
"""

LOOK: t.Final = (
    "SELECT application_name, state, replay_lsn, replay_lag FROM pg_stat_replication shows it; then run the same command again, which "
    "continues; with -e"
)

#: In place of a name: none is waited for.
ALL: t.Final = "*"

#: Sessions that wait for a lock this transaction holds.
WAITING = """
SELECT count(*) AS sessions FROM pg_catalog.pg_stat_activity AS a
WHERE a.wait_event_type = 'Lock' AND a.datname = current_database()
  AND pg_catalog.pg_backend_pid() = ANY(pg_catalog.pg_blocking_pids(a.pid))
"""


class Standbys:
    """How far behind the slowest standby is, in seconds, by when it replays what had been written at earlier checks."""

    def __init__(
        self,
        session: Session,
        limit_seconds: float,
        progress: Progress,
        *,
        most_seconds: float = 300.0,
        ignored: Sequence[str] = (),
    ) -> None:
        self.session = session
        self.limit = limit_seconds
        self.progress = progress
        self.most = most_seconds
        self.ignored = ignored
        #: Places in the WAL and when they were the end of it, oldest first, those not yet replayed.
        self.written: collections.deque[tuple[int, float]] = collections.deque(maxlen=10_000)

    def wait(self) -> None:
        """Returns when no standby is further behind than allowed. Raises NotConverged, naming it, where one is for too long."""
        began = time.monotonic()
        while (behind := self._behind()) is not None and behind[1] > self.limit:
            name, seconds = behind
            waited = time.monotonic() - began
            if waited >= self.most:
                raise self._given_up(name, seconds)
            self.progress.say_throttled(
                f"waiting: standby {name} is {in_words(seconds)} behind (limit {in_words(self.limit)}), "
                f"for {in_words(self.most - waited)} more at most"
            )
            self.progress.wait(min(0.5, self.most - waited))

    def _given_up(self, name: str, seconds: float) -> NotConverged:
        ignored = json.dumps({"scout_ignore_replicas": sorted({*self.ignored, name})})
        return NotConverged(
            "stopped between two batches",
            on=self.session.where,
            said=(
                f"standby {name} is {in_words(seconds)} behind (limit {in_words(self.limit)}), after a wait of "
                f"{in_words(self.most)}"
            ),
            next_step=LOOK + f" {shlex.quote(ignored)} it is not waited for",
        )

    def _behind(self) -> tuple[str, float] | None:
        if ALL in self.ignored:
            return None
        with self.session.read():
            rows = self.session.rows(STANDBY, ignored=list(self.ignored))
        return self.behind(rows[0], time.monotonic()) if rows else None

    def behind(self, standby: Row, now: float) -> tuple[str, float]:
        """The name of a standby as it is at that moment, and for how many seconds it has not replayed what was there."""
        replayed, written = int(standby["replayed"] or 0), int(standby["written"])
        while self.written and self.written[0][0] <= replayed:
            self.written.popleft()
        if written > replayed and (not self.written or self.written[-1][0] < written):
            self.written.append((written, now))
        seconds = now - self.written[0][1] if self.written else 0.0
        return standby["name"], max(seconds, standby["seconds"] if self.written else 0.0)
