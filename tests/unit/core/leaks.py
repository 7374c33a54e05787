# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic leaks: what is a person's or a secret, each in a place in which the toolkit could meet it. Nothing here is anybody's."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

GIVEN = [
    "Maria",
    "Jose",
    "Juan",
    "Analyn",
    "Rowena",
    "Crisanto",
    "Ligaya",
    "Bayani",
    "Marites",
    "Danilo",
    "Niño",
    "Jhun",
]
FAMILY = [
    "Santos",
    "Dela Cruz",
    "Reyes",
    "Bautista",
    "Dimaculangan",
    "Magsaysay",
    "Villanueva",
    "Macaraeg",
    "Ocampo",
    "Peñaflor",
]
STREETS = ["Rizal St.", "Mabini Street", "Bonifacio Ave", "Del Pilar Road", "Aurora Blvd"]
TOWNS = ["Quezon City", "Makati City", "Cebu City", "Brgy. Poblacion, Iligan", "Davao"]
LOOKALIKES = str.maketrans("aeopcyx", "аеорсух")
FULL_WIDTH = str.maketrans({chr(each): chr(each + 0xFEE0) for each in range(0x21, 0x7F)})


class Leak(NamedTuple):
    """A row as JSON, what of it must not be read afterwards, and what kind of thing in what kind of place it is."""

    what: str
    where: str
    row: dict[str, Any]
    secrets: tuple[str, ...]
    payload: bool = False


def _digits(dice: random.Random, count: int) -> str:
    return "".join(dice.choices(string.digits, k=count))


def _chars(dice: random.Random, count: int, among: str = string.ascii_letters + string.digits) -> str:
    return "".join(dice.choices(among, k=count))


def card(dice: random.Random) -> str:
    """A number with a valid check digit, of a Visa or a Mastercard."""
    body = dice.choice(["4", "51", "55"])
    body += _digits(dice, 15 - len(body))
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def _grouped(dice: random.Random, digits: str) -> str:
    mark = dice.choice(["", " ", "-", "."])
    return mark.join(digits[at : at + 4] for at in range(0, len(digits), 4))


def _mobile(dice: random.Random) -> str:
    digits = _digits(dice, 9)
    form = dice.choice(
        [
            "09{}{} {} {}",
            "+63 9{}{} {} {}",
            "0063 9{}{} {} {}",
            "639{}{}{}{}",
            "(+63) 9{}{}-{}-{}",
            "09{}{}{}{}",
            "(09{}{}) {}-{}",
        ]
    )
    return form.format(digits[:1], digits[1:2], digits[2:5], digits[5:])


def _landline(dice: random.Random) -> str:
    digits = _digits(dice, 7)
    return dice.choice(["(02) 8{}-{}", "02-8{}-{}", "+63 2 8{} {}", "(032) {}-{}"]).format(digits[:3], digits[3:])


def _tin(dice: random.Random) -> str:
    parts = [_digits(dice, 3) for _ in range(3)]
    return "-".join(parts + dice.choice([[], ["000"], [_digits(dice, 5)]]))


def _name(dice: random.Random) -> str:
    name = f"{dice.choice(GIVEN)} {dice.choice(FAMILY)}"
    return dice.choice([name, name.lower(), name.upper()])


def _address(dice: random.Random) -> str:
    return f"{dice.randint(1, 999)} {dice.choice(STREETS)}, {dice.choice(TOWNS)}"


def _email(dice: random.Random) -> str:
    first, last = (_chars(dice, count, string.ascii_lowercase) for count in (7, 5))
    return f"{first}.{last}@{dice.choice(['mail', 'corp'])}.example.com.ph"


