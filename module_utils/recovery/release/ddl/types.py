# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for types, functions and aggregates; pure. Run with search_path = pg_catalog they mean what was captured."""

from __future__ import annotations

import re
import typing as t

from ...postgres.identifiers import identifier, literal
from .common import FOLLOWS, Writer, differing, drop, fact, follows

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry

Part = dict[str, t.Any]

QUOTED: t.Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
NESTED: t.Final = re.compile(r"\([^()]*\)|\[[^][]*\]")


def parts(entry: Entry, key: str) -> list[Part]:
    """Columns or attributes in their order."""
    return list(entry.facts.get(key) or ())


def _collated(part: t.Mapping[str, t.Any]) -> str:
    """A type with its collation, if that is not the type's own."""
    return f"{part['type']} COLLATE {part['collation']}" if part.get("collation") else str(part["type"])


def comment(what: str, text: str | None) -> str:
    """A comment, or none any more."""
    return f"COMMENT ON {what} IS {'NULL' if text is None else literal(text)}"


def bare(text: str) -> str:
    """The text with all that is quoted or in brackets struck out, every other character at its place."""
    text = QUOTED.sub(lambda found: "\0" * len(found[0]), text)
    while NESTED.search(text):
        text = NESTED.sub(lambda found: "\0" * len(found[0]), text)
    return text


def _listed(text: str) -> list[str]:
    """What commas separate, quotes and brackets kept whole."""
    ends = [place for place, character in enumerate(bare(text)) if character == ","]
    pieces = [text[start:end].strip() for start, end in zip([0, *(e + 1 for e in ends)], [*ends, None], strict=True)]
    return pieces if text.strip() else []


def called(signature: str) -> tuple[str, list[str]]:
    """The name of a function, operator or aggregate, and the types it takes."""
    start = QUOTED.sub(lambda found: "\0" * len(found[0]), signature).find("(")
    return (signature, []) if start < 0 else (signature[:start], _listed(signature[start + 1 : -1]))


# --- enums


def _create_enum(entry: Entry) -> list[str]:
    """An enum with its labels in order."""
    return [f"CREATE TYPE {entry.name} AS ENUM ({', '.join(literal(label) for label in fact(entry, 'labels') or ())})"]


def _alter_enum(before: Entry, after: Entry) -> list[str] | None:
    """Labels can be added, and renamed: PostgreSQL drops none, so another one at the same place is that. A new one cannot be used
    before the transaction has been committed."""
    if differing(before, after) - {"labels"}:
        return None
    there: list[str] = list(before.facts.get("labels") or ())
    wanted: list[str] = list(after.facts.get("labels") or ())
    if len(there) == len(wanted):
        renamed = [(old, new) for old, new in zip(there, wanted, strict=True) if old != new]
        if {old for old, _ in renamed}.isdisjoint(wanted) and {new for _, new in renamed}.isdisjoint(there):
            return [f"ALTER TYPE {after.name} RENAME VALUE {literal(old)} TO {literal(new)}" for old, new in renamed]
    if [label for label in wanted if label in there] != there:
        return None
    made: list[str] = []
    for place, label in enumerate(wanted):
        if label in there:
            continue
        where = f" AFTER {literal(wanted[place - 1])}" if place else f" BEFORE {literal(there[0])}" if there else ""
        made.append(f"ALTER TYPE {after.name} ADD VALUE {literal(label)}{where}")
    return made


# --- domains


def _create_domain(entry: Entry) -> list[str]:
    """A domain; a constraint that need not hold for what is there can only be added to it."""
    default = f" DEFAULT {entry.facts['default']}" if entry.facts.get("default") is not None else ""
    not_null = " NOT NULL" if entry.facts.get("not_null") else ""
    made = [f"CREATE DOMAIN {entry.name} AS {_collated(entry.facts)}{default}{not_null}"]
    return made + _constraints(entry, {}, entry.facts.get("constraints") or {})


def _constraints(entry: Entry, before: dict[str, Part], after: dict[str, Part]) -> list[str]:
    """Constraints added, validated and commented; those that are defined otherwise are to have gone before."""
    made: list[str] = []
    for constraint, wanted in sorted(after.items()):
        there, quoted = before.get(constraint), identifier(constraint)
        if there is None:
            made.append(f"ALTER DOMAIN {entry.name} ADD CONSTRAINT {quoted} {wanted['definition']}")
        elif there["definition"] != wanted["definition"]:
            made.append(f"ALTER DOMAIN {entry.name} VALIDATE CONSTRAINT {quoted}")
        if (there or {}).get("comment") != wanted.get("comment"):
            made.append(comment(f"CONSTRAINT {quoted} ON DOMAIN {entry.name}", wanted.get("comment")))
    return made


