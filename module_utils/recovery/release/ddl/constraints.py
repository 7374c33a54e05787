# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for constraints, indexes and extended statistics; pure."""

from __future__ import annotations

import json
import typing as t

from ...postgres.driver import sql
from .common import FOLLOWS, Writer, comment, differing_as_written, drop, follows
from .statement import Effect, Lock, Statement, identifier, literal, phrase, say

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry
    from .tables import Facts

# --- constraints

#: The triggers that keep a constraint have names of their own in each database. Only a superuser may switch them.
SWITCHED: t.Final = """
DECLARE found record;
BEGIN
    FOR found IN
        SELECT g.tgrelid::pg_catalog.regclass AS relation, g.tgname, w.value AS state
        FROM pg_catalog.pg_constraint AS o
        JOIN pg_catalog.pg_trigger AS g ON g.tgconstraint = o.oid AND g.tgisinternal
        JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
        JOIN pg_catalog.jsonb_each_text({states}::pg_catalog.jsonb) AS w ON w.key = f.proname
        WHERE o.conrelid = {table}::pg_catalog.regclass AND pg_catalog.quote_ident(o.conname) = {constraint}
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s %s TRIGGER %I', found.relation, CASE found.state
            WHEN 'disabled' THEN 'DISABLE' WHEN 'replica' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, found.tgname);
    END LOOP;
END"""


def create_constraint(entry: Entry, *, only: bool = False) -> list[Statement]:
    """A constraint; a partition has those of its parent with it, unless it is for `only` this table."""
    facts = entry.facts
    made = [add(entry, facts["table"], only=only)]
    index: Facts = facts.get("index") or {}
    return made + _of_index(entry, index, {}) + _switched(entry)


def add(entry: Entry, table: str, *, only: bool = False) -> Statement:
    """What adds a constraint to a table; what it tests was written by others."""
    of_others = table if entry.facts.get("type") in ("check", "exclusion") else ""
    text = phrase("{} ADD CONSTRAINT {} {}", table, entry.own, entry.facts["definition"])
    return say("ALTER TABLE {}{}", "ONLY " if only else "", text, runs_as=of_others)


def _switched(entry: Entry) -> list[Statement]:
    """What is not kept by the constraint, or only for some sessions."""
    states: dict[str, str] = entry.facts.get("disabled") or {}
    if not states:
        return []
    texts = {
        "states": literal(json.dumps(states, sort_keys=True)),
        "table": literal(entry.facts["table"]),
        "constraint": literal(entry.own),
    }
    return [say("DO {}", literal(sql.SQL(SWITCHED).format(**texts).as_string()))]


def _of_index(entry: Entry, index: Facts, before: Facts) -> list[Statement]:
    """What belongs to an index beside its definition."""
    table, made = entry.facts["table"], list[Statement]()
    own = entry.own
    qualified = f"{entry.schema}.{own}"
    if bool(index.get("clustered")) != bool(before.get("clustered")):
        made.append(
            say("ALTER TABLE {} CLUSTER ON {}", table, own)
            if index.get("clustered")
            else say("ALTER TABLE {} SET WITHOUT CLUSTER", table, effect=Effect.UNCLUSTERS)
        )
    if index.get("replica_identity") and not before.get("replica_identity"):
        made.append(say("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}", table, own))
    there: dict[str, int] = before.get("statistics") or {}
    wanted: dict[str, int] = index.get("statistics") or {}
    for attribute in sorted({*there, *wanted}):
        target = wanted.get(attribute)
        if target != there.get(attribute):
            made.append(
                say(
                    "ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {}",
                    qualified,
                    attribute,
                    -1 if target is None else target,
                    lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                )
            )
    if index.get("comment") != before.get("comment"):
        made.append(comment("INDEX", qualified, index.get("comment")))
    if index.get("attached_to") and not before.get("attached_to"):
        made.append(say("ALTER INDEX {} ATTACH PARTITION {}", index["attached_to"], qualified, effect=Effect.ATTACHES))
    if entry.kind == "constraint":
        made += follows(phrase("INDEX {}", qualified), before.get(FOLLOWS), index.get(FOLLOWS))
    return made


