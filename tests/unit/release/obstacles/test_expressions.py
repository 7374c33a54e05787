# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks, unique indexes and exclusion constraints as PostgreSQL writes them, taken apart."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.obstacles import expressions


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("CHECK ((a < 10))", ("((a < 10))", False, True)),
        ("CHECK ((a ~ '\\)'::text)) NO INHERIT", ("((a ~ '\\)'::text))", True, True)),
        ("CHECK ((\"a)\" <> E'it\\'s)'::text)) NOT VALID", ("((\"a)\" <> E'it\\'s)'::text))", False, False)),
        ("UNIQUE (a)", None),
        ("CHECK ((a < 10)", None),
    ],
)
def test_what_a_check_says(definition: str, expected: tuple[str, bool, bool] | None) -> None:
    assert expressions.check(definition) == expected


@pytest.mark.parametrize(
    ("definition", "elements", "some", "nulls_count"),
    [
        ("USING btree (a, b)", ("a", "b"), "", False),
        ("USING btree (lower(a), ((b + 1)) DESC NULLS LAST)", ("lower(a)", "((b + 1))"), "", False),
        ('USING btree ("Odd, name" text_pattern_ops, a COLLATE "C" DESC)', ('"Odd, name"', 'a COLLATE "C"'), "", False),
        ("USING btree (a) INCLUDE (b) NULLS NOT DISTINCT WHERE (c > 0)", ("a",), "(c > 0)", True),
        ("USING btree (a) WITH (fillfactor='60') TABLESPACE \"t s\" WHERE active", ("a",), "active", False),
        ("USING btree (w.f(a, ', '::text) w.my_ops)", ("w.f(a, ', '::text)",), "", False),
    ],
)
def test_what_a_unique_index_says(definition: str, elements: tuple[str, ...], some: str, nulls_count: bool) -> None:
    found = expressions.unique_index(f'CREATE UNIQUE INDEX "I" ON ONLY w."T" {definition}')
    assert found == (elements, some, nulls_count)


@pytest.mark.parametrize(
    "definition",
    ["CREATE INDEX i ON w.t USING btree (a)", "UNIQUE (a)", "CREATE UNIQUE INDEX i ON w.t USING btree (a) X"],
)
def test_what_is_no_unique_index(definition: str) -> None:
    assert expressions.unique_index(definition) is None


@pytest.mark.parametrize(
    ("definition", "elements", "some"),
    [
        ("EXCLUDE USING gist (r WITH &&)", (("r", "&&"),), ""),
        ("EXCLUDE USING gist (a inet_ops WITH OPERATOR(w.=), int4range(b, c) WITH &&) WHERE ((d > 0)) DEFERRABLE",
         (("a", "OPERATOR(w.=)"), ("int4range(b, c)", "&&")), "((d > 0))"),
    ],
)  # fmt: skip
def test_what_an_exclusion_says(definition: str, elements: tuple[tuple[str, str], ...], some: str) -> None:
    assert expressions.exclusion(definition) == (elements, some)
    assert expressions.exclusion("UNIQUE (a)") is None


def test_a_value_is_called_as_a_column_or_an_expression() -> None:
    assert [expressions.column(each) for each in ('"Odd, name"', "a", "lower(a)")] == ["Odd, name", "a", "lower(a)"]
