# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator is called, and which jobs a resume gives back."""

from __future__ import annotations

import getpass
import os
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import controller
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs


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
