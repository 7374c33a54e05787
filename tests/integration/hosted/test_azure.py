# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As on Azure Database, where jobs are made and removed but not altered, and row security hides those of others: what is not seen is
unknown, never fine."""

from __future__ import annotations

import pytest

from tests.integration.hosted.test_owner_and_operator import EVERYTHING, broken
from tests.integration.modules import call, connect, fingerprint
from tests.scout.hosted import Hosted

pytestmark = pytest.mark.parametrize("hosted", ["azure"], indirect=True)
__all__ = ["broken"]


def test_what_nobody_can_grant_is_not_asked_for_and_nothing_is_paused(broken: Hosted) -> None:
    before = fingerprint(broken.superuser)
    found = call("scout_preflight_info", broken.owner, actions=EVERYTHING, allow_owner=True, required=False)
    [missing] = found["missing"]
    assert (missing["action"], missing["what"]) == ("pause", "cron.alter_job")
    assert found["service"] == "Azure Database"
    paused = call("scout_ingestion", broken.owner, state="paused", allow_owner=True)
    for said in (missing["grant"], paused["error"]["next_step"]):
        assert said.startswith("ask the support of Azure Database for EXECUTE ON FUNCTION cron.alter_job")
        assert "GRANT" not in said
    assert fingerprint(broken.superuser) == before


def test_jobs_and_runs_of_others_are_unknown(hosted: Hosted) -> None:
    """Of all jobs, and of all but one: what cannot be seen is not fine, and nobody says that it is gone."""
    about_jobs = {"jobs_present", "jobs_active", "job_runs", "job_schedules", "job_rights"}
    with connect(hosted.superuser) as superuser:
        assert call("scout_health_info", hosted.owner)["verdict"] == "healthy"
        superuser.execute("CREATE ROLE colleague LOGIN; GRANT azure_pg_admin TO colleague")
        for kept in (0, 1):
            superuser.execute("UPDATE cron.job SET username = 'colleague' WHERE jobid <> %s", [kept])
            superuser.execute("UPDATE cron.job_run_details SET username = 'colleague' WHERE jobid <> %s", [kept])
            looked = call("scout_health_info", hosted.owner)
            assert looked["verdict"] == "inconclusive"
            assert {i["name"] for i in looked["indicators"] if i["status"] == "unknown"} >= about_jobs
            superuser.execute("UPDATE cron.job SET username = 'deployer'")
            superuser.execute("UPDATE cron.job_run_details SET username = 'deployer'")
        # The runs alone.
        superuser.execute("UPDATE cron.job_run_details SET username = 'colleague'")
        assert call("scout_gate_info", hosted.owner)["verdict"] != "pass"
        looked = call("scout_health_info", hosted.owner)
        assert looked["verdict"] != "healthy"
        assert next(i for i in looked["indicators"] if i["name"] == "job_runs")["status"] != "ok"


def test_a_job_that_others_made_is_not_called_missing(hosted: Hosted) -> None:
    """Even where jobs may be altered, and all that one may have is there: who schedules what is hidden would load twice."""
    with connect(hosted.superuser) as superuser:
        superuser.execute("GRANT EXECUTE ON FUNCTION cron.alter_job TO deployer")
        superuser.execute("CREATE ROLE colleague LOGIN; UPDATE cron.job SET username = 'colleague' WHERE jobid <> 2")
    looked = call("scout_health_info", hosted.owner)
    assert looked["verdict"] == "inconclusive", looked["verdict"]
    present = next(i for i in looked["indicators"] if i["name"] == "jobs_present")
    assert (present["status"], present["reason"]) == (
        "unknown",
        "pg_cron shows role deployer only its own jobs, and about 6 others are there",
    )
    with connect(hosted.superuser) as superuser:
        superuser.execute("DELETE FROM cron.job WHERE jobid <> 2")
        superuser.execute("ANALYZE cron.job")
    assert call("scout_health_info", hosted.owner)["verdict"] == "failing", "nothing is hidden any more"


def test_a_pg_cron_that_cannot_alter_jobs_is_named(hosted: Hosted) -> None:
    with connect(hosted.superuser) as superuser:
        superuser.execute("DROP FUNCTION cron.alter_job")
    before = fingerprint(hosted.superuser)
    said = call("scout_ingestion", hosted.owner, state="paused", allow_owner=True)
    assert said["error"]["next_step"] == "ALTER EXTENSION pg_cron UPDATE, as its owner: it has no cron.alter_job yet"
    assert fingerprint(hosted.superuser) == before
