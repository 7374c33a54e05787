# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for schemas, tables, columns and sequences; pure."""

from __future__ import annotations

import typing as t

from ..catalog.entries import split_qualified
from . import not_null
from .common import Writer, differing_as_written, drop
from .statement import Cost, Effect, Lock, Statement, identifier, joined, literal, phrase, say

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..catalog.entries import Entry
    from .statement import Piece

Facts = dict[str, t.Any]


def listed_options(entry: Entry) -> list[str]:
    """Its options as they stood."""
    stood = {option: number for number, option in enumerate(entry.order.get("options", ()))}
    listed: list[str] = entry.facts.get("options") or []
    return sorted(listed, key=lambda option: stood.get(option.partition("=")[0], len(stood)))


def options(listed: list[str] | None, prefix: str = "") -> Piece:
    """Storage parameters as WITH has them."""
    return joined(
        ", ",
        (
            phrase("{}{} = {}", prefix, key, literal(value))
            for key, _, value in (o.partition("=") for o in listed or ())
        ),
    )


def changed_options(before: list[str] | None, after: list[str] | None, prefix: str = "") -> list[Piece]:
    """SET and RESET of storage parameters. What is set goes behind what stays, so what stood behind it is set again."""
    there, wanted = (dict(o.split("=", 1) for o in listed or ()) for listed in (before, after))
    first = next((number for number, key in enumerate(wanted) if there.get(key) != wanted[key]), len(wanted))
    new = [f"{key}={value}" for key, value in list(wanted.items())[first:]]
    gone = [f"{prefix}{key}" for key in there if key not in wanted]
    made: list[Piece] = [phrase("SET ({})", options(new, prefix))] if new else []
    return [*made, phrase("RESET ({})", joined(", ", gone))] if gone else made


# --- schemas


def _create_schema(entry: Entry) -> list[Statement]:
    """An empty schema."""
    return [say("CREATE SCHEMA {}", entry.name)]


# --- tables: their columns are entries of their own


def create_table(entry: Entry, columns: Sequence[Entry] = ()) -> list[Statement]:
    """A table with its columns in their order; those it has from its parents alone come with these."""
    facts = entry.facts
    listed = joined(
        ", ", (column(each) for each in columns if not each.facts.get("inherited") or "merged" in each.order)
    )
    parents = phrase(" INHERITS ({})", joined(", ", facts["inherits"])) if facts.get("inherits") else ""
    unlogged, method = "UNLOGGED " if facts.get("unlogged") else "", facts.get("access_method")
    parts = [
        phrase("CREATE {}TABLE {} ({}){}", unlogged, entry.name, listed, parents),
        phrase("PARTITION BY {}", facts["partition_key"]) if facts.get("partition_key") else "",
        phrase("USING {}", identifier(method)) if method and not facts.get("partition_key") else "",
        _with(entry),
        phrase("TABLESPACE {}", identifier(facts["tablespace"])) if facts.get("tablespace") else "",
    ]
    lock = Lock.SHARE_UPDATE_EXCLUSIVE if parents else Lock.ACCESS_EXCLUSIVE
    made = [say("{}", joined(" ", parts), lock=lock, makes=entry.name)]
    made += [statement for each in columns for statement in _after_column(each)]
    made += [say("ALTER TABLE {} OF {}", entry.name, facts["of_type"])] if facts.get("of_type") else []
    return made + _row_security(entry, {}) + _identity(entry)


def _with(entry: Entry) -> Piece:
    parts = [options(listed_options(entry)), options(entry.facts.get("toast_options"), "toast.")]
    listed = joined(", ", parts)
    return phrase("WITH ({})", listed) if listed else ""


def _row_security(entry: Entry, before: Facts) -> list[Statement]:
    made: list[Statement] = []
    for fact, words in (("row_security", ("ENABLE", "DISABLE")), ("row_security_forced", ("FORCE", "NO FORCE"))):
        if bool(entry.facts.get(fact)) != bool(before.get(fact)):
            made.append(say("ALTER TABLE {} {} ROW LEVEL SECURITY", entry.name, words[not entry.facts.get(fact)]))
    return made


