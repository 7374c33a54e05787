# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least-privileged operator of a sandbox: the role that docs/operator_role.sql makes, by that very script."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import ProgramFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump
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
