# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for extensions, default privileges, jobs of pg_cron and rows of the migration history; pure."""

from __future__ import annotations

import itertools
import typing as t

from .common import Writer, grantee, in_order
from .statement import RESET, Lock, Statement, identifier, joined, literal, phrase, say

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry
    from .statement import Piece

#: What PostgreSQL itself lets everybody use.
TO_PUBLIC: t.Final = ("FUNCTIONS", "TYPES")


def _create_extension(entry: Entry) -> list[Statement]:
    """An extension in the version it had; the server must have its files."""
    return [
        say(
            "CREATE EXTENSION {} SCHEMA {} VERSION {}",
            entry.name,
            identifier(entry.facts["schema"]),
            literal(entry.facts["version"]),
        )
    ]


def _alter_extension(before: Entry, after: Entry) -> list[Statement] | None:
    """Another version, where the extension has a script for that way; another schema."""
    made: list[Statement] = []
    if before.facts["version"] != after.facts["version"]:
        made.append(say("ALTER EXTENSION {} UPDATE TO {}", after.name, literal(after.facts["version"])))
    if before.facts["schema"] != after.facts["schema"]:
        made.append(say("ALTER EXTENSION {} SET SCHEMA {}", after.name, identifier(after.facts["schema"])))
    return made


def _drop_extension(entry: Entry) -> list[Statement]:
    """An extension that nothing needs."""
    return [say("DROP EXTENSION {}", entry.name)]


def _scope(entry: Entry) -> tuple[Piece, str]:
    schema = phrase(" IN SCHEMA {}", identifier(entry.facts["schema"])) if entry.facts.get("schema") else ""
    return phrase("FOR ROLE {}{}", identifier(entry.facts["role"]), schema), entry.facts["objects"].upper()


def privileges(entry: Entry) -> list[Statement]:
    """Default privileges granted as they were, where there are none."""
    scope, objects = _scope(entry)
    made: list[Statement] = []
    receivers = dict.fromkeys(pair[0] for pair in in_order(entry))
    for receiver, grantable in itertools.product(receivers, (False, True)):
        listed = joined(", ", sorted(g[1] for g in entry.grants if (g[0], g[2]) == (receiver, grantable)))
        option = " WITH GRANT OPTION" if grantable else ""
        pieces = (scope, listed, objects, grantee(receiver), option)
        granted = say("ALTER DEFAULT PRIVILEGES {} GRANT {} ON {} TO {}{}", *pieces, lock=Lock.NONE)
        made += [granted] if listed else []
    return made


def no_privileges(entry: Entry) -> list[Statement]:
    """Nothing is granted by default any more: not what was, and for all schemas not what PostgreSQL itself grants."""
    scope, objects = _scope(entry)
    losers = {g[0] for g in entry.grants}
    if not entry.facts.get("schema"):
        losers |= {entry.facts["role"], *(["PUBLIC"] if objects in TO_PUBLIC else [])}
    receivers = joined(", ", map(grantee, sorted(losers)))
    return (
        [say("ALTER DEFAULT PRIVILEGES {} REVOKE ALL ON {} FROM {}", scope, objects, receivers, lock=Lock.NONE)]
        if receivers
        else []
    )


def _usual_privileges(entry: Entry) -> list[Statement]:
    """What PostgreSQL itself grants by default; for all schemas that is said, and then it is as if nobody had said anything."""
    made = no_privileges(entry)
    if entry.facts.get("schema"):
        return made
    scope, objects = _scope(entry)
    made.append(
        say(
            "ALTER DEFAULT PRIVILEGES {} GRANT ALL ON {} TO {}",
            scope,
            objects,
            identifier(entry.facts["role"]),
            lock=Lock.NONE,
        )
    )
    if objects in TO_PUBLIC:
        made.append(say("ALTER DEFAULT PRIVILEGES {} GRANT ALL ON {} TO PUBLIC", scope, objects, lock=Lock.NONE))
    return made


def _make_privileges(entry: Entry) -> list[Statement]:
    """Default privileges where PostgreSQL's own hold."""
    return [*no_privileges(entry), *privileges(entry)] if not entry.facts.get("schema") else privileges(entry)


# --- tables in publications


def _publish(entry: Entry) -> list[Statement]:
    """A table becomes one of a publication, which has to be there."""
    facts = entry.facts
    columns = phrase(" ({})", joined(", ", facts["columns"])) if facts.get("columns") else ""
    rows = phrase(" WHERE ({})", facts["filter"]) if facts.get("filter") else ""
    return [
        say(
            "ALTER PUBLICATION {} ADD TABLE ONLY {}{}{}",
            facts["publication"],
            facts["relation"],
            columns,
            rows,
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        )
    ]


def _withdraw(entry: Entry) -> list[Statement]:
    """A table is none of a publication any more."""
    return [
        say(
            "ALTER PUBLICATION {} DROP TABLE ONLY {}",
            entry.facts["publication"],
            entry.facts["relation"],
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        )
    ]


# --- jobs


