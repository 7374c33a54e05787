# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and connection strings are removed from texts, and nothing else is."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import (
    clean,
    cleaned,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJodXNoIjoxfQ.hush"

SECRETS = {
    "ALTER ROLE a PASSWORD 'it''s hush'": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD E'hu\\'sh hush'": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD $x$hu sh$x$": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD 'hush, cut he": "ALTER ROLE a PASSWORD ***",
    "dblink('host=x password=hush dbname=y')": "dblink('***')",
    "user=postgres host=db.hush.example password='hu sh' sslmode=require": "***",
    "CREATE SUBSCRIPTION s CONNECTION 'host=hush password=hush' PUBLICATION p": "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION p",
    '{"token": "hush.def", "n": 1}': '{"token": ***, "n": 1}',
    '{\\"password\\": \\"hush\\"}': '{\\"password\\": ***}',
    'password="hu\\"sh hush"': "password=***",
    "postgresql://u:hu%40sh@host/db?sslpassword=hush": "postgresql://***",
    "postgres://u:hush, cut": "postgresql://*** cut",
    "dblink('postgresql://u:hu''sh@h/d', 'SELECT 1')": "dblink('postgresql://***', 'SELECT 1')",
    "jdbc:postgresql://h/d?user=hush&password=hush": "jdbc:postgresql://***",
    "redis://:hush@cache:6379/0": "redis://***@cache:6379/0",
    "PGPASSWORD=hush psql -h db1": "PGPASSWORD=*** psql -h db1",
    "Authorization: Bearer hush.hush\nHost: x": "Authorization: ***\nHost: x",
    "jsonb_build_object('Authorization', 'Bearer hush')": "jsonb_build_object('Authorization', ***)",
    "got bearer hush.hush.hush today": "got bearer *** today",
    "x-api-key: hush": "x-api-key: ***",
    f"x {JWT} y": "x *** y",
    "SET app.jwt_secret TO 'hush'": "SET app.jwt_secret TO ***",
    "SELECT set_config('app.jwt_secret', 'hush', true)": "SELECT set_config('app.jwt_secret', ***, true)",
    "AWS_SECRET_ACCESS_KEY=hush/hush+x=": "AWS_SECRET_ACCESS_KEY=***",
    "login with opensesame ok": "login with *** ok",
}
HARMLESS = (
    "SELECT * FROM scout.load_silver_from_bronze(2000)",
    'password authentication failed for user "anna"',
    "the password is wrong",
    "token expired",
    "https://cache:6379/path",
    "WHERE host = 'a' AND port = 5",
    "WHERE customer_id = $1",
)


@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:40])
def test_a_secret_is_removed(text: str) -> None:
    made = clean(text, ["opensesame"])
    assert made == SECRETS[text]
    assert clean(made) == made


@pytest.mark.parametrize("text", HARMLESS)
def test_everything_else_stays(text: str) -> None:
    assert clean(text) == text


def test_a_known_secret_that_is_too_short_to_recognise_hides_nothing() -> None:
    assert clean("login with opensesame ok", ["", "o", "ok"]) == "login with opensesame ok"


def test_every_text_of_a_document_is_cleaned() -> None:
    document = {"a": [{"b": "password=hush"}, 5, None], "c": "opensesame"}
    assert cleaned(document, ["opensesame"]) == {"a": [{"b": "password=***"}, 5, None], "c": "***"}
