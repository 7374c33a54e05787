# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what a step of a scenario names: a fault, or something with a release."""

from __future__ import annotations

import tempfile
import typing as t
from collections.abc import Callable
from pathlib import Path

import psycopg

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

from ...reference.faults.library import FAULTS, lacking
from ...reference.faults.registry import missing
from ...reference.release.bad_release import HISTORY, LOADER, Picture, Team
from ...reference.release.fake_supabase_cli import PROJECT
from ...reference.release.pg_dump import program
from ..results.measures import Check
from ..scenario import Action
from . import probes
from .captured_release import Captured

if t.TYPE_CHECKING:
    from .scene import Scene

RELEASE: t.Final = "v5.2.1"
DEPLOYER: t.Final = "deployer"
#: Of the database in which the bad release is made.
NEEDS: t.Final = (
    f"function {LOADER}",
    "column scout.silver_transactions.customer_type",
    "column scout.dim_product.list_price",
    "view scout.v_pipeline_throughput",
    "role dashboard_reader",
    "job product-linking",
    "right UPDATE on cron.job",
)
#: Of what the release drops, as a careful team would have it kept.
PROTECT: t.Final = ["scout.dim_product.list_price"]
MIGRATED: t.Final = "SELECT to_regclass('supabase_migrations.schema_migrations') IS NOT NULL"


def release_captured(scene: Scene, release: str = RELEASE, application: bool = False) -> dict[str, t.Any]:
    """The release is captured, as before every deployment; on demand with the application of a team."""
    if not application:
        scene.play("capture_release", DEPLOYER, scout_release=release)
        return {"release": release}
    folder = scene.ends.enter_context(tempfile.TemporaryDirectory(prefix="scout-drill-team-"))
    team = Team(Path(folder) / "team")
    with psycopg.connect(scene.sandbox.dsn, autocommit=True, application_name="team") as connection:
        if connection.execute(MIGRATED).fetchone() != (True,):
            connection.execute(HISTORY)
        scene.captured = Captured(team, Picture.of(connection, scene.sandbox.dsn))
    scene.play(
        "capture_release",
        DEPLOYER,
        scout_release=release,
        scout_application_dir=str(team.checkout.path),
        scout_protect=PROTECT,
    )
    return {
        "release": release,
        "application_dir": str(team.checkout.path),
        "edge_function_cli": str(team.cli.path),
        "edge_function_project": PROJECT,
        "pg_dump": program("pg_dump"),
    }


def bad_release(scene: Scene) -> None:
    """The next release breaks the loader, drops a column and switches a job off; its commits are pushed."""
    captured = _captured(scene)
    with scene.load.still(), psycopg.connect(scene.sandbox.dsn, autocommit=True, application_name="team") as connection:
        captured.team.release(connection)


def release_is_back(scene: Scene) -> list[Check]:
    """Schema, jobs, branch and edge function are compared with what was captured."""
    captured = _captured(scene)
    with psycopg.connect(scene.sandbox.dsn, autocommit=True, application_name="team") as connection:
        return captured.checks(connection, scene.sandbox.dsn)


def _captured(scene: Scene) -> Captured:
    if scene.captured is None:
        raise BadInput(
            "no release was captured with its application",
            next_step="correct the scenario: release_captured: {application: true} comes first",
        )
    return scene.captured


#: What is done to a release, rather than to the database alone.
ACTIONS: t.Final[dict[str, Callable[..., t.Any]]] = {
    function.__name__: function for function in (release_captured, bad_release, release_is_back)
}
#: What switches jobs, which the recovery must switch back.
TO_BE_FIXED: t.Final = (bad_release.__name__,)
#: What may come first among the faults and breaks nothing.
PREPARING: t.Final = (release_captured.__name__, "doubtful_window")
#: What a scenario may name among its faults.
BREAKING: t.Final[dict[str, Callable[..., t.Any]]] = {
    **FAULTS,
    **{function.__name__: function for function in (release_captured, bad_release)},
}


def act(scene: Scene, action: Action) -> list[Check]:
    """A fault, or another action, and what it found; jobs that it switched on purpose are nobody's to switch back."""
    before = probes.jobs(scene.sandbox.dsn)
    if action.name in ACTIONS:
        found = ACTIONS[action.name](scene, **action.options)
    else:
        with scene.load.still():
            found = FAULTS[action.name](scene.sandbox.dsn, **action.options)
    after = probes.jobs(scene.sandbox.dsn)
    if action.name not in TO_BE_FIXED:
        scene.jobs |= {name: active for name, active in after.items() if before.get(name) != active}
    scene.note_arrivals()
    results = t.cast("list[t.Any]", found) if isinstance(found, list) else []
    checks = [each for each in results if isinstance(each, Check)]
    if not checks:
        scene.learn(found)
    return checks


def about(action: Action) -> str:
    """What an action does, in a sentence."""
    does = ACTIONS.get(action.name) or FAULTS[action.name].function
    return " ".join((does.__doc__ or "").split()).partition(". ")[0]


def prerequisites_missing(scene: Scene) -> list[str]:
    """What the faults of the scenario need and the database does not have, each with who needs it."""
    asked = [*scene.scenario.faults, *(step for step in scene.scenario.steps if isinstance(step, Action))]
    with probes.connect(scene.sandbox.dsn) as connection:
        return [f"{thing}, needed by {fault.name}" for fault in asked for thing in _lacking(connection, fault)]


def _lacking(connection: t.Any, action: Action) -> list[str]:
    """What an action needs of a database that does not have it."""
    if action.name in FAULTS:
        return lacking(connection, action.name, **action.options)
    return missing(connection, NEEDS) if action.name == bad_release.__name__ else []
