# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken pipelines that a reset cannot fix: it says what is wrong and what to type, and does not end well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

LOADER = "bronze-to-silver-etl"


@pytest.fixture
def hindered(healthy: Pipeline) -> Iterator[Pipeline]:
    """Jobs of a role of their own that may log in no more."""
    role = f"j_{abs(hash(healthy.dsn)):x}"
    healthy.execute(
        f"CREATE ROLE {role} NOLOGIN IN ROLE loader",
        f"UPDATE cron.job SET username = '{role}'",
        f"UPDATE cron.job_run_details SET username = '{role}'",
    )
    yield healthy
    healthy.execute("UPDATE cron.job SET username = 'loader'", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_role_that_may_not_log_in_is_named_by_preflight_and_reset(hindered: Pipeline, stage: Stage) -> None:
    looked = stage.play("preflight", hindered.dsn)
    assert looked.rc == 2, looked.text
    assert "nothing is missing" not in looked.summary
    assert f"job {LOADER} cannot work: its role" in looked.summary
    assert " LOGIN;" in looked.summary
    played = stage.play("emergency_reset", hindered.dsn)
    assert (played.rc, played.result["ok"]) == (2, False), played.text
    assert "job_rights" in played.summary
    assert " LOGIN;" in played.summary
