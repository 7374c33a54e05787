# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling back to a captured release: in one transaction that commits only where the catalog then matches the
capture."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ...core.errors import NotConverged
from ...core.text import in_words
from ...pipeline import blockers
from ...postgres import lock_holders
from ...postgres.driver import errors, psycopg
from ...postgres.failures import translate
from ...postgres.session import EXACTLY
from ...scout import cron_jobs
from ...scout.judging import impostors
from .. import as_owner
from ..captures import document as captures_document
from ..catalog import database_level, manifests, stability
from ..catalog import reader as catalog_reader
from ..catalog.entries import Catalog, Entry
from ..ddl import database_level as database_level_ddl
from ..obstacles import subscribers
from ..planner import fill_statements
from ..planner import plan as planner_plan
from . import saved_data

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence

    from ...core.errors import RecoveryError
    from ...core.progress import Progress
    from ...postgres.session import Row, Session
    from ..captures.table_data import Protected
    from ..ddl.statement import Statement
    from ..planner.target import Goal, Target

#: In which schemas the captured objects are now; a release may have moved them out of its own.
WHERE_NOW: t.Final = """
SELECT DISTINCT n.nspname::text AS name
FROM unnest(%(catalogs)s::text[], %(oids)s::bigint[]) AS a (catalog, oid)
LEFT JOIN pg_catalog.pg_class AS c ON a.catalog = 'pg_class' AND c.oid = a.oid
LEFT JOIN pg_catalog.pg_proc AS p ON a.catalog = 'pg_proc' AND p.oid = a.oid
LEFT JOIN pg_catalog.pg_type AS y ON a.catalog = 'pg_type' AND y.oid = a.oid
LEFT JOIN pg_catalog.pg_collation AS l ON a.catalog = 'pg_collation' AND l.oid = a.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = coalesce(c.relnamespace, p.pronamespace, y.typnamespace, l.collnamespace)
UNION
SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY(%(schemas)s)
"""

#: Deparsed definitions name all in full, and a function may speak of what is made after it. What a statement runs may have
#: set the path otherwise.
AS_WRITTEN: t.Final = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL check_function_bodies = off"

TAKEN: t.Final = """
SELECT database FROM cron.job WHERE jobname = %(name)s AND username = %(owner)s AND database <> %(database)s
"""

#: Where it is told what is lost then, for good; no screen offers it as a way out.
LOSS: t.Final = "docs/rollback.md, section If data would be lost, says what becomes of it, and who may decide that"
#: What to do where the planned way does not arrive.
BY_HAND: t.Final = "fix by hand what differs, then run the same command again; please report it"
#: The pauses between attempts, while others hold locks: the first, and the longest.
FIRST_SECONDS: t.Final = 0.2
LONGEST_SECONDS: t.Final = 5.0


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long one attempt waits for a lock, and how long attempts go on; seconds."""

    lock_timeout_seconds: float = 2.0
    statement_timeout_seconds: float = 600.0
    patience_seconds: float = 60.0


@dataclasses.dataclass(frozen=True)
class Way:
    """From the current state to the captured one: the plan, the data that is saved first, and what is lost."""

    target: Target
    live: Catalog
    goal: Goal
    kept: fill_statements.Kept
    #: Of before the current state was read.
    fingerprint: stability.Fingerprint
    plan: planner_plan.Plan = planner_plan.NOTHING
    warnings: tuple[str, ...] = ()
    #: Whether no row was looked at, for that alone would run code of others, or ask another server.
    unread: bool = False
    saves: tuple[Protected, ...] = ()
    #: Keys of what goes with data that cannot be saved, and of what would be recreated without its data.
    lost: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    copies: tuple[saved_data.Copied, ...] = ()

    @property
    def objects(self) -> int:
        """How many objects are touched."""
        return len({step.key for step in self.plan.all_steps})


@dataclasses.dataclass(frozen=True)
class Gone:
    """How it went: attempts that yielded to other sessions' locks, and how many seconds the last one lasted."""

    attempts: int
    seconds: float


