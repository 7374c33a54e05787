# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name in a selection that nothing has ever had is a mistake, and not a selection of nothing.

What has been moved away has its name in the dead letters: the same command again, which finds nothing left, is none.
"""

from __future__ import annotations

import difflib
import typing as t

from ...core.errors import BadInput
from ...core.text import count
from ...postgres.driver import sql
from ...scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...postgres.session import Session

#: The options of a selection of events that are names, what each is called, and where bronze and a dead letter have it.
OF_EVENTS: t.Final = {
    "source_systems": ("source system", "b.source_system", "d.source_system"),
    "source_files": ("source file", "b.source_file", "d.error_details #>> '{event,source_file}'"),
    "event_types": ("event type", "b.event_type", "d.error_details #>> '{event,event_type}'"),
    "stores": ("store", "b.event_data ->> 'store_id'", "d.original_payload ->> 'store_id'"),
    "transactions": ("transaction", "b.event_data ->> 'transaction_id'", "d.original_payload ->> 'transaction_id'"),
}

RULES: t.Final = (
    "jsonb_array_elements_text(CASE WHEN jsonb_typeof(d.error_details -> 'rules') = 'array' "
    "THEN d.error_details -> 'rules' ELSE '[]' END)"
)

#: Those of a selection of dead letters.
OF_LETTERS: t.Final = {
    "error_codes": ("error code", "d.error_code"),
    "rules": ("rule", RULES),
    "run_id": ("run", "d.error_details ->> 'run_id'"),
    "of_incident": ("incident", "d.error_details ->> 'incident'"),
}

KNOWN_EVENTS = "SELECT DISTINCT {bronze_has} AS name FROM {bronze} AS b WHERE {bronze_has} = ANY(%(names)s)"
KNOWN_LETTERS = "SELECT DISTINCT name FROM (SELECT {letter_has} AS name FROM {dead_letters} AS d) AS named WHERE name = ANY(%(names)s)"

#: Names there are, for whom mistyped one; a sample where there are many.
THERE = "SELECT DISTINCT name FROM (SELECT {has} AS name FROM {table}) AS named WHERE name IS NOT NULL LIMIT 1000"

#: Ids of events that were moved away.
MOVED = """
SELECT id FROM unnest(%(ids)s::text[]) AS id
WHERE EXISTS (SELECT FROM {dead_letters} AS d WHERE d.dlq_id = id::uuid OR d.error_details #>> '{{event,event_id}}' = id)
   OR EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = id::uuid) LIMIT 1
"""
SHOWN: t.Final = 8


def refuse_of_events(session: Session, given: Mapping[str, Sequence[str]]) -> None:
    """Raises BadInput for a name that no event in bronze and no dead letter has, with those that there are."""
    for option, (noun, in_bronze, in_letter) in OF_EVENTS.items():
        names = set(given.get(option) or ())
        if names:
            bronze_has, letter_has = _sql(in_bronze), _sql(in_letter)
            names -= _named(session, contract.compose(KNOWN_EVENTS, bronze_has=bronze_has), names)
            if names:
                names -= _named(session, contract.compose(KNOWN_LETTERS, letter_has=letter_has), names)
            _refuse(session, option, noun, names, bronze_has, contract.compose("{bronze} AS b"))


def refuse_of_letters(session: Session, given: Mapping[str, Sequence[str]]) -> None:
    """Raises BadInput for a name that no dead letter has, unresolved or resolved, with those that there are."""
    for option, (noun, in_letter) in OF_LETTERS.items():
        names = set(given.get(option) or ())
        if names:
            has = _sql(in_letter)
            names -= _named(session, contract.compose(KNOWN_LETTERS, letter_has=has), names)
            _refuse(session, option, noun, names, has, contract.compose("{dead_letters} AS d"))


def refuse_ids(session: Session, ids: Sequence[str], noun: str) -> None:
    """Raises BadInput where ids are given and none of them is of an event, or of a dead letter, whatever became of it."""
    if ids and not session.rows(contract.compose(MOVED), ids=list(ids)):
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        raise BadInput(
            f"{count(len(ids), 'given id')} of no {noun}: {', '.join(ids[:SHOWN])}{more}",
            on=session.where,
            next_step="correct them",
        )


def _sql(text: str) -> sql.SQL:
    return sql.SQL(t.cast("t.LiteralString", text))


def _named(session: Session, query: sql.Composed, names: Iterable[str]) -> set[str]:
    return {row["name"] for row in session.rows(query, names=sorted(names))}


def _refuse(
    session: Session, option: str, noun: str, unknown: set[str], has: sql.Composable, table: sql.Composable
) -> None:
    if not unknown:
        return
    there = sorted(row["name"] for row in session.rows(sql.SQL(THERE).format(has=has, table=table)))
    like = [name for wrong in sorted(unknown) for name in difflib.get_close_matches(wrong, there, n=3)]
    shown = list(dict.fromkeys([*like, *there]))[:SHOWN]
    more = f" and {len(there) - len(shown)} more" if len(there) > len(shown) else ""
    raise BadInput(
        f"{option}: no {noun} is named {', '.join(repr(name[:80]) for name in sorted(unknown)[:SHOWN])}",
        on=session.where,
        next_step=f"there are {', '.join(shown)}{more}" if shown else f"there is no {noun} at all",
    )
