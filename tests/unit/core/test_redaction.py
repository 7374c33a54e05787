# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets go, named fields become hashes, and everything else stays as it is, to the byte."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import (
    PERSONAL,
    RULES,
    Redactor,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJodXNoIjoxfQ.hush"

SECRETS = {
    "ALTER ROLE a PASSWORD 'it''s hush'": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD E'hu\\'sh hush'": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD $x$hu sh$x$": "ALTER ROLE a PASSWORD ***",
    "ALTER ROLE a PASSWORD 'hush, cut he": "ALTER ROLE a PASSWORD ***",
    "dblink('host=x password=hush dbname=y')": "dblink('***')",
    "user=postgres host=db.hush.example password='hu sh' sslmode=require": "***",
    "host=hush dbname=hush": "***",
    "CREATE SUBSCRIPTION s CONNECTION 'host=hush password=hush' PUBLICATION p": "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION p",
    '{"token": "hush.def", "n": 1}': '{"token": ***, "n": 1}',
    '{\\"password\\": \\"hush\\"}': '{\\"password\\": ***}',
    'password="hu\\"sh hush"': "password=***",
    "postgresql://u:hu%40sh@host/db?sslpassword=hush": "postgresql://***",
    "postgres://u:hush, cut": "postgresql://*** cut",
    "jdbc:postgresql://h/d?user=hush&password=hush": "jdbc:postgresql://***",
    "redis://:hush@cache:6379/0": "redis://***@cache:6379/0",
    "https://user:hush": "https://***",
    "https://hooks.slack.com/services/T0/B0/hush": "https://hooks.slack.com/services/***",
    "PGPASSWORD=hush psql -h db1": "PGPASSWORD=*** psql -h db1",
    "export PGPASSWORD='hush hush'": "export PGPASSWORD=***",
    "db1:5432:scout:anna:hush": "***",
    "Authorization: Bearer hush.hush": "Authorization: ***",
    "Authorization: Bearer hush.hush\nHost: x": "Authorization: ***\nHost: x",
    'curl -H \'Authorization: Digest username="hush", response="hush"\' http://x/y': "curl -H 'Authorization: ***' http://x/y",
    '{"Authorization": "Basic aHVzaA"}': '{"Authorization": ***}',
    "jsonb_build_object('Authorization', 'Bearer hush')": "jsonb_build_object('Authorization', ***)",
    "Cookie: session=hush; b=hush": "Cookie: ***",
    "got bearer hush.hush.hush today": "got bearer *** today",
    "x-api-key: hush": "x-api-key: ***",
    f"x {JWT} y": "x *** y",
    JWT[:14]: "***",
    "SET app.jwt_secret = 'hush'": "SET app.jwt_secret = ***",
    "SET app.jwt_secret TO 'hush'": "SET app.jwt_secret TO ***",
    "SELECT set_config('app.jwt_secret', 'hush', true)": "SELECT set_config('app.jwt_secret', ***, true)",
    "client_secret_value: hush": "client_secret_value: ***",
    "AWS_SECRET_ACCESS_KEY=hush/hush+x=": "AWS_SECRET_ACCESS_KEY=***",
    "tool --password hush -v": "tool --password *** -v",
    "the password hush did not work": "the password *** did not work",
    "pgp_sym_encrypt(data, 'hush')": "pgp_sym_encrypt(***)",
    "crypt('hush', gen_salt('bf'))": "crypt(***)",
    "SELECT vault.create_secret('hush', 'name')": "SELECT vault.create_secret(***)",
    "sk_live_hushhushhushhush": "***",
    "ghp_hushhushhushhushhushhush": "***",
    "SCRAM-SHA-256$4096:hush$hush:hush": "***",
    f"md5{'a' * 32}": "***",
    "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\nx": "***\nx",
    "-----BEGIN RSA PRIVATE KEY-----\nhush, cut": "***",
    "login with opensesame ok": "login with *** ok",
}

HARMLESS = [
    "SELECT * FROM scout.load_silver_from_bronze(2000)",
    "UPDATE t SET ts = '2026-01-01 10:00:00' WHERE id = 1",
    'password authentication failed for user "anna"',
    "token expired",
    "https://cache:6379/path",
    "2026-11-25T01:00:00.123+00:00",
    "WHERE host = 'a' AND port = 5",
    "SELECT customer_id, store_id FROM scout.silver_transactions",
    "WHERE customer_id = $1",
]

