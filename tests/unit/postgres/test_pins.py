# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing in the collection opens a session, begins a transaction or sets a search path but where it is pinned."""

from __future__ import annotations

import re

import pytest

from tests import CHECKOUT

ROOT = CHECKOUT / "module_utils" / "recovery"
#: What may stand in these files alone.
ALLOWED = {
    r"psycopg\.connect\(|Watched\.connect\(": {"postgres/session.py"},
    r"connection\.transaction\(": {"postgres/session.py"},
    r"\.cursor\(": {"postgres/watched.py"},
    r"(?i)reset search_path|reset all|discard all": set[str](),
    r"(?i)set (local )?search_path (=|to)(?! pg_catalog, pg_temp)": {"postgres/acting.py"},
    r"set_config\('search_path'": {"postgres/acting.py"},
    # Each runs code of a lesser role as that role, lives in pg_temp, and is gone with the call or the transaction.
    r"LANGUAGE \w+ SECURITY DEFINER": {"postgres/acting.py"},
}


@pytest.mark.parametrize("pattern", ALLOWED)
def test_only_where_it_belongs(pattern: str) -> None:
    found = {str(file.relative_to(ROOT)) for file in ROOT.rglob("*.py") if re.search(pattern, file.read_text())}
    assert found == ALLOWED[pattern]


def test_what_runs_as_its_owner_is_temporary() -> None:
    for name in ALLOWED[r"LANGUAGE \w+ SECURITY DEFINER"]:
        made = re.findall(r"CREATE FUNCTION (\S+?)\.\{?\w+\}?\([^;]*?SECURITY DEFINER", (ROOT / name).read_text())
        assert set(made) == {"pg_temp"}
