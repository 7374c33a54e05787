# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference just large enough for every kind of damage in a window of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.scout import planted


@pytest.fixture(scope="module")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """The faithful reference with 400 events, in whose schema public somebody lies in wait for every query of ours."""
    template = builder.template(pg_server, events=400)
    template.prepare = planted.plant
    yield template
    template.drop()