#: Statements and messages that give away whose a row is, and nothing else of them that has to stay.
NAMED = {
    "WHERE customer_id = 'C-1' AND ts > '2026-01-01 10:00Z'": "AND ts > '2026-01-01 10:00Z'",
    "customer_id IN ('C-2','C-1')": "customer_id IN (",
    "'C-1' = customer_id": "= customer_id",
    "(customer_id, store_id) = ('C-1','s')": "(customer_id, store_id) = (",
    "customer_id BETWEEN 'C-1' AND 'C-2'": "BETWEEN",
    "event_data ->> 'customer_id' = 'C-1'": "event_data ->> 'customer_id' = ",
    "customer_id = ANY(ARRAY['C-1'])": "ANY(ARRAY[",
    "customer_id = $$C-1$$": "customer_id = ",
    "customer_id = 'C-1": "customer_id = ",
    "INSERT INTO t (customer_id, x) VALUES ('C-1', 'y')": "INSERT INTO t (customer_id, x) VALUES (",
    'found {"customer_id": "C-1", "n": 1}': '"n": 1}',
    '{\\"customer_id\\": \\"C-1\\"}': '{\\"customer_id\\": ',
    "customer_id: C-1": "customer_id: ",
    "Key (store_id, customer_id)=(S1, C-1) already exists.": "already exists.",
    "parameters: $1 = 'C-1', $2 = '3'": "parameters: $1 = ",
    "customer_id LIKE 'C-1'": "customer_id LIKE ",
    "customer_id >= C-1 and x": "and x",
    "customer_id = ANY (ARRAY[C-1,C-2])": "ANY (ARRAY[",
    "customer_id C-1 is unknown": " is unknown",
    "customer_id = $x$C-1$x$": "customer_id = ",
    '{"customerId": "C-1", "n": 1}': '"n": 1}',
    "Customer-ID: C-1": "Customer-ID: ",
}

#: The same where the value cannot be told from others.
WHOSE = {
    "INSERT INTO t (customer_id, n) VALUES (4711, 5), (4712, 6)": ("4711", "4712"),
    "customer_id = $x$Ana Cruz$x$": ("Cruz",),
    "phone: +63 917 123 4567, n 5": ("917", "4567"),
    "customer_name: Maria Santos is new": ("Maria", "Santos"),
    'JSON data, line 1: ...mer_id": "C-1", "amount": x': ("C-1",),
    'COPY t, line 3: "C-1\tAna"': ("C-1", "Ana"),
    "SELECT f('ana@example.com')": ("ana@example.com",),
    'invalid input syntax for type numeric: "ana.cruz+x@mail.example.co.uk"': ("ana", "mail"),
}


@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:40])
def test_what_looks_like_a_secret_goes(text: str) -> None:
    made = Redactor(known=["opensesame"]).text(text)
    assert made == SECRETS[text]
    assert "hush" not in made
    assert Redactor(known=["opensesame"]).text(made) == made


@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:40])
def test_it_goes_from_a_row_too(text: str) -> None:
    """Deep in a payload, as a key, and with the signs that tell of it escaped."""
    row = {"a": [{"b": text}], text: None}
    for line in (json.dumps(row), json.dumps(row, ensure_ascii=False), json.dumps(row).replace("p", "\\u0070")):
        made = Redactor(known=["opensesame"]).line(line.encode())
        assert b"hush" not in made
        # What is JSON itself stays JSON.
        value = SECRETS[text] if not text.startswith('{"') else SECRETS[text].replace("***", '"***"')
        assert json.loads(made) == {"a": [{"b": value}], SECRETS[text]: None}


@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:40])
def test_a_rule_finds_nothing_without_one_of_its_signs(text: str) -> None:
    for pattern, _, signs in RULES:
        if signs and re.search(pattern, text, re.IGNORECASE):
            assert any(sign in text.lower() for sign in signs), pattern


@pytest.mark.parametrize("text", HARMLESS)
def test_the_rest_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize("text", NAMED)
def test_a_text_does_not_tell_whose_it_is(text: str) -> None:
    redactor = Redactor()
    made = redactor.text(text)
    assert "C-1" not in made
    assert redactor.hashed("C-1") in made, "it can no longer be joined with the rows"
    assert NAMED[text] in made


