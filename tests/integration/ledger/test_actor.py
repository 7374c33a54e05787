# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is on record: a person with an account, whoever a controller of automation tells, or the login of the database."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import place
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import controller
from tests.integration.modules import call, one, operator, rows

ACTORS = "SELECT DISTINCT actor, backend_role FROM scout_ops.runs"
PAUSES = "SELECT actor, resumed_by FROM scout_ops.pauses ORDER BY pause_id DESC LIMIT 1"


@pytest.fixture(autouse=True)
def nobody_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCOUT_ACTOR", "KUBERNETES_SERVICE_HOST", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(place, "CONTAINER", ())


def login_of(dsn: str) -> str:
    """The role that the database knows."""
    return str(one(dsn, "SELECT session_user"))


def test_whoever_is_told_stands_beside_the_login(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with operator(scout_db) as dsn:
        login = login_of(dsn)
        maria = f"maria (told by controller) as {login}"
        assert call("scout_ingestion", dsn, state="paused", actor="maria")["changed"]
        assert rows(dsn, ACTORS) == [(maria, login)]
        # Another person, with the same login and from the same machine, is another.
        refused = call("scout_ingestion", dsn, state="running", actor="ben")
        assert refused["error"]["kind"] == "pause_held", refused
        assert maria in refused["msg"]
        # The environment comes first, and our mark is not for others to give.
        monkeypatch.setenv("SCOUT_ACTOR", f"maria{controller.TOLD} \n")
        assert call("scout_ingestion", dsn, state="running", actor="ben")["changed"]
        assert rows(dsn, PAUSES) == [(maria, maria)]


def test_in_a_container_without_an_account_the_login_is_the_name(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / ".dockerenv"
    mark.touch()
    monkeypatch.setattr(place, "CONTAINER", (mark,))
    host = controller.this_controller(None).host
    with operator(scout_db) as dsn:
        for account, name in (("root", login_of(dsn)), ("maria", "maria")):
            monkeypatch.setattr(getpass, "getuser", lambda account=account: account)
            held = call("scout_lease", dsn, takeover=True)
            assert held["owner"] == f"{name}@{host}"
        call("scout_lease", dsn, state="released", lease_token=held["token"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("maria@laptop", "maria@bastion", True),
        ("maria@laptop", "maria (told by controller) as scout_operator", True),
        ("ben (told by controller) as scout_operator", "maria (told by controller) as scout_operator", False),
        ("m@example.com (told by controller) as a", "m@example.org (told by controller) as a", False),
    ],
)
def test_one_person_on_several_machines(one: str, other: str, same: bool) -> None:
    assert controller.same_login(one, other) is same
