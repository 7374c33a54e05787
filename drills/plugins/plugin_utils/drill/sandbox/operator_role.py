# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least-privileged operator of a sandbox: the role that docs/operator_role.sql makes, by that very script."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import ProgramFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump

from ...reference.server import places
from ...reference.server.local import psql

if t.TYPE_CHECKING:
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

ROLE: t.Final = "scout_operator"
SCRIPT: t.Final = places.RECOVERY / "docs" / "operator_role.sql"
SECONDS: t.Final = 60.0
FOLDER: t.Final = "scout-drill"


def make(session: Session, role: str, owner: str) -> None:
    """Gives the role what the script gives it in the session's database, and makes it unless it is there."""
    attempted = f"could not make the least-privileged operator {role}"
    try:
        program = psql()
    except RuntimeError as e:
        raise ProgramFailed(attempted, said=str(e), next_step="install psql, PostgreSQL's own client") from e
    with subprocesses.scratch(FOLDER) as folder:
        reach = pg_dump.environment(session, folder)
        # Nothing among the arguments tells how the database is reached.
        words = [program, "-X", "-q", "-v", f"role={role}", "-v", f"owner={owner}", "-f", "-"]
        done = subprocesses.run(words, cwd=folder, environment=reach, seconds=SECONDS, stdin=SCRIPT.read_bytes())
    if done.code != 0:
        raise ProgramFailed(
            attempted,
            on=session.where,
            said=subprocesses.text(done.err).replace(reach.get("PGPASSWORD") or "\0", "***"),
            next_step="docs/operator_role.sql says what it needs; or drill as the owner: operator: owner",
        )
