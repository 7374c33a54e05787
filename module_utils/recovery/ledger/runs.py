# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what when, and what a pause has to re-enable: schema scout_ops."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
import uuid

from ..core.errors import MissingPrivilege, RecoveryError
from ..postgres.driver import Jsonb, psycopg, sql
from ..postgres.session import attempting, check_incident
from . import lease as leases
from .controller import this_controller
from .schema import TABLES, VERSIONS

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator

    from ..postgres.session import Row, Session
    from .controller import Controller

CREATION_LOCK: t.Final = 7226883401  # any number of our own: serialises two first uses

#: ready: all tables are there and ours to use; creatable: whatever is missing may be created by us.
STATE = """
WITH tables AS (
    SELECT count(*) AS there,
           count(*) FILTER (WHERE NOT (pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
                                       AND (c.relname NOT IN ('related_events', 'todo')
                                            OR pg_catalog.has_table_privilege(c.oid, 'DELETE')))) AS closed
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'scout_ops' AND c.relname = ANY(%(tables)s)
)
SELECT n.oid IS NOT NULL AS present,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false)
           AND there = cardinality(%(tables)s) AND closed = 0 AS ready,
       closed = 0 AND CASE WHEN n.oid IS NULL THEN pg_catalog.has_database_privilege(current_database(), 'CREATE')
                           ELSE pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                                AND pg_catalog.has_schema_privilege(n.oid, 'CREATE') END AS creatable
FROM tables LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'scout_ops'
"""

IN_FORCE = """
SELECT run_id::text AS run_id FROM scout_ops.runs
WHERE action = %(action)s AND asked = %(asked)s AND status = 'succeeded' AND undone_by IS NULL ORDER BY started_at DESC LIMIT 1
"""

START_RUN = """
INSERT INTO scout_ops.runs (run_id, parent_run_id, action, incident, actor, controller, parameters, asked, undoes)
VALUES (%(run_id)s, %(parent)s, %(action)s, %(incident)s, %(actor)s, %(controller)s, %(parameters)s, %(asked)s, %(undoes)s)
"""

GO_ON = """
UPDATE scout_ops.runs
SET status = 'running', finished_at = NULL, error = NULL, actor = %(actor)s, controller = %(controller)s, parent_run_id = %(parent)s
WHERE run_id = %(run_id)s
"""

#: The youngest run of an action that was asked for in these words, unless it came to its end.
INTERRUPTED = """
SELECT run_id::text AS run_id, started_at, incident, parameters, effects, status FROM (
    SELECT *, row_number() OVER (ORDER BY started_at DESC) AS nth FROM scout_ops.runs
    WHERE action = %(action)s AND asked = %(asked)s
) AS r
WHERE nth = 1 AND status <> 'succeeded' AND effects <> '{}' AND undone_by IS NULL
"""

RECORD_EFFECTS = "UPDATE scout_ops.runs SET effects = %(effects)s WHERE run_id = %(run_id)s"

CLOSE_RUN = "UPDATE scout_ops.runs SET asked = NULL WHERE run_id = %(run_id)s"

FINISH_RUN = """
UPDATE scout_ops.runs
SET finished_at = clock_timestamp(), status = %(status)s, effects = %(effects)s, error = %(error)s
WHERE run_id = %(run_id)s
"""

OPEN_PAUSE = """
SELECT p.pause_id, p.run_id, p.incident, p.actor, p.paused_at, p.jobs, p.switched,
       extract(epoch FROM clock_timestamp() - p.paused_at)::float8 AS seconds,
       r.parameters ->> 'operation' AS operation
FROM scout_ops.pauses AS p LEFT JOIN scout_ops.runs AS r ON r.run_id = p.run_id
WHERE p.resumed_at IS NULL
"""

INSERT_PAUSE = """
INSERT INTO scout_ops.pauses (run_id, incident, actor, jobs, switched)
VALUES (%(run_id)s, %(incident)s, %(actor)s, %(jobs)s, %(switched)s)
RETURNING pause_id
"""

UPDATE_PAUSE = "UPDATE scout_ops.pauses SET jobs = %(jobs)s, switched = %(switched)s WHERE pause_id = %(pause_id)s"

CLOSE_PAUSE = """
UPDATE scout_ops.pauses
SET resumed_at = clock_timestamp(), resumed_by = %(actor)s, resume_run_id = %(run_id)s
WHERE pause_id = %(pause_id)s AND resumed_at IS NULL
"""


