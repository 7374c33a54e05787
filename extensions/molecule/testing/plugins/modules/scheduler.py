#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: pg_cron holds still or ticks, its jobs are as asked, and it has begun a run of one of them, or ended one well."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "dsn": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["still", "ticking"], "required": True},
    "jobs": {"type": "dict", "default": {}},
    "await_run": {"type": "str"},
    "await_success": {"type": "bool", "default": False},
    "await_seconds": {"type": "int", "default": 30},
}

SWITCH = {
    "still": "ALTER SYSTEM SET cron.launch_active_jobs = off",
    "ticking": "ALTER SYSTEM RESET cron.launch_active_jobs",
}

ALTER = """
SELECT cron.alter_job(jobid, schedule := %(schedule)s, command := %(command)s, active := %(active)s)
FROM cron.job WHERE jobname = %(name)s
"""

LATEST = "SELECT coalesce(max(runid), 0) FROM cron.job_run_details"

RUN = """
SELECT FROM cron.job_run_details JOIN cron.job USING (jobid)
WHERE jobname = %s AND runid > %s AND CASE WHEN %s THEN status = 'succeeded' ELSE job_pid > 0 END
"""


def alter(session: psycopg.Connection[Any], name: str, wanted: dict[str, Any]) -> None:
    """Give the job another schedule, command or activity; what is not named stays."""
    values = {"schedule": None, "command": None, "active": None} | wanted | {"name": name}
    if session.execute(ALTER, values).rowcount != 1:
        raise LookupError(f"there is no job {name!r}")


def await_run(session: psycopg.Connection[Any], name: str, seconds: float, *, success: bool) -> None:
    """Return when the scheduler has begun another run of the job, or when such a run has succeeded."""
    latest = session.execute(LATEST).fetchone()
    deadline = time.monotonic() + seconds
    while not session.execute(RUN, [name, *latest, success]).fetchall():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {'successful ' if success else ''}run of {name!r} within {seconds} s")
        time.sleep(0.05)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC)
    given = module.params
    try:
        with psycopg.connect(given["dsn"], autocommit=True) as session:
            for name, wanted in given["jobs"].items():
                alter(session, name, wanted)
            session.execute(SWITCH[given["state"]])
            session.execute("SELECT pg_reload_conf()")
            if given["await_run"]:
                await_run(session, given["await_run"], given["await_seconds"], success=given["await_success"])
    except (LookupError, TimeoutError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