def _identity(entry: Entry) -> list[Statement]:
    """Replica identity, but for one by an index, which that index brings."""
    kind = entry.facts.get("replica_identity")
    return [say("ALTER TABLE {} REPLICA IDENTITY {}", entry.name, kind.upper())] if kind in ("nothing", "full") else []


def _alter_table(before: Entry, after: Entry) -> list[Statement] | None:
    """What a table can become where it stands."""
    changed = differing_as_written(before, after) - {"column_order"}
    made: list[Statement] = []
    if "unlogged" in changed:
        logged = "UNLOGGED" if after.facts.get("unlogged") else "LOGGED"
        made.append(say("ALTER TABLE {} SET {}", after.name, logged, cost=Cost.REWRITES))
    if "access_method" in changed:
        return None
    if "tablespace" in changed:
        made.append(
            say(
                "ALTER TABLE {} SET TABLESPACE {}",
                after.name,
                identifier(after.facts.get("tablespace") or "pg_default"),
                cost=Cost.REWRITES,
            )
        )
    for fact, prefix in (("options", ""), ("toast_options", "toast.")):
        wanted = after.facts.get(fact) if prefix else listed_options(after)
        clauses = changed_options(before.facts.get(fact), wanted, prefix)
        made += [say("ALTER TABLE {} {}", after.name, clause) for clause in clauses]
    made += _row_security(after, before.facts)
    if "of_type" in changed:
        of = after.facts.get("of_type")
        made.append(say("ALTER TABLE {} {}", after.name, phrase("OF {}", of) if of else "NOT OF"))
    if "replica_identity" in changed:
        made += _identity(after) or (
            [] if after.facts.get("replica_identity") else [say("ALTER TABLE {} REPLICA IDENTITY DEFAULT", after.name)]
        )
    made += _inheritance(before, after)
    if "partition_of" in changed:
        there, wanted = before.facts.get("partition_of"), after.facts.get("partition_of")
        made += [say("ALTER TABLE {} DETACH PARTITION {}", there["table"], after.name)] if there else []
        made += attach(after) if wanted else []
    handled = {"unlogged", "tablespace", "options", "toast_options", "row_security", "row_security_forced",
               "replica_identity", "inherits", "partition_of", "of_type"}  # fmt: skip
    return made if changed <= handled else None


def _inheritance(before: Entry, after: Entry) -> list[Statement]:
    there: list[str] = before.facts.get("inherits") or []
    wanted: list[str] = after.facts.get("inherits") or []
    leaves = [parent for parent in there if parent not in wanted]
    gone = [say("ALTER TABLE {} NO INHERIT {}", after.name, each, effect=Effect.LEAVES) for each in leaves]
    joins = [parent for parent in wanted if parent not in there]
    return gone + [say("ALTER TABLE {} INHERIT {}", after.name, each, effect=Effect.INHERITS) for each in joins]


def attach(entry: Entry) -> list[Statement]:
    """What makes a partition of a table with all its columns."""
    part: dict[str, str] | None = entry.facts.get("partition_of")
    if not part:
        return []
    # Whether its rows belong there is computed by the expressions of the key.
    more: Facts = {"effect": Effect.ATTACHES, "runs_as": part["table"], "table": entry.name}
    return [say("ALTER TABLE {} ATTACH PARTITION {} {}", part["table"], entry.name, part["bound"], **more)]


# --- columns


def column(entry: Entry) -> Piece:
    """A column's definition as CREATE TABLE and ADD COLUMN take it."""
    facts = entry.facts
    parts: list[Piece] = [entry.own, facts["type"]]
    if facts.get("collation"):
        parts.append(phrase("COLLATE {}", facts["collation"]))
    if facts.get("generated") is not None:
        parts.append(
            phrase("GENERATED ALWAYS AS ({}) {}", facts["generated"], facts.get("generated_how", "stored").upper())
        )
    if facts.get("default") is not None:
        parts.append(phrase("DEFAULT {}", facts["default"]))
    if has_sequence(facts.get("identity")):
        parts.append(
            phrase(
                "GENERATED {} AS IDENTITY ({})",
                facts["identity"]["generated"].upper(),
                _sequence(facts["identity"], named=True),
            )
        )
    if facts.get("not_null") and not (facts.get("inherited") and not_null.known(entry).get("inherited")):
        parts.append(not_null.named(entry))
    return joined(" ", parts)


