# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what when, and what a pause has to re-enable: schema scout_ops."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
import uuid

from ..core import redaction
from ..core.errors import RecoveryError
from ..postgres.driver import Jsonb, psycopg
from ..postgres.failures import attempting
from . import lease as ledger_lease
from . import renewal
from .trust import ownership

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ..postgres.session import Row
    from .ledger import Ledger

START_RUN = """
INSERT INTO scout_ops.runs (run_id, parent_run_id, action, incident, actor, controller, parameters, asked, undoes,
                            backend_pid, backend_start, backend_role)
SELECT %(run_id)s, %(parent)s, %(action)s, %(incident)s, %(actor)s, %(controller)s, %(parameters)s, %(asked)s, %(undoes)s,
       a.pid, a.backend_start, session_user
FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = pg_catalog.pg_backend_pid() AND NOT %(pooled)s
"""

GO_ON = """
UPDATE scout_ops.runs AS r
SET status = 'running', finished_at = NULL, error = NULL, actor = %(actor)s, controller = %(controller)s, parent_run_id = %(parent)s,
    backend_pid = a.pid, backend_start = a.backend_start, backend_role = session_user
FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = pg_catalog.pg_backend_pid() AND NOT %(pooled)s
WHERE r.run_id = %(run_id)s
"""

#: Runs that cannot have come to their end: who holds the lease is the only one who does such a thing.
END_KILLED = """
UPDATE scout_ops.runs
SET status = 'interrupted', finished_at = clock_timestamp(), error = %(error)s
WHERE status = 'running' AND action IN ('drain', %(action)s) AND run_id <> %(run_id)s
"""
KILLED: t.Final = {"kind": "interrupted", "said": "its process ended without a word"}

#: The latest run of an action that was asked for in these words, unless it came to its end.
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
    own: ledger_lease.Lease | None = None
    if lease_token is None:
        own = ledger_lease.acquire(ledger, run.run_id, takeover=takeover)
        if own is not None:
            ledger.warnings.extend(own.notes)
    token = lease_token if own is None else own.token
    if ledger.present and token is not None:
        ledger_lease.fence_with(session, token)
    try:
        with renewal.beside(session, own.token if own else None):
            if ledger.present:
                with attempting("could not write to the ledger", on=session.where), session.write():
                    ownership.require(session)
                    _start(run, action, parameters, asked, undoes, joined=lease_token is not None)
                    session.execute(END_KILLED, action=action, run_id=run.run_id, error=Jsonb(KILLED))
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
                ledger_lease.release(ledger, own.token)


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
    lease = ledger_lease.read(ledger)
    values = {
        "parent": lease["run_id"] if lease and joined else None,
        "actor": ledger.controller.actor,
        "controller": ledger.controller.name,
        # Through a pooler the server's process serves others next.
        "pooled": ledger.session.facts.pooled,
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
                error=None if said is None else Jsonb(redaction.cleaned(said)),
            )
    except (psycopg.Error, RecoveryError):
        if error is None:
            raise
