# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the schema differs from the latest release that was captured: what a deployment may have broken."""

from __future__ import annotations

import dataclasses
import typing as t

from ..release.captures import document as captures_document
from ..release.captures import new_partitions
from ..release.captures import store as captures_store
from ..release.catalog import entries
from ..release.catalog import reader as catalog_reader

if t.TYPE_CHECKING:
    from ..ledger.ledger import Ledger
    from ..ledger.pauses import Pause
    from ..postgres.session import Session

#: A look at the catalog leaves the settings of its transaction otherwise.
AS_BEFORE: t.Final = "SELECT set_config('IntervalStyle', %(style)s, true)"
SETTINGS: t.Final = "SELECT current_setting('IntervalStyle') AS style"


@dataclasses.dataclass(frozen=True)
class Drift:
    """Since a release was captured so many seconds ago, these objects are otherwise."""

    release: str
    seconds: float
    changes: captures_document.Changes


def read(session: Session, ledger: Ledger, pause: Pause | None) -> Drift | None:
    """None where nothing was captured, and where all is as it was captured; inside the caller's transaction."""
    kept = captures_store.latest_about(ledger)
    if kept is None:
        return None
    scope = entries.scope_of(kept["scope"])
    before = session.row(SETTINGS)
    found = catalog_reader.read(session, scope, pause.jobs if pause else ())
    session.execute(AS_BEFORE, **before)
    if captures_document.digest(captures_document.digests(found.entries.values())) == kept["digest"]:
        return None
    made = captures_store.by_id(ledger, kept["capture_id"])
    if made is None:
        return None
    same = captures_store.origin(session).is_that_of(made)
    captured = captures_document.entries_of(made)
    # Partitions come and go with the days.
    since = new_partitions.since(found.entries, captured)
    changes = captures_document.compare(
        new_partitions.without(captured, since.retired),
        new_partitions.without(found.entries, since.there),
        same_database=same,
    )
    return Drift(kept["release"], kept["seconds"], changes) if changes.number else None