#: What a value is, how one is made, and what its field may be called.
VALUES: dict[str, tuple[Callable[[random.Random], str], list[str]]] = {
    "card": (
        lambda dice: _grouped(dice, card(dice)),
        ["card_number", "cardNo", "Card Number", "credit_card", "note", "numero ng card"],
    ),
    "mobile": (
        _mobile,
        ["contact_number", "Mobile Number", "cell.no", "selpon", "phone 2", "gcash_no", "numero ng telepono"],
    ),
    "landline": (_landline, ["telephone", "tel_no", "telepono", "Contact No."]),
    "email": (_email, ["email", "E-mail", "customer.email", "emailAddress", "note"]),
    "tin": (_tin, ["TIN", "tin_no", "buyer_tin", "Tax ID"]),
    "sss": (lambda dice: f"{_digits(dice, 2)}-{_digits(dice, 7)}-{_digits(dice, 1)}", ["SSS", "sss_number", "SSS No"]),
    "pcn": (
        lambda dice: "-".join(_digits(dice, 4) for _ in range(4)),
        ["PCN", "PhilSys PCN", "philsys_id", "national id"],
    ),
    "senior": (
        lambda dice: f"SC-{_digits(dice, 6)}",
        ["senior_citizen_id", "OSCA ID", "Senior Citizen No", "osca_number"],
    ),
    "cvv": (lambda dice: _digits(dice, 3), ["cvv", "CVC", "c.v.v", "card cvv"]),
    "name": (_name, ["customer_name", "pangalan", "Full Name", "first name", "apelyido", "buyer", "cardholder"]),
    "address": (_address, ["address", "tirahan", "delivery_address", "Home Address", "street"]),
    "birth": (
        lambda dice: f"19{_digits(dice, 2)}-0{dice.randint(1, 9)}-1{dice.randint(0, 9)}",
        ["birth_date", "kaarawan", "Date of Birth", "birthday"],
    ),
    "password": (
        lambda dice: _chars(dice, 12),
        ["password", "Pass Word", "api key", "api.key", "client_secret", "ACCESS-TOKEN"],
    ),
}
#: Tokens by their forms, of what is used around a pipeline.
TOKENS: dict[str, Callable[[random.Random], str]] = {
    "supabase": lambda dice: "sbp_" + _chars(dice, 40, string.hexdigits.lower()[:16]),
    "supabase secret": lambda dice: f"sb_secret_{_chars(dice, 22)}_{_chars(dice, 8)}",
    "jwt": lambda dice: f"eyJhbGciOiJIUzI1NiJ9.eyJ{_chars(dice, 30)}.{_chars(dice, 43)}",
    "superset session": lambda dice: f".eJ{_chars(dice, 60)}.{_chars(dice, 6)}.{_chars(dice, 27)}",
    "github": lambda dice: dice.choice(["ghp_", "gho_", "ghs_", "ghr_"]) + _chars(dice, 36),
    "github fine": lambda dice: f"github_pat_{_chars(dice, 22)}_{_chars(dice, 59)}",
    "gitlab": lambda dice: "glpat-" + _chars(dice, 20),
    "slack": lambda dice: f"xoxb-{_digits(dice, 12)}-{_digits(dice, 12)}-{_chars(dice, 24)}",
    "slack app": lambda dice: (
        f"xapp-1-A{_chars(dice, 10, string.ascii_uppercase)}-{_digits(dice, 13)}-{_chars(dice, 64, '0123456789abcdef')}"
    ),
    "slack hook": lambda dice: (
        f"https://hooks.slack.com/services/T{_digits(dice, 8)}/B{_digits(dice, 8)}/{_chars(dice, 24)}"
    ),
    "aws": lambda dice: dice.choice(["AKIA", "ASIA"]) + _chars(dice, 16, string.ascii_uppercase + "234567"),
    "stripe": lambda dice: "sk_live_" + _chars(dice, 24),
    "sendgrid": lambda dice: f"SG.{_chars(dice, 22)}.{_chars(dice, 43)}",
    "npm": lambda dice: "npm_" + _chars(dice, 36),
    "telegram": lambda dice: f"{_digits(dice, 10)}:AA{_chars(dice, 33)}",
    "twilio": lambda dice: "SK" + _chars(dice, 32, "0123456789abcdef"),
    "mailchimp": lambda dice: f"{_chars(dice, 32, '0123456789abcdef')}-us{dice.randint(1, 20)}",
    "openai": lambda dice: f"sk-{_chars(dice, 20)}T3BlbkFJ{_chars(dice, 20)}",
    "private key": lambda dice: (
        f"-----BEGIN RSA PRIVATE KEY-----\n{_chars(dice, 64)}\n{_chars(dice, 64)}\n-----END RSA PRIVATE KEY-----"
    ),
}
#: Passwords in statements and on command lines, in the ways in which they are written there.
STATEMENTS = [
    "ALTER ROLE anna PASSWORD '{a}{b}'",
    "ALTER ROLE anna PASSWORD U&'{a}!0061{b}' UESCAPE '!'",
    "ALTER ROLE anna PASSWORD E'{a}\\x41{b}'",
    "DO $$BEGIN EXECUTE 'ALTER ROLE anna PASSWORD ''{a}'' || ''{b}'''; END$$",
    "EXECUTE 'ALTER ROLE anna PASSWORD ' || quote_literal('{a}{b}')",
    "SELECT set_config('app.api_key', '{a}' || '{b}', true)",
    "SELECT dblink('host=db user=anna password={a}{b} dbname=scout')",
    "SELECT pgp_sym_decrypt(x, '{a}' || '{b}')",
    "psql postgresql://anna:{a}{b}@db/scout",
    "ansible-playbook assess.yml -e scout_password={a}{b}",
    "PGPASSWORD='{a}{b}' pg_dump scout",
    "curl -H 'apikey: {a}{b}' https://x.supabase.example/rest",
    "tool --api-key={a}{b} --verbose",
    "export AWS_SECRET_ACCESS_KEY={a}/{b}",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={a}{b}==",
]


def _disguised(dice: random.Random, name: str) -> str:
    """A name in one of the ways in which somebody may have written it."""
    form = dice.randrange(8)
    if form == 0:
        return name.translate(FULL_WIDTH)
    if form == 1:
        return name.translate(LOOKALIKES)
    if form == 2:
        return name.replace("_", ".").replace(" ", ".")
    if form == 3:
        return name.replace("_", " ").upper()
    if form == 4:
        return f"{name[:3]}\u200b{name[3:]}"
    return name