def _alter_domain(before: Entry, after: Entry) -> list[str] | None:
    """All but the type it stands for."""
    changed = differing(before, after)
    if changed - {"default", "not_null", "constraints"}:
        return None
    alter = f"ALTER DOMAIN {after.name}"
    there: dict[str, Part] = before.facts.get("constraints") or {}
    wanted: dict[str, Part] = after.facts.get("constraints") or {}
    kept = {
        constraint: old
        for constraint, old in there.items()
        if (new := wanted.get(constraint)) and new["definition"] in (old["definition"], _valid(old["definition"]))
    }
    made = [
        f"{alter} DROP CONSTRAINT {identifier(constraint)}" for constraint in sorted(there) if constraint not in kept
    ]
    if "default" in changed:
        default = after.facts.get("default")
        made.append(f"{alter} DROP DEFAULT" if default is None else f"{alter} SET DEFAULT {default}")
    if "not_null" in changed:
        made.append(f"{alter} {'SET' if after.facts.get('not_null') else 'DROP'} NOT NULL")
    return made + _constraints(after, kept, wanted)


def _valid(definition: str) -> str:
    return definition.removesuffix(" NOT VALID")


# --- composite types


def _create_composite(entry: Entry) -> list[str]:
    """A type made of attributes."""
    attributes = parts(entry, "attributes")
    listing = ", ".join(f"{identifier(each['name'])} {_collated(each)}" for each in attributes)
    return [f"CREATE TYPE {entry.name} AS ({listing})", *_attribute_comments(entry, [], attributes)]


def _attribute_comments(entry: Entry, before: list[Part], after: list[Part]) -> list[str]:
    there = {each["name"]: each.get("comment") for each in before}
    return [
        comment(f"COLUMN {entry.name}.{identifier(each['name'])}", each.get("comment"))
        for each in after
        if each.get("comment") != there.get(each["name"])
    ]


def _alter_composite(before: Entry, after: Entry) -> list[str] | None:
    """Attributes that go, that have another type, and new ones behind the others. CASCADE reaches tables of the type; with
    DROP it would take views along, so that a table of the type is an error there."""
    if differing(before, after) - {"attributes"}:
        return None
    there, wanted = parts(before, "attributes"), parts(after, "attributes")
    names = [each["name"] for each in wanted]
    kept = [each for each in there if each["name"] in names]
    if names[: len(kept)] != [each["name"] for each in kept]:
        return None
    alter = f"ALTER TYPE {after.name}"
    made = [f"{alter} DROP ATTRIBUTE {identifier(each['name'])}" for each in there if each not in kept]
    made += [
        f"{alter} ALTER ATTRIBUTE {identifier(new['name'])} TYPE {_collated(new)} CASCADE"
        for old, new in zip(kept, wanted, strict=False)
        if _collated(old) != _collated(new)
    ]
    made += [
        f"{alter} ADD ATTRIBUTE {identifier(each['name'])} {_collated(each)} CASCADE" for each in wanted[len(kept) :]
    ]
    return made + _attribute_comments(after, kept, wanted)


# --- ranges


def _create_range(entry: Entry) -> list[str]:
    """A range with its multirange. A canonical function needs the type before it is defined: `CREATE TYPE name`, by itself."""
    facts = entry.facts
    told = {
        "SUBTYPE": facts["subtype"],
        "SUBTYPE_OPCLASS": facts.get("operator_class"),
        "COLLATION": facts.get("collation"),
        "CANONICAL": called(facts["canonical"])[0] if facts.get("canonical") else None,
        "SUBTYPE_DIFF": called(facts["difference"])[0] if facts.get("difference") else None,
        "MULTIRANGE_TYPE_NAME": facts.get("multirange"),
    }
    listing = ", ".join(f"{key} = {value}" for key, value in told.items() if value)
    return [f"CREATE TYPE {entry.name} AS RANGE ({listing})"]


def _alter_range(before: Entry, after: Entry) -> list[str] | None:
    """Nothing of a range can be altered."""
    return None if differing(before, after) else []


# --- functions: also procedures and window functions


def _create_function(entry: Entry) -> list[str]:
    """A function, which must not be there."""
    return ["CREATE " + entry.facts["definition"].strip().removeprefix("CREATE OR REPLACE ")]


def routine(entry: Entry) -> str:
    """A function's name as every statement has it; IN says that no procedure is meant by the types of what it
    returns."""
    own, types = called(entry.name)
    return f"{own}({', '.join(f'IN {each}' for each in types)})"


def _drop_routine(entry: Entry) -> list[str]:
    """A function, procedure or aggregate."""
    return [f"DROP ROUTINE {routine(entry)}"]


def _alter_function(before: Entry, after: Entry) -> list[str] | None:
    """Replaced where callers that were made for the old one remain right, as PostgreSQL asks for it."""
    changed = differing(before, after)
    if changed - {"definition", "arguments"} or (changed and not _replaceable(before, after)):
        return None
    return [after.facts["definition"].strip(), *again(f"ROUTINE {routine(after)}", after)] if changed else []


