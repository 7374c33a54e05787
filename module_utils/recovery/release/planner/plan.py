# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan from a catalog as it is to the one that was captured: statements in an order that works; pure.

What the capture does not have is dropped, what is missing is created, what differs is altered in place where PostgreSQL
can do that, and otherwise dropped and recreated, with everything that depends on it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.entries import split_qualified
from ..ddl import constraints, views
from ..ddl import tables as ddl_tables
from ..ddl import types as ddl_types
from ..ddl.common import beside, comment, given, grants
from ..ddl.registry import WRITERS
from ..ddl.statement import Cost, Effect, Lock, Statement, identifier, literal, phrase, say
from . import fill_statements
from .data_fill import table_key
from .order import Action, Ordering, in_order, sequence_of
from .renames import added_again, before, renamed

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..catalog.entries import Catalog, Entry
    from .fill_statements import Kept


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that is done to one entry; `does` is rename, drop, create, alter or settle."""

    does: str
    key: str
    statements: tuple[Statement, ...]


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

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Those before the transaction, then those in it."""
        return (*self.before, *self.steps)


def plan(
    live: Catalog,
    wanted: Catalog,
    *,
    migrations_table: str = "",
    kept: Kept = fill_statements.NOTHING,
    exact_order: bool = False,
) -> Plan:
    """The plan from `live` to `wanted`, of the same database or of one with other addresses, with the data that was
    saved. A column that comes back is the last one of its table, which is copied only for an `exact_order`.

    All statements are for a session with search_path = pg_catalog and check_function_bodies = off. Raises
    NotConverged where the steps depend on each other in a circle."""
    again = [
        key for key in added_again(live.entries, wanted.entries) if _is_kept(key, live.entries, wanted.entries, kept)
    ]
    there, renames = renamed(live.entries, wanted.entries, again)
    way = _Planner(there, wanted.entries, migrations_table, kept, exact_order=exact_order)
    steps = list(way.steps())
    apart = {step.key for step in steps if step.does == "alter" and _adds_labels(step)} - {key for key, _ in renames}
    places = {e.address: key for key, e in live.entries.items() if e.address}
    was = {key: places[e.address] for key, e in there.items() if e.address in places}
    return Plan(
        (*(Step("rename", key, tuple(told)) for key, told in renames), *(s for s in steps if s.key not in apart)),
        tuple(way.loses()),
        tuple(way.impossible),
        tuple(s for s in steps if s.key in apart),
        {key: old for key, old in was.items() if key != old},
        tuple(sorted(way.filled)),
        tuple(way.comes_back_empty()),
        tuple(key for key in way.disordered if key not in way.copied),
        tuple(sorted(way.copied)),
    )


def _is_kept(key: str, live: Mapping[str, Entry], wanted: Mapping[str, Entry], kept: Kept) -> bool:
    """Whether a column that was dropped and added again can have what was kept of it, in the rows that stand."""
    column, table = wanted[key], table_key(wanted[key].table)
    facts = live[table].facts if table in live else None
    alone = facts is not None and not any(facts.get(fact) for fact in ("inherits", "partition_of", "partition_key"))
    places = {entry.address for entry in live.values()}
    below = [e for e in wanted.values() if e.kind == "column" and table_key(e.table) == table]
    standing = [fill_statements.own_name(e) for e in below if e.address in places]
    return alone and fill_statements.usable(kept.tables.get(column.table), [fill_statements.own_name(column)], standing)


def _adds_labels(step: Step) -> bool:
    return step.key.startswith("enum:") and all(statement.effect == Effect.ADDS_LABEL for statement in step.statements)


