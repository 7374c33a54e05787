# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where something is, and what it is called there, however it is called."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry


@pytest.mark.parametrize(
    ("kind", "name", "facts", "schema", "table", "own"),
    [
        ("schema", "s", {}, "", "", "s"),
        ("table", 's."a.b on c"', {}, "s", "", '"a.b on c"'),
        ("column", '"a.b".t."x(y) on ""z"".w"', {}, '"a.b"', '"a.b".t', '"x(y) on ""z"".w"'),
        ("index", "s.i", {"table": "s.t"}, "s", "s.t", "i"),
        ("constraint", '"of ""p"" on" on s."C on x"', {"table": 's."C on x"'}, "s", 's."C on x"', '"of ""p"" on"'),
        ("trigger", "tg on s.v", {"relation": "s.v"}, "s", "s.v", "tg"),
        ("function", "s.f(s.price, integer)", {}, "", "", "s.f(s.price, integer)"),
    ],
)
def test_an_entry_knows_its_parts(
    kind: str, name: str, facts: dict[str, Any], schema: str, table: str, own: str
) -> None:
    entry = Entry(kind, name, facts)
    assert (entry.schema, entry.table, entry.own) == (schema, table, own)
