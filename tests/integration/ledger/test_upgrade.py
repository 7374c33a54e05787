# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger of an earlier version, with a pause in force, is upgraded by the next write, and nothing in it is lost."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import bootstrap, schema
from tests.integration.modules import call, connect, off, one, operator, rows, run

RUN = "00000000-0000-4000-8000-000000000001"
PAUSED_THEN = f"""
UPDATE scout_ops.leases SET owner = NULL, expires_at = NULL;
UPDATE cron.job SET active = false WHERE jobname = 'bronze-to-silver-etl';
INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller, status, finished_at)
VALUES ('{RUN}', 'pause', 'INC-1', 'maria@laptop', 'laptop', 'succeeded', now());
INSERT INTO scout_ops.pauses (run_id, incident, actor, jobs, switched)
SELECT '{RUN}', 'INC-1', 'maria@laptop', jsonb_agg(jsonb_build_object(
    'jobid', jobid, 'jobname', jobname, 'schedule', schedule, 'owner', username, 'command', command)), false
FROM cron.job WHERE jobname = 'bronze-to-silver-etl'
"""
#: From this version on no pause keeps a command.
DIGESTED = next(number for number, text in enumerate(schema.VERSIONS, 1) if "command_digest" in text)
COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'scout_ops'::regnamespace AND c.relkind IN ('r', 'i', 'S') ORDER BY 1, 2
"""
GRANTED = """
SELECT relname FROM pg_class CROSS JOIN LATERAL aclexplode(relacl) AS a
WHERE relnamespace = 'scout_ops'::regnamespace AND a.grantee <> relowner
"""


@pytest.mark.parametrize("version", range(1, len(schema.VERSIONS)))
def test_what_an_earlier_version_paused_is_resumed(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with operator(scout_db) as dsn:
        with monkeypatch.context() as earlier:
            earlier.setattr(bootstrap, "VERSIONS", schema.VERSIONS[:version])
            # Makes the ledger.
            call("scout_lease", dsn)
        assert one(scout_db, "SELECT count(*) FROM scout_ops.versions") == version
        with connect(scout_db) as connection:
            connection.execute(PAUSED_THEN)  # type: ignore[call-overload]

        resumed = call("scout_ingestion", dsn, state="running", takeover=True)

        assert not resumed.get("failed"), resumed["msg"]
        assert off(scout_db) == set()
        upgraded = rows(scout_db, COLUMNS)
        [job] = one(scout_db, "SELECT jobs FROM scout_ops.pauses")
        assert ("command" in job) == (version >= DIGESTED)
        assert one(scout_db, "SELECT actor FROM scout_ops.runs WHERE run_id = %s", RUN) == "maria@laptop"
        assert rows(scout_db, "SELECT version FROM scout_ops.versions ORDER BY 1") == [
            (number,) for number in range(1, len(schema.VERSIONS) + 1)
        ]
        assert rows(scout_db, GRANTED) == []
        with connect(scout_db) as connection:
            connection.execute("DROP SCHEMA scout_ops CASCADE")
        call("scout_lease", dsn)
        assert rows(scout_db, COLUMNS) == upgraded, "a new ledger has the same"


def test_notes_of_incidents_stay(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade drops what no release reads any more, but nothing that a person wrote."""
    dropping = next(
        number for number, text in enumerate(schema.VERSIONS) if "DROP TABLE scout_ops.incident_entries" in text
    )
    with monkeypatch.context() as earlier:
        earlier.setattr(bootstrap, "VERSIONS", schema.VERSIONS[:dropping])
        call("scout_lease", scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            "INSERT INTO scout_ops.incidents (incident, title, severity, opened_at, opened_by) VALUES ('INC-9', 'x', 'high', now(), 'ann');"
            "INSERT INTO scout_ops.incident_entries (incident, kind, at, actor, text) VALUES ('INC-9', 'note', now(), 'ann', 'a till')"
        )
        connection.execute("UPDATE scout_ops.leases SET owner = NULL, expires_at = NULL")
    call("scout_lease", scout_db)
    assert one(scout_db, "SELECT count(*) FROM scout_ops.versions") == len(schema.VERSIONS)
    assert one(scout_db, "SELECT text FROM scout_ops.incident_entries WHERE incident = 'INC-9'") == "a till"


def test_a_lease_that_is_held_goes_on_through_an_upgrade(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(bootstrap, "VERSIONS", schema.VERSIONS[:-1])
        token = call("scout_lease", scout_db)["token"]
    run(
        scout_db,
        "UPDATE scout_ops.leases SET host_key = 'laptop/0/0', pid = 1, process_started = '1', kept_at = now(), session_pid = 1",
    )
    assert call("scout_ingestion", scout_db, state="paused", lease_token=token)["changed"]
    assert rows(scout_db, "SELECT token FROM scout_ops.leases WHERE expires_at > now()") == [(token,)]
    dropped = ("host_key", "pid", "process_started", "kept_at", "session_pid", "session_start", "session_role")
    left = {column for table, column, *_ in rows(scout_db, COLUMNS) if table == "leases"}
    assert left.isdisjoint(dropped)
    assert one(scout_db, "SELECT count(*) FROM scout_ops.versions") == len(schema.VERSIONS)
