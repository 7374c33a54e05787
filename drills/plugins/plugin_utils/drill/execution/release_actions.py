# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that goes wrong, with the application of an imagined team in git; and whether all of it is back, seen from outside."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import psycopg

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

from ...reference.release.bad_release import HISTORY, LOADER, Picture, Team
from ...reference.release.fake_supabase_cli import PROJECT
from ...reference.release.pg_dump import program
from .captured_release import Captured

if t.TYPE_CHECKING:
    from ..results.document import Check
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
        scene.play("capture_release", DEPLOYER, release=release)
        return {"release": release}
    folder = scene.ends.enter_context(tempfile.TemporaryDirectory(prefix="scout-drill-team-"))
    team = Team(Path(folder) / "team")
    with psycopg.connect(scene.sandbox.dsn, autocommit=True, application_name="team") as connection:
        if connection.execute(MIGRATED).fetchone() != (True,):
            connection.execute(HISTORY)
        scene.captured = Captured(team, Picture.of(connection, scene.sandbox.dsn))
    scene.play("capture_release", DEPLOYER, release=release, application_dir=str(team.checkout.path), protect=PROTECT)
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
