# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill asks of its sandbox is asked of that alone."""

from __future__ import annotations

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import probes


def test_the_environments_pg_cron_is_not_that_of_a_sandbox(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUT_CRON_DSN", "host=production.invalid dbname=postgres")
    looked = probes.health(scout_db)
    assert [i["name"] for i in looked["indicators"] if i["status"] == "unknown"] == []
