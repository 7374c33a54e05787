# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for views, triggers, rules and policies, and for the types and functions they are made of; pure. Run with
search_path = pg_catalog they mean what was captured."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import sql
from . import types as ddl_types
from .common import Writer, comment, differing, drop, fact, given, grantee, grants
from .statement import Lock, Statement, identifier, joined, literal, phrase, say
from .tables import changed_options, listed_options, options
from .types import Part, again, bare, parts

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry
    from .statement import Piece

# --- views

#: What can be altered in a column of a view, and of a materialized view.
OF_COLUMNS: t.Final = {"default", "comment", "grants"}
OF_STORED_COLUMNS: t.Final = {"storage", "compression", "statistics", "options", "comment", "grants"}


def _create_view(entry: Entry) -> list[Statement]:
    """A view with what its columns have; what others than the owner granted on them comes with `column_grants`."""
    made = say("CREATE {}", _view(entry), makes=entry.name)
    return [made, *_columns("VIEW", entry, []), *_granted_by_owner("VIEW", entry)]


def _view(entry: Entry) -> Piece:
    listing = options(listed_options(entry))
    return phrase(
        "VIEW {}{}{} AS {}", entry.name, _names(entry), phrase(" WITH ({})", listing) if listing else "", _query(entry)
    )


def _names(entry: Entry) -> Piece:
    columns = joined(", ", (identifier(each["name"]) for each in parts(entry, "columns")))
    return phrase(" ({})", columns) if columns else ""


def _query(entry: Entry) -> str:
    return entry.facts["definition"].strip().removesuffix(";")


def _alter_view(before: Entry, after: Entry) -> list[Statement] | None:
    """Replaced where its columns stay what they are, new ones behind them; options, defaults, comments and grants."""
    changed = differing(before, after)
    there, wanted = parts(before, "columns"), parts(after, "columns")
    if changed - {"definition", "options", "columns"} or not _alterable(there, wanted[: len(there)], OF_COLUMNS):
        return None
    if "definition" in changed:
        made = [say("CREATE OR REPLACE {}", _view(after), makes=after.name)]
    elif len(there) == len(wanted):
        made = _options("VIEW", before, after)
    else:
        return None
    return [*made, *_columns("VIEW", after, there), *_regranted(after, before)]


def _alterable(there: list[Part], wanted: list[Part], able: set[str]) -> bool:
    """Whether the columns are the same ones and differ in nothing but what can be altered. A type's own storage has no name
    before PostgreSQL 16."""
    return len(there) == len(wanted) and all(
        old.get(key) == new.get(key) or (key in able and (key != "storage" or key in new))
        for old, new in zip(there, wanted, strict=True)
        for key in {*old, *new}
    )


def _options(noun: str, before: Entry, after: Entry, key: str = "options", prefix: str = "") -> list[Statement]:
    wanted = after.facts.get(key) if prefix else listed_options(after)
    clauses = changed_options(before.facts.get(key), wanted, prefix)
    return [say("ALTER {} {} {}", noun, after.name, clause) for clause in clauses]


def _columns(noun: str, entry: Entry, before: list[Part]) -> list[Statement]:
    """What the columns have besides their shape, where they had what `before` has in the same order."""
    made: list[Statement] = []
    for place, wanted in enumerate(parts(entry, "columns")):
        there = before[place] if place < len(before) else {}
        alter = phrase("ALTER {} {} ALTER COLUMN {}", noun, entry.name, identifier(wanted["name"]))
        made += _clauses(alter, there, wanted)
        if there.get("comment") != wanted.get("comment"):
            made.append(
                comment("COLUMN", phrase("{}.{}", entry.name, identifier(wanted["name"])), wanted.get("comment"))
            )
    return made


def _clauses(alter: Piece, there: Part, wanted: Part) -> list[Statement]:
    changed = {key for key in {*there, *wanted} if there.get(key) != wanted.get(key)}
    made: list[Statement] = []
    if "default" in changed:
        default = phrase("SET DEFAULT {}", wanted["default"]) if "default" in wanted else "DROP DEFAULT"
        made.append(say("{} {}", alter, default))
    if "storage" in changed:
        made.append(say("{} SET STORAGE {}", alter, wanted["storage"].upper()))
    if "compression" in changed:
        made.append(say("{} SET COMPRESSION {}", alter, wanted.get("compression", "default")))
    if "statistics" in changed:
        made.append(say("{} SET STATISTICS {}", alter, wanted.get("statistics", -1)))
    return made + [say("{} {}", alter, each) for each in changed_options(there.get("options"), wanted.get("options"))]


