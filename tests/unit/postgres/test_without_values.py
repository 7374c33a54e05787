# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages keep the names of objects and statements their shape; neither keeps a value."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.without_values import message, statement

VALUES = {
    'invalid input syntax for type numeric: "Ana"': 'invalid input syntax for type numeric: "…"',
    'invalid input syntax for type numeric: "a" b Ana\nAna "c"': 'invalid input syntax for type numeric: "…"',
    'invalid input syntax for type numeric: "Ana, cut he': 'invalid input syntax for type numeric: "…"',
    'value "99999999999" is out of range for type integer': 'value "…" is out of range for type integer',
    "customer 'O'Ana' is blocked": 'customer "…" is blocked',
    "Wert »Ana« ist falsch": 'Wert "…" ist falsch',
    'invalid value for parameter "work_mem": "Ana"': 'invalid value for parameter "work_mem": "…"',
    'role "Ana de la Cruz" does not exist': 'role "…" does not exist',
    "Key (customer_id, a)=(Ana, 5) already exists.": "Key (customer_id, a)=(…) already exists.",
    "Key (a)=(x) already exists. Ana) already exists.": "Key (a)=(…) already exists.",
    "Key (lower(a))=(Ana": "Key (lower(a))=(…",
    'Key (a)=(Ana) is not present in table "stores".': 'Key (a)=(…) is not present in table "stores".',
    "Failing row contains (1, Ana, (x)).\nCONTEXT:  y": "Failing row contains (…).\nCONTEXT:  y",
    "Failing row contains (1, Ana, cut": "Failing row contains (…",
    "JSON data, line 1: {Ana...\nCONTEXT:  y": "JSON data, line 1: …\nCONTEXT:  y",
    'COPY t, line 3: "C-1\tAna"': 'COPY t, line 3: "…"',
    "unnamed portal with parameters: $1 = 'Ana', $2 = '3'": 'unnamed portal with parameters: $1 = "…"',
    "could not connect to postgresql://me:Ana@db/scout": "could not connect to postgresql://***",
}
NAMES = (
    'relation "scout.x" does not exist',
    'null value in column "store_id" of relation "silver_transactions" violates not-null constraint',
    'insert or update on table "t" violates foreign key constraint "t_fkey"',
    "function scout.load_silver_from_bronze(integer) does not exist",
    'column reference "customer_name" is ambiguous',
    'duplicate key value violates unique constraint "bronze_events_pkey"\nCONTEXT:  PL/pgSQL function f(int) line 5',
    "can't do that; the table's owner can",
)
STATEMENTS = {
    "SELECT 'a', 'it''s', E'\\'x', U&'y', $$b$$, $q$c$q$, 12.5, .5, 1e9, \"Name\", $1": (
        "SELECT '…', '…', '…', '…', '…', '…', ?, ?, ?, \"Name\", $1"
    ),
    "SELECT 1 -- x\n, t1.c2 /* y */": "SELECT ? \n, t1.c2 ",
    "INSERT INTO t VALUES ('cut here and not clo": "INSERT INTO t VALUES ('…'",
    "": "",
}


@pytest.mark.parametrize("text", VALUES, ids=lambda text: text[:40])
def test_a_message_has_no_value(text: str) -> None:
    assert message(text) == VALUES[text]


@pytest.mark.parametrize("text", NAMES, ids=lambda text: text[:40])
def test_a_message_keeps_the_names_of_objects(text: str) -> None:
    assert message(text) == text


@pytest.mark.parametrize("text", STATEMENTS, ids=lambda text: text[:40])
def test_a_statement_has_no_value(text: str) -> None:
    assert statement(text) == STATEMENTS[text]