@dataclasses.dataclass(frozen=True)
class Pause:
    """A pause in force."""

    pause_id: int
    run_id: str
    incident: str
    actor: str
    paused_at: datetime.datetime
    seconds: float
    jobs: list[Row]
    switched: bool
    #: The operation it is a step of, where that resumes only what it paused itself.
    operation: str | None = None


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ledger of one database, or its absence when `ledger: off` or it may not be created."""

    session: Session
    present: bool
    controller: Controller
    incident: str
    warnings: list[str] = dataclasses.field(default_factory=list[str])

    def open_pause(self) -> Pause | None:
        """The pause in force, if the ledger knows of one."""
        if not self.present:
            return None
        found = self.session.rows(OPEN_PAUSE)
        if not found:
            return None
        row = found[0]
        row["run_id"] = str(row["run_id"])
        return Pause(**row)

    def save_pause(self, run: Run, jobs: list[Row], *, switched: bool) -> None:
        """Records what a pause is about to change; in the transaction that changes it."""
        if not self.present:
            return
        current = self.open_pause()
        if current is None:
            values = {"run_id": run.run_id, "incident": self.incident, "actor": self.controller.actor}
            self.session.execute(INSERT_PAUSE, **values, jobs=Jsonb(jobs), switched=switched)
        else:
            merged = {job["jobid"]: job for job in (*current.jobs, *jobs)}
            self.session.execute(
                UPDATE_PAUSE,
                pause_id=current.pause_id,
                jobs=Jsonb(list(merged.values())),
                switched=switched or current.switched,
            )

    def set_pause_jobs(self, pause: Pause, jobs: list[Row]) -> None:
        """Records what the pause has to re-enable from now on; in the transaction that changes it."""
        self.session.execute(UPDATE_PAUSE, pause_id=pause.pause_id, jobs=Jsonb(jobs), switched=pause.switched)

    def close_pause(self, run: Run, pause: Pause) -> None:
        """Ends a pause; in the transaction that re-enables the jobs."""
        if self.present:
            self.session.execute(CLOSE_PAUSE, pause_id=pause.pause_id, actor=self.controller.actor, run_id=run.run_id)


@dataclasses.dataclass
class Run:
    """One action's line in the ledger; effects are committed together with what they describe."""

    ledger: Ledger
    run_id: str
    effects: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    #: The row of a run of the same action that was interrupted and is gone on with.
    interrupted: Row | None = None

    def record(self, **effects: t.Any) -> None:
        """Adds effects; call it inside the transaction that has them."""
        self.effects.update(effects)
        if self.ledger.present:
            self.ledger.session.execute(RECORD_EFFECTS, run_id=self.run_id, effects=Jsonb(self.effects))

    def close(self) -> None:
        """From now on a run with the same parameters is a new one instead of continuing this one; inside the
        caller's transaction."""
        self.ledger.session.execute(CLOSE_RUN, run_id=self.run_id)


