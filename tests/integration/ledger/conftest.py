# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger does not care how many events there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server


@pytest.fixture(scope="session")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """A small reference."""
    template = builder.template(pg_server, events=20)
    yield template
    template.drop()
