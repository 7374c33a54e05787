# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throwaway container: what the tests on the real pg_cron stand on."""

from __future__ import annotations

import time

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container

SCHEDULE = """
CREATE EXTENSION pg_cron;
CREATE ROLE worker LOGIN;
GRANT USAGE ON SCHEMA cron TO worker;
CREATE TABLE ran (by text);
GRANT INSERT ON ran TO worker;
SET ROLE worker;
SELECT cron.schedule('mark', '1 second', 'INSERT INTO ran VALUES (current_user)');
RESET ROLE;
"""


@pytest.mark.docker
@pytest.mark.parametrize("background_workers", ["on", "off"])
def test_the_scheduler_runs_the_job_of_an_ordinary_role(background_workers: str) -> None:
    with (
        container.running(settings={"cron.use_background_workers": background_workers}) as box,
        psycopg.connect(box.dsn, autocommit=True) as session,
    ):
        session.execute(SCHEDULE)
        deadline = time.monotonic() + 20
        while not (found := session.execute("SELECT DISTINCT by FROM ran").fetchall()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert found == [("worker",)]
