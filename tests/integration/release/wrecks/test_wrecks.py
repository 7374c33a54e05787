# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each wreck of the table is rolled back and undone exactly, or it is refused before anything is written; those that end alike
share a database, and each goes alone where they fail together."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, major
from tests.integration.modules import Result, call, connect
from tests.integration.release import third_judge
from tests.integration.release.by_name import judged as judged_by_name
from tests.integration.release.wrecks.rolling_back import (
    RELEASE,
    copied,
    done,
    rolled_back,
    run,
    same_definitions,
    undone,
)
from tests.integration.release.wrecks.second_judge import judged
from tests.integration.release.wrecks.state import Rows, State, shared, state
from tests.integration.release.wrecks.wrecks import LOSING, REFUSED, Wreck, groups, table, together

WRECKS = table(major())
GROUPS = dict(groups(WRECKS))
#: Of these some can be in one database, where losing data is allowed to all of them.
MIXED = [wreck for wreck in WRECKS if wreck.then in ("exact", "rows") and not (wreck.alone or wreck.told)]
LOSSY = [wreck for wreck in WRECKS if wreck.then == "lossy" and not wreck.alone]


class Went(NamedTuple):
    """What there was when it was captured, after the release, and once it had been rolled back; and how that was refused first."""

    #: As they were in the database, by name.
    called: dict[str, Wreck]
    captured: State
    wrecked: State
    after: State
    refusals: list[Result]


def release(dsn: str, statements: list[str]) -> None:
    """Runs what belongs to each wreck, as the owner."""
    with connect(dsn, options="-c client_min_messages=warning") as connection:
        for each in statements:
            connection.execute(f"SET ROLE loader; {each}".encode())


def built(dsn: str, wrecks: list[Wreck]) -> None:
    """What stands before the release, captured."""
    schemas = [wreck.schema for wreck in wrecks]
    for name in schemas:
        if name != "scout":
            run(dsn, f"CREATE SCHEMA {name} AUTHORIZATION loader")
    release(dsn, [wreck.before for wreck in wrecks])
    protect = [name for wreck in wrecks for name in wreck.protect]
    done(call("scout_capture", dsn, release=RELEASE, schemas=schemas, protect=protect))


def refused(dsn: str, wrecked: State, beside: list[str]) -> list[Result]:
    """Asserts that it is refused by what is read alone, in a check and otherwise, and that nothing has been written."""
    results = [rolled_back(dsn, check=check, look=check) for check in (True, False)]
    for result in results:
        assert result.get("failed"), result["summary"]
        assert result["error"]["next_step"]
        assert "run_id" not in result or result["run_id"] is None
    assert state(dsn, *beside) == wrecked
    return results


def named(wreck: Wreck, refusal: Result) -> None:
    """Asserts that what is in the way of it is named, by one obstacle where there are some."""
    each = [f"{found['said']}; {found['next_step']}" for found in refusal.get("obstacles", [])] or [refusal["msg"]]
    assert re.search(wreck.words, refusal["msg"]), refusal["msg"]
    assert any(re.search(wreck.words, said) for said in each), each


def of(wreck: Wreck, found: State) -> Rows:
    """The rows of the tables that it is about."""
    return {
        name: rows for name, rows in found.rows.items() if name.startswith((f"{wreck.schema}.", f"{wreck.schema}_"))
    }


def judge(wreck: Wreck, went: Went) -> None:
    """Asserts what the table of wrecks says of this one: the words of a refusal, and the rows."""
    wreck = went.called[wreck.name]
    captured, wrecked, after = (of(wreck, each) for each in (went.captured, went.wrecked, went.after))
    if wreck.then in (*REFUSED, *LOSING):
        for refusal in went.refusals:
            named(wreck, refusal)
    if wreck.then in REFUSED:
        return
    if wreck.then in ("exact", "rehearsed"):
        assert after == captured
    elif wreck.moved:
        assert after[wreck.moved] == wrecked[wreck.moved]
    else:
        mine, theirs = shared(after, wrecked, wreck.words.split() if wreck.then == "rows" else ())
        assert mine == theirs


