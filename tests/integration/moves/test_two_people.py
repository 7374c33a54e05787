# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two people are wanted, nothing is moved but by a plan that somebody else approved, and both are on record."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust import signatures
from ansible_collections.scout.recovery.plugins.plugin_utils.command import approving
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, fingerprint, rows

MARIA, BEN = "maria-" * 8, "ben-key-" * 8
SELECTION = {"window_start": "2000-01-01T00:00Z", "window_end": "2100-01-01T00:00Z", "max_rows": 1_000_000}
ACTORS = "SELECT actor, parameters ->> 'planned_by', parameters ->> 'approved_by' FROM scout_ops.runs WHERE action = %s"


class Desk:
    """A controller with its keys: the first signs, the others verify."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.monkeypatch = home, monkeypatch
        self.plan = home / "plan.json"
        monkeypatch.delenv("SUDO_USER", raising=False)

    def sit(self, name: str, *keys: str) -> None:
        """Somebody sits down."""
        self.monkeypatch.setenv("SCOUT_ACTOR", name)
        file = self.home / f"{name}.key"
        file.write_text("\n".join(keys))
        file.chmod(0o600)
        self.monkeypatch.setenv(signatures.KEY_FILE, str(file)) if keys else self.monkeypatch.delenv(
            signatures.KEY_FILE, raising=False
        )

    def approve(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What is typed, where nobody is asked."""
        return subprocess.run(
            [sys.executable, str(CHECKOUT / "bin" / "scout"), "approve", str(self.plan), *words],
            env={**os.environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def quarantined(dsn: str, plan: Path | None, **options: Any) -> Result:
    """A quarantine where two people are wanted."""
    return call("scout_quarantine", dsn, plan_file=str(plan) if plan else None, two_person=True, **options)


def test_a_plan_goes_through_two_pairs_of_hands(scout_db: str, desk: Desk) -> None:
    desk.sit("maria", MARIA, BEN)
    planned = quarantined(scout_db, desk.plan, check=True, **SELECTION)
    assert planned["changed"], planned
    assert desk.approve().returncode != 0, "maria made it"
    before = fingerprint(scout_db)

    def refused(said: str, plan: Path | None = desk.plan, **options: Any) -> None:
        ways: tuple[dict[str, Any], ...] = ({}, {"check": True, "look": True})
        for more in ways:
            result = quarantined(scout_db, plan, **options, **more)
            assert result.get("failed"), (said, more)
            assert said in result["msg"], result["msg"]
        assert fingerprint(scout_db) == before

    refused("without a plan that somebody else approved", None, **SELECTION)
    refused("nobody has approved it")
    desk.sit("maria-too", MARIA, BEN)
    assert "which is the first of this controller" in desk.approve().stderr, "the same key under another name"
    desk.sit("ben")
    assert "has no key to sign with" in desk.approve().stderr
    desk.sit("ben", BEN)
    assert "is signed by key" in desk.approve().stderr, "he cannot tell who made it"
    desk.sit("ben", BEN, MARIA)
    unapproved = desk.plan.read_bytes()
    looked = desk.approve("--check")
    assert (looked.returncode, desk.plan.read_bytes()) == (0, unapproved), looked.stderr
    assert "planned by maria (told by controller)" in looked.stdout
    made = desk.approve()
    assert (made.returncode, "approved by ben" in made.stdout) == (0, True), made.stderr
    approved = desk.plan.read_bytes()
    assert desk.approve().returncode == 0
    assert desk.plan.read_bytes() == approved, "a second time changes nothing"

    # Whatever is altered afterwards is noticed.
    document = json.loads(approved)
    approval, counts = document["approval"], document["counts"]
    changes: tuple[dict[str, Any], ...] = (
        {"approval": approval | {"by": "carol"}},
        {"approval": approval | {"signature": document["signature"]}},
        {"by": "carol"},
        {"counts": dict.fromkeys(counts, 0)},
    )
    for change in changes:
        desk.plan.write_text(json.dumps(document | change))
        refused("refused")
    desk.plan.write_bytes(approved)
    desk.sit("ben")
    refused("cannot be verified")
    desk.sit("ben", BEN, MARIA)
    assert not quarantined(scout_db, desk.plan, check=True, look=True).get("failed")
    done = quarantined(scout_db, desk.plan)
    assert done["changed"], done
    [(actor, planned_by, approved_by)] = rows(scout_db, ACTORS, "quarantine")
    assert actor.startswith("ben (told by controller) as ")
    assert actor.endswith(f", approved by {approved_by}")
    assert planned_by.startswith("maria (told by controller) as ")
    assert approved_by == "ben (told by controller)"
    assert not quarantined(scout_db, desk.plan)["changed"]


def test_a_file_that_says_something_else_each_time_it_is_read(scout_db: str, desk: Desk) -> None:
    """Attack by the planner: a pipe that hands over what ben approved first, and then what maria alone would like."""
    desk.sit("maria", MARIA, BEN)
    quarantined(scout_db, desk.plan, check=True, **SELECTION | {"window_end": "2000-01-02T00:00Z"})
    small = desk.plan
    desk.sit("ben", BEN, MARIA)
    assert desk.approve().returncode == 0
    desk.sit("maria", MARIA, BEN)
    desk.plan = desk.home / "large.json"
    quarantined(scout_db, desk.plan, check=True, **SELECTION)
    pipe = desk.home / "pipe"
    os.mkfifo(pipe)
    before = fingerprint(scout_db)

    def feed() -> None:
        for each in (small, *[desk.plan] * 5):
            with contextlib.suppress(BrokenPipeError), pipe.open("wb") as into:
                into.write(each.read_bytes())
            time.sleep(0.3)  # so that each reading ends before the next begins

    threading.Thread(target=feed, daemon=True).start()
    result = quarantined(scout_db, pipe)
    assert not result["changed"], result
    assert fingerprint(scout_db) == before


def test_a_plan_that_is_replaced_while_somebody_looks_at_it(scout_db: str, desk: Desk) -> None:
    """Attack by the planner: what ben saw is approved, and not what the file has when he says yes."""
    desk.sit("maria", MARIA, BEN)
    quarantined(scout_db, desk.plan, check=True, **SELECTION)
    large = desk.plan.read_bytes()
    quarantined(scout_db, desk.plan, check=True, **SELECTION | {"window_end": "2000-01-02T00:00Z"})
    small = json.loads(desk.plan.read_bytes())
    desk.sit("ben", BEN, MARIA)

    def replaced(_: str) -> bool:
        desk.plan.write_bytes(large)
        return True

    assert approving.main([str(desk.plan)], replaced) == 0
    approved = json.loads(desk.plan.read_bytes())
    assert approved.pop("approval")["by"] == "ben (told by controller)"
    assert approved == small


def test_the_other_two_want_it_as_well(scout_db: str, desk: Desk) -> None:
    desk.sit("maria", MARIA, BEN)
    call("scout_capture", scout_db, release="v5.2.1")
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.alerts ADD COLUMN loyalty text")
    before = fingerprint(scout_db)
    wanted: dict[str, dict[str, Any]] = {"scout_cleanup": {}, "scout_rollback": {"release": "v5.2.1"}}
    for module, options in wanted.items():
        refused = call(module, scout_db, two_person=True, **options)
        assert "without a plan that somebody else approved" in refused["msg"], refused
        assert not call(module, scout_db, two_person=True, check=True, plan_file=str(desk.plan), **options).get(
            "failed"
        )
        refused = call(module, scout_db, two_person=True, plan_file=str(desk.plan), **options)
        assert "nobody has approved it" in refused["msg"], refused
        assert fingerprint(scout_db) == before
    desk.sit("ben", BEN, MARIA)
    assert desk.approve().returncode == 0
    desk.sit("maria", MARIA, BEN)
    done = call("scout_rollback", scout_db, two_person=True, plan_file=str(desk.plan), release="v5.2.1")
    assert done["changed"], done
    [(actor, planned_by, _)] = rows(scout_db, ACTORS, "rollback")
    assert actor == f"{planned_by}, approved by ben (told by controller)"
