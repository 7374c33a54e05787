# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what when, who may act now, and what a pause has to give back: schema scout_ops."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import os
import socket
import typing as t
import uuid
from pathlib import Path

from .connection import attempting, check_incident
from .errors import LeaseHeld, LeaseLost, MissingPrivilege, NotReached, RecoveryError
from .pg import Jsonb, psycopg, sql
from .progress import in_words

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator

    from .connection import Row, Session

CREATION_LOCK: t.Final = 7226883401  # any number of our own: serialises two first uses
LEASE: t.Final = "pipeline"
LEASE_SECONDS: t.Final = 900

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

READ_LEASE = """
SELECT token, run_id, incident, owner, host_key, pid, process_started, acquired_at,
       owner IS NOT NULL AND expires_at > clock_timestamp() AS held,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left
FROM scout_ops.leases WHERE name = %(name)s
"""

TAKE_LEASE = """
INSERT INTO scout_ops.leases AS held
       (name, token, run_id, incident, owner, host_key, pid, process_started, acquired_at, ttl_seconds, expires_at)
VALUES (%(name)s, 1, %(run_id)s, %(incident)s, %(owner)s, %(host_key)s, %(pid)s, %(process_started)s,
        clock_timestamp(), %(seconds)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE
SET token = held.token + 1, run_id = excluded.run_id, incident = excluded.incident, owner = excluded.owner,
    host_key = excluded.host_key, pid = excluded.pid, process_started = excluded.process_started,
    acquired_at = excluded.acquired_at, ttl_seconds = excluded.ttl_seconds, expires_at = excluded.expires_at
WHERE held.token = %(seen_token)s
RETURNING token
"""

RENEW_LEASE = """
UPDATE scout_ops.leases
SET expires_at = clock_timestamp() + make_interval(secs => ttl_seconds)
WHERE name = %(name)s AND token = %(token)s AND owner IS NOT NULL
"""

FREE_LEASE = """
UPDATE scout_ops.leases
SET owner = NULL, run_id = NULL, incident = NULL, host_key = NULL, pid = NULL, process_started = NULL,
    ttl_seconds = NULL, expires_at = NULL
WHERE name = %(name)s AND token = %(token)s
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
class Controller:
    """The process that runs the playbook; `pid` is None where it cannot be looked up again."""

    actor: str
    host: str
    host_key: str
    pid: int | None
    process_started: str | None

    @property
    def name(self) -> str:
        """`host:pid`, for the ledger."""
        return f"{self.host}:{self.pid or '-'}"


@dataclasses.dataclass(frozen=True)
class Lease:
    """A held lease: its fencing token and the run it was taken for."""

    token: int
    run_id: str
    note: str = ""


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


def this_controller(pid: int | None) -> Controller:
    """Describes the operator and the process `pid` on this machine."""
    host = socket.gethostname()
    try:
        login = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        login = f"uid {os.getuid()}"
    return Controller(f"{login}@{host}", host, _host_key(host), pid, _process_started(pid) if pid else None)


def _host_key(host: str) -> str:
    """Tells this boot of this machine and this pid namespace from every other."""
    parts = [host]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def _process_started(pid: int) -> str | None:
    """The start of a process in kernel ticks, or None where that cannot be told or only a zombie is left of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[19] if fields[0] not in "ZX" else None
    except (OSError, IndexError):
        return None


def holder_is_dead(lease: Row, here: Controller) -> bool:
    """True only when the holder ran on this machine and its process is gone; anything uncertain counts as alive.

    What this very process held before is left over from a task whose session was lost: it does one thing at a time.
    """
    if lease["host_key"] != here.host_key or not lease["pid"] or not lease["process_started"]:
        return False
    if lease["pid"] == os.getpid():
        return True
    if not Path("/proc/self").is_dir():
        return False
    return _process_started(lease["pid"]) != lease["process_started"]


class Ledger:
    """The ledger of one database, or its absence when `ledger: off` or it may not be created."""

    def __init__(self, session: Session, *, present: bool, controller: Controller, incident: str, warnings: list[str]):
        self.session = session
        self.present = present
        self.controller = controller
        self.incident = incident
        self.warnings = warnings

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

    def lease_state(self) -> Row | None:
        """The lease as it stands, or None where nobody ever took one."""
        if not self.present:
            return None
        found = self.session.rows(READ_LEASE, name=LEASE)
        return found[0] if found else None


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
    warnings: list[str] = []
    present = False
    if mode != "off":
        state = _state(session)
        present = state["ready"]
        if mode == "required" and not (present or state["creatable"]):
            raise _cannot_use(session)
    return Ledger(session, present=present, controller=controller, incident=incident, warnings=warnings)


