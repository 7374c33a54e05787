# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples a pipeline again and again, on a session of its own each time, and keeps what it observed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import math
import os
import socket
import threading
import time
import typing as t
from pathlib import Path

from ...core import files
from ...core.errors import ConnectionFailed, NotConverged, RecoveryError, Stopped
from ...core.text import count
from ...ledger import bootstrap, runs
from ...postgres.driver import Jsonb, psycopg
from ...postgres.failures import attempting, translate
from ...postgres.session import open_session
from ...scout import contract
from .. import assessment
from .. import facts as health_facts
from . import charts, course
from .course import Course, Sample, Wanted

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ...invoke import Call
    from ...postgres.session import Row, Session
    from ..assessment import Indicator, Report
    from ..thresholds import Figures

#: Events the ETL has loaded, or passed over, per minute. Its jobs run once a minute or more seldom, so shorter spans would jump.
LOADED = """
SELECT count(*)::float8 / %(minutes)s AS loaded_per_minute FROM {etl_ledger}
WHERE processed_at > clock_timestamp() - make_interval(mins => %(minutes)s) AND processed_at <= clock_timestamp()
"""
LOADED_MINUTES: t.Final = 5

CLOCK = "SELECT clock_timestamp() AS now"

#: A sample whose commit was not answered may be there already.
KEEP = """
INSERT INTO scout_ops.samples (run_id, number, at, verdict, reason, state, figures, statuses)
SELECT %(run_id)s, s.number, s.at, s.verdict, s.reason, s.state, s.figures, s.statuses
FROM jsonb_to_recordset(%(samples)s) AS s (
    number int, at timestamptz, verdict text, reason text, state text, figures jsonb, statuses jsonb
)
ON CONFLICT DO NOTHING
"""

FAILED: t.Final = {
    "failing": "stopped watching: the pipeline does not recover",
    "paused": "stopped watching: ingestion is paused",
    "inconclusive": "could not tell whether the pipeline has recovered",
}

NEXT: t.Final = {
    "failing": "assess.yml names the likely causes",
    "paused": "resume_ingestion.yml when ready, then watch again",
    "inconclusive": "assess.yml says what can be seen now; then watch again",
}

KEEP_SECONDS: t.Final = 3.0

#: A host that vanished is noticed by TCP itself after a quarter of an hour only.
UNANSWERED_SECONDS: t.Final = 15
#: How much longer than its budget a look may take: a server that hangs does not keep its own timeouts either.
PATIENCE_SECONDS: t.Final = 10.0


@dataclasses.dataclass(frozen=True)
class Judge:
    """How a look is judged."""

    thresholds: Mapping[str, Figures]
    budget_seconds: float
    stuck_after_seconds: float
    jobs: list[str] | None
    #: Whether the caller will pause ingestion where it fails.
    repause: bool = False


@dataclasses.dataclass(frozen=True)
class Files:
    """Where samples and charts go; None for nowhere."""

    samples: Path | None
    chart: Path | None


