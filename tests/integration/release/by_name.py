# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a table, and migrations, that share a database, each judged under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import psycopg
import pytest

from tests.integration.releases import run


def judged[Row, Went](
    subtests: pytest.Subtests,
    rows: Mapping[str, Row],
    go: Callable[[list[Row]], Went],
    judge: Callable[[Row, Went], None],
) -> None:
    """All go together, and what came of it is judged for each; where they fail together, each goes alone, so that the guilty are
    named."""
    try:
        went = go([*rows.values()])
    except Exception:
        for name, row in rows.items() if len(rows) > 1 else ():
            with subtests.test(msg=name):
                judge(row, go([row]))
        raise
    for name, row in rows.items():
        with subtests.test(msg=name):
            judge(row, went)


def shared(migrations: Sequence[str], number: int) -> list[list[str]]:
    """Migrations in so many groups, neighbours apart, for they are about the same objects."""
    return [[*migrations[first::number]] for first in range(number)]


def together(subtests: pytest.Subtests, migrations: Sequence[str], go: Callable[[Callable[[str], None]], None]) -> None:
    """Migrations go together in one database, which `go` makes and hands to what it is given; those that another one of them is in
    the way of go alone. Where they fail together, each goes alone, so that the guilty are named."""
    alone: list[str] = []

    def all_of_them(dsn: str) -> None:
        for migration in migrations:
            try:
                run(dsn, migration)
            except psycopg.Error:
                alone.append(migration)

    try:
        go(all_of_them)
    except Exception:
        for migration in migrations:
            with subtests.test(msg=migration):
                go(lambda dsn, migration=migration: run(dsn, migration))
        raise
    for migration in alone:
        with subtests.test(msg=migration):
            go(lambda dsn, migration=migration: run(dsn, migration))