def _create_bare_table(entry: Entry) -> list[Statement]:
    """The same without columns, which are entries of their own."""
    return create_table(entry)


def has_sequence(identity: Facts | None) -> bool:
    """Whether a column counts by itself; one of a partition may count as its parent's does."""
    return bool(identity and "increment" in identity)


def _after_column(entry: Entry) -> list[Statement]:
    """What a column has that its definition cannot say."""
    facts, relation, own = entry.facts, entry.table, entry.own
    alter = phrase("ALTER TABLE {} ALTER COLUMN {}", relation, own)
    made: list[Statement] = []
    if facts.get("inherited") and "merged" not in entry.order:
        made += not_null.of_column(entry) if not_null.known(entry) else []
    elif facts.get("not_null"):
        made += not_null.said(entry, {})
    if facts.get("storage"):
        made.append(say("{} SET STORAGE {}", alter, facts["storage"].upper()))
    if facts.get("compression"):
        made.append(say("{} SET COMPRESSION {}", alter, facts["compression"]))
    if facts.get("statistics") is not None:
        made.append(say("{} SET STATISTICS {}", alter, facts["statistics"], lock=Lock.SHARE_UPDATE_EXCLUSIVE))
    if facts.get("options"):
        made.append(say("{} SET ({})", alter, options(facts["options"])))
    return made


def _create_column(entry: Entry) -> list[Statement]:
    """A column added to a table that is there."""
    table, facts = entry.table, entry.facts
    computed = any(facts.get(fact) is not None for fact in ("default", "generated", "identity"))
    cost = Cost.REWRITES if computed else Cost.NONE
    added = say("ALTER TABLE {} ADD COLUMN {}", table, column(entry), cost=cost, runs_as=table)
    return [added, *_after_column(entry)]


def drop_column(entry: Entry) -> list[Statement]:
    """A column with its data."""
    relation, own = entry.table, entry.own
    return [say("ALTER TABLE {} DROP COLUMN {}", relation, own, cost=Cost.LOSES)]


def _alter_column(before: Entry, after: Entry) -> list[Statement] | None:
    """What a column can become where it stands; another expression of a generated one cannot be had so."""
    changed = differing_as_written(before, after)
    stays = before.facts.get("generated_how") == "stored" and after.facts.get("generated") is None
    if changed & {"inherited", "foreign_options", *(() if stays else ("generated", "generated_how"))}:
        return None
    relation, own = after.table, after.own
    alter = phrase("ALTER TABLE {} ALTER COLUMN {}", relation, own)
    facts = after.facts
    retyped = bool(changed & {"type", "collation"})
    made = [say("{} DROP EXPRESSION", alter)] if stays else []
    if before.facts.get("default") is not None and ("default" in changed or retyped):
        made.append(say("{} DROP DEFAULT", alter, effect=Effect.DROPS_DEFAULT))
    if has_sequence(before.facts.get("identity")) and not facts.get("identity"):
        made.append(say("{} DROP IDENTITY", alter, effect=Effect.DROPS_IDENTITY))
    if retyped:
        collate = phrase(" COLLATE {}", facts["collation"]) if facts.get("collation") else ""
        # What is generated is generated anew, and PostgreSQL wants to hear nothing about that.
        using = phrase(" USING {}::{}", own, facts["type"]) if facts.get("generated") is None else ""
        made.append(say("{} TYPE {}{}{}", alter, facts["type"], collate, using, cost=Cost.REWRITES, runs_as=relation))
    if changed & {"not_null", "not_null_constraint"}:
        made += not_null.altered(before, after)
    if facts.get("default") is not None and ("default" in changed or retyped):
        made.append(say("{} SET DEFAULT {}", alter, facts["default"]))
    if "identity" in changed and has_sequence(facts.get("identity")):
        made += _identity_changed(alter, before.facts.get("identity"), facts["identity"])
    return made + _storage(alter, changed, before.facts, facts, retyped=retyped)


