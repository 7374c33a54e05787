# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers, made anew for each test from the files of one that was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.failover.pair import Pair, files
from tests.scout.fixtures import memory

Paired = Callable[..., Pair]


@pytest.fixture(scope="session")
def stopped_server() -> Iterator[Path]:
    """The data of a server with a small reference Scout, stopped."""
    if os.environ.get("SCOUT_TEST_SERVER"):
        pytest.skip("SCOUT_TEST_SERVER names a server that is not ours to copy")
    with files(memory()) as data:
        yield data


@pytest.fixture
def paired(stopped_server: Path) -> Iterator[Paired]:
    """Starts a primary and its standby; both are gone with the test."""
    with ExitStack() as stack:

        def start(*, synchronous: bool = True) -> Pair:
            made = Pair(stopped_server, memory(), synchronous=synchronous)
            stack.callback(made.stop)
            return made

        yield start
