# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a person's, by the name of its field and by its form, in the Philippines above all; pure."""

from __future__ import annotations

import contextlib
import decimal
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

#: What is a person's in Scout's tables and in what stores send, unless somebody names other fields. Letters alone count:
#: `mobile_number` is `Mobile Number`, too.
PERSONAL: t.Final = (
    *("customer_id", "customer.id", "customer_name", "customer.name", "customer_email", "customer_phone"),
    *("customer_address", "email", "phone", "phone_number", "mobile", "mobile_number", "telephone", "tel", "tel_no"),
    *("cellphone", "cell_no", "contact", "contact_number", "contact_no", "viber", "whatsapp", "gcash_number"),
    *("address", "street", "barangay", "brgy", "house_number", "house_no", "landmark", "zip_code", "postal_code"),
    *("first_name", "last_name", "middle_name", "full_name", "given_name", "family_name", "maiden_name", "surname"),
    *(
        "nickname",
        "cardholder",
        "recipient",
        "beneficiary",
        "customer",
        "buyer",
        "buyer_name",
        "cashier_name",
        "employee_name",
    ),
    *("birth_date", "date_of_birth", "dob", "birthday", "birthplace"),
    *("loyalty_id", "loyalty_number", "loyalty_card", "card_number", "card_no", "pan", "account_number", "account_no"),
    *(
        "iban",
        "tin",
        "tin_number",
        "tin_no",
        "tax_id",
        "sss",
        "sss_number",
        "sss_no",
        "gsis",
        "umid",
        "crn",
        "philhealth",
    ),
    *("pagibig", "pcn", "psn", "philsys", "national_id", "passport", "drivers_license", "license_number", "license_no"),
    *("senior_citizen", "senior_citizen_id", "senior_id", "sc_id", "osca", "osca_id", "pwd_id"),
    *("pangalan", "apelyido", "tirahan", "kaarawan", "kapanganakan", "telepono", "selpon", "numero", "mamimili"),
)
#: Those of them that are meant with a word before or after them, too: `billing_address`, `email_2`.
WITHIN: t.Final = frozenset(
    (
        *(
            "email",
            "phone",
            "mobile",
            "telephone",
            "cellphone",
            "contact",
            "address",
            "surname",
            "fullname",
            "firstname",
        ),
        *("lastname", "customername", "cardholder", "birthdate", "birthday", "cardnumber", "cardno", "accountnumber"),
        *(
            "passport",
            "philhealth",
            "pagibig",
            "philsys",
            "nationalid",
            "seniorcitizen",
            "osca",
            "pangalan",
            "apelyido",
        ),
        *("tirahan", "kaarawan", "kapanganakan", "telepono", "selpon"),
    )
)
#: Those whose value goes on to the end of the clause, in a text, and those that a comma does not end.
NAMES: t.Final = frozenset(
    ("name", "pangalan", "apelyido", "cardholder", "recipient", "beneficiary", "mamimili", "buyer")
)
PLACES: t.Final = frozenset(
    ("address", "tirahan", "street", "barangay", "brgy", "landmark", "kapanganakan", "birthplace")
)