class _Planner(Ordering):
    """The statements for the changes, in their order."""

    def steps(self) -> Iterator[Step]:
        """All of it in an order in which nothing is missing when it is needed."""
        actions = self._actions()
        order = in_order(actions.keys(), self.edges(actions))
        for action in order:
            does, key = action
            if statements := actions[action]:
                yield Step(does, key, tuple(statements))
        # What is taken back from a table is taken from its columns as well, so these come after it.
        for key in sorted(self.wanted, key=lambda key: (key.startswith("column:"), key)):
            if made := self._beside(key):
                yield Step("settle", key, tuple(made))

    def _actions(self) -> dict[Action, list[Statement]]:
        """What is done, by (what, key)."""
        actions: dict[Action, list[Statement]] = {}
        for key in self.dropped:
            entry = self.there[key]
            falls = self.falls_with(entry, self.dropped) or key in self.swapped or key in self.copied
            actions["drop", key] = [] if falls else [*self.detached(entry), *self.write("drop", entry)]
        for key in self.created:
            actions["create", key] = self._created(self.wanted[key])
            if self.wanted[key].kind == "table":
                actions["attach", key] = [*self._checks(self.wanted[key]), *ddl_tables.attach(self.wanted[key])]
            if self.wanted[key].kind == "sequence":
                actions["own", key] = self._owned(self.wanted[key])
        actions |= {
            ("alter", key): [*made, *self._counted_anew(key), *self.refilled(key)] for key, made in self.altered.items()
        }
        for key in (key for key in self.altered if self.wanted[key].kind == "sequence"):
            owned = [each for each in actions["alter", key] if each.effect == Effect.JOINS]
            actions["alter", key] = [each for each in actions["alter", key] if each not in owned]
            actions["own", key] = self._joined(self.wanted[key], owned, self.there[key])
        actions |= {("fill", key): made for key, made in self.late().items()}
        for key in self.altered:
            actions |= self._counts_otherwise(key, actions["alter", key])
        for key in self.parted:
            relation, own = self.there[key].table, self.there[key].own
            actions["part", key] = [
                say("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", relation, own, effect=Effect.DROPS_DEFAULT)
            ]
            default = self.wanted[key].facts.get("default") if key in self.wanted else None
            if default is not None and key not in self.altered:
                actions["rejoin", key] = [say("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", relation, own, default)]
        return actions | self._switched(actions)

    def _counted_anew(self, key: str) -> list[Statement]:
        """A column that stands and counts by itself again."""
        before, after = self.there[key], self.wanted[key]
        anew = after.facts.get("identity") and not before.facts.get("identity")
        return self.counted([after]) if after.kind == "column" and anew else []

    def _owned(self, sequence: Entry) -> list[Statement]:
        """A sequence that belongs to its column again, and counts on behind what that holds."""
        column = self.wanted.get(f"column:{sequence.facts.get('owned_by')}")
        made = self._joined(sequence, ddl_tables.owned(sequence), None)
        return [*made, *(self.counted_past(sequence.name, column) if column else ())]

    def _counts_otherwise(self, key: str, made: list[Statement]) -> dict[Action, list[Statement]]:
        """What a column lets go of first, where a sequence of the same name shall serve it in another way."""
        before, after = self.there[key], self.wanted[key]
        if after.kind != "column" or not {sequence_of(before), sequence_of(after)} - {None}:
            return {}
        first = [each for each in made if each.effect == Effect.DROPS_IDENTITY]
        if f"sequence:{sequence_of(after)}" in self.dropped:
            first += [each for each in made if each.effect == Effect.DROPS_DEFAULT]
        return {("part", key): first, ("alter", key): [each for each in made if each not in first]} if first else {}

    def _joined(self, sequence: Entry, made: list[Statement], before: Entry | None) -> list[Statement]:
        """The same statements, where a sequence gets another column: it has to be the owner's whose the table is at that time."""
        by = sequence.facts.get("owned_by")
        if not by or (before and before.facts.get("owned_by") == by):
            return made
        now = self._owner_now(sequence)
        if before and before.owner == now:
            return made
        free = (
            [say("ALTER SEQUENCE {} OWNED BY NONE", sequence.name)] if before and before.facts.get("owned_by") else []
        )
        owner = identifier(now) if now else "CURRENT_USER"
        return [*free, say("ALTER SEQUENCE {} OWNER TO {}", sequence.name, owner), *made]

    def _owner_now(self, sequence: Entry) -> str | None:
        """Whose the table is to which a sequence belongs, when it is joined to that; a table that is made is nobody's yet."""
        table = table_key(split_qualified(sequence.facts.get("owned_by") or "")[0])
        if table in self.copied:
            return self.wanted[table].owner
        return self.there[table].owner if table in self.there and table not in self.created else None

    def _switched(self, actions: Mapping[Action, list[Statement]]) -> dict[Action, list[Statement]]:
        """What is done to a trigger reaches those that partitions have of it, which are switched as they were; so are all of a
        table that is filled."""
        quiet = {self.wanted[key].table for key in self.filled if key.startswith("column:")}
        quiet |= {e.name for e in self.wanted.values() if e.kind == "table" and quiet & set(self.ancestors(e))}
        if not quiet and not any(key.startswith("trigger:") for _, key in actions):
            return {}
        made = {
            ("rejoin", key): self.write("create", entry)
            for key, entry in self.wanted.items()
            if entry.kind == "trigger" and entry.facts.get("inherited") and ("create", key) not in actions
        }
        return made | {
            ("rejoin", key): views.switched("TRIGGER", entry, "")
            for key, entry in self.wanted.items()
            if entry.kind == "trigger" and entry.facts["relation"] in quiet and ("create", key) not in actions
        }

    def _created(self, entry: Entry) -> list[Statement]:
        """What makes an entry, where it does not come with another one."""
        table = f"table:{entry.table}" if entry.kind == "column" else f"table:{entry.facts.get('table')}"
        if entry.kind == "table":
            return self._copied(entry) if entry.key in self.copied else self.table_with_rows(entry)
        if entry.kind == "column" and (table in self.created or self.from_parent(entry)):
            return []
        if entry.kind == "constraint" and entry.facts.get("inherited"):
            return []
        if entry.key in self.swapped:
            return self._swap(entry)
        made = self.column_with_values(entry) if entry.kind == "column" else self.write("create", entry)
        if entry.kind == "sequence":
            # Defaults that call it are computed with the rights of the table's owner.
            if owner := self._owner_now(entry) or entry.owner:
                made.append(given("SEQUENCE", entry.name, owner))
            if entry.name in self.kept.counters:
                made.append(fill_statements.count_on(entry.name, self.kept.counters[entry.name]))
        if entry.kind in ("constraint", "index") and table in self.created:
            # It becomes a part of its parent's when its table does.
            made = [each for each in made if each.effect != Effect.ATTACHES]
        owner = self.wanted.get(table)
        if entry.kind == "constraint" and owner and owner.facts.get("partition_key") and entry.facts.get("index"):
            made[0] = constraints.create_constraint(entry, only=True)[0]
        return made

    def _swap(self, enum: Entry) -> list[Statement]:
        """Another type of the same name in the place of an enum of which labels go; a row that has one of these is an error."""
        schema, own = enum.schema, enum.own
        old = f"{schema}.{before(own)}"
        made = [say("ALTER TYPE {} RENAME TO {}", enum.name, split_qualified(old)[2]), *self.write("create", enum)]
        for key in sorted(self.swapped[enum.key]):
            relation, column = self.there[key].table, self.there[key].own
            facts, alter = self.wanted[key].facts, phrase("ALTER TABLE {} ALTER COLUMN {}", relation, column)
            text = "text[]" if facts["type"].endswith("[]") else "text"
            has = self.there[key].facts.get("default") is not None
            made += [say("{} DROP DEFAULT", alter)] if has else []
            using = phrase("{}::{}::{}", column, text, facts["type"])
            made.append(say("{} TYPE {} USING {}", alter, facts["type"], using, cost=Cost.REWRITES, runs_as=relation))
            made += [say("{} SET DEFAULT {}", alter, facts["default"])] if facts.get("default") is not None else []
        return [*made, say("DROP TYPE {}", old, lock=Lock.ACCESS_SHARE)]

    def _copied(self, table: Entry) -> list[Statement]:
        """A new table with the rows of the old one, which goes; columns that count go on counting."""
        schema, own = table.schema, table.own
        old = f"{schema}.{before(own)}"
        columns = self.columns(table)
        made = [say("ALTER TABLE {} RENAME TO {}", table.name, split_qualified(old)[2])]
        counting = [e for e in columns if ddl_tables.has_sequence(e.facts.get("identity")) and e.key in self.there]
        for e in counting:
            sequence = self.there[e.key].facts.get("identity", {}).get("sequence")
            made += [say("ALTER SEQUENCE {} RENAME TO {}", sequence, _old(sequence))] if sequence else []
        owned = [
            e
            for e in self.there.values()
            if e.kind == "sequence"
            and e.key in self.wanted
            and split_qualified(e.facts.get("owned_by") or "")[0] == table.name
        ]
        made += [say("ALTER SEQUENCE {} OWNED BY NONE", e.name) for e in owned]
        made += ddl_tables.create_table(table, columns)
        made += [given("TABLE", table.name, table.owner)] if table.owner else []
        made += self.rows_of(table, columns, old)
        for e in counting:
            sequence = self.there[e.key].facts.get("identity", {}).get("sequence")
            if sequence:
                was = f"{split_qualified(sequence)[0]}.{_old(sequence)}"
                now = literal(e.facts["identity"]["sequence"])
                made.append(
                    say("SELECT setval({}::regclass, last_value, is_called) FROM {}", now, was, lock=Lock.ROW_EXCLUSIVE)
                )
        made.append(say("DROP TABLE {}", old))
        made += self.counted(e for e in columns if e.key in self.filled)
        return made + [told for e in owned if e.key in self.wanted for told in ddl_tables.owned(self.wanted[e.key])]

    def _checks(self, table: Entry) -> Iterator[Statement]:
        """The checks of its parent, which a table needs to become a partition of that."""
        part: dict[str, str] = table.facts.get("partition_of") or {}
        for e in self.inheritable(self.ancestors(table) if part else []):
            yield constraints.add(e, table.name)

    def _beside(self, key: str) -> list[Statement]:
        """Owner, grants, comment and labels where they differ, or where it was recreated."""
        entry = self.wanted[key]
        writer = WRITERS.get(entry.kind)
        if writer is None or not writer.noun:
            return []
        before = None if key in self.created else self.there.get(key)
        named = dataclasses.replace(entry, name=ddl_types.routine(entry)) if writer.noun == "ROUTINE" else entry
        made = beside(named, before, self.everybody, writer.noun)
        if before is not None and before.grants == entry.grants and self._is_granted_anew(entry):
            made += grants(entry, None, ())
        if entry.kind == "column":
            made += self._of_sequence(entry, before)
        if entry.kind in ("view", "materialized_view") and any(each.effect == Effect.REVOKES for each in made):
            made += views.column_grants(entry, before)
        return made

    def _of_sequence(self, column: Entry, before: Entry | None) -> list[Statement]:
        """What is granted on the sequence of a column that counts by itself, and said of it."""
        key = f"table:{column.table}"
        identity: dict[str, str] = column.facts.get("identity") or {}
        sequence, owner = identity.get("sequence"), self.wanted[key].owner
        if not sequence:
            return []
        had: dict[str, str] = (before.facts.get("identity") if before else None) or {}
        stands = before is not None and had.get("sequence") and key in self.there and key not in self.created
        there = before.facts if before is not None and stands else {}
        same = stands and self.there[key].owner == owner
        made: list[Statement] = []
        told: list[tuple[str, str, bool, str]] | None = column.facts.get("sequence_grants")
        # Where nothing is said of it, it is its owner's.
        usual = [(owner or "", privilege, False, owner or "") for privilege in ("SELECT", "UPDATE", "USAGE")]
        granted = [tuple(g) for g in told] if told is not None else usual
        if not same or there.get("sequence_grants") != column.facts.get("sequence_grants"):
            order = {"grants": column.order.get("sequence", [])}
            entry = dataclasses.replace(
                column, kind="sequence", name=sequence, owner=owner, grants=tuple(granted), order=order
            )
            made += grants(entry, None, self.everybody)
        text = column.facts.get("sequence_comment")
        if text != there.get("sequence_comment"):
            made.append(comment("SEQUENCE", sequence, text))
        return made

    def _is_granted_anew(self, entry: Entry) -> bool:
        """Whether it is a column whose table's grants are recreated."""
        table = f"table:{entry.table}" if entry.kind == "column" else ""
        before, after = self.there.get(table), self.wanted.get(table)
        return bool(before and after and entry.grants and (before.grants, before.owner) != (after.grants, after.owner))


def _old(sequence: str) -> str:
    return before(split_qualified(sequence)[2])