@pytest.mark.parametrize("text", WHOSE)
def test_a_text_does_not_tell_whose_it_is_by_a_value_alone(text: str) -> None:
    # Of a key of chance, a hash may have any few digits in it.
    made = Redactor(key=b"key").text(text)
    assert [word for word in WHOSE[text] if word in made] == []
    row = json.loads(Redactor(key=b"key").line(json.dumps({"query": text}).encode()))
    assert [word for word in WHOSE[text] if word in row["query"]] == []


def test_an_address_is_masked_only_with_the_field_email_and_as_that_is() -> None:
    assert Redactor(["customer_id"]).text("ana@example.com") == "ana@example.com"
    made = Redactor(["email"])
    row = json.loads(made.line(b'{"email": "ana@example.com", "contact": "ana@example.com", "who": "ana@laptop"}'))
    assert row["email"] == row["contact"] == made.hashed("ana@example.com")
    assert row["who"] == "ana@laptop"


def test_a_payload_in_a_text_is_masked_like_one() -> None:
    """What stores send may be JSON as text, also twice."""
    customer = {"customer": {"id": "C-1", "name": "Ana"}, "amount": 12.10}
    inner = json.dumps({"loyaltyId": "C-1", "more": json.dumps(customer)})
    made = json.loads(Redactor().line(json.dumps({"body": inner, "plain": '{"amount": 12.10}'}).encode()))
    assert made["plain"] == '{"amount": 12.10}'
    assert not {"C-1", "Ana"} & set(made["body"].replace('"', " ").replace("\\", " ").split())
    assert json.loads(json.loads(made["body"])["more"])["amount"] == 12.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DETAIL:  Failing row contains (1, C-1, (x)).\nSTATEMENT: SELECT 1", "DETAIL:  Failing row contains (***).\nSTATEMENT: SELECT 1"),
        ("FAILING ROW CONTAINS (1,\nC-1) here", "FAILING ROW CONTAINS (***) here"),
        ("Failing row contains (1, C-1, cut", "Failing row contains (***"),
    ],
)  # fmt: skip
def test_a_failing_row_is_not_shown(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


def test_all_values_of_a_key_with_a_person_in_it_are_masked_and_the_rest_stays() -> None:
    made = Redactor()
    text = "ERROR: Key ({}, store_id)=(C-1, S1) already exists. customer_id"
    hidden = text.replace("C-1, S1", f"{made.hashed('C-1')}, {made.hashed('S1')}")
    assert made.text(text.format("customer_id")) == hidden.format("customer_id")
    assert made.text(text.format("item_id")) == text.format("item_id")


def test_a_name_of_several_words_ends_where_the_statement_goes_on() -> None:
    made = Redactor().text("customer_name = Maria Santos AND store_id = 5")
    assert made.endswith(" AND store_id = 5")
    assert "Santos" not in made


def test_letters_beyond_ascii_stay_as_they_are_where_something_is_masked() -> None:
    payload = json.dumps({"customer_id": "C-1", "note": "größer"}, ensure_ascii=False)
    made = Redactor().line(json.dumps({"body": payload, "customer_id": "C-2", "name": "später"}).encode()).decode()
    assert '"name": "später"' in made
    assert '"note": "größer"' in json.loads(made)["body"]


def test_a_row_with_control_characters_is_read_all_the_same() -> None:
    made = json.loads(Redactor().line(b'{"customer_id": "C-1", "note": "a\tb\nc"}'))
    assert made["note"] == "a\tb\nc"
    assert made["customer_id"] != "C-1"


def test_a_text_that_begins_like_json_and_is_none_is_a_text() -> None:
    deep = "[" * 100_000 + '"customer_id"'
    for text in ('{"customer_id": "C-1", "n": ', deep):
        made = json.loads(Redactor().line(json.dumps({"customer_id": "C-2", "body": text}).encode()))["body"]
        assert "C-1" not in made
        assert made.count("customer_id") == 1


def test_what_is_known_goes_unless_it_is_too_short_to_tell() -> None:
    made = Redactor(known=["abc", "abcdef", "no"])
    assert made.text("abc abcdef no") == "*** *** no"


def test_a_row_keeps_its_bytes_where_nothing_is_hidden() -> None:
    for line in (b'{"a":12.10,"b":1e400,"c":"\xc3\xa4","d":[null,true]}', b'{"ts": "2026-11-25T01:00:00.123+00:00"}'):
        assert Redactor().line(line) == line


def test_numbers_of_a_masked_row_are_as_they_were_written() -> None:
    line = b'{"customer_id": "C-1", "a": 12.10, "b": 12345678901234567890, "c": 1e400, "d": -0.0, "e": 7}'
    made = Redactor().line(line)
    assert made.split(b", ", 1)[1] == line.split(b", ", 1)[1]


def test_equal_values_stay_equal_within_one_export_alone() -> None:
    one, other = Redactor(), Redactor()
    rows = [json.loads(one.line(b'{"customer_id": %s}' % value)) for value in (b'"42"', b"42", b'"43"', b"null", b'""')]
    assert rows[0] == rows[1] != rows[2]
    assert [row["customer_id"] for row in rows[3:]] == [None, ""]
    assert one.hashed("42") != other.hashed("42")
    assert rows[0]["customer_id"].startswith("masked:")


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        (["id"], {"C-1", "C-2", "C-3"}),
        (["customer.id"], {"C-1", "C-3"}),
        (["$.customer.id"], {"C-1"}),
        (["Customer"], {"C-1", "C-3", "N-1"}),
        (["$.items[*].customer"], {"C-3"}),
        ([], set[str]()),
        (["CUSTOMER.I_D"], {"C-1", "C-3"}),
    ],
)
def test_which_fields_are_meant(mask: list[str], hidden: set[str]) -> None:
    row = {"customer": {"id": "C-1", "names": ["N-1"]}, "id": "C-2", "items": [{"customer": {"id": "C-3"}}]}
    made = Redactor(mask).line(json.dumps(row).encode()).decode()
    assert {value for value in ("C-1", "C-2", "C-3", "N-1") if f'"{value}"' not in made} == hidden