def look(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for reading: used where it exists, never created. Raises MissingPrivilege where it is required and
    the role may not use it."""
    check_incident(incident)
    state: Row = {"ready": False} if mode == "off" else _state(session)
    if mode == "required" and not (state["ready"] or state["creatable"]):
        raise _cannot_use(session, present=state["present"])
    return Ledger(session, state["ready"], controller, incident)


def ensure(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for writing: created on first use where permitted. Raises MissingPrivilege where it is required and
    cannot be created or used."""
    check_incident(incident)
    ledger = Ledger(session, mode != "off" and _create_or_upgrade(session), controller, incident)
    if mode != "off" and not ledger.present:
        with session.read():
            problem = _cannot_use(session, present=_state(session)["present"])
        if mode == "required":
            raise problem
        ledger.warnings.append(f"working without the ledger: {problem.said}. {problem.next_step}")
    return ledger


def _create_or_upgrade(session: Session) -> bool:
    """Whether the ledger can be used, after creating what is missing of it where permitted."""
    with session.read():
        state = _state(session)
        if state["ready"] and _applied(session) >= len(VERSIONS):
            return True
        if not state["creatable"]:
            return False
    try:
        with attempting("could not create the ledger", on=session.where), session.write():
            session.execute("SELECT pg_advisory_xact_lock(%(key)s)", key=CREATION_LOCK)
            if not _state(session)["present"]:
                session.execute("CREATE SCHEMA scout_ops")
                session.execute(
                    "COMMENT ON SCHEMA scout_ops IS 'Ledger of Scout Recovery: runs, the lease, pauses. Safe to read; do not edit.'"
                )
            applied = _applied(session)
            for number, statements in enumerate(VERSIONS[applied:], applied + 1):
                session.connection.execute(statements)
                session.execute("INSERT INTO scout_ops.versions (version) VALUES (%(number)s)", number=number)
    except MissingPrivilege:
        return False
    return True


def _state(session: Session) -> Row:
    return session.row(STATE, tables=list(TABLES))


def _applied(session: Session) -> int:
    """How many versions of the schema are in place."""
    if not session.row("SELECT to_regclass('scout_ops.versions') IS NOT NULL AS there")["there"]:
        return 0
    return session.row("SELECT count(*) AS applied FROM scout_ops.versions")["applied"]


def _cannot_use(session: Session, *, present: bool) -> MissingPrivilege:
    role = sql.Identifier(session.facts.role).as_string()
    database = sql.Identifier(session.facts.database).as_string()
    grants = f"GRANT CREATE ON DATABASE {database} TO {role}"
    if present:
        grants = (
            f"GRANT USAGE ON SCHEMA scout_ops TO {role}; "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA scout_ops TO {role}"
        )
    return MissingPrivilege(
        "could not use the ledger scout_ops",
        on=session.where,
        said=f"role {session.facts.role} may {'not use it' if present else 'neither use nor create it'}",
        next_step=grants,
    )


def problem(session: Session) -> MissingPrivilege | None:
    """Why this role could not use the ledger, or None when it could; inside the caller's transaction."""
    state = _state(session)
    return None if state["ready"] or state["creatable"] else _cannot_use(session, present=state["present"])


def hidden(session: Session) -> MissingPrivilege | None:
    """Why this role sees nothing of a ledger that is there, or None; inside the caller's transaction."""
    return problem(session) if _state(session)["present"] else None


@contextlib.contextmanager
def operation(
    ledger: Ledger,
    action: str,
    parameters: dict[str, t.Any],
    *,
    lease_token: int | None = None,
    takeover: bool = False,
    asked: dict[str, t.Any] | None = None,
    undoes: str | None = None,
) -> Generator[Run]:
    """A run under the lease: joins the one whose token is given, else takes it for as long as the action lasts. Raises
    LeaseHeld where someone else holds it.

    Where `asked` is given and such a run was interrupted, this continues that run, with the parameters and effects it
    had.
    """
    session = ledger.session
    run = Run(ledger, str(uuid.uuid4()))
    own: leases.Lease | None = None
    if lease_token is None:
        # Held for as long as this process works, which may be a shorter life than its controller's.
        own = leases.acquire(ledger, run.run_id, takeover=takeover, holder=this_controller(os.getpid()))
        if own is not None and own.note:
            ledger.warnings.append(own.note)
    token = lease_token if own is None else own.token
    if ledger.present and token is not None:
        leases.fence_with(session, token)
    try:
        if ledger.present:
            with attempting("could not write to the ledger", on=session.where), session.write():
                _start(run, action, parameters, asked, undoes, joined=lease_token is not None)
        try:
            yield run
        except BaseException as e:
            if isinstance(e, RecoveryError) and run.effects:
                e.result = {"changed": True, "run_id": run.run_id, "effects": run.effects, **e.result}
            _finish(run, e)
            raise
        _finish(run, None)
    finally:
        if own is not None and not session.connection.closed:
            with contextlib.suppress(psycopg.Error, RecoveryError):
                leases.release(ledger, own.token)


def begin(ledger: Ledger, action: str, parameters: dict[str, t.Any]) -> Run:
    """Opens the ledger line of a run that changes nothing in the pipeline: it takes no lease, however long it lasts.
    `end` closes it."""
    run = Run(ledger, str(uuid.uuid4()))
    if ledger.present:
        with attempting("could not write to the ledger", on=ledger.session.where), ledger.session.write():
            _start(run, action, parameters, None, None, joined=False)
    return run


def end(run: Run, error: BaseException | None) -> None:
    """Closes the line of such a run, on the session its ledger has by now."""
    _finish(run, error)


def _start(
    run: Run,
    action: str,
    parameters: dict[str, t.Any],
    asked: dict[str, t.Any] | None,
    undoes: str | None,
    *,
    joined: bool,
) -> None:
    """Opens the run's line, or that of the interrupted run it continues."""
    ledger = run.ledger
    lease = leases.read(ledger)
    values = {
        "parent": lease["run_id"] if lease and joined else None,
        "actor": ledger.controller.actor,
        "controller": ledger.controller.name,
    }
    found = interrupted(ledger, action, asked) if asked is not None else None
    if found is not None:
        run.run_id, run.effects, run.interrupted = found["run_id"], found["effects"], found
        ledger.session.execute(GO_ON, run_id=run.run_id, **values)
        return
    ledger.session.execute(
        START_RUN,
        run_id=run.run_id,
        action=action,
        incident=ledger.incident,
        parameters=Jsonb(parameters),
        asked=None if asked is None else Jsonb(asked),
        undoes=undoes,
        **values,
    )


def interrupted(ledger: Ledger, action: str, asked: dict[str, t.Any]) -> Row | None:
    """The run with these parameters that did not finish, if it is the latest such run."""
    found = ledger.session.rows(INTERRUPTED, action=action, asked=Jsonb(asked)) if ledger.present else []
    return found[0] if found else None


def in_force(ledger: Ledger, action: str, asked: dict[str, t.Any]) -> str | None:
    """The run with these parameters that finished and has not been undone."""
    found = ledger.session.rows(IN_FORCE, action=action, asked=Jsonb(asked)) if ledger.present else []
    return found[0]["run_id"] if found else None


def _finish(run: Run, error: BaseException | None) -> None:
    """Closes the run's line; a failure to do so never hides the failure it would record."""
    session = run.ledger.session
    if not run.ledger.present:
        return
    status = "succeeded" if error is None else "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
    said = None
    if error is not None:
        # Whoever took the lease over, this line is ours.
        session.fence = None
    if isinstance(error, RecoveryError):
        said = error.as_dict()
    elif error is not None:
        said = {"kind": type(error).__name__}
    try:
        with session.write():
            session.execute(
                FINISH_RUN,
                run_id=run.run_id,
                status=status,
                effects=Jsonb(run.effects),
                error=None if said is None else Jsonb(said),
            )
    except (psycopg.Error, RecoveryError):
        if error is None:
            raise
