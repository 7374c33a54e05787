# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database for every task boundary of a playbook, as a controller that is killed there leaves it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.integration.modules import expire_lease
from tests.warm import CRASHING

THERE = "SELECT datname FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname, %s)"


@contextmanager
def killed_at_every_boundary(
    server: Server, another: Callable[[], Pipeline], stage: Stage, playbook: str, boundaries: range, **options: Any
) -> Generator[dict[int, Pipeline]]:
    """By the number of the task that did not begin any more, as far as there are so many; they are gone with the block.

    A run is killed before the last of them, or comes to its end; at each it has its database copied, which the server refuses as
    long as anybody is connected to it, and nobody may be. The one in the middle is killed there in earnest, and has to be as its copy.
    """
    pipeline, middle = another(), boundaries[len(boundaries) // 2]
    name = conninfo_to_dict(pipeline.dsn)["dbname"]

    def run(of: Pipeline, **env: int) -> Played:
        alone = Stage(stage.home / f"crash{env['SCOUT_CRASH_AT']}")
        alone.home.mkdir()
        crashing = {**CRASHING, **{name: str(number) for name, number in env.items()}}
        return alone.play(playbook, of.dsn, env=crashing, **options)

    try:
        played = run(pipeline, SCOUT_COPY_FROM=boundaries[0], SCOUT_CRASH_AT=boundaries[-1])
        there = {row[0] for row in pipeline.rows(THERE, f"{name}_at_")}
        made = {at: Pipeline(server.dsn(f"{name}_at_{at}")) for at in boundaries if f"{name}_at_{at}" in there}
        ended = {-signal.SIGKILL: [*boundaries], 0: [*boundaries][: len(made)]}
        assert [*made] == ended.get(played.rc), played.text
        for copy in made.values():
            copy.execute("UPDATE cron.job SET database = current_database()")
        killed = another()
        assert run(killed, SCOUT_CRASH_AT=middle).rc == -signal.SIGKILL
        assert killed.contents() == made[middle].contents()
        left = {**made, middle: killed}
        for each in left.values():
            # By the time that somebody comes.
            expire_lease(each.dsn)
        yield left
    finally:
        for each in pipeline.rows(THERE, f"{name}_at_"):
            server.drop_database(each[0])