def again(what: str, entry: Entry) -> list[str]:
    """The extensions it goes with, which what is replaced does not keep."""
    return follows(what, None, entry.facts.get(FOLLOWS))


def _replaceable(before: Entry, after: Entry) -> bool:
    there, wanted = _parameters(before), _parameters(after)
    types = iter(called(after.name)[1])
    return len(there) == len(wanted) and all(
        _compatible(old, new, "" if old[0] == "OUT" else next(types, ""))
        for old, new in zip(there, wanted, strict=True)
    )


def _parameters(entry: Entry) -> list[tuple[str, str, str]]:
    """Of each parameter: the mode, name and type, the default."""
    found: list[tuple[str, str, str]] = []
    for text in _listed(entry.facts.get("arguments") or ""):
        mode, _, rest = text.partition(" ")
        mode, rest = (mode, rest) if mode in ("IN", "OUT", "INOUT", "VARIADIC") else ("", text)
        start = bare(rest).find(" DEFAULT ")
        found.append((mode, rest, "") if start < 0 else (mode, rest[:start], rest[start:]))
    return found


def _compatible(old: tuple[str, str, str], new: tuple[str, str, str], kind: str) -> bool:
    """A parameter without a name may get one, one without a default a default; that of a polymorphic one decides its type."""
    named = old[1] == kind and new[1].endswith(f" {kind}") and old[0] in ("", "IN", "VARIADIC")
    defaults = not old[2] or (bool(new[2]) and (old[2] == new[2] or not kind.strip('"').startswith("any")))
    return old[0] == new[0] and (old[1] == new[1] or named) and defaults


# --- aggregates

MODIFIES: t.Final = {"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}
#: By fact; those of the moving mode have an M before them.
OF_STATE: t.Final = {
    "state_function": "SFUNC",
    "inverse_function": "INVFUNC",
    "state_type": "STYPE",
    "state_size": "SSPACE",
    "final_function": "FINALFUNC",
    "final_extra": "FINALFUNC_EXTRA",
    "final_modify": "FINALFUNC_MODIFY",
    "initial": "INITCOND",
}
OF_ALL: t.Final = {
    "combine_function": "COMBINEFUNC",
    "serial_function": "SERIALFUNC",
    "deserial_function": "DESERIALFUNC",
    "sort_operator": "SORTOP",
    "parallel": "PARALLEL",
}
OPTIONS_OF_AGGREGATE: t.Final = (
    OF_STATE | {f"moving_{key}": f"M{option}" for key, option in OF_STATE.items()} | OF_ALL
)  # fmt: skip


def _create_aggregate(entry: Entry) -> list[str]:
    """An aggregate of any sort."""
    return [f"CREATE {_aggregate(entry)}"]


def _aggregate(entry: Entry) -> str:
    facts = entry.facts
    told = [
        option if facts[key] is True else f"{option} = {_option(key, facts[key])}"
        for key, option in OPTIONS_OF_AGGREGATE.items()
        if facts.get(key) is not None and facts[key] is not False
    ]
    told += ["HYPOTHETICAL"] if facts["sort"] == "hypothetical set" else []
    return f"AGGREGATE {called(entry.name)[0]}({facts.get('arguments') or '*'}) ({', '.join(told)})"


def _option(key: str, value: t.Any) -> str:
    """The value of an option; functions and operators go by their names alone."""
    if key.endswith("_function"):
        return called(value)[0]
    if key.endswith("initial"):
        return literal(value)
    if key.endswith("final_modify"):
        return MODIFIES[value]
    if key == "sort_operator":
        return f"OPERATOR({called(value)[0]})"
    return str(value).upper() if key == "parallel" else str(value)


def _alter_aggregate(before: Entry, after: Entry) -> list[str] | None:
    """Replaced where what it takes and gives stays the same."""
    changed = differing(before, after)
    if changed - set(OPTIONS_OF_AGGREGATE):
        return None
    return [f"CREATE OR REPLACE {_aggregate(after)}", *again(f"ROUTINE {routine(after)}", after)] if changed else []


WRITERS: t.Final = {
    "enum": Writer("TYPE", _create_enum, drop("TYPE"), _alter_enum),
    "domain": Writer("DOMAIN", _create_domain, drop("DOMAIN"), _alter_domain),
    "composite": Writer("TYPE", _create_composite, drop("TYPE"), _alter_composite),
    "range": Writer("TYPE", _create_range, drop("TYPE"), _alter_range),
    "function": Writer("ROUTINE", _create_function, _drop_routine, _alter_function),
    "aggregate": Writer("ROUTINE", _create_aggregate, _drop_routine, _alter_aggregate),
}
