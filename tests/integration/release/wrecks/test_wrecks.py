# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each wreck of the table is rolled back and undone, alone and five together: exactly, or it is refused before anything is written."""

from __future__ import annotations

import random
import re

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import major
from tests.integration.modules import call
from tests.integration.release.wrecks.rolling_back import RELEASE, done, rolled_back, run, same_definitions, undone
from tests.integration.release.wrecks.second_judge import judged
from tests.integration.release.wrecks.state import Rows, State, shared, state
from tests.integration.release.wrecks.wrecks import Wreck, table

SEEDS = range(6)
WRECKS = table(major())
#: What five wrecks may be of: whatever is undone in full, and says nothing of the database as a whole.
TOGETHER = [
    wreck for wreck in WRECKS if wreck.then in ("exact", "rows", "lossy") and wreck.schema == "w" and not wreck.told
]


def built(dsn: str, wrecks: list[Wreck]) -> None:
    """What stands before the release, captured."""
    schemas = [wreck.schema for wreck in wrecks]
    for wreck in wrecks:
        if wreck.schema != "scout":
            run(dsn, f"CREATE SCHEMA {wreck.schema} AUTHORIZATION loader")
        run(dsn, f"SET ROLE loader; {wreck.before}")
    protect = [name for wreck in wrecks for name in wreck.protect]
    done(call("scout_capture", dsn, release=RELEASE, schemas=schemas, protect=protect))


def refused(dsn: str, pattern: str, wrecked: State, beside: list[str]) -> None:
    """Asserts that it is refused by what is read alone, that what is in the way is named, and that nothing has been written."""
    for check in (True, False):
        result = rolled_back(dsn, check=check, look=check)
        assert result.get("failed"), result["summary"]
        assert re.search(pattern, result["msg"]), result["msg"]
        assert result["error"]["next_step"]
        assert "run_id" not in result or result["run_id"] is None
    assert state(dsn, *beside) == wrecked


def of(wreck: Wreck, found: State) -> Rows:
    """The rows of the tables that it is about."""
    return {
        name: rows for name, rows in found.rows.items() if name.startswith((f"{wreck.schema}.", f"{wreck.schema}_"))
    }


def same_rows(wreck: Wreck, after: Rows, captured: Rows, wrecked: Rows) -> None:
    """Asserts that rows are as the table of wrecks says."""
    if wreck.then in ("exact", "rehearsed"):
        assert after == captured
    elif wreck.moved:
        assert after[wreck.moved] == wrecked[wreck.moved]
    else:
        mine, theirs = shared(after, wrecked, wreck.words.split() if wreck.then == "rows" else ())
        assert mine == theirs


@pytest.mark.parametrize("wreck", WRECKS, ids=lambda wreck: wreck.name)
def test_a_wreck(database: str, wreck: Wreck) -> None:
    went_through(database, [wreck])


def went_through(dsn: str, wrecks: list[Wreck]) -> None:
    """Captured, wrecked, rolled back, and undone."""
    built(dsn, wrecks)
    # What no wreck is about costs time to dump.
    beside = ["scout"] if all(wreck.schema != "scout" for wreck in wrecks) else []
    captured, told = state(dsn, *beside), judged(dsn, *beside)
    for wreck in wrecks:
        run(dsn, f"SET ROLE loader; {wreck.after}")
    wrecked = state(dsn, *beside)
    then = {wreck.then for wreck in wrecks}
    told_so = {name: value for wreck in wrecks for name, value in wreck.told}
    options = {"rehearse": "rehearsed" in then, **told_so}
    if refusing := [wreck for wreck in wrecks if wreck.then in ("refused", "lossy", "lost")]:
        refused(dsn, "|".join(wreck.words for wreck in refusing), wrecked, beside)
        if "refused" in then:
            return
        options |= {"allow_lossy": True}
    result = done(rolled_back(dsn, **options))
    after = state(dsn, *beside)
    assert result["changed"] is (then != {"unchanged"})
    if then == {"unchanged"}:
        same_definitions(after, wrecked)
    else:
        listed = {wreck.listed for wreck in wrecks if wreck.listed}
        stays = {wreck.stays for wreck in wrecks if wreck.stays}
        same_definitions(but_for_tables(after, stays), captured, listed)
        assert but_for(judged(dsn, *beside), listed | stays) == but_for(told, listed | stays)
    for wreck in wrecks:
        same_rows(wreck, of(wreck, after), of(wreck, captured), of(wreck, wrecked))
    assert not done(rolled_back(dsn, **told_so))["changed"]
    if result["changed"]:
        undone(dsn, result)
        again = state(dsn, *beside)
        same_definitions(again, wrecked)
        if "lost" not in then:
            assert again.rows == wrecked.rows
            assert again.counters == wrecked.counters


def but_for_tables(found: State, tables: set[str]) -> State:
    """What there is, but for the definitions of these tables, and of what is theirs."""
    names = [re.compile(rf"\b{re.escape(table)}(?!\w)|\b{re.escape(table.partition('.')[2])}_\w+") for table in tables]
    return found._replace(schema=[text for text in found.schema if not any(name.search(text) for name in names)])


def but_for(told: dict[str, list[str]], tables: set[str]) -> dict[str, list[str]]:
    """What the second judge says, but of these tables."""
    return {key: lines for key, lines in told.items() if not any(f"_{table}" in key for table in tables)}


@pytest.mark.parametrize("seed", SEEDS)
def test_five_wrecks_together(database: str, seed: int) -> None:
    chosen = random.Random(seed).sample(TOGETHER, 5)
    went_through(database, [wreck.called(f"w{number}") for number, wreck in enumerate(chosen, 1)])


def test_a_row_gets_no_value_of_its_parents(database: str) -> None:
    """What was lost of a child stays empty, though a row of its parent has the same key."""
    [wreck] = [wreck for wreck in WRECKS if "whose child has other values for the same keys" in wreck.name]
    built(database, [wreck])
    run(database, f"SET ROLE loader; {wreck.after}")
    undone(database, done(rolled_back(database, allow_lossy=True)))
    found = state(database).rows
    assert dict(found["w.c"]) == {'{"a": "c", "n": null, "id": 1}': 1}
    assert dict(found["w.p"]) == {'{"a": "p", "n": "np", "id": 1}': 1}
