# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and texts with secrets removed, and with named fields replaced by a keyed hash; pure."""

from __future__ import annotations

import functools
import hmac
import json
import re
import secrets as randomness
import typing as t

from .errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

HIDDEN: t.Final = "***"
#: Begins what stands for a masked value, so that nobody takes it for one.
MASKED: t.Final = "masked:"
#: Hexadecimal digits of the hash: two of a billion values are alike by chance once in two million exports.
DIGITS: t.Final = 20

#: What is a person's in Scout's tables and in what stores send, unless somebody names other fields.
PERSONAL: t.Final = (
    *("customer_id", "customer.id", "customer_name", "customer.name", "customer_email", "customer_phone"),
    *("customer_address", "email", "phone"),
    *("phone_number", "mobile", "mobile_number", "address", "first_name", "last_name", "full_name", "birth_date"),
    *("date_of_birth", "loyalty_id", "loyalty_number", "card_number", "account_number"),
)

#: What keys are for, in names of settings: `api_key`, `API-Key`, `apikey`.
KEYS: t.Final = ("api", "access", "private", "secret", "service", "signing", "encryption", "license")
WORDS: t.Final = (
    r"pass(?:word|wd|phrase|code)|\bpwd|_pwd|secret|token|jwt|credential|cookie|service[_-]?role"
    rf"|(?:{'|'.join(KEYS)})[_-]?key"
)
#: One of these is in whatever WORDS finds, in small letters.
SIGNS_OF_WORDS: t.Final = (
    *("pass", "pwd", "secret", "token", "jwt", "credential", "cookie"),
    *(f"service{mark}role" for mark in ("", "_", "-")),
    *(f"{key}{mark}key" for key in KEYS for mark in ("", "_", "-")),
)
#: A key or setting of such a name holds nothing that is anybody's evidence.
SECRET_NAME = re.compile(rf"{WORDS}|authorization|conninfo|\bdsn\b|_dsn\b|connection_?string", re.IGNORECASE)
SIGNS_OF_NAMES: t.Final = (*SIGNS_OF_WORDS, "authorization", "conninfo", "dsn", "connectionstring", "connection_string")

QUOTED: t.Final = (
    r"""''[^']+(?:''|\Z)|'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|\\+"(?:[^"\\]|\\[^"])*(?:\\+"|\Z)"""
    r"""|\$\w*\$[\s\S]*?(?:\$\w*\$|\Z)"""
)
LITERAL = re.compile(r"'((?:[^']|'')*)(?:'|\Z)|\$(\w*)\$([^\n]{0,200}?)\$\2\$")
#: What may stay in a statement that names a masked field: a time tells when, not who.
TIME = re.compile(r"\d{4}-\d\d-\d\d[\dT :.+Z-]*")

#: Said of a password in plain English, without one.
HARMLESS: t.Final = (
    r"(?!(?:authentication|for|is|was|must|expired|has|required|encryption|of|does|in|not|file|to|and|or|with|from|by"
    r"|verification|on|at|if|missing|provided|supplied|mismatch|policy|hash|null)\b)"
)


def _without_login(found: re.Match[str]) -> str:
    """An address without who logs in."""
    _, at, rest = found[2].rpartition("@")
    return f"{found[1]}{HIDDEN}@{rest}" if at else found[0]


