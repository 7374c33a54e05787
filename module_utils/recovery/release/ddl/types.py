# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for types, functions and aggregates; pure. Run with search_path = pg_catalog they mean what was captured."""

from __future__ import annotations

import re
import typing as t

from ...postgres.lexer import QUOTED
from . import not_null
from .common import FOLLOWS, Writer, comment, differing, drop, fact, follows
from .statement import Effect, Lock, Statement, identifier, joined, literal, phrase, say

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry
    from .statement import Piece

Part = dict[str, t.Any]

_QUOTED: t.Final = re.compile(QUOTED, re.DOTALL)
NESTED: t.Final = re.compile(r"\([^()]*\)|\[[^][]*\]")


def parts(entry: Entry, key: str) -> list[Part]:
    """Columns or attributes in their order."""
    return list(entry.facts.get(key) or ())


def _collated(part: t.Mapping[str, t.Any]) -> Piece:
    """A type with its collation, if that is not the type's own."""
    return phrase("{} COLLATE {}", part["type"], part["collation"]) if part.get("collation") else str(part["type"])


def bare(text: str) -> str:
    """The text with all that is quoted or in brackets struck out, every other character at its place."""
    text = _QUOTED.sub(lambda found: "\0" * len(found[0]), text)
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
    start = _QUOTED.sub(lambda found: "\0" * len(found[0]), signature).find("(")
    return (signature, []) if start < 0 else (signature[:start], _listed(signature[start + 1 : -1]))


# --- enums


def _create_enum(entry: Entry) -> list[Statement]:
    """An enum with its labels in order."""
    return [
        say(
            "CREATE TYPE {} AS ENUM ({})",
            entry.name,
            joined(", ", (literal(label) for label in fact(entry, "labels") or ())),
            lock=Lock.ACCESS_SHARE,
        )
    ]


def _alter_enum(before: Entry, after: Entry) -> list[Statement] | None:
    """Labels can be added, and renamed: PostgreSQL drops none, so another one at the same place is that. A new one cannot be used
    before the transaction has been committed."""
    if differing(before, after) - {"labels"}:
        return None
    there: list[str] = list(before.facts.get("labels") or ())
    wanted: list[str] = list(after.facts.get("labels") or ())
    if len(there) == len(wanted):
        renamed = [(old, new) for old, new in zip(there, wanted, strict=True) if old != new]
        if {old for old, _ in renamed}.isdisjoint(wanted) and {new for _, new in renamed}.isdisjoint(there):
            return [
                say("ALTER TYPE {} RENAME VALUE {} TO {}", after.name, literal(old), literal(new))
                for old, new in renamed
            ]
    if [label for label in wanted if label in there] != there:
        return None
    made: list[Statement] = []
    for place, label in enumerate(wanted):
        if label in there:
            continue
        where = (
            phrase(" AFTER {}", literal(wanted[place - 1]))
            if place
            else phrase(" BEFORE {}", literal(there[0]))
            if there
            else ""
        )
        made.append(
            say(
                "ALTER TYPE {} ADD VALUE IF NOT EXISTS {}{}",
                after.name,
                literal(label),
                where,
                effect=Effect.ADDS_LABEL,
            )
        )
    return made


# --- domains


def _create_domain(entry: Entry) -> list[Statement]:
    """A domain; a constraint that need not hold for what is there can only be added to it."""
    default = phrase(" DEFAULT {}", entry.facts["default"]) if entry.facts.get("default") is not None else ""
    full = phrase(" {}", not_null.named(entry)) if entry.facts.get("not_null") else ""
    made = [
        say(
            "CREATE DOMAIN {} AS {}{}{}",
            entry.name,
            _collated(entry.facts),
            default,
            full,
            lock=Lock.ACCESS_SHARE,
            makes=entry.name,
        )
    ]
    return [*made, *not_null.said(entry, {}), *_constraints(entry, {}, entry.facts.get("constraints") or {})]


