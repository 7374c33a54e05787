# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for schemas, tables, columns and sequences; pure."""

from __future__ import annotations

import typing as t

from ...postgres.identifiers import identifier, literal
from .common import Writer, differing_as_written, drop, split_qualified

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..catalog.entries import Entry

Facts = dict[str, t.Any]


def listed_options(entry: Entry) -> list[str]:
    """Its options as they stood."""
    stood = {option: number for number, option in enumerate(entry.order.get("options", ()))}
    listed: list[str] = entry.facts.get("options") or []
    return sorted(listed, key=lambda option: stood.get(option.partition("=")[0], len(stood)))


def options(listed: list[str] | None, prefix: str = "") -> str:
    """Storage parameters as WITH has them."""
    return ", ".join(f"{prefix}{key} = {literal(value)}" for key, _, value in (o.partition("=") for o in listed or ()))


def changed_options(before: list[str] | None, after: list[str] | None, prefix: str = "") -> list[str]:
    """SET and RESET of storage parameters. What is set goes behind what stays, so what stood behind it is set again."""
    there, wanted = (dict(o.split("=", 1) for o in listed or ()) for listed in (before, after))
    first = next((number for number, key in enumerate(wanted) if there.get(key) != wanted[key]), len(wanted))
    new = [f"{key}={value}" for key, value in list(wanted.items())[first:]]
    gone = [f"{prefix}{key}" for key in there if key not in wanted]
    return ([f"SET ({options(new, prefix)})"] if new else []) + ([f"RESET ({', '.join(gone)})"] if gone else [])


# --- schemas


def _create_schema(entry: Entry) -> list[str]:
    """An empty schema."""
    return [f"CREATE SCHEMA {entry.name}"]


# --- tables: their columns are entries of their own


def create_table(entry: Entry, columns: Sequence[Entry] = ()) -> list[str]:
    """A table with its columns in their order; those it has from its parents alone come with these."""
    facts = entry.facts
    listed = ", ".join(column(each) for each in columns if each.facts.get("inherited") != "only")
    parents = f" INHERITS ({', '.join(facts['inherits'])})" if facts.get("inherits") else ""
    unlogged, method = "UNLOGGED " if facts.get("unlogged") else "", facts.get("access_method")
    parts = [
        f"CREATE {unlogged}TABLE {entry.name} ({listed}){parents}",
        f"PARTITION BY {facts['partition_key']}" if facts.get("partition_key") else "",
        f"USING {identifier(method)}" if method and not facts.get("partition_key") else "",
        _with(entry),
        f"TABLESPACE {identifier(facts['tablespace'])}" if facts.get("tablespace") else "",
    ]
    made = [" ".join(part for part in parts if part)]
    made += [statement for each in columns for statement in _after_column(each)]
    made += [f"ALTER TABLE {entry.name} OF {facts['of_type']}"] if facts.get("of_type") else []
    return made + _row_security(entry, {}) + _identity(entry)


def _with(entry: Entry) -> str:
    parts = [options(listed_options(entry)), options(entry.facts.get("toast_options"), "toast.")]
    listed = ", ".join(part for part in parts if part)
    return f"WITH ({listed})" if listed else ""


def _row_security(entry: Entry, before: Facts) -> list[str]:
    made: list[str] = []
    for fact, words in (("row_security", ("ENABLE", "DISABLE")), ("row_security_forced", ("FORCE", "NO FORCE"))):
        if bool(entry.facts.get(fact)) != bool(before.get(fact)):
            made.append(f"ALTER TABLE {entry.name} {words[not entry.facts.get(fact)]} ROW LEVEL SECURITY")
    return made


def _identity(entry: Entry) -> list[str]:
    """Replica identity, but for one by an index, which that index brings."""
    kind = entry.facts.get("replica_identity")
    return [f"ALTER TABLE {entry.name} REPLICA IDENTITY {kind.upper()}"] if kind in ("nothing", "full") else []


