# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays readable of a payload, which is whatever somebody sent: fields by their names, where their values have the form
that such a field has; pure."""

from __future__ import annotations

import functools
import re
import typing as t

from .fields import Fields, spelling
from .personal import is_of_a_person, without_forms

if t.TYPE_CHECKING:
    from collections.abc import Collection

#: Columns and keys that hold a payload.
PAYLOADS: t.Final = frozenset(map(spelling, ("event_data", "original_payload", "payload")))
IDS: t.Final = (
    *(
        "event_id",
        "transaction_id",
        "original_transaction_id",
        "corrects",
        "store_id",
        "device_id",
        "terminal_id",
        "pos_id",
    ),
    *("register_id", "product_id", "item_id", "line_id", "sku", "campaign_id", "batch_id"),
    *("items.id", "line_items.id", "product.id", "store.id", "device.id", "transaction.id", "event.id"),
)
TIMES: t.Final = (
    *("ts", "timestamp", "event_ts", "occurred_at", "sold_at", "sent_at", "received_at", "ingested_at", "created_at"),
    *("updated_at", "processed_at", "transaction_date", "transaction_time", "business_date", "time_zone", "utc_offset"),
)
NUMBERS: t.Final = (
    *(
        "total_amount",
        "net_amount",
        "gross_amount",
        "tax_amount",
        "vat_amount",
        "discount_amount",
        "line_amount",
        "amount",
    ),
    *("unit_price", "price", "total", "subtotal", "tax", "vat", "discount", "tendered", "change", "exchange_rate"),
    *("qty", "quantity", "units", "item_count", "line_count", "line_number", "sequence"),
)
WORDS: t.Final = (
    *("currency", "currency_code", "payment_method", "payment_type", "tender_type", "event_type", "status", "version"),
    *("schema_version", "unit", "uom", "source_system"),
)
FLAGS: t.Final = ("handshake_triggered", "voided", "refunded")
#: What stays readable unless somebody names other fields.
READABLE: t.Final = (*IDS, *TIMES, *NUMBERS, *WORDS, *FLAGS)
#: What a payload is divided into; below any other name nothing stays readable.
PARTS: t.Final = frozenset(
    map(
        spelling,
        (
            *(
                "event",
                "data",
                "payload",
                "meta",
                "metadata",
                "header",
                "body",
                "transaction",
                "sale",
                "store",
                "device",
            ),
            *("product", "products", "item", "items", "line", "lines", "line_items", "payment", "payments", "tender"),
            *("tenders", "totals", "amounts", "discounts", "taxes", "original", "correction", "corrections"),
        ),
    )
)
#: The whole payload, as it is; what is masked in rows is masked in it, too.
EVERYTHING: t.Final = "*"

#: Characters of a value.
LONGEST: t.Final = 64
#: No name has a digit in it and no blank.
ID: t.Final = re.compile(r"(?=[^\d]{0,63}\d)[A-Za-z0-9_.:/#-]{1,64}")
MOMENT: t.Final = re.compile(
    r"\d{4}-\d\d?-\d\d?(?:[T ]\d\d?:\d\d(?::\d\d(?:\.\d{1,9})?)? ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?)?)?"
    r"|\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?|[+-]\d\d:?\d\d|-?\d{1,13}(?:\.\d{1,9})?|[A-Z][a-z]{1,12}/[A-Z][A-Za-z_]{1,20}|UTC|infinity"
)
NUMBER: t.Final = re.compile(
    r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:e[+-]?\d{1,4})?|NaN|[+-]?Infinity", re.IGNORECASE
)
WORD: t.Final = re.compile(
    r"[A-Za-z0-9_.+/-]{1,24}"
    r"|(?:(?:credit|debit|bank|gift|store|mobile|cash|on|delivery|card|wallet|transfer|money|check|qr|ph|pay|later|split|points)\b ?){1,3}",
    re.IGNORECASE,
)
FLAG: t.Final = re.compile(r"true|false|yes|no|[01]", re.IGNORECASE)
#: A key that may be shown: as programs name them.
KEY: t.Final = re.compile(r"[A-Za-z_$][A-Za-z_$.-]{0,40}\d{0,2}")
#: What is said of a value that was refused: a number, a time, or one short word.
TOKEN: t.Final = re.compile(r"[a-z]{1,8}|[A-Za-z…]?")

FORMS: t.Final = {
    **{spelling(entry.rpartition(".")[2]): ID for entry in IDS},
    **{spelling(entry): MOMENT for entry in TIMES},
    **{spelling(entry): NUMBER for entry in NUMBERS},
    **{spelling(entry): WORD for entry in WORDS},
    **{spelling(entry): FLAG for entry in FLAGS},
}


class Readable:
    """Which values of a payload stay readable."""

    def __init__(self, entries: Collection[str]) -> None:
        self.everything = EVERYTHING in entries
        self.fields = Fields([entry for entry in entries if entry != EVERYTHING], "readable")
        #: What a path names is a part of the payload, too.
        self.parts = PARTS | {step for _, steps in self.fields.paths for step in steps[:-1]}
        self._named = functools.lru_cache(4096)(self._name)

    def knows(self, name: str) -> bool:
        """Whether a field of this name may stay, by its spelling."""
        return name in self.fields.last or name in self.parts

    def keeps(self, path: tuple[str, ...], value: t.Any) -> bool:
        """Whether a leaf stays: `path` are its steps by their spelling, without that of the column."""
        named, form = self._named(path)
        return named and has_form(form, value)

    def _name(self, path: tuple[str, ...]) -> tuple[bool, re.Pattern[str] | None]:
        """Whether a field may stay, and the form of its values."""
        named = bool(path) and self.fields.mean(path) and self.parts.issuperset(path[:-1])
        return named, FORMS.get(path[-1]) if named else None


def has_form(form: re.Pattern[str] | None, value: t.Any) -> bool:
    """Whether a value is what such a field has, and no number of a person; without a form any short one."""
    text = str(value)
    if len(text) > LONGEST or (form is not None and form.fullmatch(text) is None):
        return False
    # What is shorter has no form.
    return len(text) < 7 or (not is_of_a_person(text) and without_forms(text, lambda _: "", emails=True) == text)


def is_plain(value: str) -> bool:
    """Whether a value that PostgreSQL quotes in a message may stay: a time, a number, or one short word in lower case."""
    return has_form(MOMENT, value) or has_form(NUMBER, value) or TOKEN.fullmatch(value) is not None
