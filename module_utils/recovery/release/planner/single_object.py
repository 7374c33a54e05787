# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollback of one object alone, with what cannot stay as it is without it; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.identifiers import unquoted
from ..catalog.entries import kind_of, name_of, split_qualified, table_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..catalog.entries import Entry


def alone(live: Mapping[str, Entry], captured: Mapping[str, Entry], key: str) -> dict[str, Entry]:
    """What there is, but for one object and what depends on it, which are as they were captured, or gone as they were not."""
    concerned = _dependents(live, captured, key)
    wanted = {name: entry for name, entry in live.items() if name not in concerned}
    wanted |= {name: captured[name] for name in concerned if name in captured}
    if kind_of(key) == "column":
        table = table_of(key)
        if table in wanted:
            wanted[table] = _with_order(wanted[table], live.get(table), captured.get(table), key)
    return wanted


def _dependents(live: Mapping[str, Entry], captured: Mapping[str, Entry], key: str) -> set[str]:
    """The object, what needs it now, and what that needs to come back as it was captured."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        gone = one not in captured or (one in live and live[one].facts != captured[one].facts)
        if gone:
            waiting += [
                name
                for name, entry in live.items()
                if one in entry.needs and entry.kind != "table" and not _is_same(live, captured, name, one)
            ]
        if one in captured and one not in live:
            # What it stood on, and what stood on it alone, comes back with it.
            waiting += [need for need in captured[one].needs if need not in live]
            waiting += [
                n for n, e in captured.items() if one in e.needs and n not in live and _all_there(e, live, found)
            ]
    return found


def _is_same(live: Mapping[str, Entry], captured: Mapping[str, Entry], name: str, need: str) -> bool:
    """Whether something that needs it can stay: it did so when both were captured, and has not changed."""
    return name in captured and need in captured and live[name].facts == captured[name].facts


def _all_there(entry: Entry, live: Mapping[str, Entry], found: set[str]) -> bool:
    return all(need in live or need in found for need in entry.needs)


def _with_order(table: Entry, live: Entry | None, captured: Entry | None, key: str) -> Entry:
    """The table, whose columns stand as they do now but for this one, which stands where it stood, or not at all."""
    own = unquoted(split_qualified(name_of(key))[2])
    order = [each for each in (live or table).facts.get("column_order", ()) if each != own]
    before: list[str] = captured.facts.get("column_order", []) if captured else []
    if own in before:
        ahead = [each for each in before[: before.index(own)] if each in order]
        order.insert(order.index(ahead[-1]) + 1 if ahead else 0, own)
    return dataclasses.replace(table, facts={**table.facts, "column_order": order})