def _constraints(entry: Entry, before: dict[str, Part], after: dict[str, Part]) -> list[Statement]:
    """Constraints added, validated and commented; those that are defined otherwise are to have gone before."""
    made: list[Statement] = []
    for constraint, wanted in sorted(after.items()):
        there, quoted = before.get(constraint), identifier(constraint)
        if there is None:
            made.append(
                say(
                    "ALTER DOMAIN {} ADD CONSTRAINT {} {}", entry.name, quoted, wanted["definition"], runs_as=entry.name
                )
            )
        elif there["definition"] != wanted["definition"]:
            made.append(say("ALTER DOMAIN {} VALIDATE CONSTRAINT {}", entry.name, quoted, runs_as=entry.name))
        if (there or {}).get("comment") != wanted.get("comment"):
            made.append(comment("CONSTRAINT", phrase("{} ON DOMAIN {}", quoted, entry.name), wanted.get("comment")))
    return made


def _alter_domain(before: Entry, after: Entry) -> list[Statement] | None:
    """All but the type it stands for."""
    changed = differing(before, after)
    if changed - {"default", "not_null", "not_null_constraint", "constraints"}:
        return None
    alter = phrase("ALTER DOMAIN {}", after.name)
    there: dict[str, Part] = before.facts.get("constraints") or {}
    wanted: dict[str, Part] = after.facts.get("constraints") or {}
    kept = {
        constraint: old
        for constraint, old in there.items()
        if (new := wanted.get(constraint)) and new["definition"] in (old["definition"], _valid(old["definition"]))
    }
    made = [
        say("{} DROP CONSTRAINT {}", alter, identifier(constraint))
        for constraint in sorted(there)
        if constraint not in kept
    ]
    if "default" in changed:
        default = after.facts.get("default")
        made.append(
            say(
                "{} {}",
                alter,
                "DROP DEFAULT" if default is None else phrase("SET DEFAULT {}", default),
                runs_as=after.name,
            )
        )
    return [*made, *not_null.altered(before, after), *_constraints(after, kept, wanted)]


def _valid(definition: str) -> str:
    return definition.removesuffix(" NOT VALID")


# --- composite types


def _create_composite(entry: Entry) -> list[Statement]:
    """A type made of attributes."""
    attributes = parts(entry, "attributes")
    listing = joined(", ", (phrase("{} {}", identifier(each["name"]), _collated(each)) for each in attributes))
    return [
        say("CREATE TYPE {} AS ({})", entry.name, listing, lock=Lock.ACCESS_SHARE),
        *_attribute_comments(entry, [], attributes),
    ]


def _attribute_comments(entry: Entry, before: list[Part], after: list[Part]) -> list[Statement]:
    there = {each["name"]: each.get("comment") for each in before}
    return [
        comment("COLUMN", phrase("{}.{}", entry.name, identifier(each["name"])), each.get("comment"))
        for each in after
        if each.get("comment") != there.get(each["name"])
    ]


def _alter_composite(before: Entry, after: Entry) -> list[Statement] | None:
    """Attributes that go, that have another type, and new ones behind the others. CASCADE reaches tables of the type; with
    DROP it would take views along, so that a table of the type is an error there."""
    if differing(before, after) - {"attributes"}:
        return None
    there, wanted = parts(before, "attributes"), parts(after, "attributes")
    names = [each["name"] for each in wanted]
    kept = [each for each in there if each["name"] in names]
    if names[: len(kept)] != [each["name"] for each in kept]:
        return None
    alter = phrase("ALTER TYPE {}", after.name)
    made = [say("{} DROP ATTRIBUTE {}", alter, identifier(each["name"])) for each in there if each not in kept]
    made += [
        say("{} ALTER ATTRIBUTE {} TYPE {} CASCADE", alter, identifier(new["name"]), _collated(new))
        for old, new in zip(kept, wanted, strict=False)
        if _collated(old) != _collated(new)
    ]
    made += [
        say("{} ADD ATTRIBUTE {} {} CASCADE", alter, identifier(each["name"]), _collated(each))
        for each in wanted[len(kept) :]
    ]
    return made + _attribute_comments(after, kept, wanted)


# --- ranges


