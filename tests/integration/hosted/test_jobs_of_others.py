# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_cron hides the jobs of other roles: the preflight and the assessment say so, and who can change that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.integration.hosted.test_owner_and_operator import operator as make_operator
from tests.integration.modules import call, connect, one
from tests.integration.modules import operator as operator_of
from tests.scout.hosted import Hosted

SAID = "jobs of other roles cannot be seen"
HIS_JOB = "INSERT INTO cron.job (schedule, command, nodeport, username, jobname) VALUES ('0 1 * * *', 'SELECT 1', 5432, {}, 'nightly')"


def notes(dsn: str, **options: Any) -> list[str]:
    """What each of the two screens says of hidden jobs, each at most one line."""
    preflight = call("scout_preflight_info", dsn, job_rights=True, required=False, **options)
    health = call("scout_health_info", dsn, **options)
    assert health["verdict"] == "healthy", health["summary"]
    assert "hidden" not in " ".join(each["cause"] for each in health["diagnoses"])
    found = [[text for text in said if SAID in text] for said in (preflight["warnings"], health["notes"])]
    assert found[0] == found[1]
    assert len(found[0]) <= 1
    return found[0]


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    with operator_of(scout_db) as dsn:
        yield dsn


@pytest.fixture
def colleague(scout_db: str) -> Iterator[str]:
    """Another role with a job."""
    with connect(scout_db) as superuser:
        name = f"colleague_{abs(hash(scout_db)):x}"
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        superuser.execute(sql.SQL(HIS_JOB).format(name))
        yield name
        superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def test_the_statement_that_is_printed_shows_the_jobs(operator: str, scout_db: str, colleague: str) -> None:
    [said] = notes(operator)
    found = re.fullmatch(rf"{SAID}(?: \(about \d+\))?: as (\S+), run (.*;)", said)
    assert found, said
    assert "BYPASSRLS" not in said
    with connect(scout_db) as superuser:
        owner = one(scout_db, "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'cron.job'::regclass")
        assert found[1] == owner
        superuser.execute(found[2].encode())
    assert notes(operator) == []
    with psycopg.connect(operator) as session:
        assert session.execute("SELECT count(*) FROM cron.job WHERE username = %s", [colleague]).fetchone() == (1,)


def test_a_superuser_sees_all_jobs_and_gets_no_note(scout_db: str) -> None:
    assert notes(scout_db) == []


@pytest.mark.parametrize("hosted", ["azure", "rds"], indirect=True)
def test_where_the_service_keeps_the_owner_nobody_can_change_it(hosted: Hosted) -> None:
    options = {"allow_owner": True, **({"cron_dsn": "dbname=postgres"} if hosted.kind == "rds" else {})}
    # The server counts what a session inserted when that session ends, at the latest.
    with connect(hosted.cron) as superuser:
        superuser.execute("CREATE ROLE colleague LOGIN")
        superuser.execute(sql.SQL(HIS_JOB).format("colleague"))
    [said] = notes(hosted.owner, **options)
    with connect(hosted.cron) as superuser:
        superuser.execute("DELETE FROM cron.job WHERE username = 'colleague'")
    assert "nobody on" in said
    assert "CREATE POLICY" not in said


@pytest.mark.parametrize("hosted", ["supabase"], indirect=True)
def test_a_role_that_bypasses_row_security_sees_all_and_its_operator_does_not(hosted: Hosted) -> None:
    with connect(hosted.superuser) as superuser:
        superuser.execute("CREATE ROLE colleague LOGIN")
        superuser.execute(sql.SQL(HIS_JOB).format("colleague"))
    assert notes(hosted.owner, allow_owner=True) == []
    [said] = notes(make_operator(hosted))
    assert "nobody on Supabase" in said
