# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whatever the operator's role may besides its work is what an attacker gains who gets hold of it; so it is told of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from tests.integration.modules import call, connect
from tests.security.roles import drop_roles

ME, TEAM = "mighty_operator", "mighty team"


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of an operator who may nothing in particular, by a role of his team's."""
    with connect(scout_db) as session:
        session.execute(f'CREATE ROLE {ME} LOGIN; CREATE ROLE "{TEAM}"; GRANT "{TEAM}", loader TO {ME}')  # type: ignore[call-overload]
    yield make_conninfo(scout_db, user=ME)
    drop_roles(scout_db, ME, TEAM)


def warned(dsn: str) -> list[str]:
    return [text for text in call("scout_preflight_info", dsn, required=False)["warnings"] if "does not need" in text]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (f"ALTER ROLE {ME} CREATEROLE", f"ALTER ROLE {ME} NOCREATEROLE"),
        (f"ALTER ROLE {ME} REPLICATION", f"ALTER ROLE {ME} NOREPLICATION"),
        (f"ALTER ROLE {ME} BYPASSRLS", f"ALTER ROLE {ME} NOBYPASSRLS"),
        (f'ALTER ROLE "{TEAM}" CREATEROLE', f'ALTER ROLE "{TEAM}" NOCREATEROLE'),
        *(
            (f"GRANT {role} TO {ME}", f"REVOKE {role} FROM {ME}")
            for role in ("pg_execute_server_program", "pg_write_server_files", "pg_read_server_files", "pg_write_all_data", "postgres")
        ),
        (f'GRANT pg_execute_server_program TO "{TEAM}"', f'REVOKE pg_execute_server_program FROM "{TEAM}"'),
    ],
)  # fmt: skip
def test_what_an_operator_does_not_need_is_told_with_what_takes_it_away(
    given: str, told: str, operator: str, scout_db: str
) -> None:
    assert warned(operator) == []
    with connect(scout_db) as session:
        session.execute(given)  # type: ignore[call-overload]
    [text] = warned(operator)
    assert text.endswith(f": {told}")
    with connect(scout_db) as session:
        session.execute(told)  # type: ignore[call-overload]
    assert warned(operator) == []


def test_who_needs_bypassrls_to_see_all_rows_is_not_told_to_give_it_up(operator: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(f"ALTER ROLE {ME} BYPASSRLS; ALTER TABLE scout.alerts ENABLE ROW LEVEL SECURITY")  # type: ignore[call-overload]
    assert warned(operator) == []
