# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who may write the ledger, and not roll back, has a superuser's rollback install what he wrote into a capture."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

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
        "ansible-playbook scout.recovery.rollback -e scout_release=v1 -e scout_allow_owners=postgres"
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