def _alter_table(before: Entry, after: Entry) -> list[str] | None:
    """What a table can become where it stands."""
    changed = differing_as_written(before, after) - {"column_order"}
    made: list[str] = []
    if "unlogged" in changed:
        made.append(f"ALTER TABLE {after.name} SET {'UNLOGGED' if after.facts.get('unlogged') else 'LOGGED'}")
    if "access_method" in changed:
        return None
    if "tablespace" in changed:
        made.append(
            f"ALTER TABLE {after.name} SET TABLESPACE {identifier(after.facts.get('tablespace') or 'pg_default')}"
        )
    for fact, prefix in (("options", ""), ("toast_options", "toast.")):
        wanted = after.facts.get(fact) if prefix else listed_options(after)
        clauses = changed_options(before.facts.get(fact), wanted, prefix)
        made += [f"ALTER TABLE {after.name} {clause}" for clause in clauses]
    made += _row_security(after, before.facts)
    if "of_type" in changed:
        of = after.facts.get("of_type")
        made.append(f"ALTER TABLE {after.name} {f'OF {of}' if of else 'NOT OF'}")
    if "replica_identity" in changed:
        made += _identity(after) or (
            [] if after.facts.get("replica_identity") else [f"ALTER TABLE {after.name} REPLICA IDENTITY DEFAULT"]
        )
    made += _inheritance(before, after)
    if "partition_of" in changed:
        there, wanted = before.facts.get("partition_of"), after.facts.get("partition_of")
        made += [f"ALTER TABLE {there['table']} DETACH PARTITION {after.name}"] if there else []
        made += attach(after) if wanted else []
    handled = {"unlogged", "tablespace", "options", "toast_options", "row_security", "row_security_forced",
               "replica_identity", "inherits", "partition_of", "of_type"}  # fmt: skip
    return made if changed <= handled else None


def _inheritance(before: Entry, after: Entry) -> list[str]:
    there: list[str] = before.facts.get("inherits") or []
    wanted: list[str] = after.facts.get("inherits") or []
    gone = [f"ALTER TABLE {after.name} NO INHERIT {parent}" for parent in there if parent not in wanted]
    return gone + [f"ALTER TABLE {after.name} INHERIT {parent}" for parent in wanted if parent not in there]


def attach(entry: Entry) -> list[str]:
    """What makes a partition of a table with all its columns."""
    part: dict[str, str] | None = entry.facts.get("partition_of")
    return [f"ALTER TABLE {part['table']} ATTACH PARTITION {entry.name} {part['bound']}"] if part else []


# --- columns


def column(entry: Entry) -> str:
    """A column's definition as CREATE TABLE and ADD COLUMN take it."""
    facts = entry.facts
    parts = [split_qualified(entry.name)[2], facts["type"]]
    if facts.get("collation"):
        parts.append(f"COLLATE {facts['collation']}")
    if facts.get("generated") is not None:
        parts.append(f"GENERATED ALWAYS AS ({facts['generated']}) {facts.get('generated_how', 'stored').upper()}")
    if facts.get("default") is not None:
        parts.append(f"DEFAULT {facts['default']}")
    if has_sequence(facts.get("identity")):
        parts.append(
            f"GENERATED {facts['identity']['generated'].upper()} AS IDENTITY ({_sequence(facts['identity'], named=True)})"
        )
    if facts.get("not_null"):
        parts.append("NOT NULL")
    return " ".join(parts)


def _create_bare_table(entry: Entry) -> list[str]:
    """The same without columns, which are entries of their own."""
    return create_table(entry)


def has_sequence(identity: Facts | None) -> bool:
    """Whether a column counts by itself; one of a partition may count as its parent's does."""
    return bool(identity and "increment" in identity)


def _after_column(entry: Entry) -> list[str]:
    """What a column has that its definition cannot say."""
    facts, (relation, _, own) = entry.facts, split_qualified(entry.name)
    alter = f"ALTER TABLE {relation} ALTER COLUMN {own}"
    made: list[str] = []
    if facts.get("storage"):
        made.append(f"{alter} SET STORAGE {facts['storage'].upper()}")
    if facts.get("compression"):
        made.append(f"{alter} SET COMPRESSION {facts['compression']}")
    if facts.get("statistics") is not None:
        made.append(f"{alter} SET STATISTICS {facts['statistics']}")
    if facts.get("options"):
        made.append(f"{alter} SET ({options(facts['options'])})")
    return made


def _create_column(entry: Entry) -> list[str]:
    """A column added to a table that is there."""
    return [f"ALTER TABLE {split_qualified(entry.name)[0]} ADD COLUMN {column(entry)}", *_after_column(entry)]


def drop_column(entry: Entry) -> list[str]:
    """A column with its data."""
    relation, _, own = split_qualified(entry.name)
    return [f"ALTER TABLE {relation} DROP COLUMN {own}"]


def _alter_column(before: Entry, after: Entry) -> list[str] | None:
    """What a column can become where it stands; another expression of a generated one cannot be had so."""
    changed = differing_as_written(before, after)
    if changed & {"generated", "generated_how", "inherited", "foreign_options"}:
        return None
    relation, _, own = split_qualified(after.name)
    alter = f"ALTER TABLE {relation} ALTER COLUMN {own}"
    facts = after.facts
    retyped = bool(changed & {"type", "collation"})
    made: list[str] = []
    if before.facts.get("default") is not None and ("default" in changed or retyped):
        made.append(f"{alter} DROP DEFAULT")
    if has_sequence(before.facts.get("identity")) and not facts.get("identity"):
        made.append(f"{alter} DROP IDENTITY")
    if retyped:
        collate = f" COLLATE {facts['collation']}" if facts.get("collation") else ""
        # What is generated is generated anew, and PostgreSQL wants to hear nothing about that.
        using = f" USING {own}::{facts['type']}" if facts.get("generated") is None else ""
        made.append(f"{alter} TYPE {facts['type']}{collate}{using}")
    if "not_null" in changed:
        made.append(f"{alter} {'SET' if facts.get('not_null') else 'DROP'} NOT NULL")
    if facts.get("default") is not None and ("default" in changed or retyped):
        made.append(f"{alter} SET DEFAULT {facts['default']}")
    if "identity" in changed and has_sequence(facts.get("identity")):
        made += _identity_changed(alter, before.facts.get("identity"), facts["identity"])
    return made + _storage(alter, changed, before.facts, facts, retyped=retyped)


