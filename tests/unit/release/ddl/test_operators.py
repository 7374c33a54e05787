# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collations of any provider as they are written, whichever of them a server has."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.operators import create_collation


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"provider": "libc", "lc_collate": "C", "lc_ctype": "POSIX"}, "PROVIDER = libc, LC_COLLATE = 'C', LC_CTYPE = 'POSIX'"),
        ({"provider": "builtin", "locale": "C.UTF-8"}, "PROVIDER = builtin, LOCALE = 'C.UTF-8'"),
        (
            {"provider": "icu", "locale": "de", "rules": "&V << 'w'", "nondeterministic": True},
            "PROVIDER = icu, LOCALE = 'de', RULES = '&V << ''w''', DETERMINISTIC = false",
        ),
    ],
)  # fmt: skip
def test_a_collation(facts: dict[str, Any], said: str) -> None:
    [made] = create_collation(Entry("collation", 's."c"', facts))
    assert (str(made), made.lock) == (f'CREATE COLLATION s."c" ({said})', "AccessShareLock")
