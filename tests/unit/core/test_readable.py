# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a payload only what is named stays, in the form that it should have; what is wrong with an event can still be told."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor

REDACTOR = Redactor(key=b"key")


def kept(payload: Any, redactor: Redactor = REDACTOR) -> Any:
    return json.loads(redactor.line(json.dumps({"event_data": payload}).encode()))["event_data"]


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_how_much_of_the_references_events_stays_readable() -> None:
    """docs/evidence.md says the share."""
    times = generator.clock(500, datetime.datetime(2026, 11, 25, tzinfo=UTC))
    shown = [(json.loads(event.text), kept(json.loads(event.text))) for event in generator.events(7, times)]
    values = [value for _, payload in shown for value in leaves(payload)]
    readable = [value for value in values if not str(value).startswith("masked:")]
    assert 0.54 < len(readable) / len(values) < 0.60
    for sent, payload in shown:
        assert sorted(payload) == sorted(sent), "names stay"
        assert {name: value for name, value in payload.items() if name.endswith(("amount", "_id"))} == {
            name: REDACTOR.hashed(value) if name == "customer_id" else value
            for name, value in sent.items()
            if name.endswith(("amount", "_id"))
        }


def _number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


#: How an engineer tells what is wrong with an event, by its payload.
TOLD: dict[str, Callable[[dict[str, Any]], bool]] = {
    "non_numeric_amount": lambda e: "total_amount" in e and not _number(e["total_amount"]),
    "items_string": lambda e: isinstance(e.get("items"), str),
    "items_null": lambda e: e.get("items", 0) is None,
    "items_object": lambda e: isinstance(e.get("items"), dict),
    "bad_ts": lambda e: not str(e["ts"])[:4].isdecimal(),
    "fractional_qty": lambda e: isinstance(e["items"], list) and e["items"][0]["qty"] % 1 > 0,
    "item_without_product_id": lambda e: isinstance(e["items"], list) and "product_id" not in e["items"][0],
    "missing_store_id": lambda e: "store_id" not in e,
    "null_transaction_id": lambda e: e["transaction_id"] is None,
    "no_amounts": lambda e: not {"total_amount", "net_amount"} & e.keys(),
    "amount_overflow": lambda e: _number(e.get("total_amount")) and float(e["total_amount"]) >= 10**8,
}


def test_each_known_kind_of_poison_can_be_told_from_what_is_kept() -> None:
    assert TOLD.keys() == poison_payloads.KINDS.keys()
    for kind, poison in poison_payloads.KINDS.items():
        payload = poison.spoil(generator.transaction(7, 1))
        told = [name for name, is_so in TOLD.items() if is_so(payload)]
        assert told == [kind]
        assert [name for name, is_so in TOLD.items() if is_so(kept(payload))] == [kind]


#: What no digest has in it.
TEXTS = st.text("GHKMZghkmz ñ!", min_size=6, max_size=40).filter(str.strip)
AROUND = ["%s", '{"items": [%s]}', '{"customer": {"a": %s}}', '{"extra": [1, %s]}', '{"data": {"total_amount": %s}}']


@given(TEXTS, TEXTS, st.sampled_from(AROUND))
def test_nothing_that_is_not_named_stays_and_what_was_equal_is(name: str, value: str, around: str) -> None:
    inner = json.dumps({f"{name} x": value, "transaction_id": value})
    made = kept(json.loads(around.replace("%s", inner)))
    assert value not in json.dumps(made, ensure_ascii=False)
    assert f"{name} x" not in json.dumps(made, ensure_ascii=False)
    assert [each for each in leaves(made) if each == REDACTOR.hashed(value)] == [REDACTOR.hashed(value)] * 2


def test_a_field_stays_only_in_its_form_and_in_its_place() -> None:
    sent = {
        "transaction_id": "T 1 of Maria", "store_id": "Marias", "total_amount": "12.50 for Ana", "ts": "noon, Ana",
        "payment_method": "Ana Cruz",
        "currency": "PHP", "tax_amount": 4111111111111111, "net_amount": "9171234567", "discount_amount": 1.5,
        "customer": {"transaction_id": "7-1"}, "items": [{"qty": 2, "product_id": "P-1", "note": "x"}],
        "Maria Santos": 1, "09171234567": 2, "total amount": 3,
    }  # fmt: skip
    made = kept(sent)
    assert [name for name, value in made.items() if value == sent.get(name)] == [
        "currency",
        "discount_amount",
        "total amount",
    ]
    assert made["items"] == [{"qty": 2, "product_id": "P-1", "note": REDACTOR.hashed("x")}]
    assert not {"Maria Santos", "09171234567"} & made.keys()


def test_other_fields_can_be_named_and_all_of_it() -> None:
    sent = {"branch": "B-1", "crm": {"tier": "gold", "email": "x"}, "total_amount": 5}
    made = kept(sent, Redactor(readable=["branch", "crm.tier", "crm.email"]))
    assert made["branch"] == "B-1"
    assert made["crm"]["tier"] == "gold"
    assert [made["crm"]["email"][:7], made["total_amount"][:7]] == ["masked:", "masked:"], (
        "what is masked is never readable"
    )
    assert kept(sent, Redactor(readable=["*"]))["total_amount"] == 5
    assert kept(sent, Redactor([])) == sent, "who masks nothing keeps all of it"
    with pytest.raises(BadInput, match="readable: 'a b' is not the name of a field"):
        Redactor(readable=["a b"])


def test_a_payload_alone_and_what_is_none() -> None:
    for payload in ('"Maria"', "5", '["Maria", {"qty": 1}]', "null", '""'):
        made = REDACTOR.line(payload.encode(), payload=True).decode()
        assert "Maria" not in made
    assert json.loads(made) == ""
    assert kept({"items": []}) == {"items": []}
    text = json.dumps({"transaction_id": "7-1", "email": "x", "items": [{"qty": 1}]})
    assert json.loads(kept(text)) == {"transaction_id": "7-1", "email": REDACTOR.hashed("x"), "items": [{"qty": 1}]}
