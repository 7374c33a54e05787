# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of a column's type are known to keep every value; integration tests cast values to see that they do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.type_changes import (
    Type,
    may_lose,
    typed,
)


def column(type_: str, **facts: Any) -> Entry:
    return Entry("column", "scout.t.a", {"type": type_, **facts})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("character varying(10)", "character varying(20)"),
        ("character varying(10)", "character varying"),
        ("character varying(10)", "text"),
        ("character varying", "text"),
        ("text", "character varying"),
        ("text", "text"),
        ("character(3)", "character varying(3)"),
        ("character(3)", "text"),
        ("numeric(10,2)", "numeric(12,2)"),
        ("numeric(10,2)", "numeric(8,4)"),
        ("numeric(10,2)", "numeric"),
        ("numeric(10,0)", "bigint"),
        ("integer", "bigint"),
        ("bigint", "integer"),
        ("integer", "numeric(12,2)"),
        ("bigint", "numeric"),
        ("real", "double precision"),
        ("integer[]", "bigint[]"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("timestamp(3) without time zone", "timestamp(6) without time zone"),
        ("date", "timestamp without time zone"),
        ("jsonb", "json"),
        ("uuid", "text"),
        ("bit(4)", "bit varying(8)"),
        ('shop."my (type"', 'shop."my (type"'),
    ],
)
def test_a_change_that_keeps_every_value(before: str, after: str) -> None:
    assert not may_lose(column(before), column(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("character varying(20)", "character varying(10)"),
        ("character varying", "character varying(10)"),
        ("text", "character varying(10)"),
        ("text", "character(10)"),
        ("text", "name"),
        ("text", "integer"),
        ("text", "jsonb"),
        ("numeric", "numeric(10,2)"),
        ("numeric(10,4)", "numeric(10,2)"),
        ("numeric", "integer"),
        ("numeric(10,2)", "integer"),
        ("integer", "numeric(10,-2)"),
        ("numeric", "double precision"),
        ("bigint", "double precision"),
        ("double precision", "real"),
        ("double precision", "numeric"),
        ("double precision", "text"),
        ("timestamp with time zone", "date"),
        ("timestamp with time zone", "timestamp without time zone"),
        ("timestamp with time zone", "timestamp(0) with time zone"),
        ("json", "jsonb"),
        ("inet", "cidr"),
        ("bit(8)", "bit(4)"),
        ("bit(4)", "bit(8)"),
        ("interval", "interval day to second"),
        ("interval", "interval second(2)"),
        ("integer", "integer[]"),
        ("integer[]", "text"),
        ("character varying(20)[]", "character varying(10)[]"),
        ("uuid", "character varying(10)"),
        ("shop.status", "text"),
        ('shop."my (type"', "text"),
        ("integer", "shop.amount"),
    ],
)
def test_a_change_that_may_lose_something(before: str, after: str) -> None:
    assert may_lose(column(before), column(after))


def test_what_is_generated_or_no_column_has_nothing_to_lose() -> None:
    assert not may_lose(
        column("text", generated="upper(name)"), column("character varying(1)", generated="upper(name)")
    )
    assert not may_lose(column("text", collation='"C"'), column("text"))
    domain = Entry("domain", "scout.d", {"type": "text"})
    assert not may_lose(domain, domain)


def test_a_type_in_parts() -> None:
    assert typed("timestamp(3) with time zone[]") == Type("timestamp with time zone", (3,), array=True)
    assert typed("numeric(10,-2)") == Type("numeric", (10, -2), array=False)
    assert typed("character varying") == Type("character varying", (), array=False)
    assert typed('shop."x(1"') is None
