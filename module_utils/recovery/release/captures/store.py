# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures of releases in the ledger: one is current for each release, older ones stay as superseded."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ...core.errors import NotConverged
from ...postgres.driver import Jsonb, errors, psycopg
from ...postgres.failures import translate
from . import document as captures_document
from . import table_data

if t.TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ...core.progress import Progress
    from ...ledger.ledger import Ledger
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from ..catalog.entries import Scope
    from .document import Document
    from .table_data import Protected

CURRENT: t.Final = "SELECT document FROM scout_ops.releases WHERE release = %(release)s AND superseded_at IS NULL"

#: Of another release, but about the same schemas. What a way back captures before it goes is found by its run alone.
LATEST: t.Final = """
SELECT document FROM scout_ops.releases
WHERE release <> %(release)s AND document #> '{scope,schemas}' = %(schemas)s AND document ->> 'taken_by' IS NULL
ORDER BY captured_at DESC LIMIT 1
"""
LATEST_ASKED_FOR: t.Final = """
SELECT document FROM scout_ops.releases WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1
"""
LATEST_ABOUT: t.Final = """
SELECT capture_id::text AS capture_id, release, digest, document -> 'scope' AS scope,
       extract(epoch FROM clock_timestamp() - captured_at)::float8 AS seconds
FROM scout_ops.releases WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1
"""
BY_ID: t.Final = "SELECT document FROM scout_ops.releases WHERE capture_id::text = %(capture_id)s"
NAMES: t.Final = """
SELECT release FROM scout_ops.releases
WHERE superseded_at IS NULL AND document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 10
"""

IN_FORCE: t.Final = """
SELECT capture_id::text AS id FROM scout_ops.releases WHERE release = %(release)s AND superseded_at IS NULL
"""
SUPERSEDE: t.Final = """
UPDATE scout_ops.releases SET superseded_at = clock_timestamp(), superseded_by = %(capture_id)s
WHERE release = %(release)s AND superseded_at IS NULL
"""

INSERT: t.Final = """
INSERT INTO scout_ops.releases
       (capture_id, release, digest, captured_at, captured_by, incident, run_id, git_commit, protect, document)
VALUES (%(capture_id)s, %(release)s, %(digest)s, %(captured_at)s, %(captured_by)s, %(incident)s, %(run_id)s, %(git_commit)s,
        %(protect)s, %(document)s)
"""

MOVE: t.Final = "UPDATE scout_ops.releases SET document = %(document)s WHERE capture_id::text = %(capture_id)s"

ABOUT: t.Final = """
SELECT clock_timestamp() AS captured_at, current_database()::text AS database,
       (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid,
       has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_identify
"""
IDENTIFIER: t.Final = "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where and when a capture was taken; the system identifier tells servers apart, null where one may not ask."""

    captured_at: str
    database: str
    database_oid: int
    system_identifier: str | None
    server_version: int

    def is_that_of(self, made: Document) -> bool:
        """Whether a capture is of this very database, so that addresses can be compared."""
        here = (self.system_identifier, self.database_oid)
        return bool(self.system_identifier) and here == (made["system_identifier"], made["database_oid"])


def origin(session: Session) -> Origin:
    """This database now; inside the caller's transaction."""
    row = session.row(ABOUT)
    identifier = session.row(IDENTIFIER)["id"] if row["may_identify"] else None
    version = session.facts.server_version
    return Origin(row["captured_at"].isoformat(), row["database"], row["database_oid"], identifier, version)


def current(ledger: Ledger, name: str) -> Document | None:
    """The capture of a release that is in force, verified."""
    return _one(ledger, CURRENT, release=name)


def latest(ledger: Ledger, name: str, schemas: Sequence[str]) -> Document | None:
    """The latest capture of another release of the same schemas."""
    return _one(ledger, LATEST, release=name, schemas=Jsonb(list(schemas)))


def latest_asked_for(ledger: Ledger) -> Document | None:
    """The latest capture of all that somebody asked for."""
    return _one(ledger, LATEST_ASKED_FOR)


def latest_about(ledger: Ledger) -> Row | None:
    """What says of it what it is and how old, without all that it holds."""
    found = ledger.session.rows(LATEST_ABOUT) if ledger.present else []
    return found[0] if found else None


