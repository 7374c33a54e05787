# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to blame when the ETL refuses a batch: judged by the error, and guessed, without writing, by the events' data."""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t

from ..postgres import without_values
from ..postgres.driver import errors, psycopg, sql
from ..postgres.failures import words_of
from . import contract, event_queue, loadable

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..postgres.session import Session

OLDEST = """
SELECT coalesce(array_agg(event_id::text ORDER BY ingested_at, event_id), '{{}}') AS ids
FROM (
    SELECT b.event_id, b.ingested_at FROM {bronze} AS b
    WHERE {pending} ORDER BY b.ingested_at, b.event_id LIMIT %(limit)s
) AS o
"""

#: Events that an error speaks of: by transaction, or by the value of a key.
NAMED = """
SELECT b.event_id::text AS event_id FROM {bronze} AS b
WHERE b.event_id = ANY(%(ids)s::uuid[])
  AND (length(b.event_data ->> 'transaction_id') > 3 AND strpos(%(said)s, b.event_data ->> 'transaction_id') > 0
       OR strpos(b.event_data::text, to_json(%(key)s::text)::text) > 0)
"""

#: `Key (store_id)=(S-404) is not present in table "dim_store".` in whatever language.
KEY = re.compile(r"\([^()]+\)=\((?P<value>[^()]+)\)")

#: Messages of one kind differ in values and in words with a digit.
WORD: t.Final = re.compile(r"[\w.:+-]+")
#: What messages of one kind have in common, in SQL; {} is the message.
KIND: t.Final[t.LiteralString] = (
    f"regexp_replace(regexp_replace({{}}, '{without_values.QUOTED_IN_SQL}', '\\1', 'g'), '[\\w.:+-]*[0-9][\\w.:+-]*', '…', 'g')"
)
#: Classes of errors that speak of one event's data: cardinality, data, integrity, WITH CHECK OPTION, program limits
#: (an index entry too long), RAISE in a trigger. Every other error is of the system and stops the drain.
EVENT_ERROR_CLASSES: t.Final = ("21", "22", "23", "44", "54", "P0")


@dataclasses.dataclass(frozen=True)
class Suspect:
    """An event whose data the ETL could not convert, and why."""

    event_id: str
    reason: str
    sqlstate: str | None = None


class Refused(Exception):
    """The ETL refused a batch because of data in it."""

    def __init__(self, error: psycopg.Error) -> None:
        self.error = error
        self.sqlstate = error.sqlstate or ""
        self.said = error.diag.message_primary or str(error)
        self.everything = f"{self.said} {error.diag.message_detail or ''}"
        super().__init__(self.said)

    @property
    def told(self) -> str:
        """The same without values of rows, for screens, results and the ledger."""
        return without_values.message(self.said)


def kind_of(said: str) -> str:
    """Return what messages of one kind have in common: the message without values and words with a digit."""
    return WORD.sub(_without_digits, without_values.message(said))


def _without_digits(word: re.Match[str]) -> str:
    return "…" if re.search("[0-9]", word[0]) else word[0]


def kinds(poison: Iterable[Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """How many events each kind of error refused, by SQLSTATE and message, the most frequent first."""
    found = collections.Counter((each["sqlstate"], kind_of(each["error"])) for each in poison)
    return [{"sqlstate": sqlstate, "error": said, "events": events} for (sqlstate, said), events in found.most_common()]


def judge(sqlstate: str | None, table: str | None = None) -> str:
    """What an error of the ETL, in this table, is about: `event`, `others` (try again), `slow`, or `system`."""
    if sqlstate == "57014":
        return "slow"
    if sqlstate in ("40001", "40P01", "55P03") or (sqlstate == "23505" and table == contract.names().etl_ledger):
        return "others"
    return "event" if (sqlstate or "")[:2] in EVENT_ERROR_CLASSES else "system"


def verdict_on(error: psycopg.Error) -> str:
    """The same of psycopg's error."""
    return judge(error.sqlstate, f"{error.diag.schema_name}.{error.diag.table_name}")


def suspects(session: Session, *, limit: int, most: int = 1) -> list[Suspect]:
    """Among the `limit` oldest pending events, the first `most` that cannot be converted; found by halving, read-only."""
    return unconvertible(session, oldest(session, limit), most)


def oldest(session: Session, limit: int) -> list[str]:
    """Ids of the `limit` oldest pending events."""
    return session.row(event_queue.of_pending(OLDEST), limit=limit)["ids"]


def unconvertible(
    session: Session, ids: list[str], most: int, *, source: sql.Composable | None = None, **values: t.Any
) -> list[Suspect]:
    """The first `most` of these events that cannot be converted; `source`, a table or query with their `event_id` and
    `event_data`, may be another than bronze."""
    if not ids:
        return []
    probe = loadable.probe(loadable.types(session), source or contract.compose("{bronze}"))
    found: list[Suspect] = []
    stack = [ids]
    while stack and len(found) < most:
        part = stack.pop()
        try:
            with session.savepoint():
                reasons = session.row(probe, ids=part, **values)["problems"]
        except errors.DataError as e:
            if len(part) == 1:
                found.append(Suspect(part[0], words_of(e), e.sqlstate))
            else:
                middle = len(part) // 2
                stack += [part[middle:], part[:middle]]
            continue
        if reasons:
            found += [Suspect(event_id, reasons[event_id]) for event_id in part if event_id in reasons]
    return found[:most]


def named(session: Session, ids: Collection[str], said: str) -> list[Suspect]:
    """Those of the events that a refusal's text speaks of."""
    key = KEY.search(said)
    rows = session.rows(contract.compose(NAMED), ids=list(ids), said=said, key=key["value"] if key else None)
    spoken_of = {row["event_id"] for row in rows}
    return [Suspect(event_id, without_values.message(said)) for event_id in ids if event_id in spoken_of]
