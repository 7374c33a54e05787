# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a pipeline, a row for each: what is done to a healthy one, and what each who looks at it has to make of that."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from tests.scout import next_runs

LOADER, LINKING, GOLD = next_runs.NEEDED
SHORT = "load_silver_from_bronze"
LOAD = f"scout.{SHORT}"
SILVER = "scout.silver_transactions"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Seen:
    """What an assessment and the gate say: all that fails, all that is warned of, and what of it a reset would fix."""

    failing: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    #: Checks of the gate that count and do not pass, its verdict, its exit code, and those of further checks.
    gate: Mapping[str, str] = field(default_factory=dict)
    verdict: str = "fail"
    code: int = 46
    further_codes: tuple[int, ...] = ()
    #: Within a cause, and what is typed next because of it.
    cause: str = ""
    command: str = ""
    #: The first cause, and within its evidence.
    first: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class Fault:
    """What is done: statements and faults of the reference; `{role}` is a role and a name of its own, `{database}` where it is.

    `seen` is None where no look tells, `named` what a person has to read of a reset if the next runs fail.
    """

    plant: tuple[str | Callable[[str], Any], ...]
    seen: Seen | None = None
    named: str = ""


def by_check(check: str, cause: str = "", command: str = "", **more: Any) -> Seen:
    """What is seen of a fault that one check of both fails for."""
    return Seen((check,), gate={check: "fail"}, cause=cause, command=command, **more)


@contextlib.contextmanager
def planted(dsn: str, fault: Fault) -> Iterator[Callable[[str], str]]:
    """Does it; gives what puts the names of this database into a text. The role is gone afterwards."""
    role, name = f"fault_role_{next(_numbers)}", sql.Identifier(dsn.rpartition("/")[2]).as_string()

    def filled(text: str) -> str:
        return text.replace("{role}", role).replace("{database}", name)

    with next_runs.unhindered(dsn, "test") as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        with next_runs.unhindered(dsn, "test", options="-c search_path=public") as connection:
            for each in fault.plant:
                if callable(each):
                    each(dsn)
                else:
                    connection.execute(filled(each).encode())
        yield filled
    finally:
        with next_runs.unhindered(dsn, "test") as connection:
            for statement in (
                "ALTER DATABASE {database} RESET ALL",
                "REASSIGN OWNED BY {role} TO loader",
                "DROP OWNED BY {role}",
                "DROP ROLE {role}",
            ):
                connection.execute(filled(statement).encode())
