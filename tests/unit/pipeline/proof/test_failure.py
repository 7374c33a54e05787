# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error of a job's command means, by what is known of the owner of the job."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof import failure
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof.judgement import FAILED, UNKNOWN
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof.reading import (
    Owner,
    Setting,
)

LOAD, REFRESH = "load_silver_from_bronze", "refresh_gold_platinum"
ENTRY, EXECUTE = 'GRANT USAGE ON SCHEMA "scout" TO "loader"', 'GRANT EXECUTE ON FUNCTION f() TO "loader"'


def owner(*settings: tuple[str, str], **fields: Any) -> Owner:
    given = {name: Setting(name, value, "role loader", 'ROLE "loader"') for name, value in settings}
    return Owner("loader", "shop", settings=given, **fields)


def error(kind: type[errors.Error], said: str) -> errors.Error:
    return kind(said)


LIMITED = error(errors.QueryCanceled, "canceling statement due to statement timeout")
BECOMES = Setting("role", "batch", "role loader", 'ROLE "loader"')


@pytest.mark.parametrize(
    ("e", "of", "status", "said"),
    [
        (LIMITED, owner(("statement_timeout", "20s")), FAILED, "it takes longer than the 20s that role loader allows"),
        (LIMITED, owner(("statement_timeout", "2min")), UNKNOWN, "it takes longer than the 1 min 30 s there are for it"),
        (LIMITED, owner(), UNKNOWN, "it takes longer than the 1 min 30 s there are for it"),
        (error(errors.LockNotAvailable, "canceling"), owner(), UNKNOWN, "it waited 5.0 s for a lock"),
        (error(errors.InvalidTransactionTermination, "invalid"), owner(), UNKNOWN,
         "it cannot be tried within a transaction: invalid"),
        (error(errors.InsufficientPrivilege, 'cannot set parameter "role" within security-definer function'), owner(), UNKNOWN,
         'it cannot be tried within a transaction: cannot set parameter "role" within security-definer function'),
        (error(errors.InsufficientPrivilege, "permission denied to set role batch"), owner(becomes=BECOMES), UNKNOWN,
         "permission denied to set role batch, to which role is set for role loader"),
        (error(errors.UndefinedTable, "no such table"), owner(becomes=BECOMES), FAILED,
         "no such table, as batch, to which role is set for role loader"),
    ],
)  # fmt: skip
def test_what_is_not_the_command_itself(e: errors.Error, of: Owner, status: str, said: str) -> None:
    found = failure.of_surroundings(e, of, 90.0, 5.0)
    assert found is not None
    assert (found.status, found.said) == (status, said)


FORBIDDEN = error(errors.InsufficientPrivilege, "permission denied for table silver")
FUNCTIONS: tuple[dict[str, Any], ...] = (
    {"name": LOAD, "arguments": "integer", "definer": True, "owner": "etl", "grant": ""},
    {"name": LOAD, "arguments": "integer, text", "definer": False, "owner": "loader", "grant": EXECUTE},
    {"name": REFRESH, "arguments": "", "definer": True, "owner": "painter", "grant": ""},
)


@pytest.mark.parametrize(
    ("e", "fields", "event", "remedy", "said", "next_step"),
    [
        (FORBIDDEN, {"functions": FUNCTIONS, "entry": ENTRY}, "", "", f"permission denied for table silver, as etl, who owns {LOAD}",
         f"{ENTRY}; {EXECUTE}"),
        (FORBIDDEN, {"functions": FUNCTIONS[1:2]}, "", "", "permission denied for table silver", EXECUTE),
        (FORBIDDEN, {"functions": FUNCTIONS[2:], "entry": ENTRY}, "", "", "permission denied for table silver", ""),
        (FORBIDDEN, {}, "", "CREATE POLICY", "permission denied for table silver", "CREATE POLICY"),
        (error(errors.InvalidTextRepresentation, "invalid input"), {"functions": FUNCTIONS}, "event 7, a word", "",
         "invalid input: event 7, a word", ""),
        (error(errors.UndefinedColumn, "no such column"), {}, "", "", "no such column", ""),
    ],
)  # fmt: skip
def test_why_the_command_itself_failed(
    e: errors.Error, fields: dict[str, Any], event: str, remedy: str, said: str, next_step: str
) -> None:
    found = failure.of_command(e, owner(**fields), [LOAD], event, remedy)
    assert (found.status, found.said, found.next_step) == (FAILED, said, next_step)