def _storage(alter: Piece, changed: set[str], before: Facts, facts: Facts, *, retyped: bool) -> list[Statement]:
    """How a column is stored and analyzed, which another type resets."""
    made: list[Statement] = []
    if "storage" in changed or (retyped and facts.get("storage")):
        made.append(say("{} SET STORAGE {}", alter, (facts.get("storage") or "default").upper()))
    if "compression" in changed:
        made.append(say("{} SET COMPRESSION {}", alter, facts.get("compression") or "default"))
    if "statistics" in changed or (retyped and facts.get("statistics") is not None):
        made.append(say("{} SET STATISTICS {}", alter, facts.get("statistics", -1), lock=Lock.SHARE_UPDATE_EXCLUSIVE))
    if "options" in changed:
        made += [say("{} {}", alter, clause) for clause in changed_options(before.get("options"), facts.get("options"))]
    return made


def _identity_changed(alter: Piece, before: Facts | None, after: Facts) -> list[Statement]:
    if before is None:
        return [
            say("{} ADD GENERATED {} AS IDENTITY ({})", alter, after["generated"].upper(), _sequence(after, named=True))
        ]
    made: list[Statement] = []
    if before["generated"] != after["generated"]:
        made.append(say("{} SET GENERATED {}", alter, after["generated"].upper()))
    there, wanted = before.get("sequence"), after.get("sequence")
    if there != wanted and there and wanted:
        made.append(say("ALTER SEQUENCE {} RENAME TO {}", there, split_qualified(wanted)[2]))
    if any(
        before.get(fact) != after.get(fact)
        for fact in ("type", "start", "increment", "minimum", "maximum", "cache", "cycle")
    ):
        made.append(say("ALTER SEQUENCE {} AS {} {}", str(wanted), after["type"], _sequence(after)))
    return made


def _sequence(facts: Facts, *, named: bool = False) -> Piece:
    """The options of a sequence."""
    parts: list[Piece] = [phrase("SEQUENCE NAME {}", facts["sequence"])] if named and facts.get("sequence") else []
    parts += [
        phrase(
            "INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {}",
            facts["increment"],
            facts["minimum"],
            facts["maximum"],
            facts["start"],
        ),
        phrase("CACHE {}", facts["cache"]),
        "CYCLE" if facts.get("cycle") else "NO CYCLE",
    ]
    return joined(" ", parts)


# --- sequences


def _create_sequence(entry: Entry) -> list[Statement]:
    """A sequence that starts anew; whose column it is, is said once that is there."""
    facts = entry.facts
    unlogged = "UNLOGGED " if facts.get("unlogged") else ""
    return [say("CREATE {}SEQUENCE {} AS {} {}", unlogged, entry.name, facts["type"], _sequence(facts))]


def owned(entry: Entry) -> list[Statement]:
    """Whose column it is."""
    by = entry.facts.get("owned_by")
    more: Facts = {"effect": Effect.JOINS, "sequence": entry.name, "table": split_qualified(by or "")[0]}
    return [say("ALTER SEQUENCE {} OWNED BY {}", entry.name, by or "", **more)] if by else []


def _alter_sequence(before: Entry, after: Entry) -> list[Statement] | None:
    """Its options; its value stays."""
    changed = differing_as_written(before, after)
    made: list[Statement] = []
    if changed & {"type", "start", "increment", "minimum", "maximum", "cache", "cycle"}:
        made.append(say("ALTER SEQUENCE {} AS {} {}", after.name, after.facts["type"], _sequence(after.facts)))
    if "unlogged" in changed:
        made.append(
            say("ALTER SEQUENCE {} SET {}", after.name, "UNLOGGED" if after.facts.get("unlogged") else "LOGGED")
        )
    if "owned_by" in changed:
        made += owned(after) or [say("ALTER SEQUENCE {} OWNED BY NONE", after.name, effect=Effect.JOINS)]
    return made


def _nothing(before: Entry, after: Entry) -> list[Statement] | None:
    return None if differing_as_written(before, after) else []


WRITERS: t.Final = {
    "schema": Writer("SCHEMA", _create_schema, drop("SCHEMA"), _nothing),
    "table": Writer("TABLE", _create_bare_table, drop("TABLE"), _alter_table),
    "column": Writer("COLUMN", _create_column, drop_column, _alter_column),
    "sequence": Writer("SEQUENCE", _create_sequence, drop("SEQUENCE"), _alter_sequence),
}