def _detached(before: Facts, after: Facts) -> bool:
    """Whether an index would have to leave its parent, or become valid again: both need another one."""
    loose = before.get("attached_to") and before.get("attached_to") != after.get("attached_to")
    return bool(
        loose or (after.get("valid") and not before.get("valid") and "ON ONLY" not in str(after.get("definition")))
    )


#: Of an index, what is not its definition.
BESIDE: t.Final = {"clustered", "replica_identity", "statistics", "comment", "attached_to", "valid", FOLLOWS}


def _alter_constraint(before: Entry, after: Entry) -> list[Statement] | None:
    """Validated where it was not; its index clustered, named by the replica identity, or commented; less of it kept.
    One that is to be kept again is recreated, by which it holds for all rows, and for which no superuser is
    needed."""
    changed = differing_as_written(before, after)
    made: list[Statement] = []
    if "disabled" in changed:
        if not (before.facts.get("disabled") or {}).items() <= (after.facts.get("disabled") or {}).items():
            return None
        made += _switched(after)
        changed -= {"disabled"}
    not_valid = {"definition", "validated"}
    if changed & not_valid:
        if (
            after.facts.get("validated")
            and before.facts["definition"].removesuffix(" NOT VALID") == after.facts["definition"]
        ):
            made.append(
                say(
                    "ALTER TABLE {} VALIDATE CONSTRAINT {}",
                    after.facts["table"],
                    after.own,
                    lock=Lock.SHARE_ROW_EXCLUSIVE,
                    runs_as=after.facts["table"],
                )
            )
            changed -= not_valid
        else:
            return None
    if "index" in changed:
        there: Facts = before.facts.get("index") or {}
        wanted: Facts = after.facts.get("index") or {}
        other = {fact for fact in {*there, *wanted} if there.get(fact) != wanted.get(fact)} - BESIDE
        if other or _detached(there, wanted):
            return None
        made += _of_index(after, wanted, there)
        changed -= {"index"}
    return None if changed else made


def _drop_constraint(entry: Entry) -> list[Statement]:
    """A constraint and its index."""
    return [say("ALTER TABLE {} DROP CONSTRAINT {}", entry.facts["table"], entry.own)]


# --- indexes and statistics


def _create_index(entry: Entry) -> list[Statement]:
    """An index, by the statement PostgreSQL writes for it."""
    tablespace = entry.facts.get("tablespace")
    move = [say("ALTER INDEX {} SET TABLESPACE {}", entry.name, identifier(tablespace))] if tablespace else []
    return [say("{}", entry.facts["definition"], lock=Lock.SHARE), *move, *_of_index(entry, entry.facts, {})]


def _alter_index(before: Entry, after: Entry) -> list[Statement] | None:
    """What is not its definition."""
    if differing_as_written(before, after) - BESIDE or _detached(before.facts, after.facts):
        return None
    return _of_index(after, after.facts, before.facts)


def _create_statistics(entry: Entry) -> list[Statement]:
    """Extended statistics."""
    return [say("{}", entry.facts["definition"], lock=Lock.SHARE_UPDATE_EXCLUSIVE), *_target(entry)]


def _target(entry: Entry) -> list[Statement]:
    target = entry.facts.get("target")
    return (
        []
        if target is None
        else [say("ALTER STATISTICS {} SET STATISTICS {}", entry.name, target, lock=Lock.SHARE_UPDATE_EXCLUSIVE)]
    )


def _alter_statistics(before: Entry, after: Entry) -> list[Statement] | None:
    """Only the target can be altered."""
    if differing_as_written(before, after) - {"target"}:
        return None
    return (
        _target(after) or [say("ALTER STATISTICS {} SET STATISTICS -1", after.name, lock=Lock.SHARE_UPDATE_EXCLUSIVE)]
        if differing_as_written(before, after)
        else []
    )


WRITERS: t.Final = {
    "constraint": Writer("CONSTRAINT", create_constraint, _drop_constraint, _alter_constraint),
    "index": Writer("INDEX", _create_index, drop("INDEX"), _alter_index),
    "statistics": Writer("STATISTICS", _create_statistics, drop("STATISTICS"), _alter_statistics),
}
