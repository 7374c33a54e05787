# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of events that a recovery of silver has to tell apart, in and around a window, each by its name, `count` times."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from ..events import generator, poison_payloads

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .damage_hand import Hand


def poison_pending(hand: Hand) -> None:
    """Each of its kinds, one of them in front of everything else."""
    for number, name in enumerate(poison_payloads.KINDS):
        payload = poison_payloads.KINDS[name].spoil(hand.sale())
        event = hand.arrive(payload, hand.window.start if number == 0 else None)
        hand.done.poison[event] = poison_payloads.KINDS[name].sqlstate


def poison_marked(hand: Hand) -> None:
    """The ledger says they are loaded, and nothing is in silver: swallowed by hand, one night."""
    for name in poison_payloads.KINDS:
        event = hand.arrive(poison_payloads.KINDS[name].spoil(hand.sale()))
        hand.mark(event)
        hand.done.poison[event] = poison_payloads.KINDS[name].sqlstate


def poison_corrections(hand: Hand) -> None:
    """A good sale, loaded and then damaged; its correction cannot be loaded."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        then = hand.arrive(sale | {"total_amount": "twelve"}, hand.inside)
        hand.execute(
            "UPDATE scout.silver_transactions SET total_amount = 0 WHERE transaction_id = ANY (%(names)s)",
            [sale["transaction_id"]],
        )
        hand.done.wrong.add(sale["transaction_id"])
        hand.done.poison[then] = "22P02"


def corrections_inside(hand: Hand) -> None:
    """Both in the window and loaded; the row then lost what the sale had said, or what its correction had."""
    for change in ("total_amount = 0", "net_amount = 0", "payment_method = 'corrected'", "source_event_id = NULL"):
        name, _, _ = hand.corrected(hand.inside, hand.inside)
        hand.execute(f"UPDATE scout.silver_transactions SET {change} WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.wrong.add(name)


def corrections_beyond_the_end(hand: Hand) -> None:
    """The sale is in the window, its correction was loaded after it; nothing is left of either."""
    for _ in range(hand.count):
        name, _, _ = hand.corrected(hand.inside, hand.after)
        hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.missing.add(name)


def corrections_of_earlier_sales(hand: Hand) -> None:
    """The sale was before the window; its correction is in it."""
    for _ in range(hand.count):
        name, _, _ = hand.corrected(hand.before, hand.inside)
        hand.execute("DELETE FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.wrong.add(name)


def corrections_loaded_out_of_turn(hand: Hand) -> None:
    """The correction was loaded first, so that the row is the correction's; on an empty silver it would be the sale's."""
    for _ in range(hand.count):
        sale = hand.sale()
        first, then = hand.arrive(sale, hand.inside), hand.arrive(sale | {"payment_method": "corrected"}, hand.inside)
        hand.load(then, first)
        hand.done.wrong.add(sale["transaction_id"])


def corrections_pending_inside(hand: Hand) -> None:
    """The sale is loaded and right; its correction waits."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        hand.done.pending.add(hand.arrive({**sale, "net_amount": 2.5, "items": []}, hand.inside))


def corrections_pending_outside(hand: Hand) -> None:
    """The row is wrong; a correction waits after the window and has to go on waiting."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        hand.done.outside.add(hand.arrive(sale | {"net_amount": 2.5}, hand.after))
        hand.execute(
            "UPDATE scout.silver_transactions SET total_amount = 0 WHERE transaction_id = ANY (%(names)s)",
            [sale["transaction_id"]],
        )
        hand.done.wrong.add(sale["transaction_id"])


def sales_pending_outside(hand: Hand) -> None:
    """The sale waits before the window; its correction was loaded from the window, and its row is gone."""
    for _ in range(hand.count):
        sale = hand.sale()
        hand.done.outside.add(hand.arrive(sale, hand.before))
        then = hand.arrive(sale | {"net_amount": 2.5, "payment_method": "corrected"}, hand.inside)
        hand.load(then)
        hand.execute(
            "DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", [sale["transaction_id"]]
        )
        hand.done.missing.add(sale["transaction_id"])


def repeats_pending(hand: Hand) -> None:
    """Several waiting events of one transaction, which the ETL refuses in one batch."""
    for _ in range(hand.count):
        sale = hand.sale()
        for number in range(3):
            hand.done.pending.add(hand.arrive(sale | {"net_amount": number, "repeat": number}, hand.inside))


def repeats_at_the_same_moment(hand: Hand) -> None:
    """Two loaded events of a transaction with one arrival time, the row made of the one that should come second."""
    for _ in range(hand.count):
        sale, at = hand.sale(), hand.inside
        ids = sorted(hand.arrive(sale | {"payment_method": f"twin {number}"}, at) for number in range(2))
        hand.load(*reversed(ids))
        hand.done.wrong.add(sale["transaction_id"])


def not_transactional(hand: Hand) -> None:
    """What the ETL swallows, waiting and marked, and events of other types."""
    for name in ("no_transaction_id_key", "array", "scalar"):
        waiting, marked = (hand.arrive(poison_payloads.HARMLESS[name](hand.sale())) for _ in range(2))
        hand.mark(marked)
        hand.done.pending.add(waiting)
        hand.done.swallowed |= {waiting, marked}
    for number, name in enumerate(generator.OTHER_TYPES):
        hand.done.other.add(hand.arrive({"store_id": "S-001", "number": hand.seed + number}, event_type=name))


def odd_but_loadable(hand: Hand) -> None:
    """No items, NaN: waiting."""
    for name in ("no_items", "empty_items", "not_a_number"):
        hand.done.pending.add(hand.arrive(poison_payloads.HARMLESS[name](hand.sale())))


def at_the_bounds(hand: Hand) -> None:
    """The first moment belongs to the window, the end does not; nor does what is a microsecond before the start."""
    tick = timedelta(microseconds=1)
    hand.done.pending |= {hand.arrive(hand.sale(), hand.window.start), hand.arrive(hand.sale(), hand.window.end - tick)}
    hand.done.outside |= {hand.arrive(hand.sale(), hand.window.end), hand.arrive(hand.sale(), hand.window.start - tick)}


def older_pending(hand: Hand) -> None:
    """Sales that wait since long before the window, and poison among them."""
    start = hand.window.start - timedelta(days=2)
    for number in range(5 * hand.count):
        hand.done.outside.add(hand.arrive(hand.sale(), start + timedelta(seconds=number)))
    hand.done.outside.add(hand.arrive(poison_payloads.KINDS["bad_ts"].spoil(hand.sale()), start - timedelta(seconds=1)))


def newer_pending(hand: Hand) -> None:
    for _ in range(hand.count):
        hand.done.outside.add(hand.arrive(hand.sale(), hand.after))


#: By name, in the order in which they are done.
KINDS: t.Final[dict[str, Callable[[Hand], None]]] = {
    function.__name__: function
    for function in (
        poison_pending,
        poison_marked,
        poison_corrections,
        corrections_inside,
        corrections_beyond_the_end,
        corrections_of_earlier_sales,
        corrections_loaded_out_of_turn,
        corrections_pending_inside,
        corrections_pending_outside,
        sales_pending_outside,
        repeats_pending,
        repeats_at_the_same_moment,
        not_transactional,
        odd_but_loadable,
        at_the_bounds,
        older_pending,
        newer_pending,
    )
}