def _create_range(entry: Entry) -> list[Statement]:
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
    listing = joined(", ", (phrase("{} = {}", key, value) for key, value in told.items() if value))
    return [say("CREATE TYPE {} AS RANGE ({})", entry.name, listing, lock=Lock.ACCESS_SHARE)]


def _alter_range(before: Entry, after: Entry) -> list[Statement] | None:
    """Nothing of a range can be altered."""
    return None if differing(before, after) else []


# --- functions: also procedures and window functions


def _create_function(entry: Entry) -> list[Statement]:
    """A function, which must not be there."""
    text = entry.facts["definition"].strip().removeprefix("CREATE OR REPLACE ")
    return [say("CREATE {}", text, lock=Lock.ACCESS_SHARE, makes=routine(entry))]


def routine(entry: Entry) -> str:
    """A function's name as every statement has it; IN says that no procedure is meant by the types of what it
    returns."""
    own, types = called(entry.name)
    return f"{own}({', '.join(f'IN {each}' for each in types)})"


def _drop_routine(entry: Entry) -> list[Statement]:
    """A function, procedure or aggregate."""
    return [say("DROP ROUTINE {}", routine(entry), lock=Lock.ACCESS_SHARE)]


def _alter_function(before: Entry, after: Entry) -> list[Statement] | None:
    """Replaced where callers that were made for the old one remain right, as PostgreSQL asks for it."""
    changed = differing(before, after)
    if changed - {"definition", "arguments"} or (changed and not _replaceable(before, after)):
        return None
    return (
        [
            say("{}", after.facts["definition"].strip(), lock=Lock.ACCESS_SHARE, makes=routine(after)),
            *again(phrase("ROUTINE {}", routine(after)), after),
        ]
        if changed
        else []
    )


def again(what: Piece, entry: Entry) -> list[Statement]:
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


def _create_aggregate(entry: Entry) -> list[Statement]:
    """An aggregate of any sort."""
    return [say("CREATE {}", _aggregate(entry), lock=Lock.ACCESS_SHARE)]


def _aggregate(entry: Entry) -> Piece:
    facts = entry.facts
    told = [
        option if facts[key] is True else phrase("{} = {}", option, _option(key, facts[key]))
        for key, option in OPTIONS_OF_AGGREGATE.items()
        if facts.get(key) is not None and facts[key] is not False
    ]
    told += ["HYPOTHETICAL"] if facts["sort"] == "hypothetical set" else []
    return phrase("AGGREGATE {}({}) ({})", called(entry.name)[0], facts.get("arguments") or "*", joined(", ", told))


def _option(key: str, value: t.Any) -> Piece:
    """The value of an option; functions and operators go by their names alone."""
    if key.endswith("_function"):
        return called(value)[0]
    if key.endswith("initial"):
        return literal(value)
    if key.endswith("final_modify"):
        return MODIFIES[value]
    if key == "sort_operator":
        return phrase("OPERATOR({})", called(value)[0])
    return str(value).upper() if key == "parallel" else str(value)


def _alter_aggregate(before: Entry, after: Entry) -> list[Statement] | None:
    """Replaced where what it takes and gives stays the same."""
    changed = differing(before, after)
    if changed - set(OPTIONS_OF_AGGREGATE):
        return None
    return (
        [
            say("CREATE OR REPLACE {}", _aggregate(after), lock=Lock.ACCESS_SHARE),
            *again(phrase("ROUTINE {}", routine(after)), after),
        ]
        if changed
        else []
    )


WRITERS: t.Final = {
    "enum": Writer("TYPE", _create_enum, drop("TYPE"), _alter_enum),
    "domain": Writer("DOMAIN", _create_domain, drop("DOMAIN"), _alter_domain),
    "composite": Writer("TYPE", _create_composite, drop("TYPE"), _alter_composite),
    "range": Writer("TYPE", _create_range, drop("TYPE"), _alter_range),
    "function": Writer("ROUTINE", _create_function, _drop_routine, _alter_function),
    "aggregate": Writer("ROUTINE", _create_aggregate, _drop_routine, _alter_aggregate),
}
