# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills the controller, as a power cut would, at the task that SCOUT_CRASH_AT numbers, and has the database copied before that."""

from __future__ import annotations

import os
import signal

import psycopg
from ansible.plugins.callback import CallbackBase
from psycopg import sql
from psycopg.conninfo import make_conninfo

DOCUMENTATION = r"""
name: crash
type: aggregate
short_description: Kill the controller at a task boundary
description:
  - Counts the tasks of a run and sends SIGKILL to the controller before the one that E(SCOUT_CRASH_AT) numbers, from 1.
  - Has the database of E(SCOUT_DSN) copied before each from the one that E(SCOUT_COPY_FROM) numbers.
options: {}
"""


class CallbackModule(CallbackBase):
    """Counts the tasks that begin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "crash"

    def __init__(self) -> None:
        super().__init__()
        self._task = 0

    def v2_playbook_on_task_start(self, *_: object, **__: object) -> None:
        """Dies when its time has come."""
        self._task += 1
        if 0 < int(os.environ.get("SCOUT_COPY_FROM", "0")) <= self._task:
            self._copy()
        if self._task == int(os.environ.get("SCOUT_CRASH_AT", "0")):
            os.kill(os.getpid(), signal.SIGKILL)

    def _copy(self) -> None:
        """Ends the run where the server refuses it, for somebody else is connected: then a death here would leave something else."""
        dsn = os.environ["SCOUT_DSN"]
        try:
            with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
                name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
                names = [sql.Identifier(f"{name}_at_{self._task}"), sql.Identifier(name)]
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        except psycopg.Error as e:
            self._display.error(str(e))
            os._exit(1)
