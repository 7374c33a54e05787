# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who may write the ledger, and not roll back, has a superuser's rollback install what he wrote into a capture."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust import signatures
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from tests.integration.modules import Result, call, connect, one, rows

EVIL = """
SET ROLE postgres;
CREATE FUNCTION scout.evil() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN ALTER ROLE loader SUPERUSER; END $$;
"""


def captured(dsn: str, **options: Any) -> Result:
    """A capture of the release."""
    result = call("scout_capture", dsn, release="v1", **options)
    assert not result.get("failed"), result["msg"]
    return result


def reseal(dsn: str) -> None:
    """The attack: the capture gets a function of a superuser's, and checksums that fit."""
    with connect(dsn) as session:
        made = one(dsn, "SELECT document FROM scout_ops.releases WHERE release = 'v1' AND superseded_at IS NULL")
        session.execute(EVIL)
        session.execute(
            "UPDATE scout_ops.releases SET release = 'spare' WHERE release = 'v1' AND superseded_at IS NULL"
        )
        spare = call("scout_capture", dsn, release="other")
        other = one(dsn, "SELECT document FROM scout_ops.releases WHERE capture_id = %s", spare["capture_id"])
        session.execute("DROP FUNCTION scout.evil()")
        session.execute("DELETE FROM scout_ops.releases WHERE release = 'other'")
        session.execute("UPDATE scout_ops.releases SET release = 'v1' WHERE release = 'spare'")
        made |= {name: other[name] for name in ("entries", "digests", "digest")}
        made = captures_document.sealed(made)
        forged = (
            "UPDATE scout_ops.releases SET document = %s, digest = %s WHERE release = 'v1' AND superseded_at IS NULL"
        )
        session.execute(forged, [Jsonb(made), made["digest"]])


def installed(dsn: str) -> bool:
    """Whether the function is there."""
    return bool(rows(dsn, "SELECT FROM pg_proc WHERE proname = 'evil'"))


def rolled_back(dsn: str, **options: Any) -> Result:
    """The result of the rollback of a superuser."""
    return call("scout_rollback", dsn, release="v1", rehearse=False, **options)


def test_what_a_superuser_would_own_is_refused_unless_he_is_named(scout_db: str) -> None:
    captured(scout_db)
    reseal(scout_db)
    planned = rolled_back(scout_db, check=True)
    assert any("function scout.evil() of postgres, a superuser" in text for text in planned["warnings"]), planned[
        "warnings"
    ]
    refused = rolled_back(scout_db)

    assert "function scout.evil() of postgres, a superuser" in refused["error"]["said"]
    assert refused["error"]["commands"] == [
        "ansible-playbook playbooks/rollback.yml -e release=v1 -e allow_owners=postgres"
    ]
    assert not installed(scout_db)
    assert not rolled_back(scout_db, allow_owners=["postgres"]).get("failed"), "somebody looked at it"
    assert installed(scout_db)


def test_what_a_stranger_would_own_is_refused(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("CREATE ROLE stranger; GRANT CREATE ON SCHEMA scout TO stranger")
        try:
            session.execute(
                "SET ROLE stranger; CREATE FUNCTION scout.odd() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE"
            )
            captured(scout_db)
            session.execute("DROP FUNCTION scout.odd()")
            said = rolled_back(scout_db)["error"]["said"]
            assert "function scout.odd() of stranger, who owns nothing of it today" in said
        finally:
            session.execute("DROP OWNED BY stranger; DROP ROLE stranger")


def test_a_pinned_digest_refuses_another_capture(scout_db: str) -> None:
    pinned = captured(scout_db)["digest"]
    assert not rolled_back(scout_db, release_digest=pinned.upper()).get("failed")
    reseal(scout_db)
    refused = rolled_back(scout_db, release_digest=pinned, allow_owners=["postgres"])

    assert refused["error"]["kind"] == "bad_input"
    assert f"not {pinned}" in refused["error"]["said"]
    assert not installed(scout_db)
    assert "is not a digest" in rolled_back(scout_db, release_digest=pinned[:12])["msg"]


def test_a_controller_with_a_key_refuses_what_is_not_signed(
    scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    file, plan = tmp_path / "v1.json", tmp_path / "plan.json"
    monkeypatch.setenv(signatures.KEY_FILE, str(key))
    captured(scout_db, release_file=str(file))
    assert not rolled_back(scout_db, check=True).get("failed")
    with connect(scout_db) as session:
        session.execute("COMMENT ON TABLE scout.dim_store IS 'newer'")
    assert not rolled_back(scout_db, check=True, plan_file=str(plan)).get("failed")
    whole = json.loads(plan.read_text())
    plan.write_text(json.dumps({**whole, "estimated_seconds": 1.0}))
    assert "its signature is wrong" in rolled_back(scout_db, plan_file=str(plan))["msg"]
    plan.write_text(json.dumps({name: value for name, value in whole.items() if name != "signature"}))
    assert "it is not signed" in rolled_back(scout_db, plan_file=str(plan))["msg"]
    plan.write_text(json.dumps(whole))
    assert not rolled_back(scout_db, plan_file=str(plan)).get("failed")

    monkeypatch.delenv(signatures.KEY_FILE)
    reseal(scout_db)
    monkeypatch.setenv(signatures.KEY_FILE, str(key))
    refused = rolled_back(scout_db, allow_owners=["postgres"])
    assert "it is not signed" in refused["msg"]
    assert not installed(scout_db)
    assert not rolled_back(scout_db, release_file=str(file)).get("failed"), "the file has the signature"

    key.chmod(0o644)
    assert "can be read or written by others" in rolled_back(scout_db, check=True)["msg"]
    key.chmod(0o600)
    key.write_text("short")
    assert "has 5 bytes" in rolled_back(scout_db, check=True)["msg"]
