# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going a way back on a copy of the schema first, and from there to where the copy was; the real database only gets read."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from . import copies, dumping, programs, release, restoring, rollback
from .catalog import Catalog
from .connection import EXACTLY, translate
from .errors import ConnectionLost, NotReached, RecoveryError, Stopped
from .pg import psycopg
from .progress import count

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from .catalog import Entry
    from .connection import Session
    from .progress import Progress

FOLDER: t.Final = "scout-rehearsal"
#: A copy of the schema has no data for these, or they cannot be in a second database.
NOT_COPIED: t.Final = ("cron_job:", "migration:", "extension:pg_cron", "schema:cron")
WITHOUT: t.Final = "go without a rehearsal: -e rehearse=false"


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """Whether the way was rehearsed, and if not why, for a person; and what stands against an undo, where something does."""

    done: bool
    reason: str
    seconds: float
    undo: str = ""


def rehearse(
    session: Session,
    target: restoring.Target,
    go: Callable[[Session], None],
    progress: Progress,
    *,
    wanted: Mapping[str, Entry] | None = None,
    required: bool,
    pg_dump: str | None = None,
    first: Callable[[Session], None] | None = None,
) -> Rehearsal:
    """Goes the way on a copy and comes back from there; raises unless it arrives there, and if required unless it comes back.

    Outside of any transaction. `go` is called inside one of the copy's, and `first` before it. Jobs and the migration history are
    not compared.
    """
    began, reason, undo = time.monotonic(), "", ""
    try:
        original = copies.read(session)
        with programs.scratch(FOLDER) as folder:
            tools = dumping.tools(session, pg_dump, folder)
            with copies.preparing(session), session.read():
                live = restoring.live(session, target).entries
            progress.sometimes("rehearsing: copying the schema to a scratch database")
            with copies.database(session, original, progress) as name:
                copies.copy(session, original, tools, name, progress)
                with contextlib.ExitStack() as stack:
                    with copies.preparing(session):
                        scratch = stack.enter_context(copies.opened(original, name))
                    copies.fill(scratch, original)
                    progress.sometimes("rehearsing: going the way, and back")
                    trial = _Trial(session, scratch, of_copy(target, live), progress)
                    trial.there(live, wanted if wanted is not None else target.entries, first, go)
                    undo = _undo(trial, required=required)
    except dumping.UnableError as e:
        if required:
            raise e.kind(
                "could not rehearse, and that was required; nothing was changed",
                on=session.where,
                said=e.reason,
                next_step="; or ".join(filter(None, (e.next_step, WITHOUT))),
            ) from e
        reason = "; ".join(filter(None, (e.reason, e.next_step)))
        progress.say(f"not rehearsed: {reason}")
    return Rehearsal(not reason, reason, round(time.monotonic() - began, 3), undo)


def _undo(trial: _Trial, *, required: bool) -> str:
    """Comes back as an undo would; where that is not required, what stands against it is said and does not stop the way there."""
    try:
        trial.back()
    except NotReached as e:
        if required:
            raise
        return f"{e.attempted.partition(';')[0]}: {e.said}"
    return ""


def of_copy(target: restoring.Target, live: Mapping[str, Entry]) -> restoring.Target:
    """The target for a copy of what is live: addresses mean nothing there, so what has moved is looked for by its name."""
    document, scope = target.document, target.document["scope"]
    addresses = {entry.address for entry in target.entries.values() if entry.address}
    moved = {key: entry for key, entry in live.items() if entry.address in addresses}
    schemas = {need for entry in moved.values() for need in entry.needs if need.startswith("schema:")}
    entries = [dataclasses.replace(entry, address=None) for entry in {**moved, **target.entries}.values()]
    return restoring.Target(
        {
            **document,
            "scope": {**scope, "beyond": sorted({*scope["beyond"], *schemas})},
            "entries": list(map(release.as_dict, entries)),
        },
        same_database=False,
    )


