# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for extensions, default privileges, jobs of pg_cron and rows of the migration history; pure."""

from __future__ import annotations

import itertools
import typing as t

from ...postgres.identifiers import identifier, literal
from .common import Writer, grantee, in_order

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry

#: What PostgreSQL itself lets everybody use.
TO_PUBLIC: t.Final = ("FUNCTIONS", "TYPES")


def _create_extension(entry: Entry) -> list[str]:
    """An extension in the version it had; the server must have its files."""
    return [
        f"CREATE EXTENSION {entry.name} SCHEMA {identifier(entry.facts['schema'])} VERSION {literal(entry.facts['version'])}"
    ]


def _alter_extension(before: Entry, after: Entry) -> list[str] | None:
    """Another version, where the extension has a script for that way; another schema."""
    made: list[str] = []
    if before.facts["version"] != after.facts["version"]:
        made.append(f"ALTER EXTENSION {after.name} UPDATE TO {literal(after.facts['version'])}")
    if before.facts["schema"] != after.facts["schema"]:
        made.append(f"ALTER EXTENSION {after.name} SET SCHEMA {identifier(after.facts['schema'])}")
    return made


def _drop_extension(entry: Entry) -> list[str]:
    """An extension that nothing needs."""
    return [f"DROP EXTENSION {entry.name}"]


def _scope(entry: Entry) -> tuple[str, str]:
    schema = f" IN SCHEMA {identifier(entry.facts['schema'])}" if entry.facts.get("schema") else ""
    return f"FOR ROLE {identifier(entry.facts['role'])}{schema}", entry.facts["objects"].upper()


def privileges(entry: Entry) -> list[str]:
    """Default privileges granted as they were, where there are none."""
    scope, objects = _scope(entry)
    made: list[str] = []
    receivers = dict.fromkeys(pair[0] for pair in in_order(entry))
    for receiver, grantable in itertools.product(receivers, (False, True)):
        listed = ", ".join(sorted(g[1] for g in entry.grants if (g[0], g[2]) == (receiver, grantable)))
        option = " WITH GRANT OPTION" if grantable else ""
        granted = f"ALTER DEFAULT PRIVILEGES {scope} GRANT {listed} ON {objects} TO {grantee(receiver)}{option}"
        made += [granted] if listed else []
    return made


def no_privileges(entry: Entry) -> list[str]:
    """Nothing is granted by default any more: not what was, and for all schemas not what PostgreSQL itself grants."""
    scope, objects = _scope(entry)
    losers = {g[0] for g in entry.grants}
    if not entry.facts.get("schema"):
        losers |= {entry.facts["role"], *(["PUBLIC"] if objects in TO_PUBLIC else [])}
    receivers = ", ".join(map(grantee, sorted(losers)))
    return [f"ALTER DEFAULT PRIVILEGES {scope} REVOKE ALL ON {objects} FROM {receivers}"] if receivers else []


def _usual_privileges(entry: Entry) -> list[str]:
    """What PostgreSQL itself grants by default; for all schemas that is said, and then it is as if nobody had said anything."""
    made = no_privileges(entry)
    if entry.facts.get("schema"):
        return made
    scope, objects = _scope(entry)
    made.append(f"ALTER DEFAULT PRIVILEGES {scope} GRANT ALL ON {objects} TO {identifier(entry.facts['role'])}")
    if objects in TO_PUBLIC:
        made.append(f"ALTER DEFAULT PRIVILEGES {scope} GRANT ALL ON {objects} TO PUBLIC")
    return made


def _make_privileges(entry: Entry) -> list[str]:
    """Default privileges where PostgreSQL's own hold."""
    return [*no_privileges(entry), *privileges(entry)] if not entry.facts.get("schema") else privileges(entry)


# --- tables in publications


def _publish(entry: Entry) -> list[str]:
    """A table becomes one of a publication, which has to be there."""
    facts = entry.facts
    columns = f" ({', '.join(facts['columns'])})" if facts.get("columns") else ""
    rows = f" WHERE ({facts['filter']})" if facts.get("filter") else ""
    return [f"ALTER PUBLICATION {facts['publication']} ADD TABLE ONLY {facts['relation']}{columns}{rows}"]


def _withdraw(entry: Entry) -> list[str]:
    """A table is none of a publication any more."""
    return [f"ALTER PUBLICATION {entry.facts['publication']} DROP TABLE ONLY {entry.facts['relation']}"]


# --- jobs


def _create_job(entry: Entry) -> list[str]:
    """A job of its owner; pg_cron makes every job active."""
    facts = entry.facts
    words = [literal(facts[fact]) for fact in ("name", "schedule", "command") if facts.get(fact)]
    scheduled = f"SELECT cron.schedule({', '.join(words)})"
    return _as_owner(entry, scheduled if facts["active"] else f"SELECT cron.alter_job(({scheduled}), active => false)")


def _as_owner(entry: Entry, statement: str) -> list[str]:
    """A job is its owner's, whoever goes back."""
    return [f"SET LOCAL ROLE {identifier(entry.owner or '')}", statement, "RESET ROLE"]


def _drop_job(entry: Entry) -> list[str]:
    """A job, by its number."""
    number = entry.address[1] if entry.address else 0
    return _as_owner(entry, f"SELECT cron.unschedule({number}::bigint)")


def alter_job(before: Entry, after: Entry) -> list[str] | None:
    """Its schedule, command and activity; not its name."""
    if before.facts.get("name") != after.facts.get("name") or not before.address:
        return None
    changed = [fact for fact in ("schedule", "command") if before.facts[fact] != after.facts[fact]]
    words = [f"{fact} => {literal(after.facts[fact])}" for fact in changed]
    if before.facts["active"] != after.facts["active"]:
        words.append(f"active => {str(after.facts['active']).lower()}")
    return _as_owner(before, f"SELECT cron.alter_job({before.address[1]}, {', '.join(words)})") if words else []


# --- rows of the migration history


def insert_row(entry: Entry, table: str) -> list[str]:
    """A row, every value as the text that was read."""
    columns = ", ".join(map(identifier, entry.facts))
    values = ", ".join("NULL" if value is None else literal(value) for value in entry.facts.values())
    return [f"INSERT INTO {table} ({columns}) VALUES ({values})"]  # noqa: S608 names and values are quoted


def delete_row(entry: Entry, table: str) -> list[str]:
    """That very row."""
    tests = (
        f"{identifier(column)}::text IS NOT DISTINCT FROM {'NULL' if value is None else literal(value)}"
        for column, value in entry.facts.items()
    )
    return [f"DELETE FROM {table} WHERE {' AND '.join(tests)}"]  # noqa: S608 names and values are quoted


def _again(before: Entry, after: Entry) -> list[str] | None:  # noqa: ARG001
    return None


WRITERS: t.Final = {
    "extension": Writer("EXTENSION", _create_extension, _drop_extension, _alter_extension),
    "default_privileges": Writer("", _make_privileges, _usual_privileges, _again),
    "publication_table": Writer("", _publish, _withdraw, _again),
    "cron_job": Writer("", _create_job, _drop_job, alter_job),
}
