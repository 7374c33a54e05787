# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""audit_verify.yml: what was done, and that nobody has rewritten it; exit code 2, with the first entry, where somebody has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.security.roles import drop_roles


@pytest.fixture
def operator(healthy: Pipeline) -> Iterator[str]:
    """The dsn of scout_operator."""
    yield builder.operator(healthy.dsn)
    drop_roles(healthy.dsn, "scout_operator")


def test_who_did_what_is_verified(healthy: Pipeline, operator: str, quick: Quick) -> None:
    assert quick.play("evidence", operator, incident="INC-1").rc == 0
    assert quick.play("pause_ingestion", operator, incident="INC-1").rc == 0
    before = healthy.fingerprint()
    for more in ((), (), ("--check",)):
        played = quick.play("audit_verify", operator, *more)
        assert played.rc == 0, played.text
        assert "3 entries of 1 run are as written, and agree with the ledger" in " ".join(played.text.split())
        assert played.recap()["changed"] == 0
    assert healthy.fingerprint() == before
    healthy.execute("UPDATE scout_ops.runs SET actor = 'bob@elsewhere'")
    played = quick.play("audit_verify", operator)
    assert played.rc == 2, played.text
    said = played.result["error"]["said"]
    assert said.startswith("entry 3 of scout_operator, pause, run ")
    assert "the ledger has another row: succeeded, by bob@elsewhere" in said


def test_where_there_is_no_trail_it_says_how_to_have_one(healthy: Pipeline, quick: Quick) -> None:
    played = quick.play("audit_verify", healthy.dsn)
    assert played.rc == 2, played.text
    assert "there is no schema scout_audit" in played.result["error"]["said"]
    assert "docs/operator_role.sql makes one" in played.result["error"]["next_step"]
