# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hosted API is granted by default on whatever is made, where that was revoked since a capture; pure.

Supabase granted all on new tables of exposed schemas to the roles of its API; projects made since 30 October 2026 grant nothing.
A capture from before must not expose what the next migration makes.
"""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..catalog.entries import Entry

#: The roles as which a hosted API reaches the database, for everybody on the internet.
API_ROLES: t.Final = frozenset({"anon", "authenticated", "service_role"})


def strict(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """What is wanted without the default grants to an API that are not there any more, and the keys of those entries."""
    found, without = dict(wanted), list[str]()
    for key, entry in wanted.items():
        if entry.kind != "default_privileges" or not entry.facts.get("schema"):
            continue
        now = live.get(key)
        there = {grant[:3] for grant in now.grants} if now else set[tuple[str, str, bool]]()
        kept = tuple(g for g in entry.grants if g[0] not in API_ROLES or g[:3] in there)
        if len(kept) == len(entry.grants):
            continue
        without.append(key)
        found[key] = dataclasses.replace(entry, grants=kept)
        if not kept:
            del found[key]
    return found, tuple(without)
