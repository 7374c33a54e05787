# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a session by a limit is told with the statement that lifts it for our sessions alone."""

from __future__ import annotations

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import LIFTED, limits_named


@pytest.mark.parametrize("sqlstate", LIFTED)
def test_the_statement_that_lifts_it_is_named(sqlstate: str) -> None:
    who, setting, value = LIFTED[sqlstate]
    with pytest.raises(RecoveryError) as raised, limits_named('o"p', "shop", "assess failed", on="shop on db1"):
        raise psycopg.errors.lookup(sqlstate)("ended")
    lifts = f'{who}ALTER ROLE "o""p" IN DATABASE "shop" SET {setting} = {value}; then run the same command again: it continues'
    assert raised.value.next_step == lifts


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), limits_named("op", "shop", "assess failed", on="shop on db1"):
        raise psycopg.errors.UndefinedTable("ended")
