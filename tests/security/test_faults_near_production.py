# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack, or a mishap: a fault of the drills reaches a pipeline that nobody made for that."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import FAULTS
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.registry import NotMarkedError
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places
from tests.e2e.pipeline import Pipeline

CLI = [sys.executable, "-m", f"{places.PACKAGE}.faults.cli"]


def faults(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = places.environment() | variables
    return subprocess.run([*CLI, *arguments], env=env, cwd=os.sep, capture_output=True, text=True, check=False)


def test_the_pipeline_of_the_shell_is_never_broken(scout_db: str) -> None:
    before = Pipeline(scout_db).fingerprint()
    for fault in ("poison_event", "silver_window_lost"):
        if fault in FAULTS:
            refused = faults(fault, SCOUT_DSN=scout_db, PGDATABASE=scout_db)
            assert refused.returncode == 2, refused
            assert "--dsn is needed" in refused.stderr
    assert Pipeline(scout_db).fingerprint() == before


def test_only_what_was_made_for_it_is_broken(scout_db: str) -> None:
    """A pipeline that looks the same to the last byte, and lacks the mark, as every real one does."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("DROP SCHEMA scout_sandbox")
        before = Pipeline(scout_db).fingerprint()
        for mark in ("SELECT", "CREATE SCHEMA scout_sandbox AUTHORIZATION loader"):
            connection.execute(mark.encode())
            refused = faults("poison_event", "--dsn", scout_db)
            assert refused.returncode == 1
            assert "was not made for drills and tests" in refused.stderr
            for name in FAULTS:
                options: dict[str, Any] = {option: "x" for option, of in FAULTS[name].options.items() if of.required}
                with pytest.raises(NotMarkedError):
                    FAULTS[name](scout_db, **options)
        assert Pipeline(scout_db).fingerprint() == before
