# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values inside of values: what columns lose when the composite type that they are of, by whatever way, loses an attribute; pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..catalog.entries import Entry
    from .plan import Plan

#: What may be between a column and a composite type; arrays are of their elements' type already.
BETWEEN: t.Final = ("composite", "domain")


class Columns(t.NamedTuple):
    """Keys of columns by their names of today."""

    #: Whose values lose a part, which nothing saves.
    losing: frozenset[str]
    #: Whose values get a part, which is empty in all of them.
    gaining: frozenset[str]


def touched(found: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Columns:
    """The columns whose values are changed by what a plan does to composite types."""
    losing: set[str] = set()
    gaining: set[str] = set()
    for step in found.all_steps:
        before, after = live.get(found.was.get(step.key, step.key)), wanted.get(step.key)
        if before is None or after is None or before.kind != "composite" or after.kind != "composite":
            continue
        now, then = _attributes(before), _attributes(after)
        losing |= columns_of(before.key, live) if now - then else set()
        gaining |= columns_of(before.key, live) if then - now else set()
    return Columns(frozenset(losing), frozenset(gaining))


def columns_of(key: str, live: Mapping[str, Entry]) -> set[str]:
    """The keys of all columns whose values may hold one of this type: as an array, in a domain, or in another composite type."""
    types = {key}
    while more := {each.key for each in live.values() if each.kind in BETWEEN and types & {*each.needs}} - types:
        types |= more
    return {each.key for each in live.values() if each.kind == "column" and types & {*each.needs}}


def _attributes(entry: Entry) -> set[str]:
    return {str(each["name"]) for each in entry.facts.get("attributes") or ()}
