# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commit of a function was deployed when, so that a deployment can be undone: in the ledger, or in a file."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import typing as t
import uuid
from pathlib import Path

from ..core import files
from ..core.errors import BadInput, LeaseHeld
from ..core.values import loaded
from ..ledger import runs
from ..postgres.failures import attempting

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ..ledger.controller import Controller
    from ..ledger.ledger import Ledger
    from ..postgres.session import Session

ACTION: t.Final = "deploy"
FORMAT: t.Final = "scout-recovery-deployments/1"
REMEMBERED: t.Final = 200

DEPLOYMENTS = """
SELECT run_id::text AS run_id, effects FROM scout_ops.runs
WHERE action = %(action)s AND effects ->> 'function' = %(function)s AND effects ->> 'project_ref' = %(project_ref)s
ORDER BY started_at DESC, run_id LIMIT %(limit)s
"""


@dataclasses.dataclass(frozen=True)
class Deployment:
    """One deployment of a function; where `deployed` is false it was begun, and its outcome is unknown."""

    function: str
    project_ref: str
    commit: str
    tree: str
    verify_jwt: bool
    previous_commit: str | None = None
    deployed: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """For the ledger, the file and the result."""
        return dataclasses.asdict(self)

    def is_like(self, other: Deployment) -> bool:
        """Whether the other would have the same outcome."""
        return (self.commit, self.tree, self.verify_jwt) == (other.commit, other.tree, other.verify_jwt)


def described(entry: t.Any) -> Deployment | None:
    """A deployment from what was written down; None where it is not one."""
    names = {field.name for field in dataclasses.fields(Deployment)}
    try:
        return Deployment(**{name: value for name, value in entry.items() if name in names})
    except (TypeError, AttributeError):
        return None


def last_deployed(history: Sequence[Deployment]) -> Deployment | None:
    """The newest that finished; the newest of all comes first."""
    return next((entry for entry in history if entry.deployed), None)


def before(history: Sequence[Deployment], commit: str, given: str | None) -> str | None:
    """The commit to restore after this one: the last deployed, as recorded, or as the options say."""
    last = last_deployed(history)
    if last is None:
        known = next((entry.previous_commit for entry in history if entry.previous_commit), given)
        return known if known != commit else None
    return last.commit if last.commit != commit else last.previous_commit


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A deployment in progress: `begin` before the program runs, `finish` when it has succeeded."""

    run_id: str
    history: list[Deployment]
    begin: Callable[[Deployment], None]
    finish: Callable[[Deployment], None]


class Records(t.Protocol):
    """Where deployments are recorded."""

    def history(self, function: str, project_ref: str) -> list[Deployment]:
        """Those of a function, the newest first."""
        ...

    def attempt(self, function: str, project_ref: str) -> contextlib.AbstractContextManager[Attempt]:
        """The only deployment in progress at this time. Raises LeaseHeld where another is in progress."""
        ...


@dataclasses.dataclass(frozen=True)
class InLedger:
    """Deployments as runs of the action `deploy`, under the lease."""

    session: Session
    look: Callable[[], Ledger]
    ensure: Callable[[], Ledger]
    lease_token: int | None
    takeover: bool

    def history(self, function: str, project_ref: str) -> list[Deployment]:
        with attempting("could not read the ledger", on=self.session.where), self.session.read():
            return self._read(function, project_ref) if self.look().present else []

    def _read(self, function: str, project_ref: str) -> list[Deployment]:
        rows = self.session.rows(
            DEPLOYMENTS, action=ACTION, function=function, project_ref=project_ref, limit=REMEMBERED
        )
        return [entry for row in rows if (entry := described(row["effects"])) is not None]

    @contextlib.contextmanager
    def attempt(self, function: str, project_ref: str) -> Generator[Attempt]:
        asked = {"function": function, "project_ref": project_ref}
        ledger = self.ensure()
        with runs.operation(ledger, ACTION, asked, lease_token=self.lease_token, takeover=self.takeover) as run:

            def write(deployment: Deployment) -> None:
                with attempting("could not write to the ledger", on=self.session.where), self.session.write():
                    run.record(**deployment.as_dict())

            with attempting("could not read the ledger", on=self.session.where), self.session.read():
                history = self._read(function, project_ref)
            yield Attempt(run.run_id, history, write, write)


@dataclasses.dataclass(frozen=True)
class InFile:
    """Deployments in a JSON file, for where there is no ledger; one at a time, by a lock beside it."""

    path: Path
    incident: str
    controller: Controller

    def history(self, function: str, project_ref: str) -> list[Deployment]:
        found = [described(entry) for entry in reversed(self._read())]
        return [e for e in found if e is not None and (e.function, e.project_ref) == (function, project_ref)]

    @contextlib.contextmanager
    def attempt(self, function: str, project_ref: str) -> Generator[Attempt]:
        run_id = str(uuid.uuid4())

        def write(deployment: Deployment) -> None:
            entries = [entry for entry in self._read() if entry.get("run_id") != run_id]
            about = {"run_id": run_id, "incident": self.incident, "actor": self.controller.actor, "at": _now()}
            self._write([*entries, deployment.as_dict() | about])

        with self._locked():
            yield Attempt(run_id, self.history(function, project_ref), write, write)

    def _read(self) -> list[dict[str, t.Any]]:
        try:
            found = loaded(self.path.read_text(encoding="utf-8"))
            entries = found["deployments"]
            if found["format"] != FORMAT or not all(isinstance(entry, dict) for entry in entries):
                raise ValueError(f"its format is not {FORMAT}")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, LookupError) as e:
            raise BadInput(
                f"could not read state_file {self.path}",
                said=getattr(e, "strerror", None) or f"it is not a record of deployments: {e}",
                next_step="name another file, or move this one away: the current deployment is then unknown",
            ) from e
        return entries

    def _write(self, entries: list[dict[str, t.Any]]) -> None:
        text = json.dumps({"format": FORMAT, "deployments": entries[-REMEMBERED:]}, indent=1, ensure_ascii=False)
        files.write(self.path, f"{text}\n".encode(), "state_file", mode=files.OWNER)

    def _unwritable(self, error: OSError) -> BadInput:
        return BadInput(
            f"could not write state_file {self.path}",
            said=error.strerror or str(error),
            next_step="give a path that can be written",
        )

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        try:
            with files.beside(self.path.with_name(f"{self.path.name}.lock")) as (at, file):
                lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, files.OWNER, dir_fd=at)
        except OSError as e:
            raise self._unwritable(e) from e
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                raise LeaseHeld(
                    "refused to deploy while another deployment is in progress",
                    on=str(self.path),
                    next_step="wait for it to finish and run the same command again",
                ) from e
            yield
        finally:
            os.close(lock)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
