# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which evidence was kept: who removes the newest snapshot, or all of an incident, leaves nothing else behind that tells of it."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.failures import attempting
from . import audit, ownership

if t.TYPE_CHECKING:
    from ...postgres.session import Session
    from ..ledger import Ledger

NOTE = """
INSERT INTO scout_ops.evidence (incident, place, number, manifest_sha256, actor)
VALUES (%(incident)s, %(place)s, %(number)s, %(manifest_sha256)s, %(actor)s)
"""
READ = (
    "SELECT incident, place, number, manifest_sha256 FROM scout_ops.evidence ORDER BY incident, place, number, kept_at"
)
HAS_TABLE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'scout_ops' AND c.relname = 'evidence' AND c.relkind = 'r') AS there
"""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A snapshot that was kept: of which incident, at which `host:folder`, which number of the chain there, and who says so."""

    incident: str
    place: str
    number: int
    manifest_sha256: str
    source: str = "the ledger"


def note(ledger: Ledger, one: Recorded, actor: str) -> None:
    """Records a snapshot. Raises ForeignLedger where the ledger is not ours."""
    session = ledger.session
    with attempting("could not write to the ledger", on=session.where), session.write():
        ownership.require(session)
        session.execute(
            NOTE,
            incident=one.incident,
            place=one.place,
            number=one.number,
            manifest_sha256=one.manifest_sha256,
            actor=actor,
        )
        audit.append_evidence(session, one.incident, actor, f"{one.number} {one.place}", one.manifest_sha256)


def read(session: Session) -> list[Recorded]:
    """All that the ledger knows of; none where it has no such record. Raises ForeignLedger where it is not ours."""
    with attempting("could not read the ledger", on=session.where), session.read():
        ownership.require(session)
        return recorded(session)


def recorded(session: Session) -> list[Recorded]:
    """The same inside the caller's transaction, of a ledger that is ours."""
    return [Recorded(**row) for row in session.rows(READ)] if session.row(HAS_TABLE)["there"] else []
