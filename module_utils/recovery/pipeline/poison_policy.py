# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to an event that the ETL refuses by itself: quarantined whole, unless that is too many or forbidden."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import NotConverged, SystemicFailure
from ..core.text import count
from ..scout import contract, dead_letters
from ..scout.poison_probe import Refused
from . import trial_sale

if t.TYPE_CHECKING:
    from ..postgres.acting import Actor
    from ..postgres.session import Session

#: The share of poison is judged from this many on.
SHARE_SAMPLE: t.Final = 20


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How much poison is quarantined: whether any, a number of events, and a share of all."""

    poison: str = "quarantine"
    max_poison: int = 100
    max_poison_share: float = 0.1

    @property
    def allows_all(self) -> bool:
        """Whether the cause does not matter: nothing is quarantined, or everything may be."""
        return self.poison != "quarantine" or not self.max_poison or self.max_poison_share >= 1

    def refuse(self, what: str, event_id: str, refused: Refused, *, quarantined: int, loaded: int, where: str) -> None:
        """Raises NotConverged where poison stops `what`, SystemicFailure where quarantining this event too would exceed the
        limits."""
        culprit = f"event {event_id}: {refused.said}"
        if self.poison == "stop":
            raise NotConverged(
                f"{what} stopped at a poison event, as requested",
                on=where,
                said=culprit,
                sqlstate=refused.sqlstate,
                next_step=(
                    "correct it where it comes from, then run the same command again; docs/emergency-reset.md, section "
                    "Poison events, says what else can be done with it"
                ),
            )
        share = (quarantined + 1) / (quarantined + 1 + loaded)
        too_many = quarantined >= self.max_poison
        if too_many or (quarantined + 1 >= SHARE_SAMPLE and share > self.max_poison_share):
            name, limit = ("max_poison", self.max_poison) if too_many else ("max_poison_share", self.max_poison_share)
            raise SystemicFailure(
                f"{what} stopped after {count(quarantined, 'poison event')}, which looks systemic, not bad data: "
                f"more would exceed {name}={limit}",
                on=where,
                said=f"next would be {culprit}",
                sqlstate=refused.sqlstate,
                next_step=(
                    "so many failures mean a changed event format or a broken ETL rather than bad events: "
                    f"look at the errors of {contract.names().dead_letters}; docs/emergency-reset.md says what {name} is for"
                ),
            )


class Etl:
    """Tells an ETL that refuses an event from one that refuses everything."""

    def __init__(self, session: Session, timeout_seconds: float, pipeline: Actor) -> None:
        self.session = session
        self.timeout_seconds = timeout_seconds
        self.pipeline = pipeline
        #: What it has said of events, and not of a sound sale.
        self.said: set[str] = set()

    def refuse_broken(self, what: str, refused: Refused, tolerance: Tolerance) -> None:
        """Raises SystemicFailure where the ETL says the same of a known-good test sale: then no event is to blame, and none
        may be moved. To be asked as long as nothing has been loaded; inside the caller's transaction, in which
        nothing of the sale remains."""
        if refused.said in self.said or tolerance.allows_all:
            return
        sound = trial_sale.refused(self.session, seconds=self.timeout_seconds, pipeline=self.pipeline)
        if sound is None or Refused(sound).said != refused.said:
            self.said.add(refused.said)
            return
        raise SystemicFailure(
            f"{what} stopped: the ETL rejects a known-good test sale too",
            on=self.session.where,
            said=refused.said,
            sqlstate=refused.sqlstate,
            next_step=(
                f"fix {contract.names().etl}, or roll back the deployment that broke it (rollback.yml), then run the same command again"
            ),
        )


def quarantine(
    session: Session, run_id: str, event_id: str, refused: Refused, document: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Moves the event to the dead letter queue with PostgreSQL's message; inside the caller's transaction."""
    diag = refused.error.diag
    told = {
        **document,
        "run_id": run_id,
        "kind": "poison",
        "sqlstate": refused.sqlstate,
        "detail": diag.message_detail,
        "constraint": diag.constraint_name,
        "column": diag.column_name,
    }
    moved = dead_letters.move_event(session, event_id, code="POISON_EVENT", message=refused.said, document=told)
    return moved | {"error": refused.said, "sqlstate": refused.sqlstate}