#: In this order: the whole before its parts. What replaces it keeps what tells a reader that something was there.
#: Each with its signs: without any of them in a text, in small letters, it finds nothing there. That of a password file has
#: none but COLONS.
RULES: t.Final[tuple[tuple[str, str | Callable[[re.Match[str]], str], tuple[str, ...]], ...]] = (
    # Keys, cut short or not.
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN, ("private key",)),
    # A database's address, all of it, as a URI or as keywords; any other address without who logs in.
    (r"\bpostgres(?:ql)?://[^\s\"<>]*", f"postgresql://{HIDDEN}", ("://",)),
    # A run without a space is looked at once, however many addresses are in it.
    (r"(\b[a-z][a-z0-9+.-]{0,30}://)([^\s\"'<>]*)", _without_login, ("://",)),
    (r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s\"'<>/:@]*:(?!\d*\Z)[^\s\"'<>/@]*\Z", rf"\1{HIDDEN}", ("://",)),
    (
        (r"(?:(?<![\w.])(?:host|hostaddr|port|dbname|user|password|passfile|service|options|application_name|sslmode|sslcert"
         r"|sslkey|sslpassword|sslrootcert|connect_timeout|target_session_attrs)\s*=\s*"
         r"(?:''(?:[^'\\]|\\.)*''|'(?:[^'\\]|\\.)*(?:'|\Z)|[^\s'\"]{1,256})(?:[ \t]+|(?=['\")])|\Z)){2,}"),
        HIDDEN,
        ("=",),
    ),
    (r"(?<![\w:.*-])[\w.*-]+:(?:\d{1,5}|\*):[\w.*-]+:[\w.*-]+:[^\s'\"]+", HIDDEN, ()),
    # Headers; what is not quoted ends with the line.
    (
        (r"((?:authorization|(?:set-)?cookie)[\\\"']*\s*+(?:[:=,]|=>)\s*+)(?:\\*\"[^\"]*(?:\"|\Z)|''[^']*(?:''|\Z)"
         r"|'[^']*(?:'|\Z)|(?!\*\*\*)[^\n']+)"),
        rf"\1{HIDDEN}",
        ("authorization", "cookie"),
    ),
    (r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", rf"\1 {HIDDEN}", ("bearer", "basic")),
    # Tokens by their form.
    (r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,4}", HIDDEN, ("eyj",)),
    (r"\b(?:sk|pk|rk)[_-](?:live|test|proj)?[_-]?[a-z0-9_-]{16,}", HIDDEN, ("sk_", "sk-", "pk_", "pk-", "rk_", "rk-")),
    (r"\b(?:gh[pousr]_[a-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|sbp_[a-z0-9]{20,})", HIDDEN,
     ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sbp_")),
    (r"\b(?:sb_secret_\w+|AKIA[0-9A-Z]{12,}|AIza[\w-]{30,})", HIDDEN, ("sb_secret_", "akia", "aiza")),
    (r"hooks\.slack\.com/services/[\w/-]+", f"hooks.slack.com/services/{HIDDEN}", ("hooks.slack",)),
    (r"\bSCRAM-SHA-256\$[^\s'\"]+|\bmd5[0-9a-f]{32}\b", HIDDEN, ("scram-sha", "md5")),
    # Arguments of functions that take a key.
    (
        (r"(\b(?:pgp_\w+|(?:create|update)_secret|crypt|hmac|encrypt(?:_iv)?|decrypt(?:_iv)?)\s*\()"
         r"[^()]*(?:\([^()]*\)[^()]*)*"),
        rf"\1{HIDDEN}",
        ("pgp_", "secret", "crypt", "hmac"),
    ),
    # Names with what they are set to.
    (rf"(?<![\w-])(--?(?:[\w-]{{0,64}}(?:{WORDS})[\w-]{{0,64}})[= ])(?:{QUOTED}|[^\s'\"]+)", rf"\1{HIDDEN}", SIGNS_OF_WORDS),
    (
        (rf"((?:{WORDS})[\w.-]{{0,64}}[\\\"'\])]{{0,8}}\s{{0,8}}(?:::\s?\w{{1,20}}\s{{0,8}})?"
         r"(?:=>|:=|[:=,]|\b(?:to|is|as)\s{1,8}(?=['\"]))[\s(]{0,8}(?:bearer\s{1,8})?)"
         rf"(?:e?(?:{QUOTED})|[^\s'\",;)&}}\]]+)"),
        rf"\1{HIDDEN}",
        SIGNS_OF_WORDS,
    ),
    (rf"(\b(?:password|passphrase|passwd|pwd)\s{{1,8}})(?:e?(?:{QUOTED})|{HARMLESS}[^\s'\",;)=:*]+)", rf"\1{HIDDEN}", ("pass", "pwd")),
)  # fmt: skip

SECRETS: t.Final = tuple((re.compile(pattern, re.IGNORECASE), made) for pattern, made, _ in RULES)


def _shortest(signs: Iterable[str]) -> tuple[str, ...]:
    """The signs without those that contain another one."""
    each = sorted(set(signs), key=lambda sign: (len(sign), sign))
    return tuple(sign for nth, sign in enumerate(each) if not any(other in sign for other in each[:nth]))


#: What makes it worth trying all of them: their signs, and those of a name that holds a secret.
SIGNS: t.Final = _shortest((*SIGNS_OF_NAMES, *(sign for _, _, signs in RULES for sign in signs)))
COLONS = re.compile(rb":(?:\d{1,5}|\*):[\w.*-]+:[\w.*-]+:")
#: A text without any of these says nothing of anything that it names.
SAYING = re.compile(r"[:=\s'\"(@]")
#: Whose it is tells itself.
EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}\b", re.IGNORECASE)
#: A piece of a row, without the names of its values or with the first of them cut short.
PIECE = re.compile(r"(\bJSON data, line \d{1,9}: |\bCOPY [^\n:]{1,200}, line \d{1,18}: (?=\"))[^\n]*")
VALUES = re.compile(r"\bvalues\b[\s\S]*", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.:'$+-])\d{3,}(?![\w:.-])")
ROW = re.compile(r"(row contains \().*?(\)(?:\.?(?:\s|$)|\.?\Z)|\Z)", re.IGNORECASE | re.DOTALL)
PARAMETER = re.compile(r"(\$\d+ = )'((?:[^']|'')*)(?:'|\Z)")
KEY = re.compile(r"(Key \()((?:[^()]|\((?:[^()]|\([^()]*+\))*+\))*+)(\)=\()(.*?)(\)(?= |\.|$)|\Z)", re.DOTALL)
BARE = re.compile(r"""[^\s,"\\][^,"\\]*""")
PATH = re.compile(r"(?P<root>\$\.)?(?P<steps>[^\W\d][\w-]*(?:\[\*\])?(?:\.[^\W\d][\w-]*(?:\[\*\])?)*)")


class Redactor:
    """Takes secrets out of texts and rows, and masks fields; equal values of one redactor stay equal.

    The key of the hash is random and never stored, so that nobody can guess values afterwards.
    """

    def __init__(self, mask: Collection[str] = PERSONAL, known: Iterable[str] = (), key: bytes | None = None) -> None:
        self._hash_key = key or randomness.token_bytes(32)
        paths = [_parsed(entry) for entry in mask]
        self._last: dict[str, list[tuple[bool, tuple[str, ...]]]] = {}
        for path in paths:
            self._last.setdefault(path[1][-1], []).append(path)
        #: Numbers are carried through as they are written; nobody can write one of these.
        self._number = f"\N{NULL}number:{randomness.token_hex(8)}:"
        self._written = re.compile(rf'"{re.escape(json.dumps(self._number)[1:-1])}([^"]+)"')
        known = sorted({value for value in known if len(value) > 2}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        #: In a text only a name tells what a value is; the last step of a path alone would mean too much.
        single = sorted({entry.strip().lower() for entry in mask if "." not in entry}, key=len, reverse=True)
        names = "|".join(map(_spelled, single))
        self._signs = [sign.encode() for sign in (*SIGNS, *(value.lower() for value in known), "\\u")]
        # Where one begins, or what a text begins with that gives a row away.
        signs = {"row contains", "json data", "copy"} if paths else set[str]()
        for _, (first, *below) in paths:
            signs |= {f'{first}"', f"{first}\\"} if below else {first}
        self._fields = [sign.encode() for sign in signs if not any(other in sign for other in signs - {sign})]
        self._emails = "email" in self._last
        self._named = _named(names, "|".join(_spelled(name) for name in single if "_" in name)) if names else None
        self._names = re.compile(rf"\b(?:{names})\b", re.IGNORECASE) if names else None
        self._read = json.JSONDecoder(parse_float=self._kept, parse_int=self._kept, strict=False)
        #: Stores, products and keys come again and again.
        self.key = functools.lru_cache(8192)(self.text)
        self._secret = functools.lru_cache(4096)(_names_a_secret)

    def line(self, raw: bytes, longest: int | None = None) -> bytes:
        """A row as one line of JSON, from such a line; where nothing is to be hidden, the very same bytes. Of a text of more
        than `longest` characters the beginning, its length and a digest."""
        small = raw.lower()
        suspect = self._is_suspect(small)
        long = longest is not None and len(raw) > longest
        if not suspect and not long and not self._is_personal(small):
            return raw
        try:
            row = self._read.decode(raw.decode("utf-8", errors="replace"))
            row = self._shortened(row, longest) if longest is not None and long else row
            text = json.dumps(
                self._walked(row, (), self._any if suspect else self._said), ensure_ascii=False, separators=(", ", ": ")
            )
        except (RecursionError, ValueError):
            text = json.dumps({"left_out": "it could not be read, so nothing in it could be masked", "bytes": len(raw)})
        if self._number[1:] in text:
            text = self._written.sub(r"\1", text)
        return text.encode("utf-8", errors="replace")

    def value(self, value: t.Any) -> t.Any:
        """What a document holds, redacted and masked."""
        return self._walked(value, (), self._any)

    def text(self, text: str) -> str:
        """A text without what looks like a secret, and with the values of masked fields replaced where their names stand."""
        if self._is_suspect(text.lower().encode(errors="replace")):
            if self._known is not None:
                text = self._known.sub(HIDDEN, text)
            for pattern, made in SECRETS:
                text = pattern.sub(made, text)
        return text if self._names is None else self._unnamed(text)

    def _is_suspect(self, small: bytes) -> bool:
        return any(sign in small for sign in self._signs) or COLONS.search(small) is not None

    def _is_personal(self, small: bytes) -> bool:
        if self._emails and b"@" in small:
            return True
        plain = small.translate(None, b"_-")
        return any(field in plain for field in self._fields)

    def _any(self, text: str) -> str:
        return self.key(text) if len(text) < 200 else self.text(text)

    def _said(self, text: str) -> str:
        """A text of a row in which nothing tells of a secret."""
        return text if self._names is None or not SAYING.search(text) else self._unnamed(text)

    def _unnamed(self, text: str) -> str:
        """A text without the values of masked fields."""
        text = PIECE.sub(rf"\1{HIDDEN}", ROW.sub(rf"\1{HIDDEN}\2", text))
        if self._emails and "@" in text:
            text = EMAIL.sub(lambda found: self.hashed(found[0]), text)
        text = PARAMETER.sub(lambda found: f"{found[1]}'{self.hashed(found[2])}'", text)
        text = KEY.sub(self._of_key, text)
        if not t.cast("re.Pattern[str]", self._names).search(text):
            return text
        # Where a value stands in a statement does not say whose it is: '…' = customer_id, VALUES (…).
        text = LITERAL.sub(self._literal, text)
        text = VALUES.sub(lambda found: NUMBER.sub(lambda number: self.hashed(number[0]), found[0]), text)
        return t.cast("re.Pattern[str]", self._named).sub(self._of_name, text)

    def hashed(self, value: str) -> str:
        """What stands for a masked value; equal for equal values."""
        if value.startswith(MASKED) or value in ("", HIDDEN):
            return value
        return MASKED + hmac.digest(self._hash_key, value.encode("utf-8", errors="replace"), "sha256").hex()[:DIGITS]

    def _shortened(self, value: t.Any, longest: int) -> t.Any:
        if isinstance(value, str) and len(value) > longest:
            text = value.removeprefix(self._number)
            digest = hmac.digest(self._hash_key, text.encode("utf-8", errors="replace"), "sha256").hex()[:DIGITS]
            return f"{text[:longest]}… ({len(text):,} characters, digest {digest})"
        if isinstance(value, dict):
            entries = t.cast("dict[str, t.Any]", value).items()
            return {self._shortened(key, longest): self._shortened(inner, longest) for key, inner in entries}
        if isinstance(value, list):
            return [self._shortened(inner, longest) for inner in t.cast("list[t.Any]", value)]
        return value

    def _kept(self, number: str) -> t.Any:
        """A number that Python would write otherwise goes through as text."""
        return int(number) if len(number) < 16 and number.lstrip("-").isdigit() else self._number + number

    def _walked(self, value: t.Any, path: tuple[str, ...], text: Callable[[str], str]) -> t.Any:
        if isinstance(value, str):
            if value.startswith(self._number):
                return value
            return (self._document(value, text) if value[:1] in ("{", "[") else None) or text(value)
        if isinstance(value, dict):
            made: dict[str, t.Any] = {}
            for key, inner in t.cast("dict[str, t.Any]", value).items():
                below = (*path, _one_spelling(key))
                made[self.key(key)] = (
                    _leaves(inner, lambda _: HIDDEN) if self._secret(key)
                    else _leaves(inner, self._masked) if self._is_masked(below)
                    else self._walked(inner, below, text)
                )  # fmt: skip
            return made
        if isinstance(value, list):
            return [self._walked(inner, path, text) for inner in t.cast("list[t.Any]", value)]
        return value

    def _document(self, value: str, text: Callable[[str], str]) -> str | None:
        """A text that is JSON itself, with what is named in it hidden; None where it is none, or names nothing."""
        if not self._is_personal(value.lower().encode(errors="replace")):
            return None
        try:
            found = self._read.decode(value)
            made = self._walked(found, (), text)
        except (RecursionError, ValueError):
            return None
        return None if made == found else self._written.sub(r"\1", json.dumps(made, ensure_ascii=False))

    def _is_masked(self, path: tuple[str, ...]) -> bool:
        meant = self._last.get(path[-1], ())
        return any((path == steps) if rooted else path[-len(steps) :] == steps for rooted, steps in meant)

    def _masked(self, leaf: t.Any) -> t.Any:
        text = leaf.removeprefix(self._number) if isinstance(leaf, str) else str(leaf)
        return self.hashed(text)

    def _literal(self, found: re.Match[str]) -> str:
        value = found[3] if found[1] is None else found[1].replace("''", "'")
        return found[0] if TIME.fullmatch(value) or _one_spelling(value) in self._last else f"'{self.hashed(value)}'"

    def _of_key(self, found: re.Match[str]) -> str:
        named = t.cast("re.Pattern[str]", self._names).search(found[2])
        values = ", ".join(map(self.hashed, found[4].split(", "))) if named else found[4]
        return f"{found[1]}{found[2]}{found[3]}{values}{found[5]}"

    def _of_name(self, found: re.Match[str]) -> str:
        return found["before"] + BARE.sub(lambda bare: self.hashed(bare[0]), found["value"])


@functools.cache
def _of_this_process() -> Redactor:
    return Redactor()


def clean(text: str) -> str:
    """A text of others as it may be stored or shown: no secrets, and what is a person's as a hash that this process alone makes."""
    return _of_this_process().text(text)


def cleaned(value: t.Any, named: Collection[str]) -> t.Any:
    """A document in which the texts below these names are clean, and all others as they are."""
    if isinstance(value, dict):
        return {
            key: clean(inner) if key in named and isinstance(inner, str) else cleaned(inner, named)
            for key, inner in t.cast("dict[str, t.Any]", value).items()
        }
    return [cleaned(inner, named) for inner in t.cast("list[t.Any]", value)] if isinstance(value, list) else value


def _names_a_secret(name: str) -> bool:
    return SECRET_NAME.search(name) is not None


@functools.lru_cache(4096)
def _one_spelling(name: str) -> str:
    """Customer-ID, customerId and customer_id are one name."""
    return name.lower().replace("_", "").replace("-", "")


def _spelled(name: str) -> str:
    """A pattern of all ways in which a name may be written."""
    return "[_-]?".join(map(re.escape, re.split("[_-]", name)))


def _named(names: str, compound: str) -> re.Pattern[str]:
    """A masked name in a text, with what it is set to or compared with; one of several words tells it without a sign, too."""
    bare = r"(?!\$\d|(?:any|all|array)\b)[^\s,;(){}\[\]\"']+"
    # A telephone number in groups, a name of several words.
    word = r"(?!(?:AND|OR|WHERE|ORDER|GROUP|LIMIT|FOR|ON|SET|RETURNING|THEN|END|FROM|IS)\b)[A-Z][\w.'-]*"
    more = rf"(?:[ ](?:\(?\d[\d().-]*(?=[\s,;.)]|\Z)|(?-i:{word})))*"
    signs = (
        r"(?:=>|->>|->|<>|!=|>=|<=|:=|=|:|>|<|\b(?:in|between|from|like|ilike)\b)[(\s]{0,8}"
        r"(?:(?:any|all)\s{0,8}\(\s{0,8})?(?:array\s{0,8}\[\s{0,8})?"
    )
    without = rf"|\b(?:{compound})\s(?=[^\s,;(){{}}\[\]\"']{{0,64}}\d)" if compound else ""
    return re.compile(
        rf"(?P<before>\b(?:{names})(?:[\\\"']{{1,8}}\s{{0,8}},\s{{0,8}}|[\\\"')\]\s]{{0,8}}(?:::\s?\w{{1,20}}\s{{0,8}})?"
        rf"{signs}){without})"
        rf"(?P<value>\\*\"[^\"\\]*(?:\\*\"|\Z)|{bare}{more}(?:\s*,\s*{bare})*)",
        re.IGNORECASE,
    )


def _parsed(entry: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a field is meant from the root of a row on, and its steps in lower case; positions in arrays do not
    count."""
    found = PATH.fullmatch(entry.strip())
    if found is None:
        raise BadInput(
            f"mask: {entry[:80]!r} is not the name of a field",
            next_step="give column names or keys (customer_id) or paths (event_data.customer.id, $.event_data.items[*].note)",
        )
    return bool(found["root"]), tuple(_one_spelling(step) for step in found["steps"].replace("[*]", "").split("."))


def _leaves(value: t.Any, made: Callable[[t.Any], t.Any]) -> t.Any:
    """A value with each leaf replaced; what is missing stays missing."""
    if isinstance(value, dict):
        return {key: _leaves(inner, made) for key, inner in t.cast("dict[str, t.Any]", value).items()}
    if isinstance(value, list):
        return [_leaves(inner, made) for inner in t.cast("list[t.Any]", value)]
    return value if value is None else made(value)
