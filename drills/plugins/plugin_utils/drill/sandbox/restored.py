# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox of a team: a copy of a database that they restored for a drill, behind the production guard."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import WrongDatabase
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session

from . import production_guard
from .base import Sandbox

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .production_guard import Host

#: How many of the latest events are compared one by one; the faults of a drill touch none that is older.
COMPARED: t.Final = 50_000
SINCE: t.Final = """
SELECT min(ingested_at) AS since
FROM (SELECT ingested_at FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT %(events)s) AS latest
"""


class Restored(Sandbox):
    """A database that a team restored."""

    kind = "restored"


def open_restored(dsn: str, hosts: Sequence[Host]) -> contextlib.AbstractContextManager[Sandbox]:
    """The database as a sandbox. Raises WrongDatabase unless the guard lets it pass."""
    return contextlib.nullcontext(_checked(dsn, hosts))


def _checked(dsn: str, hosts: Sequence[Host]) -> Restored:
    with open_session(Settings(dsn, action="drill"), "drill_dsn") as session:
        if session.facts.pooled:
            raise WrongDatabase(
                "refused to drill through a connection pooler",
                on=session.where,
                next_step="point drill_dsn at the server itself",
            )
        with attempting("could not check the database of drill_dsn", on=session.where):
            production_guard.require_drillable(session, dsn, hosts)
            with session.read():
                since = session.row(SINCE, events=COMPARED)["since"]
    return Restored(dsn, since)
