# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for NOT NULL, which is a constraint with a name: of a column from PostgreSQL 18 on, of a domain from 17 on; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .common import comment
from .statement import Effect, Statement, identifier, joined, phrase, say

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry
    from .statement import Piece

Facts = dict[str, t.Any]


def known(entry: Entry) -> Facts:
    """What is known of the constraint; nothing where it has none, or was captured on a server that gives it no name."""
    return entry.facts.get("not_null_constraint") or {}


def named(entry: Entry, column: Piece = "") -> Piece:
    """NOT NULL under its name, as it is said with a column or a domain, or of one `column` to a table."""
    constraint = known(entry)
    name = phrase("CONSTRAINT {}", identifier(constraint["name"])) if constraint else ""
    return joined(" ", (name, "NOT NULL", column, "NO INHERIT" if constraint.get("no_inherit") else ""))


def said(entry: Entry, before: Facts) -> list[Statement]:
    """The comment on it, where that is another one than `before`."""
    constraint = known(entry)
    if constraint.get("comment") == before.get("comment"):
        return []
    on = phrase("DOMAIN {}", entry.name) if entry.kind == "domain" else entry.table
    return [comment("CONSTRAINT", phrase("{} ON {}", identifier(constraint["name"]), on), constraint.get("comment"))]


def of_column(column: Entry) -> list[Statement]:
    """NOT NULL for a column that may be empty, with the comment on it; what a parent gives is set with the parent's."""
    constraint = known(column)
    if constraint.get("inherited") or not column.facts.get("not_null"):
        return []
    if not constraint:
        return [say("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", column.table, column.own, effect=Effect.REQUIRES)]
    made = [say("ALTER TABLE {} ADD {}", column.table, named(column, column.own)), *said(column, {})]
    return [dataclasses.replace(each, effect=Effect.REQUIRES) for each in made]


def of_domain(domain: Entry) -> list[Statement]:
    """The same for a domain, whose owner runs it."""
    if not known(domain):
        return [say("ALTER DOMAIN {} SET NOT NULL", domain.name, runs_as=domain.name)]
    return [say("ALTER DOMAIN {} ADD {}", domain.name, named(domain), runs_as=domain.name), *said(domain, {})]


def altered(before: Entry, after: Entry) -> list[Statement]:
    """NOT NULL set or dropped; where it stays, under its old name, and passed on to children as it was."""
    there, wanted, of_a_domain = known(before), known(after), after.kind == "domain"
    relation = phrase("DOMAIN {}" if of_a_domain else "TABLE {}", after.name if of_a_domain else after.table)
    if not after.facts.get("not_null"):
        if not before.facts.get("not_null") or there.get("inherited"):
            return []
        if of_a_domain:
            return [say("ALTER {} DROP NOT NULL", relation, runs_as=after.name)]
        return [say("ALTER {} ALTER COLUMN {} DROP NOT NULL", relation, after.own)]
    if not before.facts.get("not_null"):
        return of_domain(after) if of_a_domain else of_column(after)
    if bool(there.get("inherited")) != bool(wanted.get("inherited")):
        # It goes with the parent's before a column has its own, and comes with the parent's once its own has gone.
        gone = say("ALTER {} ALTER COLUMN {} DROP NOT NULL", relation, after.own)
        return [gone] if wanted.get("inherited") else of_column(after)
    if not there or not wanted or there.get("inherited"):
        return []
    made: list[Statement] = []
    if there["name"] != wanted["name"]:
        names = identifier(there["name"]), identifier(wanted["name"])
        made.append(say("ALTER {} RENAME CONSTRAINT {} TO {}", relation, *names))
    if there.get("no_inherit") != wanted.get("no_inherit"):
        how = "NO INHERIT" if wanted.get("no_inherit") else "INHERIT"
        made.append(say("ALTER {} ALTER CONSTRAINT {} {}", relation, identifier(wanted["name"]), how))
    return made + said(after, there)