@pytest.mark.parametrize("entry", ["", "$", "a b", "a..b", "1a", "a[0]", "*", "a'; --"])
def test_what_is_no_field_is_refused(entry: str) -> None:
    with pytest.raises(BadInput, match="is not the name of a field"):
        Redactor([entry])


def test_a_secret_by_its_name_goes_whatever_it_looks_like() -> None:
    row = {"password": "x", "api_key": {"a": [1, None]}, "webhook_secret": 5, "n": 1}
    made = json.loads(Redactor().line(json.dumps(row).encode()))
    assert made == {"password": "***", "api_key": {"a": ["***", None]}, "webhook_secret": "***", "n": 1}


def test_what_cannot_be_read_is_left_out() -> None:
    deep = b'{"customer_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for line in (deep, b'{"customer_id": "C-1'):
        made = json.loads(Redactor().line(line))
        assert made["bytes"] == len(line)
        assert "C-1" not in str(made)


@pytest.mark.parametrize(
    "text",
    [
        *("a", "'", '"', "\\", "host=", "password ", "password" + " " * 50, "://", "a+b://", "a:", "x=1 ", "host=a "),
        *("-----BEGIN PRIVATE KEY", "customer_id", "customer_id,", "crypt(", "key_", "secret", "Key (", "a.b-c:5432:"),
        *(
            "--a-",
            "row contains (",
            "eyJhbGciOi.",
            "$1 = ",
            "$$",
            "authorization:",
            "a@",
            "a.",
            "@a.",
            "COPY ",
            "values (",
            "VALUES (1",
            "phone: 1 ",
            "name: A ",
        ),
    ],
    ids=lambda text: text[:12],
)
def test_no_text_takes_long(text: str) -> None:
    """A payload is whatever somebody sends."""
    began = time.process_time()
    Redactor().text(text * (20_000 // len(text)) + " password token customer_id")
    assert time.process_time() - began < 3


#: What is a person's, wherever it stands in a row: written down a second time, so that none is dropped by accident.
OF_A_PERSON = [
    *[{"customer": {name: "C-1"}} for name in ("id", "name")],
    *[{name: "C-1"} for name in (
        "customer_id", "customer_name", "customer_email", "customer_phone", "customer_address", "email", "phone",
        "phone_number", "mobile", "mobile_number", "telephone", "tel", "tel_no", "cellphone", "cell_no", "contact",
        "contact_number", "contact_no", "viber", "whatsapp", "gcash_number", "address", "street", "barangay", "brgy",
        "house_number", "house_no", "landmark", "zip_code", "postal_code", "first_name", "last_name", "middle_name",
        "full_name", "given_name", "family_name", "maiden_name", "surname", "nickname", "cardholder", "recipient",
        "beneficiary", "customer", "buyer", "buyer_name", "cashier_name", "employee_name", "birth_date",
        "date_of_birth", "dob", "birthday", "birthplace", "loyalty_id", "loyalty_number", "loyalty_card",
        "card_number", "card_no", "pan", "account_number", "account_no", "iban", "tin", "tin_number", "tin_no",
        "tax_id", "sss", "sss_number", "sss_no", "gsis", "umid", "crn", "philhealth", "pagibig", "pcn", "psn",
        "philsys", "national_id", "passport", "drivers_license", "license_number", "license_no", "senior_citizen",
        "senior_citizen_id", "senior_id", "sc_id", "osca", "osca_id", "pwd_id", "pangalan", "apelyido", "tirahan",
        "kaarawan", "kapanganakan", "telepono", "selpon", "numero", "mamimili"
    )],
]  # fmt: skip


@pytest.mark.parametrize("row", OF_A_PERSON, ids=json.dumps)
def test_each_field_of_a_person_is_masked_by_default(row: dict[str, Any]) -> None:
    redactor = Redactor()
    for made in (
        redactor.line(json.dumps({"event": row, "n": 1}).encode()).decode(),
        str(redactor.value({"a": [row]})),
    ):
        assert "C-1" not in made
        assert redactor.hashed("C-1") in made or "pwd_id" in row


def test_no_other_field_is_masked_by_default() -> None:
    assert sorted(PERSONAL) == sorted(".".join([name, *inner] if isinstance(inner, dict) else [name])
                                      for row in OF_A_PERSON for name, inner in row.items())  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Customer ID",
            "customer.id",
            "customerId",
            "CUSTOMER-ID",
            "customer__id",
            "\uff43\uff55\uff53\uff54\uff4f\uff4d\uff45\uff52_id",
        ),
        *(
            "cust\u043emer_id",
            "cust\u200bomer_id",
            "cust\u00f3mer id",
            "contact no.",
            "billing_address",
            "E-Mail 2",
            "Petsa ng Kapanganakan",
        ),
    ],
)
def test_a_name_is_known_by_its_letters(name: str) -> None:
    redactor = Redactor()
    made = json.loads(redactor.line(json.dumps({name: "C-1", "store": "C-2"}).encode()))
    assert redactor.hashed("C-1") in made.values()
    assert made["store"] == "C-2"


