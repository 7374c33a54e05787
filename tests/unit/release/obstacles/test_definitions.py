# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions as PostgreSQL writes them, taken apart; what is not known is left to PostgreSQL."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.obstacles import definitions, rows


@pytest.mark.parametrize(
    ("definition", "columns", "nulls_count"),
    [
        ("PRIMARY KEY (id)", ["id"], False),
        ('UNIQUE (a, "b, c", "d""e")', ["a", "b, c", 'd"e'], False),
        ("UNIQUE NULLS NOT DISTINCT (a) INCLUDE (b) DEFERRABLE", ["a"], True),
        ("CREATE UNIQUE INDEX i ON scout.t USING btree (a)", None, False),
        ("CHECK ((a > 0))", None, False),
    ],
)
def test_what_may_be_there_once(definition: str, columns: list[str] | None, nulls_count: bool) -> None:
    found = definitions.unique(definition)
    assert found == (None if columns is None else (columns, nulls_count))


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("FOREIGN KEY (a) REFERENCES scout.t(id)", (["a"], "scout.t", ["id"])),
        (
            'FOREIGN KEY (a, "B") REFERENCES "S.1".t(x, y) ON DELETE CASCADE NOT VALID',
            (["a", "B"], '"S.1".t', ["x", "y"]),
        ),
        ("UNIQUE (a)", None),
    ],
)
def test_what_has_to_be_elsewhere(definition: str, expected: tuple[list[str], str, list[str]] | None) -> None:
    assert definitions.reference(definition) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("integer", ("integer", None, 0)),
        ("numeric(4,1)", ("numeric", 4, 1)),
        ("numeric(4,-1)", ("numeric", 4, -1)),
        ("character varying(10)", ("character varying", 10, 0)),
        ("timestamp(3) with time zone", ("timestamp with time zone", 3, 0)),
        ("integer[]", None),
        ("scout.grade", None),
        ('"char"', None),
    ],
)
def test_types_of_postgresql(text: str, expected: tuple[str, int | None, int] | None) -> None:
    assert definitions.typed(text) == expected


@pytest.mark.parametrize(
    ("before", "after", "version", "expected"),
    [
        ("text", "integer", 170000, """NOT pg_catalog.pg_input_is_valid("r"."c"::text, 'integer')"""),
        ("text", "date", 150000, None),
        ("bigint", "integer", 150000, 'round("r"."c"::numeric) NOT BETWEEN -2147483648 AND 2147483647'),
        ("numeric", "numeric(4,1)", 170000, 'abs(round("r"."c"::numeric, 1)) >= 1000'),
        ("text", "character varying(3)", 170000, None),
        ("jsonb", "integer", 170000, None),
        ("scout.grade", "text", 170000, None),
        ("integer", "bigint", 170000, None),
    ],
)
def test_which_values_cannot_become_another_type(before: str, after: str, version: int, expected: str | None) -> None:
    found = rows.unfit("c", before, after, version)
    assert (None if found is None else found.as_string()) == expected


def test_a_text_is_a_number_by_what_it_looks_like_where_the_server_cannot_be_asked() -> None:
    found = rows.unfit("c", "text", "smallint", 150000)
    assert found is not None
    assert found.as_string() == (
        """NOT ("r"."c"::text ~* '^\\\\s*[+-]?\\\\d+\\\\s*$') OR """.replace("'^", " E'^")
        + """round(CASE WHEN "r"."c"::text ~* '^\\\\s*[+-]?\\\\d+\\\\s*$' THEN "r"."c"::text::numeric END) """.replace(
            "'^", " E'^"
        )
        + "NOT BETWEEN -32768 AND 32767"
    )
