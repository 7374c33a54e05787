# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan from a catalog as it is to the one that was captured: statements in an order that works; pure.

What the capture does not have is dropped, what is missing is created, what differs is altered in place where PostgreSQL
can do that, and otherwise dropped and recreated, with everything that depends on it: `diff` says what that is, `fill` what comes
back into it, `order` by which steps.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.entries import kind_of, table_key
from ..ddl.statement import Effect
from . import attributes, fill_statements
from .diff import diff
from .fill import fill
from .order import Step, order
from .renames import added_again, renamed

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..catalog.entries import Entry
    from .fill_statements import Kept


@dataclasses.dataclass(frozen=True)
class Plan:
    """All steps in order, the data that would be lost with them, and what is impossible."""

    steps: tuple[Step, ...]
    #: Columns and tables that are dropped with their data, and labels of enums.
    loses: tuple[str, ...]
    impossible: tuple[str, ...]
    #: Labels that enums get again; in the transaction that adds them nobody may use them, so this comes before it.
    before: tuple[Step, ...] = ()
    #: What things are called now that are called otherwise in the capture, by the keys they have there.
    was: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Columns and tables that come back with the data that was kept of them, and those that come back without any.
    filled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    #: Tables whose columns stand in another order afterwards, and those that are copied so that they do not.
    reordered: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    #: Partitions that go, and whose rows go into the default one.
    moved: tuple[str, ...] = ()

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Those before the transaction, then those in it."""
        return (*self.before, *self.steps)


NOTHING: t.Final = Plan((), (), ())


def plan(
    live: Mapping[str, Entry],
    wanted: Mapping[str, Entry],
    kept: Kept = fill_statements.NOTHING,
    *,
    migrations_table: str = "",
    exact_order: bool = False,
) -> Plan:
    """The plan from `live` to `wanted`, of the same database or of one with other addresses, with the data that was
    saved. A column that comes back is the last one of its table, which is copied only for an `exact_order`.

    All statements are for a session with search_path = pg_catalog and check_function_bodies = off. Raises
    NotConverged where the steps depend on each other in a circle."""
    again = [key for key in added_again(live, wanted) if _is_kept(key, live, wanted, kept)]
    there, told = renamed(live, wanted, again)
    renames = tuple(Step("rename", key, tuple(statements)) for key, statements in told)
    found = diff(there, wanted, kept=kept, exact_order=exact_order)
    moved = {each.before.key for each in found.tables.values() if each.before and not each.after and each.rest}
    fills = fill(found)
    sides = {"alter": found.altered, "create": found.created, "drop": found.dropped}
    does = {key: word for word, keys in sides.items() for key in keys}
    steps = order(found, fills, migrations_table=migrations_table)
    today = _names_of_today(live, there)
    # One that has another name by then waits for that.
    apart = {step.key for step in steps if _adds_labels(step)} - today.keys()
    return Plan(
        (*renames, *(step for step in steps if step.key not in apart)),
        tuple(key for key in found.loses if key not in moved),
        (*found.impossible, *attributes.impossible(there, wanted, does)),
        tuple(step for step in steps if step.key in apart),
        today,
        tuple(sorted(fills.filled)),
        fills.empty,
        tuple(key for key in found.disordered if key not in found.copied),
        tuple(sorted(found.copied)),
        tuple(sorted(moved)),
    )


def _is_kept(key: str, live: Mapping[str, Entry], wanted: Mapping[str, Entry], kept: Kept) -> bool:
    """Whether a column that was dropped and added again can have what was kept of it, in the rows that stand."""
    column = wanted[key]
    table = live.get(table_key(column.table))
    parted = ("inherits", "partition_of", "partition_key")
    if table is None or any(table.facts.get(fact) for fact in parted):
        return False
    places = {entry.address for entry in live.values()}
    below = [e for e in wanted.values() if e.kind == "column" and e.table == column.table]
    standing = [fill_statements.own_name(e) for e in below if e.address in places]
    return fill_statements.usable(kept.tables.get(column.table), [fill_statements.own_name(column)], standing)


def _adds_labels(step: Step) -> bool:
    """Whether it does nothing but that."""
    adds = all(statement.effect == Effect.ADDS_LABEL for statement in step.statements)
    return step.does == "alter" and kind_of(step.key) == "enum" and adds


def _names_of_today(live: Mapping[str, Entry], there: Mapping[str, Entry]) -> dict[str, str]:
    """The keys of what has another one now, by those that it has once it is renamed."""
    places = {e.address: key for key, e in live.items() if e.address}
    was = {key: places[e.address] for key, e in there.items() if e.address in places}
    return {key: old for key, old in was.items() if key != old}
