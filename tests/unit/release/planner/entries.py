# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries for tables of tests, written in one line each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry

Entries = dict[str, Entry]


def entry(kind: str, name: str, *needs: str, **facts: Any) -> Entry:
    """An entry without an owner."""
    return Entry(kind, name, facts, needs=needs)


def table(name: str, *columns: Entry, **facts: Any) -> Entries:
    """A table with its columns in their order."""
    order = [column.own for column in columns]
    return by_key(entry("table", name, "schema:w", column_order=order, **facts), *columns)


def column(name: str, type_: str = "integer", *needs: str, **facts: Any) -> Entry:
    """A column `schema.table.column`."""
    return entry("column", name, f"table:{name.rpartition('.')[0]}", *needs, type=type_, **facts)


def view(name: str, *needs: str, definition: str = " SELECT 1 AS a;") -> Entry:
    """A view of one column."""
    return entry("view", name, "schema:w", *needs, definition=definition, columns=[{"name": "a", "type": "integer"}])


def by_key(*entries: Entry) -> Entries:
    """A catalog."""
    return {each.key: each for each in entries}


def texts(statements: Iterable[object]) -> list[str]:
    """Statements as they are sent."""
    return [str(each) for each in statements]
