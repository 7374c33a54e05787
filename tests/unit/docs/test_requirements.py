# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be installed: three packages, and what only some ask for."""

from __future__ import annotations

import re

from tests import CHECKOUT
from tests.e2e.test_without_extras import IMPORTED


def test_these_are_all_extras_and_the_rest_is_three_packages() -> None:
    wanted = {
        name: re.findall(r"^([a-z][\w-]*)", (CHECKOUT / "requirements" / f"{name}.in").read_text(), re.MULTILINE)
        for name in ("runtime", "extras")
    }
    assert wanted == {"runtime": ["ansible-core", "cronsim", "psycopg", "tzdata"], "extras": list(IMPORTED)}
