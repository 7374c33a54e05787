# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for every test, and broken pipelines to put on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.scout import faults, reference
from tests.scout.server import Server

POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
BACKLOG = 2500

_numbers = itertools.count(1)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Runs playbooks from a folder of this test alone."""
    return Stage(tmp_path)


@pytest.fixture
def healthy(scout_db: str) -> Pipeline:
    """A pipeline in which nothing is wrong."""
    return Pipeline(scout_db)


@pytest.fixture(scope="session")
def broken_template(pg_server: Server) -> Iterator[str]:
    """A database with a backlog, poison in it, and gold that is behind; copies of it are the same to the last byte."""
    name = "broken_template"
    dsn = pg_server.create_database(name)
    reference.build(dsn, events=3000, pending=BACKLOG)
    for kind in POISON:
        faults.poison_event(dsn, kind)
    faults.gold_stale(dsn)
    yield name
    if pg_server.external:
        pg_server.drop_database(name)


@pytest.fixture
def another_broken(pg_server: Server, broken_template: str) -> Iterator[Callable[[], Pipeline]]:
    """Makes broken pipelines, all alike."""
    made: list[str] = []

    def make() -> Pipeline:
        made.append(f"broken_{next(_numbers)}")
        pipeline = Pipeline(pg_server.create_database(made[-1], broken_template))
        pipeline.execute("UPDATE cron.job SET database = current_database()")
        return pipeline

    yield make
    # Dropping takes longer than making, and an embedded server is gone soon anyway.
    for name in made if pg_server.external else []:
        pg_server.drop_database(name)


@pytest.fixture
def broken(another_broken: Callable[[], Pipeline]) -> Pipeline:
    """A pipeline with a backlog, poison in it, and gold that is behind."""
    return another_broken()
