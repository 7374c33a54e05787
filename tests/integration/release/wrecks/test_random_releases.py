# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No value is lost without a word: random releases are rolled back and undone, and every value is compared.

A value that exists before and not after is saved, or the rollback is refused without allow_lossy, and then nothing has changed.
An hour of it, with other releases each time: `SCOUT_RELEASE_EXAMPLES=2000 make integration ARGS=-kno_value_is_lost`. Without
it they are always the same, and as many as fit into `make test`.
"""

from __future__ import annotations

import os

import psycopg
from hypothesis import HealthCheck, event, given, settings

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import call, connect
from tests.integration.release.wrecks.random_releases import Release, releases
from tests.integration.release.wrecks.rolling_back import RELEASE, copied, done, rolled_back, same_definitions, undone
from tests.integration.release.wrecks.state import state

EXAMPLES = os.environ.get("SCOUT_RELEASE_EXAMPLES")
BESIDE = ("scout",)
LOSS = "data would be lost"


def released(dsn: str, statements: list[str]) -> None:
    """Runs what PostgreSQL takes of it, as the owner."""
    with connect(dsn, options="-c client_min_messages=error") as connection:
        connection.execute("SET ROLE loader")
        for statement in statements:
            try:
                connection.execute(statement.encode())
            except psycopg.Error:
                continue


@settings(
    max_examples=int(EXAMPLES or 40),
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(release=releases())
def test_no_value_is_lost_without_a_word(template: Server, release: Release) -> None:
    with copied(template) as dsn:
        with connect(dsn) as connection:
            connection.execute("CREATE SCHEMA w AUTHORIZATION loader")
        released(dsn, release.before)
        done(call("scout_capture", dsn, release=RELEASE, schemas=["w"]))
        captured = state(dsn, *BESIDE)
        released(dsn, release.after)
        wrecked = state(dsn, *BESIDE)
        result = rolled_back(dsn)
        if lossy := bool(result.get("failed")):
            assert result["error"]["next_step"]
            assert state(dsn, *BESIDE) == wrecked
            if LOSS not in result["msg"]:
                event("refused")
                return
            result = done(rolled_back(dsn, allow_lossy=True))
        event("with losses that are allowed" if lossy else "rolled back" if result["changed"] else "nothing to do")
        same_definitions(state(dsn, *BESIDE), captured)
        if result["changed"]:
            undone(dsn, result)
            again = state(dsn, *BESIDE)
            same_definitions(again, wrecked)
            assert lossy or again == wrecked
