# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial of a job that refreshes gold: which views show what was loaded just now, and whether they show it as before."""

from __future__ import annotations

import contextlib
import datetime
import json
import typing as t

from ...core.errors import NotConverged
from ...core.redaction import clean
from ...core.text import count, cut, in_words, printable
from ...postgres import acting
from ...postgres.driver import errors, psycopg, sql
from ...postgres.failures import words_of
from ...scout import contract, gold_views
from ...scout.judging import statements
from .. import refresh_gold
from . import as_job, captured_gold, judgement
from .failure import Failed
from .judgement import CHANGED, FAILED, UNKNOWN, Todo

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session
    from ...scout.cron_jobs import Job
    from .commands import Commands

REFRESH = "SELECT pg_catalog.to_jsonb(r)::pg_catalog.text FROM {refresh_function}() AS r"
#: How the pipeline's refresh begins to say that it did not.
REFUSALS: t.Final = ("ERROR", "SKIPPED")
#: How long a refresh is let run to see that it begins, and what PostgreSQL then says it was at.
BEGINS_SECONDS: t.Final = 3.0
REFRESHING: t.Final = "REFRESH MATERIALIZED VIEW"
#: How many views that show other figures are named.
MOST_NAMED: t.Final = 3
HOUR: t.Final = datetime.timedelta(hours=1)


class GoldTrial:
    """The trials of jobs that refresh gold. `meant` are columns that a deployment means to change; the jobs `beside` the pipeline refresh
    views of their own."""

    def __init__(self, session: Session, commands: Commands, meant: Sequence[str], beside: Sequence[Job]) -> None:
        self.session = session
        self.commands = commands
        self.meant = meant
        self.beside = beside
        #: The sales that were loaded just now.
        self.names: Sequence[str] = ()
        #: When each view was refreshed before any job was tried.
        views = [view for view in gold_views.views(session) if view.populated]
        times = {view.full_name: gold_views.refreshed_at(session, view) for view in views}
        self.refreshed = {name: at for name, at in times.items() if at is not None}

    def prove(self, todo: Todo, names: Sequence[str], loads: str) -> str:
        """Has a job refresh gold; in words which views are newer now."""
        session, self.names = self.session, names
        if loads:
            raise Failed(UNKNOWN, f"no change of silver to show, because {loads}")
        try:
            # Scout's refresh does nothing while another one is under way, which is no fault of the job.
            refresh_gold.take_lock(session)
        except NotConverged as e:
            raise Failed(
                UNKNOWN, f"it waited {in_words(as_job.LOCK_SECONDS)} for a lock: {e.said}", None, e.next_step
            ) from e
        if todo.shown and self._begins(todo):
            return self._beside(f"it begins to refresh gold, {todo.shown}", refreshed=False)
        self.commands.execute(todo)
        began = session.row(as_job.BEGAN)["at"]
        views = gold_views.views(session)
        if not views:
            said = f"schema {contract.names().schema} has no materialized view"
            raise Failed(FAILED, said, next_step="rollback.yml restores the views, where a release has been captured")
        times = {view.full_name: gold_views.refreshed_at(session, view) for view in views if view.populated}
        refreshed = [name for name, at in times.items() if at is not None and at >= began]
        old = [view.full_name for view in self._usual(views) if not self._is_refreshed(view, times, began)]
        if old:
            command = cut(printable(clean(todo.job.command)), 100)
            why = self._why_not_refreshed(todo) or f"its command is {command}"
            raise Failed(FAILED, f"it ran and did not refresh {', '.join(old)}, although silver is newer: {why}")
        return self._beside(f"it refreshes {count(len(refreshed), 'view')}" if refreshed else "it runs")

    def _is_refreshed(
        self, view: gold_views.View, times: dict[str, datetime.datetime | None], began: datetime.datetime
    ) -> bool:
        """Whether a view shows what its query gives now; by the time of its refresh where it carries one."""
        at = times.get(view.full_name)
        return view.populated and (
            at >= began if at is not None else gold_views.is_current(self.session, view, self._days())
        )

    def _usual(self, views: Sequence[gold_views.View]) -> list[gold_views.View]:
        """The views that the pipeline's refresh keeps up to date: those that its functions name, or named in the release that was captured
        last; all of them where none is named. Not those that a job beside it refreshes, nor those that were refreshed long before the
        others."""
        code = [*gold_views.refreshing_code(self.session), *captured_gold.refreshing_code(self.session)]
        named = {name for each in code for _, name in statements.refreshed(each)}
        beside = {name for job in self.beside for _, name in statements.refreshed(job.command)}
        newest = max(self.refreshed.values(), default=None)
        return [
            view
            for view in views
            if view.name not in beside
            and (view.name in named or not named)
            and (newest is None or newest - self.refreshed.get(view.full_name, newest) <= HOUR)
        ]

    def _beside(self, effect: str, *, refreshed: bool = True) -> str:
        """An effect, and which views were changed since the release and show the same; raises Failed where one shows other figures."""
        beside = captured_gold.beside(self.session, self._days(), self.meant, refreshed=refreshed)
        if beside.otherwise:
            said = f"gold has other figures than by its definition in release {beside.release}: {'; '.join(beside.otherwise[:MOST_NAMED])}"
            raise Failed(
                CHANGED,
                f"{effect}, and {said}",
                next_step=judgement.changed("its definition", self.session.row(as_job.BEGAN)["at"]),
            )
        same = ", ".join(beside.equal[:MOST_NAMED])
        return (
            f"{effect}; defined otherwise than in release {beside.release}, with the same figures: {same}"
            if same
            else effect
        )

    def _begins(self, todo: Todo) -> bool:
        """Whether the command of a job refreshes a view within a moment, which is as far as it gets."""
        try:
            self.commands.runs.execute(todo.job, BEGINS_SECONDS)
        except errors.QueryCanceled as e:
            # What comes now has its own time again: a view that is slow to compute is asked for some of its days.
            self.session.limit_statements(max(0.001, self.commands.runs.left))
            return REFRESHING in (e.diag.context or "")
        except (psycopg.Error, as_job.TooLate) as e:
            self.commands.require_open(e)
        # Within so short a time it may as well be done once more.
        return False

    def _days(self) -> list[str]:
        return gold_views.days_of(self.session, [*self.names])

    def _why_not_refreshed(self, todo: Todo) -> str:
        """What the pipeline's own refresh says of it, to the role of the job."""
        command, said = contract.compose(REFRESH).as_string(), ""
        with contextlib.suppress(psycopg.Error), self.session.savepoint():
            try:
                runner = self.commands.runs.runner(todo.job.owner, acting.ANSWER)
                answers = self.session.rows(sql.SQL(as_job.CALL).format(name=runner), command=command)
                words = [str(value) for row in answers for value in json.loads(row["said"]).values()]
                said = next((word for word in words if word.startswith(REFUSALS)), "")
            except psycopg.Error as e:
                said = words_of(e)
            raise psycopg.Rollback
        return f"{contract.names().refresh_function} says {printable(said)}" if said else ""
