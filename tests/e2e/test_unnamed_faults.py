# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults the product has no name for: exit code 0 is true by the next scheduled runs, and what is wrong is named otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder, next_runs
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.unnamed_faults import FAULTS, filled, judge

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=builder.VARIANTS)
def variant(request: pytest.FixtureRequest, pg_server: Server) -> Iterator[builder.Template]:
    """A small pipeline of each variant."""
    template = builder.template(pg_server, request.param, events=400)
    yield template
    template.drop()


@pytest.fixture
def working(pg_server: Server, variant: builder.Template) -> Iterator[Pipeline]:
    """A pipeline that works by its next runs."""
    name = f"{variant.name}_{next(_numbers)}"
    yield Pipeline(variant.clone(name))
    pg_server.drop_database(name)


@pytest.fixture
def role(working: Pipeline) -> Iterator[str]:
    """A role of the test's own."""
    name = f"fault_role_{next(_numbers)}"
    working.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    with psycopg.connect(
        working.dsn, autocommit=True, options="-c default_transaction_read_only=off -c statement_timeout=0"
    ) as connection:
        for statement in (
            "ALTER DATABASE {database} RESET ALL",
            "REASSIGN OWNED BY {role} TO loader",
            "DROP OWNED BY {role}",
            "DROP ROLE {role}",
        ):
            connection.execute(filled(working, name, statement).encode())


def test_a_healthy_pipeline_works_by_its_next_runs(working: Pipeline, stage: Stage) -> None:
    assert next_runs.failing(working.dsn) == ""
    played = stage.play("emergency_reset", working.dsn)
    assert played.rc == 0, played.text
    assert next_runs.failing(working.dsn) == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_exit_code_0_is_true_by_the_next_runs_and_what_is_wrong_is_named(
    working: Pipeline, role: str, stage: Stage, fault: str
) -> None:
    working.execute(*(filled(working, role, statement) for statement in FAULTS[fault].statements))
    played = stage.play("emergency_reset", working.dsn)
    judge(working, role, FAULTS[fault], played, next_runs.failing(working.dsn))