def _storage(alter: str, changed: set[str], before: Facts, facts: Facts, *, retyped: bool) -> list[str]:
    """How a column is stored and analyzed, which another type resets."""
    made: list[str] = []
    if "storage" in changed or (retyped and facts.get("storage")):
        made.append(f"{alter} SET STORAGE {(facts.get('storage') or 'default').upper()}")
    if "compression" in changed:
        made.append(f"{alter} SET COMPRESSION {facts.get('compression') or 'default'}")
    if "statistics" in changed or (retyped and facts.get("statistics") is not None):
        made.append(f"{alter} SET STATISTICS {facts.get('statistics', -1)}")
    if "options" in changed:
        made += [f"{alter} {clause}" for clause in changed_options(before.get("options"), facts.get("options"))]
    return made


def _identity_changed(alter: str, before: Facts | None, after: Facts) -> list[str]:
    if before is None:
        return [f"{alter} ADD GENERATED {after['generated'].upper()} AS IDENTITY ({_sequence(after, named=True)})"]
    made: list[str] = []
    if before["generated"] != after["generated"]:
        made.append(f"{alter} SET GENERATED {after['generated'].upper()}")
    there, wanted = before.get("sequence"), after.get("sequence")
    if there != wanted and there and wanted:
        made.append(f"ALTER SEQUENCE {there} RENAME TO {split_qualified(wanted)[2]}")
    if any(
        before.get(fact) != after.get(fact)
        for fact in ("type", "start", "increment", "minimum", "maximum", "cache", "cycle")
    ):
        made.append(f"ALTER SEQUENCE {wanted} AS {after['type']} {_sequence(after)}")
    return made


def _sequence(facts: Facts, *, named: bool = False) -> str:
    """The options of a sequence."""
    parts = [f"SEQUENCE NAME {facts['sequence']}"] if named and facts.get("sequence") else []
    parts += [
        f"INCREMENT BY {facts['increment']} MINVALUE {facts['minimum']} MAXVALUE {facts['maximum']} START WITH {facts['start']}",
        f"CACHE {facts['cache']}",
        "CYCLE" if facts.get("cycle") else "NO CYCLE",
    ]
    return " ".join(parts)


# --- sequences


def _create_sequence(entry: Entry) -> list[str]:
    """A sequence that starts anew; whose column it is, is said once that is there."""
    facts = entry.facts
    unlogged = "UNLOGGED " if facts.get("unlogged") else ""
    return [f"CREATE {unlogged}SEQUENCE {entry.name} AS {facts['type']} {_sequence(facts)}"]


def owned(entry: Entry) -> list[str]:
    """Whose column it is."""
    by = entry.facts.get("owned_by")
    return [f"ALTER SEQUENCE {entry.name} OWNED BY {by}"] if by else []


def _alter_sequence(before: Entry, after: Entry) -> list[str] | None:
    """Its options; its value stays."""
    changed = differing_as_written(before, after)
    made: list[str] = []
    if changed & {"type", "start", "increment", "minimum", "maximum", "cache", "cycle"}:
        made.append(f"ALTER SEQUENCE {after.name} AS {after.facts['type']} {_sequence(after.facts)}")
    if "unlogged" in changed:
        made.append(f"ALTER SEQUENCE {after.name} SET {'UNLOGGED' if after.facts.get('unlogged') else 'LOGGED'}")
    if "owned_by" in changed:
        made += owned(after) or [f"ALTER SEQUENCE {after.name} OWNED BY NONE"]
    return made


def _nothing(before: Entry, after: Entry) -> list[str] | None:
    return None if differing_as_written(before, after) else []


WRITERS: t.Final = {
    "schema": Writer("SCHEMA", _create_schema, drop("SCHEMA"), _nothing),
    "table": Writer("TABLE", _create_bare_table, drop("TABLE"), _alter_table),
    "column": Writer("COLUMN", _create_column, drop_column, _alter_column),
    "sequence": Writer("SEQUENCE", _create_sequence, drop("SEQUENCE"), _alter_sequence),
}