def column_grants(entry: Entry, before: Entry | None) -> list[Statement]:
    """What is granted on single columns of a view that was `before`; to be said after the grants on the whole view,
    because revoking those revokes these as well."""
    kept = _kept(entry, before)
    there = {each["name"]: each for each in parts(before, "columns")} if before else {}
    made: list[Statement] = []
    for each in parts(entry, "columns"):
        old = there.get(each["name"])
        if not kept or (old or {}).get("grants") != each.get("grants"):
            made += grants(_column(entry, each), _column(entry, old) if old else None, ())
    return made


def _kept(entry: Entry, before: Entry | None) -> bool:
    """Whether owner and grants of the whole view are as they were."""
    return before is not None and before.grants == entry.grants and before.owner == entry.owner


def _column(entry: Entry, part: Part) -> Entry:
    """A column of a view as those of tables are."""
    granted = tuple((g[0], g[1], g[2], g[3]) for g in part.get("grants") or ())
    order = {"grants": entry.order.get(f"column {part['name']}", [])}
    return dataclasses.replace(
        entry,
        kind="column",
        name=f"{entry.name}.{identifier(part['name']).as_string()}",
        facts={},
        grants=granted,
        order=order,
    )


def _regranted(entry: Entry, before: Entry) -> list[Statement]:
    """Unless they have to wait for the grants on the whole view."""
    return column_grants(entry, before) if _kept(entry, before) else []


def _granted_by_owner(noun: str, entry: Entry) -> list[Statement]:
    own = [
        each | {"grants": [g for g in each.get("grants") or () if g[3] == entry.owner]}
        for each in parts(entry, "columns")
    ]
    made = column_grants(dataclasses.replace(entry, facts={"columns": own}), None)
    return [given(noun, entry.name, entry.owner), *made] if made and entry.owner else []


# --- materialized views

STORED: t.Final = "MATERIALIZED VIEW"


def _create_materialized_view(entry: Entry) -> list[Statement]:
    """A materialized view, filled where it was."""
    facts = entry.facts
    told = [options(listed_options(entry)), options(fact(entry, "toast_options"), "toast.")]
    listing = joined(", ", told)
    clauses = [
        phrase("CREATE {} {}{}", STORED, entry.name, _names(entry)),
        phrase("USING {}", identifier(facts["access_method"])) if facts.get("access_method") else "",
        phrase("WITH ({})", listing) if listing else "",
        phrase("TABLESPACE {}", identifier(facts["tablespace"])) if facts.get("tablespace") else "",
        phrase("AS {}", _query(entry)),
        "WITH NO DATA",
    ]
    made = [say("{}", joined(" ", clauses), lock=Lock.ACCESS_SHARE, makes=entry.name)]
    # The server itself refreshes with the rights of the owner, and confined.
    made += [say("REFRESH {} {}", STORED, entry.name)] if "populated" not in entry.order else []
    return [*made, *_columns(STORED, entry, []), *_granted_by_owner(STORED, entry)]


def _alter_materialized_view(before: Entry, after: Entry) -> list[Statement] | None:
    """How it is stored; not what it says, nor whether it is filled, which is data. The database's own tablespace has no name to
    return to, and PostgreSQL 14 cannot change the access method."""
    changed = differing(before, after)
    there, wanted = parts(before, "columns"), parts(after, "columns")
    handled = {"options", "toast_options", "tablespace", "columns"}
    if changed - handled or not _alterable(there, wanted, OF_STORED_COLUMNS):
        return None
    made = _options(STORED, before, after) + _options(STORED, before, after, "toast_options", "toast.")
    if "tablespace" in changed:
        if not after.facts.get("tablespace"):
            return None
        made.append(say("ALTER {} {} SET TABLESPACE {}", STORED, after.name, identifier(after.facts["tablespace"])))
    made += _columns(STORED, after, there)
    return made + _regranted(after, before)


# --- triggers and rules

SWITCH: t.Final = {
    "origin": "ENABLE",
    "disabled": "DISABLE",
    "replica": "ENABLE REPLICA",
    "always": "ENABLE ALWAYS",
}

#: As the partitioned table has it; nothing where trigger or table have gone.
AS_PARENT: t.Final = """
DECLARE switch text;
BEGIN
    SELECT CASE u.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END
    INTO switch
    FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_trigger AS u ON u.oid = g.tgparentid
    WHERE g.tgrelid = pg_catalog.to_regclass({relation}) AND pg_catalog.quote_ident(g.tgname) = {trigger};
    IF FOUND THEN
        EXECUTE 'ALTER TABLE ' || {relation} || ' ' || switch || ' TRIGGER ' || {trigger};
    END IF;
END"""


def _create_trigger(entry: Entry) -> list[Statement]:
    """A trigger; that of a partition is made with its parent's and only switched."""
    own = not entry.facts.get("inherited")
    made = [say("{}", entry.facts["definition"], lock=Lock.SHARE_ROW_EXCLUSIVE)] if own else []
    return made + switched("TRIGGER", entry, "origin" if own else "")


