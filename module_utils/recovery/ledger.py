# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what when, and what a pause has to give back: schema scout_ops."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
import uuid

from . import lease as leases
from .connection import attempting, check_incident
from .controller import this_controller
from .errors import MissingPrivilege, RecoveryError
from .pg import Jsonb, psycopg, sql

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator

    from .connection import Row, Session
    from .controller import Controller

CREATION_LOCK: t.Final = 7226883401  # any number of our own: serialises two first uses

#: One entry a version of the schema, applied in order; never edited after a release.
VERSIONS: t.Final[tuple[t.LiteralString, ...]] = (
    """
CREATE TABLE scout_ops.versions (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT current_user
);
COMMENT ON TABLE scout_ops.versions IS 'Versions of this schema that have been applied';
COMMENT ON COLUMN scout_ops.versions.version IS 'Number of the version, from 1';
COMMENT ON COLUMN scout_ops.versions.applied_at IS 'When it was applied';
COMMENT ON COLUMN scout_ops.versions.applied_by IS 'The database role that applied it';

CREATE TABLE scout_ops.runs (
    run_id uuid PRIMARY KEY,
    parent_run_id uuid,
    action text NOT NULL,
    incident text NOT NULL,
    actor text NOT NULL,
    controller text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed', 'stopped')),
    parameters jsonb NOT NULL DEFAULT '{}',
    effects jsonb NOT NULL DEFAULT '{}',
    error jsonb
);
CREATE INDEX runs_started_at ON scout_ops.runs (started_at);
CREATE INDEX runs_incident ON scout_ops.runs (incident);
COMMENT ON TABLE scout_ops.runs IS 'Every writing action of the toolkit: who, when, on whose behalf, with what effect';
COMMENT ON COLUMN scout_ops.runs.run_id IS 'Identifies the run; named in results, in dead letters and in undo';
COMMENT ON COLUMN scout_ops.runs.parent_run_id IS 'The run of the playbook this action belongs to, if one held the lease';
COMMENT ON COLUMN scout_ops.runs.action IS 'What was done: pause, resume, clear, drain, refresh, lease';
COMMENT ON COLUMN scout_ops.runs.incident IS 'The incident it was done for, or adhoc';
COMMENT ON COLUMN scout_ops.runs.actor IS 'The person: login@host';
COMMENT ON COLUMN scout_ops.runs.controller IS 'The process: host and pid';
COMMENT ON COLUMN scout_ops.runs.started_at IS 'When it began';
COMMENT ON COLUMN scout_ops.runs.finished_at IS 'When it ended; NULL while running or if it was killed';
COMMENT ON COLUMN scout_ops.runs.status IS 'running, succeeded, failed, stopped; running with a dead controller means killed';
COMMENT ON COLUMN scout_ops.runs.parameters IS 'Its options, without secrets';
COMMENT ON COLUMN scout_ops.runs.effects IS 'What it changed so far; committed together with each change';
COMMENT ON COLUMN scout_ops.runs.error IS 'Why it failed: attempted, on, said, sqlstate, next_step';

CREATE TABLE scout_ops.leases (
    name text PRIMARY KEY,
    token bigint NOT NULL,
    run_id uuid,
    incident text,
    owner text,
    host_key text,
    pid int,
    process_started text,
    acquired_at timestamptz,
    ttl_seconds int,
    expires_at timestamptz
);
COMMENT ON TABLE scout_ops.leases IS 'One operator at a time';
COMMENT ON COLUMN scout_ops.leases.name IS 'What is leased: pipeline';
COMMENT ON COLUMN scout_ops.leases.token IS 'Fencing token: grows with every acquisition; every write checks it';
COMMENT ON COLUMN scout_ops.leases.run_id IS 'The run that holds it';
COMMENT ON COLUMN scout_ops.leases.incident IS 'The incident it is held for';
COMMENT ON COLUMN scout_ops.leases.owner IS 'The person who holds it: login@host; NULL when free';
COMMENT ON COLUMN scout_ops.leases.host_key IS 'The machine, boot and pid namespace of the holder; tells whether pid can be looked up';
COMMENT ON COLUMN scout_ops.leases.pid IS 'The controller process of the holder';
COMMENT ON COLUMN scout_ops.leases.process_started IS 'When that process started, in its kernel''s ticks: guards against pid reuse';
COMMENT ON COLUMN scout_ops.leases.acquired_at IS 'When it was acquired';
COMMENT ON COLUMN scout_ops.leases.ttl_seconds IS 'After how many seconds without a write it falls free';
COMMENT ON COLUMN scout_ops.leases.expires_at IS 'When it falls free by itself unless renewed; every write renews it';

CREATE TABLE scout_ops.pauses (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    incident text NOT NULL,
    actor text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    jobs jsonb NOT NULL,
    switched boolean NOT NULL,
    resumed_at timestamptz,
    resumed_by text,
    resume_run_id uuid
);
CREATE UNIQUE INDEX pauses_one_open ON scout_ops.pauses ((true)) WHERE resumed_at IS NULL;
COMMENT ON TABLE scout_ops.pauses IS 'What each pause changed, so that resume gives back exactly that';
COMMENT ON COLUMN scout_ops.pauses.pause_id IS 'Identifies the pause';
COMMENT ON COLUMN scout_ops.pauses.run_id IS 'The run that paused';
COMMENT ON COLUMN scout_ops.pauses.incident IS 'The incident it was paused for';
COMMENT ON COLUMN scout_ops.pauses.actor IS 'Who paused';
COMMENT ON COLUMN scout_ops.pauses.paused_at IS 'When';
COMMENT ON COLUMN scout_ops.pauses.jobs IS 'The jobs it deactivated: jobid, jobname, schedule, owner, command';
COMMENT ON COLUMN scout_ops.pauses.switched IS 'Whether the pipeline''s own switch could be called';
COMMENT ON COLUMN scout_ops.pauses.resumed_at IS 'When it was resumed; NULL while in force';
COMMENT ON COLUMN scout_ops.pauses.resumed_by IS 'Who resumed';
COMMENT ON COLUMN scout_ops.pauses.resume_run_id IS 'The run that resumed';
""",
)