def create_job(entry: Entry, database: str | None = None) -> list[Statement]:
    """A job of its owner, of another database than the one that has pg_cron where that is named; pg_cron makes every job active."""
    facts = entry.facts
    words = [literal(facts[fact]) for fact in ("name", "schedule", "command") if facts.get(fact)]
    scheduled = phrase("SELECT cron.schedule({})", joined(", ", words))
    more = [phrase("database => {}", literal(database))] if database else []
    more += [] if facts["active"] else [phrase("active => false")]
    made = phrase("SELECT cron.alter_job(({}), {})", scheduled, joined(", ", more)) if more else scheduled
    return _as_owner(entry, made)


def _as_owner(entry: Entry, statement: Piece) -> list[Statement]:
    """A job is its owner's, whoever goes back."""
    return [
        say("SET LOCAL ROLE {}", identifier(entry.owner or ""), lock=Lock.NONE),
        say("{}", statement, lock=Lock.ROW_EXCLUSIVE),
        RESET,
    ]


def _drop_job(entry: Entry) -> list[Statement]:
    """A job, by its number."""
    number = entry.address[1] if entry.address else 0
    return _as_owner(entry, phrase("SELECT cron.unschedule({}::bigint)", number))


def alter_job(before: Entry, after: Entry) -> list[Statement] | None:
    """Its schedule, command and activity; not its name."""
    if before.facts.get("name") != after.facts.get("name") or not before.address:
        return None
    changed = [fact for fact in ("schedule", "command") if before.facts[fact] != after.facts[fact]]
    words = [phrase("{} => {}", fact, literal(after.facts[fact])) for fact in changed]
    if before.facts["active"] != after.facts["active"]:
        words.append(phrase("active => {}", str(after.facts["active"]).lower()))
    return (
        _as_owner(before, phrase("SELECT cron.alter_job({}, {})", before.address[1], joined(", ", words)))
        if words
        else []
    )


# --- rows of the migration history


def insert_row(entry: Entry, table: str) -> list[Statement]:
    """A row, every value as the text that was read."""
    columns = joined(", ", map(identifier, entry.facts))
    values = joined(", ", map(_value, entry.facts.values()))
    return [say("INSERT INTO {} ({}) VALUES ({})", table, columns, values, lock=Lock.ROW_EXCLUSIVE, runs_as=table)]


def delete_row(entry: Entry, table: str) -> list[Statement]:
    """That very row."""
    tests = (
        phrase("{}::text IS NOT DISTINCT FROM {}", identifier(column), _value(value))
        for column, value in entry.facts.items()
    )
    return [say("DELETE FROM {} WHERE {}", table, joined(" AND ", tests), lock=Lock.ROW_EXCLUSIVE)]


# --- rows of a table in which a deployment says what it has applied


def _insert_file(entry: Entry) -> list[Statement]:
    """The row as it was captured, every value as the text that was read."""
    values = _values(entry)
    columns = joined(", ", map(identifier, values))
    listed = joined(", ", map(_value, values.values()))
    table = entry.table
    return [
        say(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            *(table, columns, listed),
            lock=Lock.ROW_EXCLUSIVE,
            runs_as=table,
        )
    ]


def _update_file(before: Entry, after: Entry) -> list[Statement] | None:
    """What the row said when it was captured; another row than the one that was read stays as it is."""
    if (before.table, before.facts["key"]) != (after.table, after.facts["key"]):
        return None
    there, table = _values(before), after.table
    differing = {column: value for column, value in _values(after).items() if there.get(column) != value}
    if not differing:
        # A column that it said so by is gone, and said nothing.
        return []
    listed = joined(", ", (phrase("{} = {}", identifier(column), _value(value)) for column, value in differing.items()))
    return [say("UPDATE {} SET {} WHERE {}", table, listed, _very_row(before), lock=Lock.ROW_EXCLUSIVE, runs_as=table)]


def _delete_file(entry: Entry) -> list[Statement]:
    """That very row, unless it says something else by now."""
    return [say("DELETE FROM {} WHERE {}", entry.table, _very_row(entry), lock=Lock.ROW_EXCLUSIVE)]


def _values(entry: Entry) -> dict[str, str | None]:
    """All columns of a row."""
    return {**entry.facts["key"], **entry.facts["state"], **dict(entry.order.get("rest", ()))}


def _very_row(entry: Entry) -> Piece:
    known: dict[str, str | None] = {**entry.facts["key"], **entry.facts["state"]}
    tests = (
        phrase("{}::text IS NOT DISTINCT FROM {}", identifier(column), _value(value)) for column, value in known.items()
    )
    return joined(" AND ", tests)


def _value(text: str | None) -> Piece:
    return "NULL" if text is None else literal(text)


def _again(before: Entry, after: Entry) -> list[Statement] | None:  # noqa: ARG001
    return None


WRITERS: t.Final = {
    "extension": Writer("EXTENSION", _create_extension, _drop_extension, _alter_extension),
    "default_privileges": Writer("", _make_privileges, _usual_privileges, _again),
    "publication_table": Writer("", _publish, _withdraw, _again),
    "cron_job": Writer("", create_job, _drop_job, alter_job),
    "manifest": Writer("", _insert_file, _delete_file, _update_file),
}