def switched(noun: str, entry: Entry, now: str) -> list[Statement]:
    """A trigger or a rule that is switched as it was; nothing where it is so `now`."""
    wanted = fact(entry, "enabled")
    return (
        []
        if wanted == now
        else [say("ALTER TABLE {} {} {} {}", entry.facts["relation"], SWITCH[wanted], noun, entry.own)]
    )


def _drop_trigger(entry: Entry) -> list[Statement]:
    """A trigger; that of a partition is switched as its parent's is."""
    if not entry.facts.get("inherited"):
        return [say("DROP TRIGGER {}", entry.name)]
    return [as_parent(entry.facts["relation"], entry.own)]


def as_parent(relation: str, own: str) -> Statement:
    """A trigger that a partition has from its parent, switched as that one's is."""
    texts = {"relation": literal(relation), "trigger": literal(own)}
    return say("DO {}", literal(sql.SQL(AS_PARENT).format(**texts).as_string()))


def _alter_trigger(before: Entry, after: Entry) -> list[Statement] | None:
    """Switched; replaced where neither is a constraint, and rows or statements stay what it is for: replacing a trigger for
    rows by one for statements would leave the former in the partitions."""
    changed = differing(before, after)
    if changed - {"definition", "enabled"}:
        return None
    if "definition" not in changed:
        return switched("TRIGGER", after, fact(before, "enabled"))
    if after.facts.get("inherited"):
        return switched("TRIGGER", after, "")
    there, wanted = (bare(each.facts["definition"]) for each in (before, after))
    plain = there.startswith("CREATE TRIGGER ") and wanted.startswith("CREATE TRIGGER ")
    if not plain or (" FOR EACH ROW " in there) != (" FOR EACH ROW " in wanted):
        return None
    definition = after.facts["definition"].removeprefix("CREATE ")
    made = [
        say("CREATE OR REPLACE {}", definition, lock=Lock.SHARE_ROW_EXCLUSIVE),
        *switched("TRIGGER", after, "origin"),
    ]
    return made + again(phrase("TRIGGER {}", after.name), after)


def _create_rule(entry: Entry) -> list[Statement]:
    """A rule."""
    return [say("{}", _query(entry)), *switched("RULE", entry, "origin")]


def _alter_rule(before: Entry, after: Entry) -> list[Statement] | None:
    """Replaced, which leaves the switch as it is; switched."""
    changed = differing(before, after)
    if changed - {"definition", "enabled"}:
        return None
    replaced = say("CREATE OR REPLACE {}", _query(after).removeprefix("CREATE "))
    made = [replaced] if "definition" in changed else []
    return made + switched("RULE", after, fact(before, "enabled"))


# --- policies


def _create_policy(entry: Entry) -> list[Statement]:
    """A policy."""
    facts = entry.facts
    clauses = [
        phrase("CREATE POLICY {}", entry.name),
        "" if fact(entry, "permissive") else "AS RESTRICTIVE",
        phrase("FOR {}", facts.get("command", "all").upper()),
        *_policy(entry, {"roles", "using", "with_check"}),
    ]
    return [say("{}", joined(" ", clauses))]


def _policy(entry: Entry, told: set[str]) -> list[Piece]:
    facts = entry.facts
    made: list[Piece] = (
        [phrase("TO {}", joined(", ", map(grantee, facts.get("roles") or ["PUBLIC"])))] if "roles" in told else []
    )
    made += [phrase("USING ({})", facts["using"])] if "using" in told and facts.get("using") is not None else []
    check = facts.get("with_check") if "with_check" in told else None
    made += [phrase("WITH CHECK ({})", check)] if check is not None else []
    return made


def _alter_policy(before: Entry, after: Entry) -> list[Statement] | None:
    """For other roles or by other expressions; an expression cannot be taken away."""
    changed = differing(before, after)
    gone = [key for key in ("using", "with_check") if key in changed and after.facts.get(key) is None]
    if changed - {"roles", "using", "with_check"} or gone:
        return None
    return [say("ALTER POLICY {} {}", after.name, joined(" ", _policy(after, changed)))] if changed else []


WRITERS: t.Final = ddl_types.WRITERS | {
    "view": Writer("VIEW", _create_view, drop("VIEW"), _alter_view),
    "materialized_view": Writer(STORED, _create_materialized_view, drop(STORED), _alter_materialized_view),
    "trigger": Writer("TRIGGER", _create_trigger, _drop_trigger, _alter_trigger),
    "rule": Writer("RULE", _create_rule, drop("RULE"), _alter_rule),
    "policy": Writer("POLICY", _create_policy, drop("POLICY"), _alter_policy),
}
