# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be wrong with silver in a window of bronze, and around it: each kind of damage by its name, `count` times.

What is done follows from the database and the seed. No transaction gets two kinds of damage, so that what each of them should
become is known: silver of the window as its events say, everything else as it was.
"""

from __future__ import annotations

import typing as t

from . import damaged_bronze, damaged_silver
from .damage_hand import Hand

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .damage_hand import Connection, Damage, Window

KINDS: t.Final[dict[str, Callable[[Hand], None]]] = {**damaged_silver.KINDS, **damaged_bronze.KINDS}


def damage(connection: Connection, window: Window, *kinds: str, count: int = 2, seed: int = 880_001) -> Damage:
    """Does these kinds of damage (all, if none is named) in one transaction."""
    with connection.transaction():
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        hand = Hand(connection, window, count, seed)
        for name in kinds or KINDS:
            KINDS[name](hand)
    return hand.done
