# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides, row by row, what undoing a run means: what is removed, what is restored, and what has changed since;
pure."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

#: The tables of an item, in an order in which rows can be put in; the other way round they can be taken out.
TABLES: t.Final = ("dead_letters", "events", "transactions", "lines", "ledger")

#: The rows of one side of an item: by table, the digest of each row by its key.
Rows = dict[str, dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Item:
    """One unit of the run that is undone: the rows it removed and the rows it put there."""

    key: str
    removed: Rows
    added: Rows
    #: The transaction an event that it removed is about, where the ETL would load it.
    transaction: str | None = None
    #: Events that stayed in bronze and that its silver was made of.
    needs: tuple[str, ...] = ()

    @property
    def loaded(self) -> set[str]:
        """Events that the run put there or marked: what was derived from them is removed with them."""
        return {*self.added.get("events", {}), *self.added.get("ledger", {})}

    @property
    def own(self) -> set[str]:
        """Events whose effect on silver belongs to this item."""
        return {*self.removed.get("events", {}), *self.removed.get("ledger", {}), *self.loaded}

    @property
    def returns_pending(self) -> bool:
        """Whether an event is restored that had not been loaded."""
        events = self.removed.get("events", {})
        return bool(events) and not any(event in self.removed.get("ledger", {}) for event in events)


@dataclasses.dataclass(frozen=True)
class Current:
    """What the database holds now of all that concerns a batch of items."""

    #: Digests by table and key.
    rows: Rows
    #: Line items by transaction.
    lines: dict[str, list[str]]
    #: Events that are loaded and name a transaction, by transaction.
    feeders: dict[str, set[str]]
    #: What was made of events that go: by event, its silver transaction.
    made_of: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Events that hold the hash of one that would return, by that one.
    twins: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Events that are not in bronze and return with other items of the same run.
    returning: frozenset[str] = frozenset()
    #: Transactions that silver has and that came from no event: nothing makes them again.
    by_hand: frozenset[str] = frozenset()
    #: Events that retention has taken: what silver has of them stays, as it does of all others that it takes.
    retired: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Conflict:
    """A row that is not as the run left it."""

    table: str
    key: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """For results."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class _First:
    """Of several items that removed the same transaction: the first, and the events of all of them."""

    item: Item
    own: frozenset[str]


@dataclasses.dataclass
class Swap:
    """What becomes of one item: keys to take out and to put in, by table, and what stands against it."""

    key: str
    take: dict[str, set[str]] = dataclasses.field(default_factory=lambda: {table: set[str]() for table in TABLES})
    put: dict[str, set[str]] = dataclasses.field(default_factory=lambda: {table: set[str]() for table in TABLES})
    conflicts: list[Conflict] = dataclasses.field(default_factory=list[Conflict])


def plan(items: Iterable[Item], current: Current, on_conflict: str) -> list[Swap]:
    """A swap for each item, given in the order in which they were moved. With `refuse`, an item with conflicts says what
    would be done if they were overridden."""
    items = list(items)
    first = _first_of(items)
    swaps = [_Planner(item, current, on_conflict, first.get(item.key)).swap() for item in items]
    _take_once(swaps)
    return swaps


def _first_of(items: Iterable[Item]) -> dict[str, _First]:
    """By item, which of several that removed one transaction was the first: the pipeline rebuilt it after that, from
    events that came later or were requeued, and what it built was moved as well."""
    by_transaction: dict[str, list[Item]] = {}
    for item in items:
        for transaction in item.removed.get("transactions", {}):
            by_transaction.setdefault(transaction, []).append(item)
    return {
        item.key: _First(several[0], frozenset(event for each in several for event in each.own))
        for several in by_transaction.values()
        if len(several) > 1
        for item in several
    }


def _take_once(swaps: Iterable[Swap]) -> None:
    """What two items are about goes once: a mark with its event, anything else with the first of them."""
    swaps = list(swaps)
    owner = {event: swap.key for swap in swaps for event in swap.take["events"]}
    taken: dict[str, set[str]] = {table: set() for table in TABLES}
    for swap in swaps:
        swap.take["ledger"] = {event for event in swap.take["ledger"] if owner.get(event, swap.key) == swap.key}
        for table in TABLES:
            swap.take[table] -= taken[table]
            taken[table] |= swap.take[table]


class _Planner:
    def __init__(self, item: Item, current: Current, on_conflict: str, first: _First | None) -> None:
        self.item = item
        self.current = current
        self.keep = on_conflict == "keep_current"
        self.made = Swap(item.key)
        self.own = first.own if first else item.own
        #: The item that brings back the transaction, where that is not this one.
        self.earlier = first.item if first and first.item.key != item.key else None
        events, ledger = item.removed.get("events", {}), item.removed.get("ledger", {})
        #: Events that fed the silver of this item and are nowhere now.
        others = {e for e in ledger if e not in events} | set(item.needs) if self.earlier is None else set[str]()
        self.missing = {e for e in others if self._now("events", e) is None} - current.returning - current.retired

    def swap(self) -> Swap:
        if self._stays_as_it_is():
            return self.made
        for table in TABLES:
            for key, digest in self.item.added.get(table, {}).items():
                self._take(table, key, digest)
        if self._silver_stays():
            return Swap(self.item.key, conflicts=self.made.conflicts)
        for event in sorted(self.made.take["events"] | (self.made.take["ledger"] & self.item.loaded)):
            self._take_what_was_made_of(event)
        # As it was, silver would hold what an absent event brought: the events that return wait for the ETL instead. So do those
        # of a transaction that an earlier item brings back as it was before they came.
        for table in ("dead_letters", "events") if self.missing or self.earlier else TABLES:
            for key, digest in self.item.removed.get(table, {}).items():
                self._put(table, key, digest)
        if self.earlier:
            self._send_back(self.earlier)
        self._make_room_for_pending()
        return self.made

    def _send_back(self, earlier: Item) -> None:
        """Events that stayed in bronze, and that the transaction as the earlier item restores it was not built from."""
        for event in {*self.item.needs} - {*earlier.needs, *earlier.removed.get("ledger", {})}:
            if self._now("ledger", event) is not None:
                self.made.take["ledger"].add(event)

    def _stays_as_it_is(self) -> bool:
        """Notes which events are missing, and says whether nothing of the item can be undone because of that."""
        added = self.item.added.get("events", {})
        gone = sorted(event for event in added if self._now("events", event) is None)
        for event in gone:
            # Wherever it is now, its dead letter must not be in force beside that.
            self._conflict("events", event, "is gone")
        for event in sorted(self.missing):
            self._conflict(
                "events", event, "fed the same transaction and is not in bronze: undo or redrive what moved it first"
            )
        return bool(gone) or (bool(self.missing) and not added and not self.item.removed.get("events"))

    def _silver_stays(self) -> bool:
        """Whether this is about silver alone, which has changed since and is kept: then its line items and marks are, too."""
        added = self.item.added
        stays = added.get("transactions", {}).keys() - self.made.take["transactions"]
        there = any(self._now("transactions", transaction) is not None for transaction in stays)
        return there and not added.get("events") and not added.get("dead_letters")

    def _make_room_for_pending(self) -> None:
        """An event that returns without a mark is loaded again, in its turn: before those of its transaction that were loaded
        since, so these are sent back to the queue with what was made of them."""
        transaction = self.item.transaction
        pending = self.made.put["events"] - self.made.put["ledger"]
        if transaction is None or not pending or self._now("transactions", transaction) is None:
            return
        if transaction in self.made.take["transactions"] | self.made.put["transactions"]:
            return
        if not self._stays_by_hand(transaction):
            self._take_transaction(transaction)

    def _conflict(self, table: str, key: str, why: str) -> bool:
        """Notes a conflict; says whether the current row stays."""
        self.made.conflicts.append(Conflict(table, key, why))
        return self.keep

    def _now(self, table: str, key: str) -> str | None:
        return self.current.rows.get(table, {}).get(key)

    def _take(self, table: str, key: str, digest: str) -> None:
        now = self._now(table, key)
        if now is None:
            self._conflict(table, key, "is gone")
        elif now == digest or not self._conflict(table, key, "has changed since"):
            self.made.take[table].add(key)

    def _take_what_was_made_of(self, event: str) -> None:
        """The pipeline may have loaded an event since it was put there: its closure goes with it."""
        if self._now("ledger", event) is not None:
            self.made.take["ledger"].add(event)
        transaction = self.current.made_of.get(event)
        if transaction is None:
            return
        as_left = self.item.added.get("transactions", {}).get(transaction)
        if as_left is not None and as_left == self._now("transactions", transaction):
            # Nothing was loaded into it since: of the marks only those that came with it go.
            self.made.take["lines"] |= set(self.current.lines.get(transaction, ()))
            return
        mark = self.item.added.get("ledger", {}).get(event)
        if as_left is None and mark is not None and mark == self._now("ledger", event):
            # It came with its mark, so it was not loaded since: silver has the transaction from somewhere else.
            return
        if not self._stays_by_hand(transaction):
            self._take_transaction(transaction)

    def _stays_by_hand(self, transaction: str) -> bool:
        """Notes a transaction that nothing would make again, and says whether it stays."""
        there = transaction in self.current.by_hand and transaction not in self.made.take["transactions"]
        return there and self._conflict("transactions", transaction, "was not made from an event in bronze")

    def _take_transaction(self, transaction: str) -> None:
        """A silver transaction as it is now, its line items, and the marks of all events that fed it."""
        if self._now("transactions", transaction) is not None:
            self.made.take["transactions"].add(transaction)
        self.made.take["lines"] |= set(self.current.lines.get(transaction, ()))
        self.made.take["ledger"] |= self.current.feeders.get(transaction, set())

    def _put(self, table: str, key: str, digest: str) -> None:
        now = self._now(table, key)
        made = self.made
        if table == "lines":
            self._put_line(key, digest)
            return
        if now is None or key in made.take[table]:
            if self._may_return(table, key):
                made.put[table].add(key)
            return
        if now == digest and table != "transactions":
            return
        if table == "ledger":
            # Loaded again since: the mark gives way to the one that was there.
            if not self.keep or not made.conflicts:
                made.take[table].add(key)
                made.put[table].add(key)
        elif table == "transactions":
            self._put_transaction(key)
        elif not self._conflict(table, key, "exists again, with different contents"):
            made.take[table].add(key)
            made.put[table].add(key)

    def _may_return(self, table: str, key: str) -> bool:
        """Whether a row that is not there may come back: an event unless another one holds its hash, a mark with its event."""
        if table == "ledger" and key in self.item.removed.get("events", {}):
            return key in self.made.put["events"] or self._now("events", key) is not None
        twin = self.current.twins.get(key) if table == "events" else None
        if twin is None or twin in self.made.take["events"]:
            return True
        if self._conflict(table, key, f"exists again as event {twin}"):
            return False
        self.made.take["events"].add(twin)
        self._take_what_was_made_of(twin)
        return True

    def _put_transaction(self, transaction: str) -> None:
        """A transaction that was rebuilt from nothing but what this item left is replaced; any other is a conflict."""
        feeders = self.current.feeders.get(transaction, set())
        strangers = feeders - self.own
        if strangers or not feeders:
            made_of = f"event {min(strangers)}" if strangers else "no event in bronze"
            if self._conflict("transactions", transaction, f"has been rebuilt since, from {made_of}"):
                return
        self._take_transaction(transaction)
        self.made.put["transactions"].add(transaction)

    def _put_line(self, key: str, digest: str) -> None:
        """Line items return with their transaction, or not at all."""
        made = self.made
        now = self._now("lines", key)
        if self.item.removed.get("transactions") and not made.put["transactions"]:
            return
        if now is None or key in made.take["lines"]:
            made.put["lines"].add(key)
        elif now != digest and not self._conflict("lines", key, "exists again, with different contents"):
            made.take["lines"].add(key)
            made.put["lines"].add(key)