def test_what_looks_like_a_number_of_a_person_and_is_none_stays() -> None:
    for text in (
        "2026-11-25 01:00:00.123456+00", "pid 1234567 waits", "5fc12b69-fa60-4780-8eb8-ef9a20f28067", "xid 4294967295", "7-00000042",
        "0/16B3748 of 000000010000000000000001", "took 1764500000000 ms", "16,384,000 rows, 12.5 % of 131,072,000", "10.0.0.5:5432",
        "4111 1111 1111 1112 is no card", "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ):  # fmt: skip
        if "no card" not in text:
            assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "said",
    [
        'check constraint "named" of relation "customer" is violated by some row',
        'column reference "customer_name" is ambiguous',
        'index "customer" is already a partition',
        'relation "customer" is still referenced from table "sales"',
    ],
)
def test_what_is_said_of_a_table_of_that_name_stays(said: str) -> None:
    assert Redactor().text(said) == said


def test_a_value_that_was_refused_is_read_only_where_it_is_nobodys() -> None:
    """PostgreSQL quotes in its message what a store sent."""
    redactor = Redactor()
    message = 'invalid input syntax for type numeric: "{}"'
    for value in ("abc", "12.5.1"[:4], "NaN", "2026-13-01"):
        assert redactor.text(message.format(value)) == message.format(value)
    for value in ("Juan dela Cruz", "0917 123 4567", "juan dela cruz", 'say "hush" now'):
        assert redactor.text(message.format(value)) == message.format(redactor.hashed(value))
