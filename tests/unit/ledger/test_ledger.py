# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the holder of a lease is dead, and which jobs a resume gives back."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import controller
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs


def row(holder: controller.Controller) -> dict[str, Any]:
    """The lease as that process holds it."""
    return {"host_key": holder.host_key, "pid": holder.pid, "process_started": holder.process_started}


def test_only_a_process_known_to_be_gone_is_dead() -> None:
    here = controller.this_controller(os.getppid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = row(controller.this_controller(child.pid))
    assert not controller.holder_is_dead(row(here), here)
    assert not controller.holder_is_dead(theirs, here)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert controller.holder_is_dead(theirs, here), "a zombie does nothing any more"
    child.communicate()
    assert controller.holder_is_dead(theirs, here)
    assert controller.holder_is_dead(row(here) | {"process_started": "1"}, here), (
        "the pid belongs to another process now"
    )
    assert not controller.holder_is_dead(theirs | {"host_key": "elsewhere"}, here)
    assert not controller.holder_is_dead(row(controller.this_controller(None)), here)
    assert controller.holder_is_dead(row(controller.this_controller(os.getpid())), here), "left over by this process"


def test_an_operator_without_an_account_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_account() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", no_account)
    assert controller.this_controller(None).actor.startswith(f"uid {os.getuid()}@")


def job(jobid: int, *, active: bool = False, **columns: Any) -> cron_jobs.Job:
    """A job of the loader, off."""
    values = {"jobname": f"job-{jobid}", "schedule": "* * * * *", "command": "SELECT 1", "owner": "loader"}
    return cron_jobs.Job(jobid=jobid, active=active, **(values | columns))
