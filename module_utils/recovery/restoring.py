# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back to a captured release: in one transaction that commits only where the catalog then says what the capture says."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import catalog, hazards, release, rollback
from .connection import translate
from .errors import NotReached
from .pg import errors, psycopg
from .progress import count, in_words

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .connection import Row, Session
    from .errors import RecoveryError
    from .progress import Progress
    from .release import Document

#: In which schemas the captured objects are now; a release may have moved them out of its own.
WHERE_NOW: t.Final = """
SELECT DISTINCT n.nspname::text AS name
FROM unnest(%(catalogs)s::text[], %(oids)s::bigint[]) AS a (catalog, oid)
LEFT JOIN pg_catalog.pg_class AS c ON a.catalog = 'pg_class' AND c.oid = a.oid
LEFT JOIN pg_catalog.pg_proc AS p ON a.catalog = 'pg_proc' AND p.oid = a.oid
LEFT JOIN pg_catalog.pg_type AS y ON a.catalog = 'pg_type' AND y.oid = a.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = coalesce(c.relnamespace, p.pronamespace, y.typnamespace)
UNION
SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY(%(schemas)s)
"""

#: Deparsed definitions name all in full, and a function may speak of what is made after it.
AS_WRITTEN: t.Final = """
SELECT set_config('search_path', 'pg_catalog', true), set_config('check_function_bodies', 'off', true)
"""

#: The pauses between attempts, while others keep locks: the first, and the longest.
FIRST_SECONDS: t.Final = 0.2
LONGEST_SECONDS: t.Final = 5.0


@dataclasses.dataclass(frozen=True)
class Target:
    """The capture that is to be come back to; addresses mean something only in the database it is of."""

    document: Document
    same_database: bool

    @property
    def scope(self) -> catalog.Scope:
        """What the release is about."""
        scope = self.document["scope"]
        return catalog.Scope(tuple(scope["schemas"]), scope["migrations_table"])

    @property
    def entries(self) -> dict[str, catalog.Entry]:
        """What it consists of."""
        found = release.entries_of(self.document)
        if self.same_database:
            return found
        return {key: dataclasses.replace(entry, address=None) for key, entry in found.items()}


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long one attempt waits for a lock, and how long attempts go on; seconds."""

    lock_timeout_seconds: float = 2.0
    statement_timeout_seconds: float = 600.0
    patience_seconds: float = 60.0


def live(session: Session, target: Target, paused: Sequence[Row] = ()) -> catalog.Catalog:
    """The catalog as it is, with whatever the capture knows of other schemas; inside the caller's transaction."""
    wanted = target.entries
    addresses = {e.address: key for key, e in wanted.items() if e.address}
    places = [a for a in addresses if a[0] in ("pg_class", "pg_proc", "pg_type")]
    beyond = {key.partition(":")[2] for key in target.document["scope"]["beyond"] if key.startswith("schema:")}
    rows = session.rows(WHERE_NOW, catalogs=[a[0] for a in places], oids=[a[1] for a in places], schemas=sorted(beyond))
    # Those of the release that are gone are made again.
    there = {row["name"] for row in session.rows(WHERE_NOW, catalogs=[], oids=[], schemas=list(target.scope.schemas))}
    scope = dataclasses.replace(target.scope, schemas=tuple(sorted(there)))
    inside = catalog.read(session, scope, paused).entries
    others = {row["name"] for row in rows if not row["name"].startswith("pg_")} - set(scope.schemas)
    wider: dict[str, catalog.Entry] = {}
    if others:
        found = catalog.read(session, dataclasses.replace(scope, schemas=tuple(sorted({*there, *others}))), paused)
        wider = {key: e for key, e in found.entries.items() if key in wanted or e.address in addresses}
    return catalog.Catalog({**wider, **inside}, ())


def plan(session: Session, target: Target, paused: Sequence[Row] = ()) -> rollback.Plan:
    """The way back from what there is; inside the caller's transaction."""
    wanted = catalog.Catalog(target.entries, ())
    return rollback.plan(live(session, target, paused), wanted, migrations_table=target.scope.migrations_table)