def live(session: Session, target: Target, paused: Sequence[Row] = ()) -> Catalog:
    """The catalog as it is, with whatever the capture knows of other schemas; inside the caller's transaction."""
    wanted = target.entries
    addresses = {e.address: key for key, e in wanted.items() if e.address}
    places = [a for a in addresses if a[0] in ("pg_class", "pg_proc", "pg_type", "pg_collation")]
    beyond = {key.partition(":")[2] for key in target.document["scope"]["beyond"] if key.startswith("schema:")}
    rows = session.rows(WHERE_NOW, catalogs=[a[0] for a in places], oids=[a[1] for a in places], schemas=sorted(beyond))
    # Those of the release that are gone are made again.
    there = {row["name"] for row in session.rows(WHERE_NOW, catalogs=[], oids=[], schemas=list(target.scope.schemas))}
    scope = dataclasses.replace(target.scope, schemas=tuple(sorted(there)))
    inside = catalog_reader.read(session, scope, paused)
    others = {row["name"] for row in rows if not row["name"].startswith("pg_")} - set(scope.schemas)
    wider: dict[str, Entry] = {}
    if others:
        found = catalog_reader.read(
            session, dataclasses.replace(scope, schemas=tuple(sorted({*there, *others}))), paused
        )
        wider = {key: e for key, e in found.entries.items() if key in wanted or e.address in addresses}
    beyond = {*inside.beyond, *(key for key in wider if key not in inside.entries)}
    return Catalog({**wider, **inside.entries}, tuple(sorted(beyond)))


def survey(
    session: Session,
    target: Target,
    paused: Sequence[Row] = (),
    *,
    kept: fill_statements.Kept = fill_statements.NOTHING,
) -> Way:
    """The rollback plan from the current state, with what is lost by it; inside the caller's transaction."""
    fingerprint = stability.fingerprint(session)
    there = live(session, target, paused)
    left_out = "" if target.only else manifests.left_out(session, target.scope, target.entries)
    known = own(there, target.entries)
    way = Way(target, there, target.goal(known), kept, fingerprint)
    return _planned(session, way, tuple(filter(None, (*way.goal.warnings, left_out))))


def _planned(session: Session, way: Way, warnings: tuple[str, ...]) -> Way:
    """The same with its plan; inside the caller's transaction."""
    goal, table, exact_order = way.goal, way.target.scope.migrations_table, way.target.exact_order
    made = planner_plan.plan(goal.known, goal.wanted, way.kept, migrations_table=table, exact_order=exact_order)
    unsafe = saved_data.unsafe(session, made, way.live.entries, goal.wanted, way.kept)
    made = dataclasses.replace(made, impossible=(*made.impossible, *goal.impossible, *unsafe))
    way = dataclasses.replace(way, plan=made, warnings=warnings, unread=bool(unsafe))
    return way if unsafe else _read(session, way)


def _read(session: Session, way: Way) -> Way:
    """The same with what its rows come to; inside the caller's transaction."""
    made, there, wanted = way.plan, way.live.entries, way.goal.wanted
    warnings = (*way.warnings, *subscribers.told(session, made, way.goal.known, wanted))
    goes = saved_data.going(session, made, there, wanted)
    lost, empty = saved_data.inside_values(session, made, there, wanted)
    lost, empty = (*goes.lost, *lost), (*saved_data.comes_back_empty(session, made), *empty)
    if lacking := saved_data.without_value(session, made, there, wanted, way.kept, empty):
        says = f"{saved_data.readable(lacking)} must have a value in every row, and for some rows none is saved: add and fill it"
        made = dataclasses.replace(made, impossible=(*made.impossible, says))
    if lost or empty:
        warnings = (*warnings, "what is lost here is in no undo: take a backup first")
    copies = tuple(saved_data.copied(session, made))
    return dataclasses.replace(
        way, plan=made, warnings=warnings, saves=goes.tables, lost=lost, empty=empty, copies=copies
    )


