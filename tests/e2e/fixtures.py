# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several floors share and a run makes once: broken pipelines, and the collections as a user installs them."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import VERSION
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, environment

#: The template grows old while other tests run, and a pipeline to which nothing comes stays failing.
ARRIVED = """
UPDATE scout.bronze_events SET ingested_at = now()
WHERE event_id = (SELECT event_id FROM scout.bronze_events ORDER BY ingested_at DESC, event_id LIMIT 1)
"""
#: The jobs ran as long ago as when the template was made, however old that is by now.
RAN = """
UPDATE cron.job_run_details SET start_time = start_time + passed, end_time = end_time + passed
FROM (SELECT now() - max(end_time) AS passed FROM cron.job_run_details) AS since
"""
POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
#: How many events, and how many of them wait to be loaded: in one batch, and in several.
ONE_BATCH, SEVERAL_BATCHES = (800, 300), (3000, 2500)

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both collections, built and installed for a user who has an ansible.cfg of their own."""
    home = tmp_path_factory.mktemp("user")
    (home / "ansible.cfg").write_text("[defaults]\ncollections_path = collections\n")
    env = environment(home, {"ANSIBLE_CONFIG": str(home / "ansible.cfg"), "HOME": str(home)})
    archives = [str(home / f"scout-{name}-{VERSION}.tar.gz") for name in ("recovery", "drills")]
    for command in (
        [str(BIN / "python"), str(CHECKOUT / "scripts" / "build"), str(home)],
        [str(BIN / "ansible-galaxy"), "collection", "install", *archives, "-p", str(home / "collections"), "--offline"],
    ):
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return home


def break_pipeline(dsn: str, events: int, backlog: int) -> None:
    """Builds a pipeline with a backlog, poison in it, and gold that is behind."""
    builder.build(dsn, events=events, pending=backlog)
    for kind in POISON:
        library.poison_event(dsn, kind)
    library.gold_stale(dsn)


def made_broken(server: Server, template: str) -> Iterator[Callable[[], Pipeline]]:
    """What makes copies of a template, which are dropped in the end."""
    made: list[str] = []

    def make() -> Pipeline:
        made.append(f"broken_{next(_numbers)}")
        pipeline = Pipeline(server.create_database(made[-1], template))
        pipeline.execute("UPDATE cron.job SET database = current_database()", ARRIVED, RAN)
        return pipeline

    yield make
    for name in made:
        server.drop_database(name)


@pytest.fixture(scope="session")
def broken_template(pg_server: Server) -> Iterator[str]:
    """A database with a backlog, poison in it, and gold that is behind; copies of it are the same to the last byte."""
    name = "broken_template"
    break_pipeline(pg_server.create_database(name), *ONE_BATCH)
    yield name
    if pg_server.external:
        pg_server.drop_database(name)


def several_batches() -> Any:
    """The fixture `broken_template` of a module in which a backlog is loaded in more than one batch."""

    @pytest.fixture(scope="module", name="broken_template")
    def template(pg_server: Server) -> Iterator[str]:
        name = "broken_template_of_several_batches"
        break_pipeline(pg_server.create_database(name), *SEVERAL_BATCHES)
        yield name
        pg_server.drop_database(name)

    return template


@pytest.fixture
def another_broken(pg_server: Server, broken_template: str) -> Iterator[Callable[[], Pipeline]]:
    """Makes broken pipelines, all alike."""
    yield from made_broken(pg_server, broken_template)


@pytest.fixture
def broken(another_broken: Callable[[], Pipeline]) -> Pipeline:
    """A pipeline with a backlog, poison in it, and gold that is behind."""
    return another_broken()