def refuse(where: str, found: rollback.Plan, *, allow_lossy: bool) -> None:
    """Raises where there is no way back, or data would be lost that nobody has given up."""
    if found.impossible:
        raise NotReached(
            "there is no way back to the capture that PostgreSQL could go",
            on=where,
            said="; ".join(found.impossible[:5]),
            next_step="take these back by hand, then run the same command again",
        )
    if found.loses and not allow_lossy:
        raise NotReached(
            "refused to go back: data would be lost",
            on=where,
            said=", ".join(release.readable(key) for key in found.loses[:10]),
            next_step="save what is needed of it, then allow it: -e allow_lossy=true",
        )


def restore(
    session: Session,
    target: Target,
    found: rollback.Plan,
    patience: Patience,
    progress: Progress,
    *,
    paused: Sequence[Row] = (),
    record: Callable[[], None] = lambda: None,
) -> int:
    """Goes the way that was planned, all of it or nothing; gives the number of attempts that gave way to others' locks.

    `record` is called inside the transaction, when the catalog has been found to be what was captured.
    """
    deadline, attempts = time.monotonic() + patience.patience_seconds, 0
    while True:
        progress.checkpoint()
        try:
            with session.write(
                statement_timeout_seconds=patience.statement_timeout_seconds,
                lock_timeout_seconds=patience.lock_timeout_seconds,
            ):
                _go(session, found)
                _prove(session, target, paused)
                record()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as e:
            attempts += 1
            pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2**attempts)
            if time.monotonic() + pause > deadline:
                raise _in_the_way(session, e, patience) from e
            progress.sometimes(f"others keep locks, attempt {attempts} gave way")
            progress.wait(pause)
        else:
            return attempts


def _go(session: Session, found: rollback.Plan) -> None:
    for step in found.steps:
        for statement in step.statements:
            session.execute(AS_WRITTEN)
            try:
                # Written by the planner of what the catalog says, and without any value to bind.
                session.connection.execute(statement.encode())
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                raise
            except psycopg.Error as e:
                raise _refused(session, step, statement, e) from e


def _refused(session: Session, step: rollback.Step, statement: str, error: psycopg.Error) -> RecoveryError:
    raised = translate(
        error,
        f"could not {step.does} {release.readable(step.key)}; nothing was changed",
        on=session.where,
        next_step="mend what PostgreSQL names, then run the same command again",
    )
    raised.result = {"failed_step": {"does": step.does, "key": step.key, "statement": statement}}
    return raised


def _prove(session: Session, target: Target, paused: Sequence[Row]) -> None:
    """Raises, so that all is rolled back, unless the catalog is what was captured."""
    differing = release.compare(target.entries, live(session, target, paused).entries, same_database=False)
    if differing.number:
        raise NotReached(
            "went the whole way, and did not arrive: rolled back, nothing was changed",
            on=session.where,
            said=differing.first(),
            next_step="take back by hand what differs, then run the same command again; please report it",
            result={"differs": differing.as_dict()},
        )


def _in_the_way(session: Session, error: psycopg.Error, patience: Patience) -> RecoveryError:
    return translate(
        error,
        f"could not go back within {in_words(patience.patience_seconds)}: others keep locks; nothing was changed",
        on=session.where,
        next_step="unstick_etl.yml --check shows who is in the way; then run the same command again",
    )


def described(found: rollback.Plan) -> dict[str, t.Any]:
    """The plan for a result: steps in their order, each with its statements, its strongest lock and its worst effect."""
    steps: list[dict[str, t.Any]] = []
    for step in found.steps:
        hazard = hazards.worst(step.statements)
        told = {"does": step.does, "key": step.key, "lock": hazard.lock, "hazard": hazard.effect}
        steps.append({**told, "statements": list(step.statements)})
    return {"steps": steps, "loses": list(found.loses), "impossible": list(found.impossible)}


def sentence(found: rollback.Plan, verb: str) -> str:
    """One line for a person."""
    if not found.steps:
        return "nothing differs from the capture"
    number = len({step.key for step in found.steps})
    loses = f"; {count(len(found.loses), 'object')} with data would go" if found.loses else ""
    return f"{verb} {count(number, 'object')} in {count(len(found.steps), 'step')}{loses}"
