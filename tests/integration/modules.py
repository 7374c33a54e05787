# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways a module is run (in this process, executed, by the `ansible` command) and what a database holds before and after."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from tests import CHECKOUT
from tests.results import misfits

Connection = psycopg.Connection[Any]
Result = dict[str, Any]

TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
#: Whatever the order of the rows; sorting and joining all of them takes longer than to hash each.
DIGEST = "SELECT count(*), sum(pg_catalog.hashtextextended(t::text, 0::bigint)) FROM {} AS t"

JOB_RUN = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, start_time)
SELECT jobid, %s, database, username, command, 'running', clock_timestamp() FROM cron.job WHERE jobname = %s
"""


def call(
    name: str, dsn: str | None, *, check: bool = False, progress: Progress | None = None, **options: Any
) -> Result:
    """The module's result in this process, its options validated as the action plugin does."""
    module = _module(name)
    validated = ArgumentSpecValidator(module.SPEC).validate({"dsn": dsn, **options})
    assert not validated.error_messages
    params = validated.validated_parameters
    return as_declared(
        name, invoke(module.run, name, params, check=check, progress=progress, controller_pid=os.getppid())
    )


def as_declared(name: str, result: Result) -> Result:
    """The result, once it is known to be what the module says that it returns."""
    if not result.get("failed"):
        assert not misfits(name, result)
    return result


def executed(name: str, dsn: str, *, check: bool = False, **options: Any) -> Result:
    """The result that the module itself prints when Ansible executes it on a target."""
    # From ansible-core 2.19 on; tests that run on older ones execute nothing.
    from ansible.module_utils.testing import patch_module_args

    out = io.StringIO()
    arguments = {"dsn": dsn, **options, "_ansible_check_mode": check}
    with patch_module_args(arguments), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        _module(name).main()
    return json.loads(out.getvalue())


