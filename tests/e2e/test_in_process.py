# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset that is played in this process is the one that the playbook plays: the same modules, options, words and exit code."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.in_process import InProcess, recorded
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.faults.table import FAULTS

STUCK = 1.0
#: What differs between two runs that are alike: times, ages, names of databases, runs and sessions.
CHANGING = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d[\d.,:]*( (ms|s|min|h|d)\b)?( \d+ (s|min|h)\b)*")
_numbers = itertools.count(1)

Break = Callable[[str], Any]


@dataclass(frozen=True)
class Case:
    """What is done to a pipeline, with which options it is reset, and the modules that run, without `scout_`."""

    modules: str
    outcome: str
    breaks: tuple[Break, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def late(dsn: str) -> None:
    """A backlog for which a reset is needed."""
    library.backlog(dsn, count=20, age_seconds=1200)


def hollow(dsn: str) -> None:
    """A linking job that fails, which nothing sees before it runs."""
    Pipeline(dsn).execute(*FAULTS["the linking fails"].plant)


BEGUN = "begin evidence refresh_gold ingestion terminate_sessions"
REPAIRED = f"{BEGUN} drain refresh_gold health_info"
CASES = {
    "all is repaired": Case(
        f"{BEGUN} ingestion drain refresh_gold health_info ingestion proof proof lease summary",
        "recovered",
        (late, library.poison_event, library.gold_stale, library.stuck_etl),
        {"stuck_after_seconds": STUCK},
    ),
    "ingestion stays paused": Case(f"{REPAIRED} lease summary", "left_paused_as_told", (late,), {"resume": False}),
    "the drain stops": Case(f"{BEGUN} drain lease summary", "failed", (late, library.poison_event), {"poison": "stop"}),
    "the proof fails": Case(f"{REPAIRED} ingestion proof proof ingestion lease summary", "failed", (late, hollow)),
}


@pytest.fixture(scope="module")
def template(pg_server: Server) -> Iterator[builder.Template]:
    """A small pipeline."""
    made = builder.template(pg_server, "faithful", events=400)
    yield made
    made.drop()


@contextlib.contextmanager
def broken(server: Server, template: builder.Template, case: Case) -> Iterator[str]:
    """A pipeline of its own with what the case does to it."""
    name = f"{template.name}_alike_{next(_numbers)}"
    dsn = template.clone(name)
    with contextlib.ExitStack() as held:
        for each in case.breaks:
            if hasattr(done := each(dsn), "__exit__"):
                held.enter_context(done)
                time.sleep(STUCK + 0.1)
        yield dsn
    server.drop_database(name)


def words(played: Played) -> str:
    """The summary without what changes."""
    return CHANGING.sub("#", played.summary[played.summary.index("emergency reset of ") :])


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_playbook_does(name: str, pg_server: Server, template: builder.Template, stage: Stage) -> None:
    case = CASES[name]
    with broken(pg_server, template, case) as dsn:
        played, ran = recorded(stage, "emergency_reset", dsn, **case.options)
    with broken(pg_server, template, case) as dsn:
        driver = InProcess(stage, dsn, **case.options)
        same = driver.play("emergency_reset")
    assert [each.name.removeprefix("scout_") for each in ran] == case.modules.split()
    assert played.result["outcome"] == case.outcome, played.text
    assert [each.told for each in driver.ran] == [each.told for each in ran]
    assert (same.rc, same.result["outcome"], words(same)) == (played.rc, played.result["outcome"], words(played))
