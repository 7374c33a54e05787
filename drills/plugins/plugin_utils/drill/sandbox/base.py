# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that a drill may break."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract

HAS_PG_CRON: t.Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') AS has_pg_cron,
       (SELECT pg_catalog.pg_get_userbyid(p.proowner)::text FROM pg_catalog.pg_proc AS p
        WHERE p.oid = pg_catalog.to_regprocedure(%(etl)s)) AS owner
"""


class Unavailable(RecoveryError):
    """The sandbox cannot be created here, or cannot do what a scenario needs."""

    kind = "unavailable"


class Sandbox:
    """A database with a pipeline, which a drill may break."""

    kind: t.ClassVar[str] = "embedded"

    def __init__(self, dsn: str, since: dt.datetime | None = None) -> None:
        """Reads what the database has. `since` is the oldest event that is compared; by default all are."""
        self.dsn = dsn
        self.since = since
        with (
            open_session(Settings(dsn, action="drill"), "the sandbox") as session,
            attempting("could not read the sandbox", on=session.where),
            session.read(),
        ):
            found = session.row(HAS_PG_CRON, etl=contract.DEFAULT.etl)
            #: As the results of playbooks name it.
            self.where = session.where
        self.has_pg_cron: bool = found["has_pg_cron"]
        #: The owner of the pipeline.
        self.owner: str = found["owner"]

    def restart_server(self, *, immediate: bool = False) -> None:
        """Restarts the server, if nothing else uses it; `immediate` is a crash."""
        how = "crash" if immediate else "restart"
        raise Unavailable(
            f"a drill does not {how} the server of {self.where}", next_step="leave out drill_dsn to drill this scenario"
        )
