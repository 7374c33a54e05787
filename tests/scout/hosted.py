# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as hosted services have them, where nobody has a superuser: one a kind, and a fresh Scout for every test that asks."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

_numbers = itertools.count(1)

#: What Supabase sets for all sessions.
SETTINGS = {"statement_timeout": "2min"}
#: Where pg_cron is in database `postgres`, and Scout in another one.
CRON_ELSEWHERE = {"rds"}


@dataclass(frozen=True)
class Hosted:
    """A Scout on such a service: the dsn of whoever deployed it, and that of the superuser whom nobody has there."""

    kind: str
    owner: str
    superuser: str
    #: As the superuser in the database that has pg_cron.
    cron: str

    def of(self, role: str) -> str:
        """The dsn of another role."""
        return make_conninfo(self.superuser, user=role)


class Host:
    """A server of this kind."""

    def __init__(self, kind: str, folder: Path | None) -> None:
        """Prepare it; starts nothing."""
        self.kind = kind
        self.superuser, self.owner = builder.HOSTS[kind]
        settings = SETTINGS | ({"cron.database_name": "postgres"} if kind in CRON_ELSEWHERE else {})
        self.server = Server(settings=settings, folder=folder, superuser=self.superuser)
        self.template = builder.template(self.server, "deployed", host=kind)
        self.roles: set[str] = set()

    @contextlib.contextmanager
    def scout(self) -> Generator[Hosted]:
        """A fresh Scout there; roles that are made meanwhile are gone afterwards, as the server is everybody's."""
        if not self.roles:
            self.server.start()
        name = f"hosted_{next(_numbers)}"
        dsn = self.template.clone(name)
        with psycopg.connect(dsn, autocommit=True) as superuser:
            # A copy has neither what its template was set to nor its owner.
            superuser.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*map(sql.Identifier, (name, self.owner))))
            self.roles = {row[0] for row in superuser.execute("SELECT rolname::text FROM pg_roles")}
        cron = dsn
        if self.kind in CRON_ELSEWHERE:
            cron = self.server.dsn("postgres")
            builder.move_cron(dsn, cron, self.kind)
        try:
            yield Hosted(self.kind, make_conninfo(dsn, user=self.owner), dsn, cron)
        finally:
            self.server.drop_database(name)
            with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as superuser:
                made = [row[0] for row in superuser.execute("SELECT rolname::text FROM pg_roles")]
                for role in set(made) - self.roles:
                    superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))