class _Trial:
    """A way gone on a copy."""

    def __init__(self, session: Session, scratch: Session, target: restoring.Target, progress: Progress) -> None:
        self._session = session
        self._scratch = scratch
        self._target = target
        self._progress = progress
        with copies.preparing(session), scratch.read():
            self._before = self._live()
        self._after = self._before

    def there(
        self,
        live: Mapping[str, Entry],
        wanted: Mapping[str, Entry],
        first: Callable[[Session], None] | None,
        go: Callable[[Session], None],
    ) -> None:
        """Goes the way; raises unless the copy is then what was wanted, as far as it was a faithful one."""
        self._progress.checkpoint()
        with _failing(self._session, "on the way"):
            if first is not None:
                first(self._scratch)
            with self._scratch.write():
                self._scratch.execute(EXACTLY)
                go(self._scratch)
                self._after = self._live()
        unlike = _named(release.compare(_compared(live), _compared(self._before.entries), same_database=False))
        if unlike:
            shown = ", ".join(map(release.readable, sorted(unlike)[: release.FEW]))
            self._progress.say(
                f"rehearsing: {count(len(unlike), 'object')} could not be copied exactly, among them {shown}"
            )
        self._require(
            {key: entry for key, entry in wanted.items() if key not in unlike},
            {key: entry for key, entry in restoring.own(self._after, wanted).items() if key not in unlike},
            "did not arrive at what was captured",
        )

    def back(self) -> None:
        """Comes back, as an undo would; raises unless the copy is then what it was."""
        self._progress.checkpoint()
        with _failing(self._session, "on the way back from there, as an undo would go it"):
            known = Catalog(restoring.own(self._after, self._before.entries), ())
            way = rollback.plan(known, self._before, migrations_table=self._target.scope.migrations_table)
            if way.impossible:
                raise NotReached("there is no such way", said="; ".join(way.impossible[: release.FEW]))
            restoring.add_labels(self._scratch, way)
            with self._scratch.write():
                self._scratch.execute(EXACTLY)
                restoring.walk(self._scratch, way)
                again = self._live()
        self._require(
            self._before.entries,
            restoring.own(again, self._before.entries),
            "arrived, and from there did not come back to what there is, as an undo would",
        )

    def _live(self) -> Catalog:
        return restoring.live(self._scratch, self._target)

    def _require(self, wanted: Mapping[str, Entry], found: Mapping[str, Entry], otherwise: str) -> None:
        differing = release.compare(_compared(wanted), _compared(found), same_database=False)
        if differing.number:
            raise NotReached(
                f"the rehearsal {otherwise}; nothing was changed in the real database",
                on=self._session.where,
                said=differing.first(),
                next_step=f"take back by hand what differs, then run the same command again; or {WITHOUT}",
                result={"differs": differing.as_dict()},
            )


def _compared(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if not key.startswith(NOT_COPIED)}


def _named(changes: release.Changes) -> set[str]:
    return {*changes.added, *changes.dropped, *changes.changed}


@contextlib.contextmanager
def _failing(session: Session, where: str) -> Generator[None]:
    """What fails in it would fail in the real database too."""
    try:
        yield
    except (Stopped, ConnectionLost):
        raise
    except (psycopg.Error, RecoveryError) as e:
        attempted = f"the rehearsal failed {where}; nothing was changed"
        raised = translate(e, attempted, on=session.where) if isinstance(e, psycopg.Error) else e
        if isinstance(raised, ConnectionLost):
            raise raised from e
        own = "" if raised.attempted == attempted else raised.attempted.removesuffix("; nothing was changed")
        raise NotReached(
            attempted,
            on=session.where,
            said=": ".join(filter(None, (own, raised.said))),
            sqlstate=raised.sqlstate,
            next_step=f"mend what stands here, then run the same command again; or {WITHOUT}",
            result=raised.result,
        ) from e
