# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a rollback would make what it makes: a capture names owners, and whoever can write one could name a superuser."""

from __future__ import annotations

import typing as t

from ...core import advice
from ...core.errors import NotConverged
from ..captures.document import readable

if t.TYPE_CHECKING:
    from collections.abc import Collection

    from ...postgres.session import Session
    from .transaction import Way

SUPERUSERS = """
SELECT r.rolname::text AS role FROM pg_catalog.pg_roles AS r WHERE r.rolsuper AND r.rolname = ANY(%(owners)s)
"""
FEW: t.Final = 5
#: Where the owners stand in the command that allows them.
OWNERS: t.Final = "OWNERS"


def refuse_strange(session: Session, way: Way, allowed: Collection[str], next_step: str) -> None:
    """Raises NotConverged where the way makes or changes something of a superuser, or of a role that owns nothing of the release
    today, unless that role is among those allowed. Inside the caller's transaction."""
    touched = {step.key for step in way.plan.all_steps}
    # Whoever creates an extension owns it; nobody can give it to somebody else.
    made = {key: entry for key, entry in way.goal.wanted.items() if key in touched and entry.kind != "extension"}
    owned = {key: entry.owner for key, entry in made.items() if entry.owner}
    today = {entry.owner for entry in way.live.entries.values() if entry.owner}
    supers = {row["role"] for row in session.rows(SUPERUSERS, owners=sorted(set(owned.values())))}
    strange = {key: owner for key, owner in sorted(owned.items()) if owner in supers or owner not in today}
    found = {key: owner for key, owner in strange.items() if owner not in allowed}
    if not found:
        return
    named = [
        f"{readable(key)} of {owner}, " + ("a superuser" if owner in supers else "who owns nothing of it today")
        for key, owner in found.items()
    ]
    raise NotConverged(
        "refused to make objects of owners that the release does not have, or that are superusers",
        on=session.where,
        said="; ".join(named[:FEW]) + (f"; and {len(named) - FEW} more" if len(named) > FEW else ""),
        next_step=next_step.replace(OWNERS, advice.value(",".join(sorted(set(found.values()))))),
    )
