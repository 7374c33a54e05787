# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Down scripts of a migration tool, run inside a transaction that they cannot leave."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t
from pathlib import Path

from ...core.errors import BadInput
from ...postgres import acting
from ...postgres.driver import errors, psycopg
from ...postgres.failures import translate

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...core.errors import RecoveryError
    from ...postgres.session import Session

#: PL/pgSQL runs all statements of the text, and refuses those that would end the transaction.
RUN: t.Final = "DO $scout$ BEGIN EXECUTE pg_catalog.current_setting('scout_recovery.script'); END $scout$"
#: Who owns the schemas of a release.
OWNER: t.Final = """
SELECT pg_catalog.pg_get_userbyid(nspowner)::text AS role FROM pg_catalog.pg_namespace WHERE nspname = ANY(%(schemas)s) LIMIT 1
"""
HAND_OVER: t.Final = "SELECT set_config('scout_recovery.script', %(text)s, true)"


@dataclasses.dataclass(frozen=True)
class Script:
    """A file of SQL statements."""

    name: str
    text: str

    @classmethod
    def read(cls, path: str) -> Script:
        """The statements of a file. Raises BadInput for one that cannot be read or that has none."""
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as e:
            raise BadInput(
                f"could not read down script {path}",
                said=getattr(e, "strerror", None) or str(e),
                next_step="give files of SQL that this user may read: -e '{\"scout_down_scripts\": [...]}'",
            ) from e
        if not text.strip() or "\0" in text:
            raise BadInput(
                f"down script {path} is not usable", said="it is not a text file", next_step="give another file"
            )
        return cls(path, text)

    @property
    def digest(self) -> str:
        """Tells this text from every other."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def run_scripts(session: Session, scripts: Iterable[Script], schemas: Iterable[str]) -> None:
    """Runs all of them in their order; inside the caller's transaction, which stays open whatever they say. They find what the
    owner of the release's schemas finds, where nobody else may put anything. Raises a RecoveryError that names the
    script that failed."""
    found = session.rows(OWNER, schemas=list(schemas))
    path = acting.trusted_path(session, acting.actor(session, found[0]["role"] if found else session.facts.role))
    for script in scripts:
        session.execute(HAND_OVER, text=script.text)
        try:
            with acting.finding(session, path, "SET LOCAL check_function_bodies = on"):
                session.connection.execute(RUN)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            raise
        except psycopg.Error as e:
            raise _refused(session, script, e) from e


def _refused(session: Session, script: Script, error: psycopg.Error) -> RecoveryError:
    said = str(error.diag.message_primary or "")
    if "EXECUTE of" in said or isinstance(error, (errors.ActiveSqlTransaction, errors.InvalidTransactionTermination)):
        advice = "take BEGIN, COMMIT, ROLLBACK and what cannot run in a transaction out of it: all scripts are one transaction"
    elif isinstance(error, errors.SyntaxError):
        advice = "give plain SQL: psql commands such as \\i do not work here"
    else:
        advice = "fix the script, or leave down_scripts out: the rollback is then planned from the capture"
    return translate(
        error, f"down script {script.name} failed; nothing was changed", on=session.where, next_step=advice
    )
