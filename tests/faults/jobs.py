# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of jobs and of their scheduler."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.faults import GOLD, LINKING, LOADER, Fault, Seen, by_check

EARLIER = (
    "UPDATE cron.job_run_details SET start_time = start_time - interval '{0}', end_time = end_time - interval '{0}'"
)


def job(name: str, change: str) -> tuple[str]:
    """A statement that changes a job."""
    return (f"UPDATE cron.job SET {change} WHERE jobname = '{name}'",)


def another(command: str) -> Fault:
    """A job of somebody's beside those of the pipeline, which a reset has to name."""
    plant = (
        "INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)"
        f" SELECT '*/5 * * * *', $command${command}$command$, nodename, nodeport, database, username, true, 'of-others'"
        f" FROM cron.job WHERE jobname = '{LOADER}'"
    )
    return Fault((plant,), named="of-others")


#: Those of which a look tells, and a reset as well.
JOBS = {
    "the ETL's job is inactive": Fault(
        job(LOADER, "active = false"),
        by_check("jobs_active", f"job {LOADER} inactive", "resume_ingestion -e '{\"scout_activate_jobs\": [\"bronze-to-silver-etl\"]}'",
                 warned=("ingestion",)),
        LOADER,
    ),
    "the linking job is inactive": Fault(
        job(LINKING, "active = false"), by_check("jobs_active", f"job {LINKING} inactive", "resume_ingestion -e "), LINKING,
    ),
    "the gold job is inactive": Fault(
        job(GOLD, "active = false"), by_check("jobs_active", f"job {GOLD} inactive", "resume_ingestion -e "), GOLD,
    ),
    "the ETL's job is deleted": Fault(
        (f"DELETE FROM cron.job WHERE jobname = '{LOADER}'",),
        by_check("jobs_present", f"no job does the work of {LOADER}: there is none",
                 f"SELECT cron.schedule('{LOADER}', '* * * * *', 'SELECT scout.load_silver_from_bronze(2000);');"),
        LOADER,
    ),
    "the gold job is deleted": Fault((f"DELETE FROM cron.job WHERE jobname = '{GOLD}'",), named=GOLD),
    "the ETL's job does something else": Fault(
        job(LOADER, "command = 'SELECT 1'"),
        by_check("jobs_present", "its command does not call load_silver_from_bronze", "SELECT cron.schedule("), LOADER,
    ),
    "the ETL's job loads nothing": Fault(
        job(LOADER, "command = 'SELECT scout.load_silver_from_bronze(0)'"),
        by_check("jobs_present", "its command asks for 0 rows", "SELECT cron.schedule("), LOADER,
    ),
    "the gold job does something else": Fault(job(GOLD, "command = 'SELECT 1'"), named=GOLD),
    "the ETL's job runs once a year": Fault(
        job(LOADER, "schedule = '0 0 1 1 *'"),
        by_check("job_schedules", f"{LOADER} is not due within a day", "schedule => '* * * * *'"), LOADER,
    ),
    "the ETL's job has a schedule that nobody can read": Fault(
        job(LOADER, "schedule = '61 25 * * *'"),
        by_check("job_schedules", f"{LOADER} is not due within a day", "schedule => '* * * * *'"), LOADER,
    ),
    "the gold job runs once a year": Fault(job(GOLD, "schedule = '0 0 1 1 *'"), named=GOLD),
    "the ETL's job is of another database": Fault(
        job(LOADER, "database = 'postgres'"),
        by_check("jobs_present", "it runs in database postgres", "SELECT cron.alter_job("), LOADER,
    ),
    "a job of others changes totals": another("UPDATE scout.silver_transactions SET total_amount = total_amount * 0.88"),
    "a job of others changes totals by what it puts together": another(
        "DO $$ BEGIN EXECUTE format('UPDATE %I.%I SET total_amount = 1', 'scout', 'silver' || '_transactions'); END $$"
    ),
    "a job of others takes sales away": another("DELETE FROM scout.silver_transactions WHERE processed_at > now() - interval '1 hour'"),
    "a job of others takes marks away": another("DELETE FROM scout.etl_processed WHERE processed_at < now() - interval '1 hour'"),
    "a job of others marks what waits": another(
        "INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM scout.bronze_events ON CONFLICT DO NOTHING"
    ),
    "a job of others gives events another type": another(
        "UPDATE scout.bronze_events SET event_type = 'old' WHERE event_id NOT IN (SELECT event_id FROM scout.etl_processed)"
    ),
    "a job of others takes away what waits": another("DELETE FROM scout.bronze_events WHERE ingested_at > now() - interval '1 hour'"),
}  # fmt: skip

#: Those of which a look tells.
SEEN = {
    "the linking job is deleted": Fault((f"DELETE FROM cron.job WHERE jobname = '{LINKING}'",), by_check("jobs_present")),
    "a job was disabled on purpose": Fault(
        (library.job_disabled_on_purpose,),
        by_check("jobs_active", first="job product-linking inactive, and no pause of this toolkit explains it", evidence="cron.job"),
    ),
    "the ETL's job calls what somebody else has written": Fault(
        ("ALTER ROLE {role} NOLOGIN", "CREATE SCHEMA ops", "GRANT USAGE ON SCHEMA ops TO PUBLIC",
         "CREATE FUNCTION ops.nightly() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM scout.load_silver_from_bronze(100)'",
         "ALTER FUNCTION ops.nightly() OWNER TO {role}", *job(LOADER, "command = 'SELECT ops.nightly()'")),
        by_check("jobs_present", f"cannot tell whether a job does the work of {LOADER}: it calls ops.nightly() of {{role}}",
                 "look at what it does: if it does the work, give it to loader; else, as loader: SELECT cron.schedule("),
    ),
    "the scheduler is dead": Fault(
        (EARLIER.format("20 minutes"),),
        by_check("job_runs", f"{LOADER} has not started for", "SHOW cron.launch_active_jobs"),
    ),
    "a scheduler that starts nothing": Fault((EARLIER.format("50 minutes"),), by_check("job_runs")),
    "an ETL job that fails": Fault(
        (library.etl_job_failing,),
        by_check("job_runs", warned=("etl_duration",), first="the ETL job fails",
                 evidence='ERROR: invalid input syntax for type numeric: "…"'),
    ),
    "an ETL job that is slow": Fault(
        (library.etl_job_slow,), by_check("etl_duration", first="ETL runs take long", evidence="6 min 40 s"),
    ),
    "an ETL job that becomes slow": Fault(
        (lambda dsn: library.etl_job_slow(dsn, seconds=120),),
        Seen(warned=("etl_duration",), gate={"etl_duration": "warn"}, verdict="warn"),
    ),
}  # fmt: skip