TABLES: t.Final = ("versions", "runs", "leases", "pauses")

#: ready: all tables are there and ours to use; creatable: whatever is missing may be created by us.
STATE = """
WITH tables AS (
    SELECT count(*) AS there,
           count(*) FILTER (WHERE NOT (pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'UPDATE'))) AS closed
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

START_RUN = """
INSERT INTO scout_ops.runs (run_id, parent_run_id, action, incident, actor, controller, parameters)
VALUES (%(run_id)s, %(parent)s, %(action)s, %(incident)s, %(actor)s, %(controller)s, %(parameters)s)
"""

RECORD_EFFECTS = "UPDATE scout_ops.runs SET effects = %(effects)s WHERE run_id = %(run_id)s"

FINISH_RUN = """
UPDATE scout_ops.runs
SET finished_at = clock_timestamp(), status = %(status)s, effects = %(effects)s, error = %(error)s
WHERE run_id = %(run_id)s
"""

OPEN_PAUSE = """
SELECT pause_id, run_id, incident, actor, paused_at, jobs, switched,
       extract(epoch FROM clock_timestamp() - paused_at)::float8 AS seconds
FROM scout_ops.pauses WHERE resumed_at IS NULL
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

    def close_pause(self, run: Run, pause: Pause) -> None:
        """Ends a pause; in the transaction that gives the jobs back."""
        if self.present:
            self.session.execute(CLOSE_PAUSE, pause_id=pause.pause_id, actor=self.controller.actor, run_id=run.run_id)


@dataclasses.dataclass
class Run:
    """One action's line in the ledger; effects are committed together with what they describe."""

    ledger: Ledger
    run_id: str
    effects: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])

    def record(self, **effects: t.Any) -> None:
        """Adds effects; call it inside the transaction that has them."""
        self.effects.update(effects)
        if self.ledger.present:
            self.ledger.session.execute(RECORD_EFFECTS, run_id=self.run_id, effects=Jsonb(self.effects))


def look(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for reading: used where it exists, never created."""
    check_incident(incident)
    state: Row = {"ready": False} if mode == "off" else _state(session)
    if mode == "required" and not (state["ready"] or state["creatable"]):
        raise _cannot_use(session)
    return Ledger(session, state["ready"], controller, incident)


def ensure(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for writing: created on first use where permitted; `required` fails where it cannot be."""
    check_incident(incident)
    ledger = Ledger(session, mode != "off" and _create_or_upgrade(session), controller, incident)
    if mode != "off" and not ledger.present:
        problem = _cannot_use(session)
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


def _cannot_use(session: Session) -> MissingPrivilege:
    role = sql.Identifier(session.facts.role).as_string()
    database = sql.Identifier(session.facts.database).as_string()
    return MissingPrivilege(
        "could not use the ledger scout_ops",
        on=session.where,
        said=f"role {session.facts.role} may neither use nor create it",
        next_step=(
            f"GRANT CREATE ON DATABASE {database} TO {role}; or, where scout_ops exists: "
            f"GRANT USAGE ON SCHEMA scout_ops TO {role}; "
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA scout_ops TO {role}"
        ),
    )


def problem(session: Session) -> MissingPrivilege | None:
    """Why this role could not use the ledger, or None when it could; inside the caller's transaction."""
    state = _state(session)
    return None if state["ready"] or state["creatable"] else _cannot_use(session)


@contextlib.contextmanager
def operation(
    ledger: Ledger, action: str, parameters: dict[str, t.Any], *, lease_token: int | None = None, takeover: bool = False
) -> Generator[Run]:
    """A run under the lease: joins the one whose token is given, else takes it for as long as the action lasts."""
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
                parent = leases.read(ledger)
                session.execute(
                    START_RUN,
                    run_id=run.run_id,
                    parent=parent["run_id"] if parent and lease_token is not None else None,
                    action=action,
                    incident=ledger.incident,
                    actor=ledger.controller.actor,
                    controller=ledger.controller.name,
                    parameters=Jsonb(parameters),
                )
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