def _of_payload(dice: random.Random, what: str, value: str, name: str) -> tuple[str, dict[str, Any], bool]:
    """A value in what a store sends: wherever, and whatever it is called."""
    sale: dict[str, Any] = {
        "transaction_id": f"7-{_digits(dice, 8)}",
        "store_id": "S-12",
        "total_amount": 120.5,
        "items": [{"qty": 1}],
    }
    digits = "".join(filter(str.isdecimal, value))
    where = dice.choice(["key", "deep", "list", "text", "json", "allowed", "anything", "name", "number"])
    if where == "key":
        sale[name] = value
    elif where == "deep":
        sale["customer"] = {"details": [{name: value}]}
    elif where == "list":
        sale["items"][0]["remarks"] = ["ok", f"call {value} please"]
    elif where == "text":
        sale["note"] = f"for {value}, pick up at 5"
    elif where == "json":
        sale["extra"] = json.dumps({name: value, "nested": json.dumps({"about": value})})
    elif where == "allowed" and what not in ("senior", "birth", "cvv", "sss", "tin", "pcn", "password"):
        sale[dice.choice(["total_amount", "payment_method", "ts", "store_id", "currency"])] = value
    elif where == "name" and what not in ("cvv", "password"):
        sale[value] = 1
    elif where == "number" and what in ("card", "mobile"):
        sale[dice.choice(["total_amount", "reference", "note"])] = int(digits.lstrip("0"))
    else:
        where = "anything"
        sale[dice.choice(["ref", "x1", "meta", "free_text", "loyalty"])] = {"v": value}
    return where, {"event_id": "5fc12b69-fa60-4780-8eb8-ef9a20f28067", "event_data": sale}, True


def _of_text(dice: random.Random, value: str, name: str) -> tuple[str, str]:
    """A value in a text with the name of its field: a statement, a message, a log, XML, CSV, JSON, a form."""
    tag = name.replace(" ", "_").replace(".", "_").replace("'", "")
    texts = {
        "message": f"ERROR: cannot store sale: {name}: {value}",
        "statement": f"UPDATE crm.people SET \"{name}\" = '{value}' WHERE id = 5",
        "key": f"Key ({tag})=({value}) already exists.",
        "row": f"Failing row contains (17, {value}, 2026-11-25 01:00:00+00).",
        "json": f'could not parse {{"{name}": "{value}", "n": 1}}',
        "xml": f"<sale><{tag}>{value}</{tag}><n>1</n></sale>",
        "attribute": f'<customer {tag}="{value}" n="1"/>',
        "csv": f'id,{tag},n\n1,"{value}",5\n2,"{value}",6',
        "form": f"POST /sale {tag}={value.replace(' ', '%20')}",
        "parameter": f"DETAIL:  parameters: $1 = '{value}', $2 = '3'",
    }
    where = dice.choice(sorted(texts))
    return where, texts[where]


def leaks(count: int, seed: int = 25) -> Iterator[Leak]:
    """So many of them, the same for the same seed."""
    dice = random.Random(seed)  # no secret: the same ones each time
    for number in range(count):
        kind = number % 5
        if kind < 2:
            what = dice.choice(sorted(VALUES))
            make, names = VALUES[what]
            value, name = make(dice), _disguised(dice, dice.choice(names))
            where, row, payload = _of_payload(dice, what, value, name)
            yield Leak(what, f"payload {where}", row, _needles(what, value), payload)
        elif kind == 2:
            what = dice.choice(sorted(VALUES))
            make, names = VALUES[what]
            value = make(dice)
            where, text = _of_text(dice, value, dice.choice([name for name in names if name != "note"]))
            yield Leak(
                what, where, {dice.choice(["query", "error_message", "line"]): text}, _needles(what, value, where)
            )
        elif kind == 3:
            what = dice.choice(sorted(TOKENS))
            value = TOKENS[what](dice)
            row = dice.choice(
                [
                    {"query": f"SELECT net.http_post('https://x', '{value}')"},
                    {"line": f"LOG: got {value} from 10.0.0.5"},
                    {"event_data": {"transaction_id": value, "store_id": value}},
                    {"setting": value},
                ]
            )
            yield Leak(
                what, next(iter(row)), row, tuple(value.split("/")[-1].splitlines()[1:3] or [value.split("/")[-1]])
            )
        else:
            a, b = _chars(dice, 6, string.ascii_letters), _chars(dice, 6, string.ascii_letters)
            text = dice.choice(STATEMENTS).format(a=a, b=b)
            yield Leak("password", "statement", {dice.choice(["query", "command", "line"]): text}, (a, b))


def _needles(what: str, value: str, where: str = "") -> tuple[str, ...]:
    """What of a value must not be read: each word of a name or an address, else the value, and its digits."""
    if what in ("name", "address"):
        return tuple(word for word in value.replace(",", " ").split() if len(word) > 3)
    digits = "".join(filter(str.isdecimal, value))
    if where == "form":
        value = value.replace(" ", "%20")
    return (value, digits.lstrip("0")) if what not in ("cvv", "birth", "senior", "email", "password") else (value,)
