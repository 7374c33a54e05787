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
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.faults import planted
from tests.faults.table import CHOSEN, FAULTS, REST
from tests.scout import next_runs

_numbers = itertools.count(1)


#: One that is seen before anything is done, one that the next run alone would show, and one that keeps a reset from beginning.
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
    played = stage.play("emergency_reset", pipeline.dsn)
    assert played.rc == 0, played.text
    assert next_runs.failing(pipeline.dsn) == ""


def reset(pipeline: Pipeline, stage: Stage, fault: str) -> None:
    """A reset ends with 0 where the next scheduled runs work, and else names the fault."""
    with planted(pipeline.dsn, FAULTS[fault]) as filled:
        played = stage.play("emergency_reset", pipeline.dsn)
        wrong = next_runs.failing(pipeline.dsn)
        assert (played.rc == 0) == (not wrong), f"{wrong}\n{played.text}"
        assert not wrong or filled(FAULTS[fault].named) in played.summary, f"{wrong}\n{played.text}"


@pytest.mark.parametrize(("fault", "variant"), CHOSEN)
def test_exit_code_0_is_true_by_the_next_runs_and_what_is_wrong_is_named(
    working: Pipelines, stage: Stage, fault: str, variant: str
) -> None:
    reset(working(variant), stage, fault)


@pytest.mark.thorough
@pytest.mark.parametrize(("fault", "variant"), REST)
def test_on_the_other_variants_as_well(working: Pipelines, stage: Stage, fault: str, variant: str) -> None:
    reset(working(variant), stage, fault)