def ad_hoc(name: str, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> tuple[Result, str]:
    """The result and the whole output of `ansible local -m scout.recovery.NAME`, with no PG* variable but those given."""
    process = start_ad_hoc(name, *arguments, env=env, **options)
    output = process.communicate(timeout=60)[0]
    result = json.loads(output[output.index("=> {") + 3 : output.rindex("}") + 1])
    return result | ({"failed": True} if "FAILED! => {" in output else {}), output


def start_ad_hoc(
    name: str, *arguments: str, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """The `ansible` command on its way."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "SCOUT_", "ANSIBLE_"))}
    more = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1", "SCOUT_ALLOW_SUPERUSER": "1"}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "ansible"), "local", "-m", f"scout.recovery.{name}", "-a", json.dumps(options), *arguments],
        cwd=CHECKOUT, env=clean | more | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def connect(dsn: str, **parameters: Any) -> Connection:
    """An autocommit session."""
    return psycopg.connect(dsn, autocommit=True, **parameters)


def rows(dsn: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows, as a superuser sees them."""
    with connect(dsn) as connection:
        return connection.execute(query, parameters or None).fetchall()  # type: ignore[call-overload]


def one(dsn: str, query: str, *parameters: object) -> Any:
    """The only column of the only row."""
    [[value]] = rows(dsn, query, *parameters)
    return value


def run(dsn: str, *statements: str) -> None:
    """Executes each statement by itself, as a superuser."""
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def expire_lease(dsn: str) -> None:
    """Has the time of the lease pass, if there is one."""
    if one(dsn, "SELECT to_regclass('scout_ops.leases') IS NOT NULL"):
        run(
            dsn,
            "UPDATE scout_ops.leases SET expires_at = clock_timestamp() - interval '10 seconds' WHERE owner IS NOT NULL",
        )


def jobs(dsn: str) -> list[tuple[Any, ...]]:
    """cron.job as it is."""
    return rows(dsn, "SELECT jobid, jobname, schedule, command, active, username FROM cron.job ORDER BY jobid")


def off(dsn: str) -> set[str | None]:
    """The names of the inactive jobs."""
    return {row[1] for row in jobs(dsn) if not row[4]}


def fingerprint(dsn: str) -> dict[str, Any]:
    """Every table of the database with its number of rows and their digest."""
    with connect(dsn) as connection:
        tables = [row[0] for row in connection.execute(TABLES)]
        return {name: connection.execute(DIGEST.format(name)).fetchone() for name in tables}  # type: ignore[call-overload]


@contextlib.contextmanager
def job_in_flight(dsn: str, jobname: str = "bronze-to-silver-etl") -> Iterator[int]:
    """A session as pg_cron has it while it runs the job, until the block is over; gives its pid."""
    session = psycopg.connect(dsn, user="loader", application_name="pg_cron")
    with connect(dsn) as connection:
        assert connection.execute(JOB_RUN, [session.info.backend_pid, jobname]).rowcount == 1
    session.execute("SELECT 1")
    try:
        yield session.info.backend_pid
    finally:
        session.close()


def end(dsn: str, pid: int) -> None:
    """Ends a session as if it had come to its end."""
    assert one(dsn, "SELECT pg_terminate_backend(%s, 10000)", pid)


def ends_when_waited_for(dsn: str) -> Progress:
    """Who is in flight comes to an end once it is said that somebody waits for it, however long that takes."""

    def hear(line: str) -> None:
        if found := re.search(r"in flight: pid (\d+) ", line):
            end(dsn, int(found[1]))

    return Progress(hear)


def idle_for(dsn: str, pid: int, seconds: float) -> None:
    """Returns once the server itself says that the session has done nothing for so long."""
    with connect(dsn) as connection:
        wait_until(
            connection,
            "SELECT FROM pg_stat_activity WHERE pid = %s "
            "AND clock_timestamp() - coalesce(xact_start, state_change) > make_interval(secs => %s)",
            pid,
            seconds,
        )


WAITS = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%' AND wait_event_type = 'Lock'
"""


@contextlib.contextmanager
def once_waited_for(
    dsn: str, do: Callable[[], object], after_seconds: float = 0.0, waits: LiteralString = WAITS
) -> Iterator[None]:
    """Does it so long after a session of the toolkit began to wait for a lock, and not before; fails where none ever did."""
    over, waited = threading.Event(), threading.Event()

    def watch() -> None:
        with connect(dsn) as connection:
            while not over.wait(0.02):
                if connection.execute(waits).fetchone() is not None:
                    waited.set()
                    over.wait(after_seconds)
                    do()
                    return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    assert waited.is_set(), "nobody waited for it"


#: What the documentation asks for the role of an operator.
GRANTS = {
    "member": "GRANT {owner} TO {role}",
    "stats": "GRANT pg_read_all_stats TO {role} WITH INHERIT TRUE",
    "signal": "GRANT pg_signal_backend TO {role} WITH INHERIT TRUE",
    "create": "GRANT CREATE ON DATABASE {database} TO {role}",
}


@contextlib.contextmanager
def operator(dsn: str, *, without: str = "", attributes: str = "") -> Iterator[str]:
    """The dsn of a role that is no superuser and has every documented grant but one; gone with the block."""
    role = f"operator_{time.monotonic_ns():x}"
    names = {"role": role, "database": f'"{conninfo_to_dict(dsn)["dbname"]}"'}
    with connect(dsn) as connection:
        names |= {
            "owner": connection.execute(
                "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname IN ('scout', 'pos')"
            ).fetchone()[0]
        }  # type: ignore[index]
        connection.execute(f"CREATE ROLE {role} LOGIN {attributes}")  # type: ignore[call-overload]
        for name, grant in GRANTS.items():
            if name != without:
                connection.execute(grant.format(**names))  # type: ignore[call-overload]
        try:
            yield make_conninfo(dsn, user=role)
        finally:
            connection.execute(f"DROP OWNED BY {role}")  # type: ignore[call-overload]
            connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]


HAND_OVER = """
SELECT 'ALTER SCHEMA scout_ops OWNER TO {role}'
UNION ALL
SELECT format('ALTER TABLE scout_ops.%I OWNER TO {role}', relname) FROM pg_class
WHERE relnamespace = 'scout_ops'::regnamespace AND relkind = 'r'
"""


def hand_over_ledger(dsn: str, operator_dsn: str) -> None:
    """Makes the ledger that of another operator: one that belongs to somebody else is not used."""
    role = conninfo_to_dict(operator_dsn)["user"]
    with connect(dsn) as connection:
        for (statement,) in connection.execute(HAND_OVER.replace("{role}", str(role))).fetchall():  # type: ignore[call-overload]
            connection.execute(statement)


def gone(dsn: str, pid: int) -> bool:
    """Whether the server process is no longer there."""
    return not rows(dsn, "SELECT FROM pg_stat_activity WHERE pid = %s", pid)


def _module(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.scout.recovery.plugins.modules.{name}")