def own(found: Catalog, captured: Mapping[str, Entry]) -> dict[str, Entry]:
    """What is of the release, wherever it is now, and what stands on that. What this only needs elsewhere, and the capture does
    not know, is somebody else's."""
    beyond, places = set(found.beyond), {entry.address for entry in captured.values() if entry.address}
    relations = {entry.name for entry in captured.values() if entry.kind in ("table", "view", "materialized_view")}
    return {
        key: entry
        for key, entry in found.entries.items()
        if key in captured or key not in beyond or entry.address in places or entry.table in relations
    }


def refuse(where: str, way: Way, *, allow_lossy: bool, given_up: Collection[str] = (), way_out: str = "") -> None:
    """Raises NotConverged where PostgreSQL cannot get back to the capture, or data would be lost that nobody has given
    up."""
    if way.plan.impossible:
        raise NotConverged(
            "PostgreSQL cannot get back to the capture",
            on=where,
            said="; ".join(way.plan.impossible),
            next_step="revert these by hand, then run the same command again",
        )
    lost, empty = ([key for key in keys if key not in given_up] for keys in (way.lost, way.empty))
    told = [f"{saved_data.readable(lost)}: would be dropped and cannot be saved"] if lost else []
    told += [f"{saved_data.readable(empty)}: would be recreated without its data"] if empty else []
    if told and not allow_lossy:
        raise NotConverged(
            "refused to roll back: data would be lost",
            on=where,
            said="; ".join(told),
            next_step=f"save what is needed of it by hand first; {way_out}{LOSS}",
        )


def nothing() -> None:
    """For hooks that nobody has given."""


def restore(
    session: Session,
    way: Way,
    patience: Patience,
    progress: Progress,
    *,
    go: Callable[[Session], None] | None = None,
    prepare: Callable[[], None] = nothing,
    settle: Callable[[], Sequence[Row]] = tuple,
    record: Callable[[Mapping[str, Entry]], None] = lambda _: None,
    advice: str = BY_HAND,
) -> Gone:
    """Carries out the plan, all of it or nothing. Raises NotConverged where locks are not released in time, or the result
    does not match the capture.

    All hooks are called inside the transaction, again at each attempt: `prepare` first, `go` in place of the planned
    steps, `settle` after them, which gives the jobs that a pause disables by then, and `record` with the catalog when
    that has been found to match the capture. `advice` is what to do where it does not.
    """
    add_labels(session, way.plan)
    deadline, attempts = time.monotonic() + patience.patience_seconds, 0
    while True:
        progress.checkpoint()
        began = time.monotonic()
        try:
            with session.write(
                statement_timeout_seconds=patience.statement_timeout_seconds,
                lock_timeout_seconds=patience.lock_timeout_seconds,
            ):
                session.execute(EXACTLY)
                prepare()
                _refuse_planted(session, way)
                if go is None:
                    walk(session, way.plan)
                else:
                    go(session)
                with _jobs_changed(session, way):
                    record(_proved(session, way, settle(), advice))
        except (errors.LockNotAvailable, errors.DeadlockDetected) as e:
            attempts += 1
            pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2**attempts)
            if time.monotonic() + pause > deadline:
                raise _in_the_way(session, e, patience) from e
            progress.say_throttled(f"others hold locks, attempt {attempts} yielded")
            progress.wait(pause)
        else:
            return Gone(attempts, round(time.monotonic() - began, 3))


def _refuse_planted(session: Session, way: Way) -> None:
    """Raises a RecoveryError where what the plan calls or writes by a name that everybody knows is not what is called so."""
    kinds = {step.key.partition(":")[0] for step in way.plan.all_steps}
    if "cron_job" in kinds:
        cron_jobs.require(session)
    for table in way.target.scope.histories if kinds & {"migration", "manifest"} else ():
        schema, name = database_level.identifier(session, table, "migrations_table", (2,))
        impostors.refuse_history(session, schema, name, writing=True)


def add_labels(session: Session, found: planner_plan.Plan) -> None:
    """Adds enum labels; each by itself, and skipped where it exists, so that it can be continued. Raises a
    RecoveryError that names the statement."""
    for step in found.before:
        for statement in step.statements:
            try:
                with session.write():
                    session.connection.execute(AS_WRITTEN)
                    session.connection.execute(statement.text)
            except psycopg.Error as e:
                raise _refused(session, step, statement, e) from e