def by_id(ledger: Ledger, capture_id: str, *, known: Document | None = None) -> Document | None:
    """A capture whether it is in force or not; where it is still the one that is known, that one, verified before."""
    return _one(ledger, BY_ID, known, capture_id=capture_id)


def names(ledger: Ledger) -> list[str]:
    """The releases there are captures of, the latest first."""
    return [row["release"] for row in ledger.session.rows(NAMES)] if ledger.present else []


def about(
    *, name: str, capture_id: str, here: Origin, actor: str, incident: str, scope: Scope, beyond: Sequence[str]
) -> dict[str, t.Any]:
    """What a capture says of itself besides its application and its data."""
    return {
        "release": name,
        "capture_id": capture_id,
        "captured_at": here.captured_at,
        "captured_by": actor,
        "incident": incident,
        "database": here.database,
        "database_oid": here.database_oid,
        "system_identifier": here.system_identifier,
        "server_version": here.server_version,
        "scope": {**scope.as_dict(), "beyond": list(beyond)},
    }


def _one(ledger: Ledger, query: t.LiteralString, known: Document | None = None, **values: t.Any) -> Document | None:
    found = ledger.session.rows(query, **values) if ledger.present else []
    if not found:
        return None
    made: Document = found[0]["document"]
    if made == known:
        return known
    return captures_document.opened(made, f"the capture of {made.get('release', 'a release')} in scout_ops.releases")


def keep(
    run: Run, made: Document, before: Document | None, tables: Sequence[Protected], progress: Progress
) -> Document:
    """Stores a capture with the data it protects in one transaction, which makes it the current one of its release
    in place of the one that was seen before. Raises NotConverged where another capture was stored meanwhile."""
    ledger = run.ledger
    session, capture_id = ledger.session, made["capture_id"]
    with _one_at_a_time(made["release"], session), session.move(closed=()):
        if session.rows(IN_FORCE, release=made["release"]) != ([{"id": before["capture_id"]}] if before else []):
            raise _second(made["release"], session)
        saved = [table_data.save(session, capture_id, each, progress) for each in tables]
        whole = captures_document.sealed({**made, "protected": saved}) if saved else made
        session.execute(SUPERSEDE, capture_id=capture_id, release=made["release"])
        store(run, whole)
        run.record(**effects(whole))
    return whole


def store(run: Run, whole: Document) -> None:
    """A capture's line; inside the caller's transaction, which has saved its data."""
    run.ledger.session.execute(
        INSERT,
        capture_id=whole["capture_id"],
        release=whole["release"],
        digest=whole["digest"],
        captured_at=whole["captured_at"],
        captured_by=whole["captured_by"],
        incident=whole["incident"],
        run_id=run.run_id,
        git_commit=whole["git_commit"],
        protect=Jsonb(whole["protect"]),
        document=Jsonb(whole),
    )


def move(ledger: Ledger, made: Document) -> None:
    """Keeps where the objects of a capture are now, if it is one of the ledger; inside the caller's transaction."""
    ledger.session.execute(MOVE, capture_id=made["capture_id"], document=Jsonb(made))


def effects(made: Document) -> dict[str, t.Any]:
    """What a capture did, for the ledger."""
    return {
        "release": made["release"],
        "capture_id": made["capture_id"],
        "digest": made["digest"],
        "objects": len(made["entries"]),
        "protected_rows": sum(each["rows"] for each in made["protected"]),
    }


@contextlib.contextmanager
def _one_at_a_time(name: str, session: Session) -> Generator[None]:
    """Two captures of one release at the same moment: the second is told, and finds the first when it comes again."""
    try:
        yield
    except psycopg.Error as e:
        problem = translate(e, f"could not store the capture of {name}", on=session.where)
        if isinstance(e, (errors.UniqueViolation, errors.SerializationFailure)):
            raise _second(name, session) from e
        raise problem from e


def _second(name: str, session: Session) -> NotConverged:
    return NotConverged(
        f"could not store the capture of {name}",
        on=session.where,
        said="someone else captured it at the same moment",
        next_step="run the same command again",
    )
