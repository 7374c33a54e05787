# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads the loader chokes on, what PostgreSQL says to each, and payloads that only look dangerous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import generator

Payload = dict[str, Any]


@dataclass(frozen=True)
class _Poison:
    """How to spoil a good payload, and the SQLSTATE the loader then fails with."""

    sqlstate: str
    spoil: Callable[[Payload], Payload]


def _with(**fields: Any) -> Callable[[Payload], Payload]:
    return lambda payload: payload | fields


def _without(*fields: str) -> Callable[[Payload], Payload]:
    return lambda payload: {name: value for name, value in payload.items() if name not in fields}


def _first_item(**fields: Any) -> Callable[[Payload], Payload]:
    def spoil(payload: Payload) -> Payload:
        first = {name: value for name, value in (payload["items"][0] | fields).items() if value is not ...}
        return payload | {"items": [first, *payload["items"][1:]]}

    return spoil


KINDS: dict[str, _Poison] = {
    "non_numeric_amount": _Poison("22P02", _with(total_amount="abc")),
    "items_string": _Poison("22023", _with(items="[]")),
    "items_null": _Poison("22023", _with(items=None)),
    "items_object": _Poison("22023", _with(items={})),
    "bad_ts": _Poison("22007", _with(ts="half past nine")),
    "fractional_qty": _Poison("22P02", _first_item(qty=1.5)),
    "item_without_product_id": _Poison("23502", _first_item(product_id=...)),
    "missing_store_id": _Poison("23502", _without("store_id")),
    "null_transaction_id": _Poison("23502", _with(transaction_id=None)),
    "no_amounts": _Poison("23502", _without("total_amount", "net_amount")),
    "amount_overflow": _Poison("22003", _with(total_amount=100_000_000)),
}

DUPLICATE = "21000"

# The loader takes these, or swallows them without a trace in silver.
HARMLESS: dict[str, Callable[[Payload], object]] = {
    "no_items": _without("items"),
    "empty_items": _with(items=[]),
    "no_transaction_id_key": _without("transaction_id"),
    "array": lambda payload: [payload],
    "scalar": lambda payload: payload["transaction_id"],
    "not_a_number": _with(total_amount="NaN", net_amount="NaN"),
}


def payload(kind: str, seed: int, number: int) -> Payload:
    """A sale spoiled in the way of that kind."""
    return KINDS[kind].spoil(generator.transaction(seed, number))