class Watch:
    """One watch: `first` is its first look, `go` all that follow."""

    def __init__(
        self, call: Call, wanted: Wanted, judge: Judge, files: Files, *, ledger_mode: str, source: str
    ) -> None:
        self.call = call
        self.ledger_mode = ledger_mode
        self.wanted = wanted
        self.judge = judge
        self.files = files
        self.source = source
        self.where = call.session.where
        self.settings = dataclasses.replace(call.session.settings, unanswered_seconds=UNANSWERED_SECONDS)
        self.course = Course(wanted)
        #: The latest judgement, which has the indicators and the likely causes.
        self.report: Report | None = None
        self.run: runs.Run | None = None
        self.charts: list[str] = []
        self.warnings: list[str] = []
        #: When it began, and a moment by the clock of the database with the same moment by ours.
        self._began = time.monotonic()
        self._clock = (datetime.datetime.now(datetime.UTC), self._began)
        self._not_kept: list[Sample] = []

    def first(self) -> Sample:
        """The first look, on the session there is: what fails here is no sample but an error."""
        session = self.call.session
        with attempting("could not assess the pipeline", on=session.where):
            with session.read():
                self._clock = (session.row(CLOCK)["now"], time.monotonic())
            self._began = time.monotonic()
            self._take(session)
        return self.course.samples[0]

    def go(self) -> None:
        """Keeps the first sample and takes all others, until the time is over or the verdict is certain.

        No session is open in between, and no lease is held. Whatever ends it, the samples are kept and the chart is drawn.
        """
        self._prepare()
        # Getting ready takes longer than a look, and is no part of the time.
        self._began = time.monotonic() - self.course.samples[0].elapsed_seconds
        ended: BaseException | None = None
        try:
            # The next look keeps what cannot be kept now.
            with contextlib.suppress(psycopg.Error):
                self._keep(self.call.session)
            # What follows has sessions of its own: an idle one would only be there to be lost.
            self.call.session.connection.close()
            self._announce()
            place = 0
            while not self.course.over and place < self.wanted.looks - 1:
                place = max(place + 1, self.wanted.place(self._elapsed))
                self.call.progress.wait(max(0.0, self.wanted.due(place) - self._elapsed))
                self._look()
        except BaseException as e:
            ended = e
            raise
        finally:
            self._finish(ended)

    @functools.cached_property
    def failure(self) -> NotConverged | None:
        """Why this was no recovery, and what comes next; None where it was one. Asked for when the watch is over."""
        verdict = self.course.verdict
        if verdict in course.GOOD:
            return None
        likely = self.report.diagnoses if self.report and verdict == "failing" else ()
        next_step = likely[0].next_command if likely else NEXT[verdict]
        return NotConverged(FAILED[verdict], on=self.where, said=self.course.why, next_step=next_step)

    @property
    def refusal(self) -> NotConverged:
        """Why it is not worth while to begin."""
        said = self.course.samples[0].reason
        return NotConverged("refused to watch: ingestion is paused", on=self.where, said=said, next_step=NEXT["paused"])

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def _now(self) -> datetime.datetime:
        """The time by the clock of the database, also while it cannot be asked."""
        then, moment = self._clock
        return then + datetime.timedelta(seconds=time.monotonic() - moment)

    def _prepare(self) -> None:
        """Everything that could be missing in the end is tried out at the beginning."""
        call = self.call
        self._draw()
        if self.files.samples is not None:
            _append(self.files.samples, [])
        ledger = call.ensure(self.ledger_mode)
        self.warnings += ledger.warnings
        self.run = runs.begin(ledger, "watch", dataclasses.asdict(self.wanted))
        self._write(self.course.samples)

    def _announce(self) -> None:
        """How long it will take and where to look meanwhile, and the first sample."""
        until = self._now + datetime.timedelta(seconds=self.wanted.duration_seconds)
        folders = dict.fromkeys(str(path.parent) for path in (self.files.samples, self.files.chart) if path)
        where = "; where it fails, ingestion is paused again" if self.judge.repause else ""
        where += f"; see {', '.join(folders)}" if folders else ""
        self.call.progress.say(f"watching until {until:%H:%M:%S} UTC, {count(self.wanted.looks, 'sample')}{where}")
        self.call.progress.say(self.course.line)

    def _look(self) -> None:
        """One more sample; a database that cannot be reached makes it inconclusive."""
        before = len(self.course.samples)
        try:
            with open_session(self.settings, self.source) as session, _answering(session, self.judge.budget_seconds):
                self._take(session)
                self._keep(session)
        except Stopped:
            raise
        except (psycopg.Error, RecoveryError) as e:
            if len(self.course.samples) == before:
                self._add("inconclusive", _unreached(e), "unknown")
        self.call.progress.say(self.course.line)
        if self.course.unknown == self.wanted.consecutive == self.course.blind:
            self.call.progress.say("too many samples were missed to pass; watching on, because it may still fail")

    def _take(self, session: Session) -> None:
        """A sample of what this session sees."""
        began, call, judge = time.monotonic(), self.call, self.judge
        loaded: dict[str, float] = {}
        found = health_facts.read(
            session,
            bootstrap.look(session, incident=call.incident, controller=call.controller, mode=self.ledger_mode),
            budget_seconds=judge.budget_seconds,
            stuck_after_seconds=judge.stuck_after_seconds,
            jobs=judge.jobs,
            more=lambda budget, _: loaded.update(budget.read("loaded", _loaded) or {}),
        )
        report = self.report = assessment.assess(found, judge.thresholds)
        figures = {i.name: _finite(i.value) for i in report.indicators if not isinstance(i.value, str)}
        self._add(
            report.verdict,
            reason(report.verdict, report.indicators),
            found.ingestion or "unknown",
            {**figures, "loaded_per_minute": loaded.get("loaded_per_minute")},
            {i.name: i.status for i in report.indicators},
            time.monotonic() - began,
        )

    def _add(
        self,
        verdict: str,
        why: str,
        state: str,
        figures: dict[str, float | None] | None = None,
        statuses: dict[str, str] | None = None,
        took_seconds: float = 0.0,
    ) -> None:
        """One more sample in the course; the file has it at once, the ledger as soon as it can be reached."""
        number = len(self.course.samples) + 1
        sample = Sample(
            number, self._now, self._elapsed, verdict, why, state, figures or {}, statuses or {}, took_seconds
        )
        self.course.add(sample)
        self._not_kept.append(sample)
        if self.run is not None:
            self._write([sample])

    def _write(self, samples: list[Sample]) -> None:
        if self.files.samples is None or self.run is None:
            return
        about = {"format": course.FORMAT, "run_id": self.run.run_id, "database": self.where}
        about["incident"] = self.call.incident
        try:
            _append(self.files.samples, [about | sample.as_dict() for sample in samples])
        except RecoveryError as e:
            self._warn(str(e))

    def _keep(self, session: Session) -> None:
        """The ledger gets all samples that it does not have yet."""
        run = self.run
        if run is None or not run.ledger.present:
            return
        run.ledger = dataclasses.replace(run.ledger, session=session)
        with session.write(statement_timeout_seconds=KEEP_SECONDS, lock_timeout_seconds=KEEP_SECONDS / 2):
            samples = Jsonb([sample.as_dict() for sample in self._not_kept])
            session.execute(KEEP, run_id=run.run_id, samples=samples)
            come_to = {"verdict": self.course.verdict} if self.course.complete else {}
            run.record(samples=len(self.course.samples), **come_to)
        self._not_kept = []

    def _finish(self, ended: BaseException | None) -> None:
        """The chart of all samples, and the end of the run's line; a failure of either does not change the verdict."""
        try:
            self._draw()
        except RecoveryError as e:
            self._warn(str(e))
        run = self.run
        if run is None or not run.ledger.present:
            return
        try:
            with open_session(self.settings, self.source) as session, _answering(session, 0.0):
                self._keep(session)
                runs.end(run, ended or self.failure)
        except (psycopg.Error, RecoveryError) as e:
            kept = len(self.course.samples) - len(self._not_kept)
            self._warn(f"the ledger has {kept} of {count(len(self.course.samples), 'sample')}: {_unreached(e)}")

    def _draw(self) -> None:
        if self.files.chart is not None:
            title = f"{self.where}, incident {self.call.incident}"
            self.charts = charts.draw(self.course, self.judge.thresholds, self.files.chart, title)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def reason(verdict: str, indicators: tuple[Indicator, ...]) -> str:
    """What made a verdict, in words: the figures that fail, warn or are unknown; pure."""
    if verdict == "paused":
        return next((i.reason for i in indicators if i.name == "ingestion"), "")
    status = {"failing": "fail", "degraded": "warn", "inconclusive": "unknown"}.get(verdict)
    named = [i for i in indicators if i.status == status]
    if status == "unknown":
        named = [i for i in named if i.name in assessment.ESSENTIAL] or named
        return "; ".join(f"{i.name} unknown: {i.reason}" for i in named)
    return ", ".join(f"{i.name} {assessment.shown(i.value, i.unit)}".rstrip() for i in named)


def _loaded(session: Session) -> Row:
    return session.row(contract.compose(LOADED), minutes=LOADED_MINUTES)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


@contextlib.contextmanager
def _answering(session: Session, seconds: float) -> Generator[None]:
    """Hangs up on a server that takes much longer than that; whoever waits for it gets an error."""

    def hang_up() -> None:
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(session.connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds + PATIENCE_SECONDS, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _unreached(error: psycopg.Error | RecoveryError) -> str:
    """Why no sample could be taken."""
    found = translate(error, "lost the session") if isinstance(error, psycopg.Error) else error
    if isinstance(found, ConnectionFailed):
        return f"no session: {found.said}"
    return f"{found.attempted}: {found.said}" if found.said else found.attempted


def _append(path: Path, samples: list[dict[str, t.Any]]) -> None:
    """Adds a line for each; lines of several watches in one file do not mix."""
    text = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    with files.translating(path, "samples_file"), files.append(path, "samples_file") as file:
        file.write(text.encode(errors="replace"))