def went_through(dsn: str, wrecks: list[Wreck]) -> Went:
    """Captured, wrecked, rolled back, and undone."""
    called = {wreck.name: wreck for wreck in wrecks}
    built(dsn, wrecks)
    # What no wreck is about costs time to dump.
    beside = ["scout"] if all(wreck.schema != "scout" for wreck in wrecks) else []
    captured, told, third = state(dsn, *beside), judged(dsn, *beside), third_judge.seen(dsn)
    release(dsn, [wreck.after for wreck in wrecks])
    wrecked = state(dsn, *beside)
    then = {wreck.then for wreck in wrecks}
    told_so = {name: value for wreck in wrecks for name, value in wreck.told}
    options = {"rehearse": "rehearsed" in then, **told_so}
    refusals = refused(dsn, wrecked, beside) if then & {*REFUSED, *LOSING} else []
    if then & {*REFUSED}:
        return Went(called, captured, wrecked, wrecked, refusals)
    if refusals:
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
        if not listed | stays:
            assert third_judge.disagrees(dsn, third) == ""
    assert not done(rolled_back(dsn, **told_so))["changed"]
    if result["changed"]:
        undone(dsn, result)
        again = state(dsn, *beside)
        same_definitions(again, wrecked)
        if "lost" not in then:
            assert again.rows == wrecked.rows
            assert again.counters == wrecked.counters
    return Went(called, captured, wrecked, after, refusals)


def but_for_tables(found: State, tables: set[str]) -> State:
    """What there is, but for the definitions of these tables, and of what is theirs."""
    names = [re.compile(rf"\b{re.escape(table)}(?!\w)|\b{re.escape(table.partition('.')[2])}_\w+") for table in tables]
    return found._replace(schema=[text for text in found.schema if not any(name.search(text) for name in names)])


def but_for(told: dict[str, list[str]], tables: set[str]) -> dict[str, list[str]]:
    """What the second judge says, but of these tables."""
    return {key: lines for key, lines in told.items() if not any(f"_{table}" in key for table in tables)}


@pytest.mark.parametrize("wrecks", GROUPS.values(), ids=GROUPS)
def test_wrecks(template: Server, subtests: pytest.Subtests, wrecks: list[Wreck]) -> None:
    shared_by(template, subtests, wrecks)


def shared_by(server: Server, subtests: pytest.Subtests, wrecks: list[Wreck]) -> None:
    """Those that share a database go through it together, or each alone."""

    def go(some: list[Wreck]) -> Went:
        with copied(server) as dsn:
            return went_through(dsn, together(some))

    judged_by_name(subtests, {wreck.name: wreck for wreck in wrecks}, go, judge)


def test_every_wreck_is_in_one_group() -> None:
    assert sorted(wreck.name for wrecks in GROUPS.values() for wreck in wrecks) == sorted(w.name for w in WRECKS)
    assert len({wreck.name for wreck in WRECKS}) == len(WRECKS)


@pytest.mark.parametrize("seed", range(2))
def test_five_wrecks_together(template: Server, subtests: pytest.Subtests, seed: int) -> None:
    """Of different ends: two that lose data beside three that lose none."""
    dice = random.Random(seed)
    shared_by(template, subtests, [*dice.sample(LOSSY, 2), *dice.sample(MIXED, 3)])


def test_a_row_gets_no_value_of_its_parents(database: str) -> None:
    """What was lost of a child stays empty, though a row of its parent has the same key."""
    [wreck] = [wreck for wreck in WRECKS if "whose child has other values for the same keys" in wreck.name]
    built(database, [wreck])
    release(database, [wreck.after])
    undone(database, done(rolled_back(database, allow_lossy=True)))
    found = state(database).rows
    assert dict(found["w.c"]) == {'{"a": "c", "n": null, "id": 1}': 1}
    assert dict(found["w.p"]) == {'{"a": "p", "n": "np", "id": 1}': 1}