def walk(session: Session, found: planner_plan.Plan) -> None:
    """Executes the steps of the plan, but of jobs those alone that are in this database; inside the caller's transaction. Raises a
    RecoveryError that names the statement that failed."""
    settled = as_owner.owners(statement for step in found.steps for statement in step.statements)
    elsewhere = _of_jobs(found.steps) if session.beside() else []
    for step in (step for step in found.steps if step not in elsewhere):
        for statement in step.statements:
            session.connection.execute(AS_WRITTEN)
            try:
                as_owner.execute(session, statement, settled)
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                raise
            except psycopg.Error as e:
                raise _refused(session, step, statement, e) from e


def _of_jobs(steps: Iterable[planner_plan.Step]) -> list[planner_plan.Step]:
    return [step for step in steps if step.key.startswith("cron_job:")]


@contextlib.contextmanager
def _jobs_changed(session: Session, way: Way) -> Generator[None]:
    """Within it the jobs are as captured, also where pg_cron is in another database. What was changed there is committed with its
    end, when nothing of the caller's transaction can fail any more but the connection: then the same command does the rest."""
    with session.at_cron(writing=True) as at:
        for step in _of_jobs(way.plan.steps) if at is not session else ():
            for statement in _of_job(session, at, step, way.goal.wanted):
                try:
                    at.connection.execute(statement.text)
                except psycopg.Error as e:
                    raise _refused(at, step, statement, e) from e
        yield
        if at is not session:
            session.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _of_job(session: Session, at: Session, step: planner_plan.Step, wanted: Mapping[str, Entry]) -> Sequence[Statement]:
    """The statements of a step in the database that has pg_cron. Raises NotConverged where pg_cron would take a job that another
    database has by that name for the one that is made."""
    if step.does != "create":
        return step.statements
    entry = wanted[step.key]
    with cron_jobs.as_role(at, entry.owner or ""):
        taken = at.rows(TAKEN, name=entry.facts.get("name"), owner=entry.owner, database=session.facts.database)
    if taken:
        raise NotConverged(
            f"refused to make {captures_document.readable(step.key)}",
            on=at.where,
            said=f"{entry.owner} has a job of that name for database {taken[0]['database']}",
            next_step="rename that one in cron.job, then run the same command again",
        )
    return database_level_ddl.create_job(entry, session.facts.database)


def _refused(session: Session, step: planner_plan.Step, statement: Statement, error: psycopg.Error) -> RecoveryError:
    raised = translate(
        error,
        f"could not {step.does} {captures_document.readable(step.key)}; nothing was changed",
        on=session.where,
        next_step="fix what PostgreSQL reports, then run the same command again",
    )
    raised.result = {"failed_step": {"does": step.does, "key": step.key, "statement": str(statement)}}
    return raised


def _proved(session: Session, way: Way, paused: Sequence[Row], advice: str) -> dict[str, Entry]:
    """The catalog; raises, so that all is rolled back, unless it is what was wanted."""
    there = own(live(session, way.target, paused), way.goal.wanted)
    differing = captures_document.compare(
        way.goal.wanted,
        way.goal.compared(there),
        same_database=False,
        column_order=way.target.exact_order,
    )
    if differing.number:
        raise NotConverged(
            "post-rollback verification failed: rolled back, nothing was changed",
            on=session.where,
            said=differing.first(),
            next_step=advice,
            result={"differs": differing.as_dict()},
        )
    return there


def _in_the_way(session: Session, error: psycopg.Error, patience: Patience) -> RecoveryError:
    """Who it was is looked up afterwards; whoever let go since is not told."""
    raised = translate(
        error,
        f"could not roll back within {in_words(patience.patience_seconds)}: others hold locks; nothing was changed",
        on=session.where,
    )
    with session.read():
        who = blockers.explain(session, lock_holders.keepers(session))
    raised.said += who.held()
    raised.next_step = who.then("run the same command again", "run the same command again")
    return raised
