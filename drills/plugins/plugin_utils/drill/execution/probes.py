# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a pipeline that is drilled: its health and the gate by our modules, the ledger and the jobs; read-only."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import typing as t

import psycopg
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.history import UNDOABLE

from ..results.records import Ledger, Pause, Run

#: The modules that a person's playbooks run, asked here without a playbook.
MODULES: t.Final = "ansible_collections.scout.recovery.plugins.modules"

#: Of the ledger, where there is one.
THERE = "SELECT pg_catalog.to_regclass('scout_ops.pauses') IS NOT NULL AND pg_catalog.to_regclass('scout_ops.runs') IS NOT NULL"
PAUSES = "SELECT paused_at, resumed_at, incident, actor FROM scout_ops.pauses ORDER BY pause_id"
RUNS = """
SELECT run_id::text, action, status, started_at, finished_at, undone_by IS NOT NULL,
       effects <> '{}' AND (action <> 'drain' OR coalesce(jsonb_array_length(effects -> 'poison'), 0) > 0), undoes::text
FROM scout_ops.runs ORDER BY started_at, run_id
"""
LEASES = "SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL AND expires_at > pg_catalog.clock_timestamp()"
OURS = """
SELECT application_name FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND application_name LIKE 'scout-recovery/%'
"""
JOBS = "SELECT jobname, active FROM cron.job ORDER BY jobname"
CLOCK = "SELECT pg_catalog.clock_timestamp()"
VERSION = "SELECT pg_catalog.current_setting('server_version')"


def connect(dsn: str) -> psycopg.Connection[t.Any]:
    """A session that only looks."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name="drill",
        connect_timeout=10,
        options="-c TimeZone=UTC -c statement_timeout=60s -c default_transaction_read_only=on",
    )


def ledger(dsn: str) -> Ledger:
    """The whole ledger of a database that nobody but the drill uses."""
    with connect(dsn) as connection:
        row = connection.execute(THERE).fetchone()
        if not (row and row[0]):
            return Ledger()
        return Ledger(
            tuple(Pause(*pause) for pause in connection.execute(PAUSES).fetchall()),
            tuple(Run(*run) for run in connection.execute(RUNS).fetchall()),
            tuple(owner for (owner,) in connection.execute(LEASES).fetchall()),
        )


def undoable(dsn: str) -> list[Run]:
    """The runs that can be undone, newest first."""
    runs = ledger(dsn).runs
    return [run for run in reversed(runs) if run.action in UNDOABLE and run.moved and not run.undone]


def sessions(dsn: str) -> list[str]:
    """Sessions of ours that are still there."""
    with connect(dsn) as connection:
        return [name for (name,) in connection.execute(OURS).fetchall()]


def jobs(dsn: str) -> dict[str, bool]:
    """Every job, and whether it is active."""
    with connect(dsn) as connection:
        return dict(connection.execute(JOBS).fetchall())


def now(dsn: str) -> dt.datetime:
    """The server's clock, by which the ledger is written."""
    with connect(dsn) as connection:
        row = connection.execute(CLOCK).fetchone()
    assert row
    return row[0]


def version(dsn: str) -> str:
    """Of the server."""
    with connect(dsn) as connection:
        row = connection.execute(VERSION).fetchone()
    return str(row[0]).partition(" ")[0] if row else "unknown"


def health(dsn: str) -> dict[str, t.Any]:
    """What scout_health_info says."""
    return _ask("scout_health_info", dsn)


def gate(dsn: str) -> dict[str, t.Any]:
    """What scout_gate_info says; its smoke test writes what it rolls back."""
    return _ask("scout_gate_info", dsn, smoke=True)


def _ask(name: str, dsn: str, **options: t.Any) -> dict[str, t.Any]:
    """The result of a module that only looks, in this process; a failure is raised."""
    module: t.Any = importlib.import_module(f"{MODULES}.{name}")
    # A sandbox has its own pg_cron: what the environment names is somebody's production.
    given = {"dsn": dsn, "cron_dsn": dsn, "allow_superuser": True, **options}
    checked = ArgumentSpecValidator(module.SPEC).validate(given)
    params = t.cast("dict[str, t.Any]", checked.validated_parameters)
    result = invoke(module.run, name, params, check=False, controller_pid=os.getppid())
    if result.get("failed"):
        raise NotConverged(
            f"{name} could not assess the pipeline", said=str(result["msg"]), next_step="see what it says"
        )
    return result