def ensure(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for writing: created on first use where permitted; `required` fails where it cannot be."""
    check_incident(incident)
    warnings: list[str] = []
    present = False
    if mode != "off":
        present = _create_or_upgrade(session)
        if not present:
            problem = _cannot_use(session)
            if mode == "required":
                raise problem
            warnings.append(f"working without the ledger: {problem.said}. {problem.next_step}")
    return Ledger(session, present=present, controller=controller, incident=incident, warnings=warnings)


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


def acquire(
    ledger: Ledger,
    run_id: str,
    *,
    takeover: bool = False,
    seconds: int = LEASE_SECONDS,
    holder: Controller | None = None,
) -> Lease | None:
    """Takes the lease, or refuses with the holder's name; a holder whose process is dead does not count.

    Returns None where there is no ledger. Waits up to the session's lock timeout for a write of the holder in flight.
    """
    if not ledger.present:
        return None
    session, here = ledger.session, holder or ledger.controller
    note = ""
    with attempting("could not take the lease", on=session.where), session.write():
        seen = ledger.lease_state()
        if seen is not None and seen["held"]:
            dead = holder_is_dead(seen, here)
            if not dead and not takeover:
                raise lease_held(seen, session.where)
            why = "its process is gone" if dead else "takeover was asked for"
            note = f"took over the lease of {seen['owner']} (incident {seen['incident']}): {why}"
        token = session.rows(
            TAKE_LEASE,
            name=LEASE,
            run_id=run_id,
            incident=ledger.incident,
            owner=here.actor,
            host_key=here.host_key,
            pid=here.pid,
            process_started=here.process_started,
            seconds=seconds,
            seen_token=seen["token"] if seen else 0,
        )
        if not token:
            raise NotReached(
                "could not take the lease",
                on=session.where,
                said="someone else took it at the same moment",
                next_step="assess.yml shows who is at work",
            )
    return Lease(token[0]["token"], run_id, note)


def lease_held(lease: Row, where: str) -> LeaseHeld:
    """The refusal a second operator sees."""
    since = f"{lease['acquired_at']:%Y-%m-%d %H:%M:%S} UTC"
    return LeaseHeld(
        "refused to start beside another run",
        on=where,
        said=f"{lease['owner']} is at work on incident {lease['incident']} since {since}",
        next_step=(
            f"talk to {lease['owner']}; to take over on purpose run again with -e takeover=true "
            f"(the lease falls free by itself in {in_words(max(0.0, lease['seconds_left']))})"
        ),
        result={"lease": {k: str(lease[k]) for k in ("owner", "incident", "run_id", "acquired_at")}},
    )


def fence_with(session: Session, token: int) -> None:
    """From now on every writing transaction of this session first proves, and renews, the lease `token`."""

    def fence() -> None:
        if session.execute(RENEW_LEASE, name=LEASE, token=token) != 1:
            raise LeaseLost(
                "stopped: the lease was taken over or released while this run worked",
                on=session.where,
                next_step="assess.yml shows who is at work now; nothing of the last step was committed",
            )

    session.fence = fence


def release(ledger: Ledger, token: int) -> bool:
    """Frees the lease if it is still ours; says whether it was."""
    if not ledger.present:
        return False
    session = ledger.session
    fence, session.fence = session.fence, None
    try:
        with attempting("could not release the lease", on=session.where), session.write():
            return session.execute(FREE_LEASE, name=LEASE, token=token) == 1
    finally:
        session.fence = fence


@contextlib.contextmanager
def operation(
    ledger: Ledger, action: str, parameters: dict[str, t.Any], *, lease_token: int | None = None, takeover: bool = False
) -> Generator[Run]:
    """A run under the lease: joins the one whose token is given, else takes it for as long as the action lasts."""
    session = ledger.session
    run = Run(ledger, str(uuid.uuid4()))
    own: Lease | None = None
    if lease_token is None:
        # Held for as long as this process works, which may be a shorter life than its controller's.
        own = acquire(ledger, run.run_id, takeover=takeover, holder=this_controller(os.getpid()))
        if own is not None and own.note:
            ledger.warnings.append(own.note)
    token = lease_token if own is None else own.token
    if ledger.present and token is not None:
        fence_with(session, token)
    try:
        if ledger.present:
            with attempting("could not write to the ledger", on=session.where), session.write():
                parent = ledger.lease_state()
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
                release(ledger, own.token)


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
