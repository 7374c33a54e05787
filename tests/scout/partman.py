# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real pg_partman: a server that has the extension, of Debian's package, and a reference whose bronze it keeps in partitions."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import account, bin_dir, temp_dir
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import debian

#: Of Debian 13, whose script is for PostgreSQL 14 and later; without its background worker, as pg_cron calls its procedure.
PACKAGE = "postgresql-17-partman"
EXTENSIONS = "usr/share/postgresql/17/extension"
#: Where the embedded PostgreSQL of the wheel, and that of npm, has its extensions.
SHARES = ("share/extension", "share/postgresql/extension")
KEEP_DAYS = 30

#: As its own pages have it: what whoever owns the partitions needs, and a job that does the maintenance.
HAND_OVER = f"""
CREATE SCHEMA archive AUTHORIZATION loader;
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
GRANT ALL ON SCHEMA partman TO loader;
GRANT ALL ON ALL TABLES IN SCHEMA partman TO loader;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA partman TO loader;
SET ROLE loader;
SELECT partman.create_parent('scout.bronze_events', 'ingested_at', '1 day', p_default_table := false);
UPDATE partman.part_config SET infinite_time_partitions = true, retention = '{KEEP_DAYS} days';
SELECT cron.schedule('partman-maintenance', '0 3 * * *', 'CALL partman.run_maintenance_proc()');
RESET ROLE;
"""


PARTITIONS = """
SELECT c.oid::regclass::text, pg_get_userbyid(c.relowner)::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'scout.bronze_events'::regclass
"""


@contextlib.contextmanager
def server(folder: Path | None) -> Generator[Server]:
    """A throwaway server that has the extension; raises debian.Unavailable where none can be had."""
    runner = account()
    installed = bin_dir(runner).parent
    share = next((name for name in SHARES if (installed / name).is_dir()), None)
    if share is None:
        raise debian.Unavailable(f"the PostgreSQL in {installed} is an installed one, and has no pg_partman")
    found = debian.unpacked("partman", PACKAGE) / EXTENSIONS
    root = Path(tempfile.mkdtemp(prefix="scout-partman-", dir=folder or temp_dir(runner)))
    try:
        shutil.copytree(installed, root, symlinks=True, dirs_exist_ok=True)
        root.chmod(0o755)
        for file in found.iterdir():
            shutil.copy(file, root / share)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SCOUT_PG_BIN", str(root / "bin"))
            started = Server(folder=folder).start()
        with started:
            yield started
    finally:
        shutil.rmtree(root)


def hand_over(dsn: str) -> None:
    """Has pg_partman keep the partitions of bronze, as its owner, and drop what is older than 30 days at night."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(HAND_OVER)  # type: ignore[call-overload]


def maintain(dsn: str, **settings: object) -> None:
    """What its job does, in a session as pg_cron has it, after these columns of its configuration were set."""
    with psycopg.connect(dsn, user="loader", autocommit=True, application_name="pg_cron") as session:
        for name, value in settings.items():
            session.execute(f"UPDATE partman.part_config SET {name} = %s", [value])  # type: ignore[call-overload]
        session.execute("CALL partman.run_maintenance_proc()")


def partitions(dsn: str) -> dict[str, str]:
    """The partitions that bronze has, and the owner of each."""
    with psycopg.connect(dsn) as session:
        return dict(session.execute(PARTITIONS).fetchall())
