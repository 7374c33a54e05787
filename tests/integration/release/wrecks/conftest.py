# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of wrecks share: a small pipeline to copy, and copies of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import connect
from tests.integration.release.wrecks.rolling_back import OWNER, TEMPLATE, copied

#: Enough for a pipeline that works.
EVENTS = 40


@pytest.fixture(scope="module")
def template(pg_server: Server) -> Iterator[Server]:
    """The server, with a small pipeline from which databases are copied, and a second role that may own what its owner does."""
    with connect(pg_server.dsn("postgres")) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {0}; CREATE ROLE {0}").format(sql.Identifier(OWNER)))
    dsn = builder.build(pg_server.create_database(TEMPLATE), events=EVENTS)
    with connect(dsn) as connection:
        connection.execute(sql.SQL("GRANT {} TO loader").format(sql.Identifier(OWNER)))
    yield pg_server
    pg_server.drop_database(TEMPLATE)


@pytest.fixture
def database(template: Server) -> Iterator[str]:
    """A copy of it."""
    with copied(template) as dsn:
        yield dsn
