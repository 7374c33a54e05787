# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least-privileged operator of a sandbox: the role that docs/operator_role.sql makes, by that very script."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import ProgramFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import roles

from ...reference.server import places
from ...reference.server.local import psql

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

ROLE: t.Final = "scout_operator"
SCRIPT: t.Final = places.RECOVERY / "docs" / "operator_role.sql"
#: First where the pipeline belongs to a superuser, as a deployment's may.
OWNER_SCRIPT: t.Final = places.RECOVERY / "docs" / "pipeline_owner.sql"
SECONDS: t.Final = 60.0
FOLDER: t.Final = "scout-drill"


def prepare(session: Session) -> None:
    """The role, which a session that is no superuser's can act as and hand on; it logs in with the session's password."""
    named, password = sql.Identifier(ROLE), session.connection.info.password.encode()
    verifier = session.connection.pgconn.encrypt_password(password, ROLE.encode(), b"scram-sha-256").decode()
    with session.connection.pinned():
        if not session.rows("SELECT FROM pg_catalog.pg_roles WHERE rolname = %(name)s", name=ROLE):
            session.connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(named))
            how = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if session.facts.server_version >= 160000 else "")
            session.connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(named) + how)
        session.connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(named, sql.Literal(verifier)))


def make(session: Session, role: str, owner: str) -> None:
    """Gives the role what the script gives it in the session's database, and makes it unless it is there; of a superuser's
    pipeline, the owner is changed first."""
    attempted = f"could not make the least-privileged operator {role}"
    try:
        program = psql()
    except RuntimeError as e:
        raise ProgramFailed(attempted, said=str(e), next_step="install psql, PostgreSQL's own client") from e
    with session.read():
        owned = roles.mighty(session, [owner])
    scripts = [(OWNER_SCRIPT, ["-v", "members=on"])] if owned else []
    scripts += [(SCRIPT, ["-v", f"role={role}", *([] if owned else ["-v", f"owner={owner}"])])]
    for script, options in scripts:
        _run(session, [program, "-X", "-q", *options, "-f", "-"], script, attempted)


def _run(session: Session, words: list[str], script: Path, attempted: str) -> None:
    """Nothing among the arguments tells how the database is reached."""
    with subprocesses.scratch(FOLDER) as folder:
        reach = pg_dump.environment(session, folder)
        done = subprocesses.run(words, cwd=folder, environment=reach, seconds=SECONDS, stdin=script.read_bytes())
    if done.code != 0:
        raise ProgramFailed(
            attempted,
            on=session.where,
            said=subprocesses.text(done.err).replace(reach.get("PGPASSWORD") or "\0", "***"),
            next_step=f"docs/{script.name} says what it needs; or drill as the owner: operator: owner",
        )
