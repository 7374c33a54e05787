# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults the product has no name for: exit code 0 is true by the next scheduled runs, and what is wrong is named otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.in_process import InProcess, recorded
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.unnamed_faults import judge
from tests.faults import planted
from tests.faults.table import CHOSEN, FAULTS, REST
from tests.scout import next_runs

_numbers = itertools.count(1)


#: One that is seen before anything is done, one that the next run alone would show, and one that keeps a reset from beginning.
BY_PLAYBOOK = [
    ("the ETL's job is inactive", "faithful"),
    ("a trigger drops marks", "repaired"),
    ("the database may only be read", "deployed"),
]

Pipelines = Callable[[str], Pipeline]


@pytest.fixture(scope="module")
def templates(pg_server: Server) -> Iterator[dict[str, builder.Template]]:
    """A small pipeline of each variant that is asked for."""
    made: dict[str, builder.Template] = {}
    yield made
    for template in made.values():
        template.drop()


@pytest.fixture
def working(pg_server: Server, templates: dict[str, builder.Template]) -> Iterator[Pipelines]:
    """Makes pipelines of a variant, which work by their next runs."""
    names: list[str] = []

    def make(variant: str) -> Pipeline:
        if variant not in templates:
            templates[variant] = builder.template(pg_server, variant, events=400)
        names.append(f"{templates[variant].name}_{next(_numbers)}")
        return Pipeline(templates[variant].clone(names[-1]))

    yield make
    for name in names:
        pg_server.drop_database(name)


@pytest.mark.parametrize("variant", builder.VARIANTS)
def test_a_healthy_pipeline_works_by_its_next_runs(working: Pipelines, stage: Stage, variant: str) -> None:
    pipeline = working(variant)
    assert next_runs.failing(pipeline.dsn) == ""
    played = InProcess(stage, pipeline.dsn).play("emergency_reset")
    assert played.rc == 0, played.text
    assert next_runs.failing(pipeline.dsn) == ""


@pytest.mark.parametrize(("fault", "variant"), BY_PLAYBOOK)
def test_by_playbook_and_in_this_process_alike(working: Pipelines, stage: Stage, fault: str, variant: str) -> None:
    pipeline, other = working(variant), working(variant)
    with planted(pipeline.dsn, FAULTS[fault]) as filled:
        played, ran = recorded(stage, "emergency_reset", pipeline.dsn)
        judge(FAULTS[fault], filled, played, next_runs.failing(pipeline.dsn))
    with planted(other.dsn, FAULTS[fault]):
        driver = InProcess(stage, other.dsn)
        assert driver.play("emergency_reset").rc == played.rc
    assert [each.told for each in driver.ran] == [each.told for each in ran]


def reset(pipeline: Pipeline, stage: Stage, fault: str) -> None:
    """Resets a pipeline with this fault in this process, and judges what is said of it by the next runs."""
    with planted(pipeline.dsn, FAULTS[fault]) as filled:
        played = InProcess(stage, pipeline.dsn).play("emergency_reset")
        judge(FAULTS[fault], filled, played, next_runs.failing(pipeline.dsn))


@pytest.mark.parametrize(("fault", "variant"), CHOSEN)
def test_exit_code_0_is_true_by_the_next_runs_and_what_is_wrong_is_named(
    working: Pipelines, stage: Stage, fault: str, variant: str
) -> None:
    reset(working(variant), stage, fault)


@pytest.mark.thorough
@pytest.mark.parametrize(("fault", "variant"), REST)
def test_on_the_other_variants_as_well(working: Pipelines, stage: Stage, fault: str, variant: str) -> None:
    reset(working(variant), stage, fault)
