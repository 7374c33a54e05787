# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to an event that the ETL refuses by itself: quarantined whole, unless that is too many or forbidden."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import NotConverged, SystemicFailure
from ..core.text import count
from ..scout import contract, dead_letters, poison_probe, remedies
from ..scout.poison_probe import Refused
from . import trial_sale

if t.TYPE_CHECKING:
    from ..postgres.acting import Actor
    from ..postgres.session import Row, Session

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
        culprit = f"event {event_id}: {refused.told}"
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


#: The transaction of the last load that worked.
LAST_LOAD = """
SELECT p.xmin::text AS xid FROM {etl_ledger} AS p WHERE p.processed_at <= clock_timestamp() ORDER BY p.processed_at DESC LIMIT 1
"""
#: What refused an event, and was made, or made again, after that transaction began: the constraint, index or column that the error
#: names; else a trigger on what the ETL writes, or the ETL, whose function the error came from.
YOUNGER = """
SELECT found.what, found.undo FROM (
    SELECT 'constraint ' || quote_ident(k.conname) || ' on ' || k.conrelid::regclass AS what, age(k.xmin) AS age, 1 AS place,
           'ALTER TABLE ' || k.conrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(k.conname) AS undo
    FROM pg_catalog.pg_constraint AS k WHERE k.conname = %(constraint)s AND k.conrelid = to_regclass(%(table)s)
    UNION ALL
    SELECT 'constraint ' || quote_ident(k.conname) || ' of domain ' || k.contypid::regtype, age(k.xmin), 1,
           'ALTER DOMAIN ' || k.contypid::regtype || ' DROP CONSTRAINT ' || quote_ident(k.conname)
    FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_type AS y ON y.oid = k.contypid
    WHERE k.conname = %(constraint)s AND y.typname = %(domain)s
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass, age(i.xmin), 2, 'DROP INDEX ' || i.indexrelid::regclass
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relname = %(constraint)s AND i.indrelid = to_regclass(%(table)s)
    UNION ALL
    SELECT 'NOT NULL of column ' || quote_ident(a.attname) || ' of ' || a.attrelid::regclass, age(a.xmin), 2,
           'ALTER TABLE ' || a.attrelid::regclass || ' ALTER COLUMN ' || quote_ident(a.attname) || ' DROP NOT NULL'
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(column)s AND a.attnotnull AND %(sqlstate)s = '23502'
    UNION ALL
    SELECT 'trigger ' || quote_ident(g.tgname) || ' on ' || g.tgrelid::regclass, least(age(g.xmin), age(f.xmin)), 2,
           'ALTER TABLE ' || g.tgrelid::regclass || ' DISABLE TRIGGER ' || quote_ident(g.tgname)
    FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
    WHERE %(constraint)s IS NULL AND %(column)s IS NULL AND NOT g.tgisinternal AND strpos(%(context)s, f.proname || '(') > 0
      AND g.tgrelid = ANY(ARRAY(SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name))
    UNION ALL
    SELECT 'function ' || f.oid::regprocedure, age(f.xmin), 3, '' FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE %(constraint)s IS NULL AND %(column)s IS NULL AND n.nspname || '.' || f.proname = %(etl)s
) AS found WHERE found.age < age(%(since)s::xid) ORDER BY found.place LIMIT 1
"""


class Etl:
    """Tells an ETL that refuses an event from one that refuses everything, or what was sound until a deployment."""

    def __init__(self, session: Session, timeout_seconds: float, pipeline: Actor) -> None:
        self.session = session
        self.timeout_seconds = timeout_seconds
        self.pipeline = pipeline
        #: What it has said of events, and not of a sound sale.
        self.said: set[str] = set()
        loaded = session.rows(contract.compose(LAST_LOAD))
        #: The last load before anything was done here.
        self.since: str | None = loaded[0]["xid"] if loaded else None
        #: What was found to have refused an event, by what the error names: one look for each.
        self.younger: dict[tuple[str | None, ...], Row | None] = {}

    def refuse_younger(self, what: str, event_id: str, refused: Refused, tolerance: Tolerance) -> None:
        """Raises SystemicFailure where a sale that the ETL could always convert is refused by what came after the last load that
        worked: a constraint, a trigger or an ETL that a deployment brought. Inside the caller's transaction."""
        found = None if tolerance.allows_all else self._younger(refused)
        if found is None or poison_probe.unconvertible(self.session, [event_id], 1):
            return
        raise SystemicFailure(
            f"{what} stopped before it quarantined a sale that has nothing wrong in it",
            on=self.session.where,
            said=f"{found['what']}, which came after the last load that worked, refuses event {event_id}: {refused.told}",
            sqlstate=refused.sqlstate,
            next_step=f"rollback.yml, where a release brought it{_or(found)}, then run the same command again",
        )

    def _younger(self, refused: Refused) -> Row | None:
        """What refused an event and came after the last load that worked, and the statement that takes it away."""
        if self.since is None:
            return None
        diag, names = refused.error.diag, contract.names()
        by = {
            "constraint": diag.constraint_name,
            "domain": diag.datatype_name,
            "column": diag.column_name,
            "sqlstate": refused.sqlstate,
            "table": f"{diag.schema_name}.{diag.table_name}",
            "context": diag.context or "",
        }
        key = tuple(by.values())
        if key not in self.younger:
            others = {"tables": [*names.required_tables], "etl": names.load_function, "since": self.since}
            self.younger[key] = next(iter(self.session.rows(YOUNGER, **by, **others)), None)
        return self.younger[key]

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
        remedy = remedies.of(self.session, refused.said, self.pipeline.role)
        # What is told to be full, or shut, is to blame, and not what came last.
        found = None if remedy else self._younger(refused)
        broken = f"fix {contract.names().etl}, or roll back the deployment that broke it (rollback.yml){_or(found)},"
        raise SystemicFailure(
            f"{what} stopped: the ETL rejects a known-good test sale too",
            on=self.session.where,
            said=refused.told + (f": {found['what']} came after the last load that worked" if found else ""),
            sqlstate=refused.sqlstate,
            next_step=f"{remedy or broken} then run the same command again",
        )


def _or(found: Row | None) -> str:
    """The statement that takes something away, where there is one, as a part of a sentence."""
    return f", or `{found['undo']}`" if found and found["undo"] else ""


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
    return moved | {"error": refused.told, "sqlstate": refused.sqlstate}
