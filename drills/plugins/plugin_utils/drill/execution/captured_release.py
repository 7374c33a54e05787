# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before a bad release, and whether it is there again, seen from outside."""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

import psycopg

from ...reference.release.bad_release import Picture, Team
from ..results.measures import Check


@dataclasses.dataclass(frozen=True)
class Captured:
    """What was there before the bad release."""

    team: Team
    picture: Picture

    def checks(self, connection: psycopg.Connection[t.Any], dsn: str) -> list[Check]:
        """Whether it is there again."""
        now, team = Picture.of(connection, dsn), self.team
        differ = sum(line[:1] in "+-" for line in list(difflib.unified_diff(self.picture.schema, now.schema, n=0))[2:])
        jobs = "as captured" if now.jobs == self.picture.jobs else "others"
        wanted, found = team.checkout.tree(team.good)[:10], team.remote.tree("main")[:10]
        calls = team.cli.calls
        deployed = "the captured one" if calls and calls[-1]["files"] == team.function_of(team.good) else "another"
        return [
            _same("the schema is the captured one, as pg_dump shows it", "0 lines differ", f"{differ} lines differ"),
            _same("the jobs are those of the capture", "as captured", jobs),
            _same("the branch has the tree of the captured commit", wanted, found),
            _same("the edge function that was deployed last", "the captured one", deployed if calls else "none"),
        ]


def _same(check: str, wanted: str, found: str) -> Check:
    return Check(check, wanted, found, wanted == found)
