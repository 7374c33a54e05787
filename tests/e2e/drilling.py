# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills as they are, but for what takes time: databases are copies, and a scheduler's minute is a second."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import drill_run, live_load
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.base import Sandbox
from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder

if TYPE_CHECKING:
    import pytest

    from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

#: The stand-in for pg_cron has its own minute, by which whatever waits for a run is waited for.
MINUTE_SECONDS = 1.0
#: Enough of a past for a pipeline to be healthy; each costs time when it is built, and again when silver is made from bronze.
EVENTS = 1100

_numbers = itertools.count(1)


class Copies:
    """Sandboxes by what is in them; `kept` are the templates they are copied from."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.kept: dict[tuple[tuple[str, Any], ...], builder.Template] = {}

    @contextlib.contextmanager
    def opened(self, _progress: object, *, events: int, variant: str = "faithful") -> Iterator[Sandbox]:
        """One with such a pipeline, gone with the block."""
        small: dict[str, Any] = {"variant": variant, "events": min(events, EVENTS)}
        key = tuple(sorted(small.items()))
        template = self.kept.setdefault(key, builder.template(self.server, **small))
        name = f"{template.name}_drill_{next(_numbers)}"
        try:
            yield Sandbox(template.clone(name))
        finally:
            self.server.drop_database(name)

    def drop(self) -> None:
        """Drops all templates."""
        for template in self.kept.values():
            template.drop()


def drill_on_copies(patch: pytest.MonkeyPatch, copies: Copies) -> None:
    """From now on drills are held on copies."""
    patch.setattr(drill_run, "open_embedded", copies.opened)
    patch.setattr(live_load, "MINUTE_SECONDS", MINUTE_SECONDS)