#: What looks like one of these and is none: it is passed over whole.
NONE: t.Final = (
    r"masked:[0-9a-f]{20}|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\\x[0-9a-f]+"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
    r"|\b(?=[0-9a-f]{0,40}[a-f])[0-9a-f]{20,64}\b"
)
#: Between digits that belong together.
GAP: t.Final = r"(?:[ .()/_+-]|%20|%2b){0,2}"
FORMS: t.Final[dict[str, str]] = {
    "email": r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}\b",
    # 16 digits in groups, or at once; Amex and Diners have other groups.
    "card": rf"\d{{4}}{GAP}\d{{4}}{GAP}\d{{4}}{GAP}\d{{1,7}}|\d{{4}}{GAP}\d{{6}}{GAP}\d{{4,5}}",
    "mobile": rf"(?:\(?\+?(?:00)?63\)?{GAP}(?:\(0\))?|\(?0)?9(?:{GAP}\d){{9}}",
    "landline": rf"(?:\(?\+?63\)?{GAP}\(?0?\d{{1,2}}\)?|\(0\d{{1,2}}\)|0[2-8]\d?){GAP}\d{{3,4}}[ .-]?\d{{4}}",
    "tin": r"\d{3}[ -]\d{3}[ -]\d{3}[ -]\d{3,5}|\d{3}-\d{3}-\d{3}",
    "number": r"\d{2}-\d{7}-\d|\d{2}-\d{9}-\d|\d{4}-\d{7}-\d|\d{4}[ -]\d{4}[ -]\d{4}|[a-z]\d\d-\d\d-\d{6}|[a-z]\d{7}[a-z]",
}
BEFORE: t.Final = r"(?<![\w.+@])(?<!\d[:,-])"
AFTER: t.Final = r"(?![\w@])(?!\.\d)"
#: None of them has fewer digits in a row, with one sign between two of them at most, or is no address.
FORM: t.Final = re.compile(
    rf"{NONE}|(?P<email>{FORMS['email']})|{BEFORE}(?:"
    + "|".join(f"(?P<{name}>{FORMS[name]})" for name in ("card", "mobile", "landline", "tin", "number"))
    + f"){AFTER}",
    re.IGNORECASE | re.ASCII,
)
#: What twelve digits and more are that are no card's.
NO_CARD: t.Final = re.compile("|".join(FORMS[name] for name in ("mobile", "landline", "tin", "number")), re.ASCII)
NUMBER: t.Final = re.compile(r"\d{1,20}(?:\.\d{0,20})?(?:[eE]\+?\d{1,2})?")
NOT_DIGITS: t.Final = re.compile(r"%2[0bB]|\D")
#: A house in a street, and who is called by a title, wherever they stand.
HOUSE: t.Final = re.compile(
    r"\b\d{1,5}[A-Z]?[ ,]+(?:[A-Z][\w.'-]{0,20} +){1,4}(?:St|Street|Ave|Avenue|Road|Rd|Blvd|Drive|Lane|Subd|Village)\b[^;\n\"']{0,60}"
    r"|\b(?:Brgy|Barangay|Bgy|Purok|Sitio)\b\.? +[^;\n\"']{1,60}"
)
TITLED: t.Final = re.compile(
    r"\b((?:Mr|Mrs|Ms|Dr|Engr|Atty|Gng|Bb)\.? +|(?:Aling|Mang|Kuya|Ginoong|Ginang|Binibining) +)"
    r"([A-Z][\w'-]{1,20}(?: +(?:de|la|dela|del|delos|[A-Z]\.|[A-Z][\w'-]{1,20})){0,4})"
)


#: Without any of these a text has no such form, and one that is wholly a time or an id has none.
DIGITS: t.Final = re.compile(r"@|\d(?:(?:[ .()/_+-]|%20|%2[bB]){0,3}\d){6}|[A-Za-z]\d{7}[A-Za-z]")
ANOTHER: t.Final = re.compile(rf"(?:{NONE})(?:Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE | re.ASCII)


def is_card(digits: str) -> bool:
    """Whether digits are the number of a payment card: its length, who issues it, and its check digit."""
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456":
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return not total % 10


def is_of_a_person(number: str) -> bool:
    """Whether a number, however it is written, is a card's or a mobile telephone's; it has neither blanks nor a sign."""
    if len(number) < 10 or number[0] == "-" or NUMBER.fullmatch(number) is None:
        return False
    with contextlib.suppress(decimal.InvalidOperation):
        made = decimal.Decimal(number)
        if made.adjusted() > 18 or made != made.to_integral_value():
            return False
        digits = str(int(made))
        return (
            is_card(digits) or (len(digits) == 10 and digits[0] == "9") or (len(digits) == 12 and digits[:3] == "639")
        )
    return False


def without_forms(text: str, made: Callable[[str], str], *, emails: bool) -> str:
    """A text in which whatever has the form of a person's number or address is what `made` says of it."""

    def replaced(found: re.Match[str]) -> str:
        kind = found.lastgroup
        if kind is None or (kind == "email" and not emails):
            return found[0]
        digits = NOT_DIGITS.sub("", found[0])
        # Sixteen digits that are no card's are those of a PhilSys card.
        if kind == "card" and not (is_card(digits) or len(digits) == 16 or NO_CARD.fullmatch(found[0])):
            return found[0]
        return made(found[0])

    if DIGITS.search(text) and not ANOTHER.fullmatch(text):
        text = FORM.sub(replaced, text)
    if " " in text:
        text = HOUSE.sub(lambda found: made(found[0]), text)
        text = TITLED.sub(lambda found: found[1] + made(found[2]), text)
    return text
