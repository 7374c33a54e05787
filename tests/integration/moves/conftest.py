# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for each mover, set once; tests work on copies of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import Written, bronze
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import sizes
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import recovery
from tests.integration.moves.movers import Mover
from tests.integration.outcomes import ran

_numbers = itertools.count(1)


@dataclass
class Stage:
    """A database in which a mover has something to move, and what an undisturbed move makes of it."""

    mover: Mover
    server: Server
    name: str
    dsn: str
    made: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    #: Every event there is, in bronze or moved away before.
    written: Written = field(default_factory=dict)
    _end: Any = None

    def __post_init__(self) -> None:
        given = self.mover.spoil(self.dsn)
        self.written = bronze(self.dsn)
        self.options = self.mover.stage(self.dsn, given)

    def copy(self) -> str:
        """The dsn of a copy, until the stage is taken down."""
        self.made.append(f"{self.name}_{len(self.made)}")
        return self.server.create_database(self.made[-1], self.name)

    @property
    def end(self) -> Any:
        """Where a move ends that nobody disturbs."""
        if self._end is None:
            dsn = self.copy()
            ran(self.mover.module, dsn, **self.options)
            self._end = self.mover.end(dsn)
        return self._end

    def take_down(self) -> None:
        """Drops all of it."""
        for name in (*self.made, self.name):
            self.server.drop_database(name)


@pytest.fixture(scope="module")
def staged(pg_server: Server) -> Iterator[Callable[[Mover, int], Stage]]:
    """Sets the stage of a mover with so many events, once a module."""
    templates: dict[int, builder.Template] = {}
    stages: dict[tuple[str, int], Stage] = {}

    def stage(mover: Mover, events: int) -> Stage:
        if events not in templates:
            templates[events] = builder.template(pg_server, events=events)
        if (repr(mover), events) not in stages:
            name = f"stage_{next(_numbers)}"
            stages[repr(mover), events] = Stage(mover, pg_server, name, templates[events].clone(name))
        return stages[repr(mover), events]

    yield stage
    for made in stages.values():
        made.take_down()
    for template in templates.values():
        template.drop()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    """No batch is larger than so many rows, however fast they are moved."""
    most = 40
    begin = sizes.Sizes.__init__

    def begin_small(self: Any, first_rows: float, least_rows: float, most_rows: float, target_seconds: float) -> None:
        begin(self, min(first_rows, most), least_rows, min(most_rows, most), target_seconds)

    monkeypatch.setattr(sizes.Sizes, "__init__", begin_small)
    monkeypatch.setattr(recovery, "FIRST_ROWS", most)
    monkeypatch.setattr(recovery, "MOST_ROWS", most)
    return most
