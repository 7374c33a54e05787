#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test only: pg_cron holds still or ticks, its jobs are as asked, and a run of one job is under way when this returns."""

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
    "await_seconds": {"type": "int", "default": 70},
}

SWITCH = {
    "still": "ALTER SYSTEM SET cron.launch_active_jobs = off",
    "ticking": "ALTER SYSTEM RESET cron.launch_active_jobs",
}

ALTER = """
SELECT cron.alter_job(jobid, schedule := %(schedule)s, command := %(command)s, active := %(active)s)
FROM cron.job WHERE jobname = %(name)s
"""

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_cron' AND query = (SELECT command FROM cron.job WHERE jobname = %s)"


def alter(session: psycopg.Connection[Any], name: str, wanted: dict[str, Any]) -> None:
    """Give the job another schedule, command or activity; what is not named stays."""
    values = {"schedule": None, "command": None, "active": None} | wanted | {"name": name}
    if session.execute(ALTER, values).rowcount != 1:
        raise LookupError(f"there is no job {name!r}")


def await_run(session: psycopg.Connection[Any], name: str, seconds: float) -> None:
    """Return while the scheduler runs the job."""
    deadline = time.monotonic() + seconds
    while session.execute(RUNNING, [name]).fetchone() == (0,):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no run of {name!r} within {seconds} s")
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
                await_run(session, given["await_run"], given["await_seconds"])
    except (LookupError, TimeoutError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
