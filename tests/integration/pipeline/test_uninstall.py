# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/uninstall.md has typed leaves nothing of the toolkit, and the pipeline as it is."""

from __future__ import annotations

import re
import subprocess
import textwrap

from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import call, connect
from tests.security.roles import drop_roles

PAGE = CHECKOUT / "docs" / "uninstall.md"
LEFT = """
SELECT nspname::text FROM pg_namespace WHERE nspname = 'scout_ops'
UNION ALL SELECT rolname FROM pg_roles WHERE rolname = 'scout_operator'
"""
PIPELINE = """
SELECT (SELECT count(*) FROM scout.silver_transactions), (SELECT count(*) FROM scout.bronze_events_dlq),
       (SELECT array_agg((jobname, active) ORDER BY jobid) FROM cron.job)
"""


def test_nothing_is_left_but_the_pipeline(scout_db: str) -> None:
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    script = [psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", scout_db]
    try:
        subprocess.run([*script, "-f", str(CHECKOUT / "docs" / "operator_role.sql")], check=True)
        operator = make_conninfo(scout_db, user="scout_operator")
        assert call("scout_ingestion", operator, state="paused")["changed"]
        assert call("scout_ingestion", operator, state="running")["changed"]
        with connect(scout_db) as superuser:
            before = superuser.execute(PIPELINE).fetchone()
            assert len(superuser.execute(LEFT).fetchall()) == 2
            subprocess.run(script, input=textwrap.dedent(statements), text=True, check=True)
            assert superuser.execute(LEFT).fetchall() == []
            assert superuser.execute(PIPELINE).fetchone() == before
            superuser.execute("SELECT scout.load_silver_from_bronze(10)")
    finally:
        drop_roles(scout_db, "scout_operator")
