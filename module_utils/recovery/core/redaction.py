# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and texts with secrets removed, and with named fields replaced by a keyed hash; pure."""

from __future__ import annotations

import csv
import functools
import hmac
import io
import json
import re
import secrets as randomness
import typing as t

from . import personal
from .fields import Fields, folded, spelling
from .personal import PERSONAL
from .readable import KEY as NAME_OF_A_KEY
from .readable import PAYLOADS, READABLE, Readable, is_plain

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

HIDDEN: t.Final = "***"
#: Begins what stands for a masked value, so that nobody takes it for one.
MASKED: t.Final = "masked:"
#: Hexadecimal digits of the hash: two of a billion values are alike by chance once in two million exports.
DIGITS: t.Final = 20

#: What keys are for, in names of settings: `api_key`, `API-Key`, `apikey`.
KEYS: t.Final = (
    *("api", "access", "private", "secret", "service", "signing", "encryption", "license", "account", "shared"),
    *("master", "auth", "webhook"),
)
WORDS: t.Final = (
    r"pass[ ._-]?(?:word|wd|phrase|code)|\bpwd|_pwd|secret|token|jwt|credential|cookie|service[ ._-]?role|signature"
    r"|(?<![a-z])c[ ._-]?v[ ._-]?[vc]2?(?![a-z])|security[ ._-]?code|(?<![a-z])(?:mpin|pin[ ._-]?code|otp)(?![a-z])"
    rf"|(?:{'|'.join(KEYS)})[ ._-]?key"
)
#: One of these is in whatever WORDS finds, in small letters.
SIGNS_OF_WORDS: t.Final = (
    *("pass", "pwd", "secret", "token", "jwt", "credential", "cookie", "signature", "mpin", "otp"),
    *(mark.join(f"cv{end}") for end in "vc" for mark in ("", *"_-. ")),
    *(
        f"{word}{mark}{end}"
        for word, end in (("service", "role"), ("security", "code"), ("pin", "code"))
        for mark in ("", *"_-. ")
    ),
    "key",
)
#: The same by letters alone, in whatever way they are written.
LETTERS: t.Final = re.compile(
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|jwt|credential|cookie|servicerole|signature|securitycode"
    rf"|(?:{'|'.join(KEYS)})key|authorization|conninfo|connectionstring|dsn$|^(?:cv[vc]|m?pin|pincode|otp)$"
)
#: A key or setting of such a name holds nothing that is anybody's evidence.
SECRET_NAME = re.compile(rf"{WORDS}|authorization|conninfo|\bdsn\b|_dsn\b|connection_?string", re.IGNORECASE)
SIGNS_OF_NAMES: t.Final = (*SIGNS_OF_WORDS, "authorization", "conninfo", "dsn", "connectionstring", "connection_string")

QUOTED: t.Final = (
    r"""''[^']+(?:''|\Z)|'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|\\+"(?:[^"\\]|\\[^"])*(?:\\+"|\Z)"""
    r"""|\$\w*\$[\s\S]*?(?:\$\w*\$|\Z)"""
)
#: What a statement sets something to: a literal of whatever kind, also put together from several.
SAID: t.Final = rf"(?:e|u&|b|x|n)?(?:{QUOTED})"
PART: t.Final = rf"(?:{SAID}|\w{{1,30}}\([^()]*\)|[\w.]{{1,64}})"
VALUE: t.Final = rf"{SAID}(?:\s{{0,8}}\|\|\s{{0,8}}{PART})*(?:\s{{1,8}}uescape\s{{1,8}}'.')?"
#: The end of a text to which another is appended: `'… PASSWORD ' || quote_literal('…')`.
APPENDED: t.Final = rf"'{{1,2}}(?:\s{{0,8}}\|\|\s{{0,8}}{PART})+"
LITERAL = re.compile(r"'((?:[^']|'')*)(?:'|\Z)|\$(\w*)\$([^\n]{0,200}?)\$\2\$")
#: What may stay in a statement that names a masked field: a time tells when, not who.
TIME = re.compile(r"\d{4}-\d\d-\d\d[\dT :.+Z-]*")

#: Said of a password in plain English, without one.
HARMLESS: t.Final = (
    r"(?!(?:authentication|for|is|was|must|expired|has|required|encryption|of|does|in|not|file|to|and|or|with|from|by"
    r"|verification|on|at|if|missing|provided|supplied|mismatch|policy|hash|null)\b)"
)

#: How a row begins of which only the short values are kept: with what else there was.
LEFT_OUT: t.Final = "left_out"
#: What a value of a row that is too large may have at most, in characters of JSON.
SHORT: t.Final = 512


def _without_login(found: re.Match[str]) -> str:
    """An address without who logs in."""
    _, at, rest = found[2].rpartition("@")
    return f"{found[1]}{HIDDEN}@{rest}" if at else found[0]


#: In this order: the whole before its parts. What replaces it keeps what tells a reader that something was there.
#: Each with its signs: without any of them in a text, in small letters, it finds nothing there. Those without any
#: are found by LOOKS.
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
    # A session of Flask, as Superset has it, a token of Discord, and what Twilio and Mailchimp have; LOOKS finds these.
    (r"(?<![\w.-])\.?[\w-]{12,4000}\.[\w-]{6}\.[\w-]{27,60}(?![\w-])|\b(?:AC|SK)[a-f0-9]{32}\b|\b[a-f0-9]{32}-us\d{1,2}\b", HIDDEN, ()),
    (r"\b(?:sk|pk|rk)[_-](?:live|test|proj|ant)?[_-]?[a-z0-9_-]{16,}", HIDDEN, ("sk_", "sk-", "pk_", "pk-", "rk_", "rk-")),
    (
        (r"\b(?:gh[pousr]_[a-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|soat)-[\w-]{16,}|xox[a-z](?:\.xox[a-z])?-[\w-]{10,}"
         r"|xapp-[\w-]{10,}|sbp_[a-z0-9]{20,}|hf_[a-z0-9]{20,}|npm_[a-z0-9]{30,}|pypi-[\w-]{40,}|do[opr]_v1_[a-f0-9]{32,}"
         r"|shp(?:at|ca|pa|ss)_[a-f0-9]{32}|whsec_[\w+/=-]{16,}|xnd_[a-z]{3,12}_\w{16,}|dapi[a-f0-9]{32})"),
        HIDDEN,
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "xox", "xapp-",
         "sbp_", "hf_", "npm_", "pypi-", "doo_v1_", "dop_v1_", "dor_v1_", "shpat_", "shpca_", "shppa_", "shpss_", "whsec_", "xnd_", "dapi"),
    ),
    (
        (r"\b(?:sb_(?:secret|publishable)_[\w-]+|(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|A3T[A-Z0-9])[0-9A-Z]{12,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}"
         r"|GOCSPX-[\w-]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|\d{6,10}:AA[\w-]{30,}|sq0(?:csp|atp)-[\w-]{20,}|AKC[a-z0-9]{10,}"
         r"|(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[\w/+=]{16,})"),
        HIDDEN,
        ("sb_secret_", "sb_publishable_", "akia", "asia", "aroa", "aida", "abia", "acca", "a3t", "aiza", "ya29.", "gocspx-", "sg.", ":aa",
         "sq0", "akc", "fwogzxivyxdz", "iqojb3jpz2lu"),
    ),
    (r"hooks\.slack\.com/services/[\w/-]+", f"hooks.slack.com/services/{HIDDEN}", ("hooks.slack",)),
    (r"\bSCRAM-SHA-256\$[^\s'\"]+|\bmd5[0-9a-f]{32}\b", HIDDEN, ("scram-sha", "md5")),
    # Arguments of functions that take a key.
    (
        (r"(\b(?:pgp_\w+|(?:create|update)_secret|crypt|hmac|encrypt(?:_iv)?|decrypt(?:_iv)?)\s*\()"
         r"[^()]*(?:\([^()]*\)[^()]*)*"),
        rf"\1{HIDDEN}",
        ("pgp_", "secret", "crypt", "hmac"),
    ),
    (rf"(<[\w:.-]{{0,40}}(?:{WORDS})[\w:.-]{{0,40}}(?:\s[^<>]{{0,200}})?>)[^<]+", rf"\1{HIDDEN}", SIGNS_OF_WORDS),
    # Names with what they are set to.
    (rf"(?<![\w-])(--?(?:[\w-]{{0,64}}(?:{WORDS})[\w-]{{0,64}})[= ])(?:{VALUE}|[^\s'\"]+)", rf"\1{HIDDEN}", SIGNS_OF_WORDS),
    (
        (rf"((?:{WORDS})[\w.-]{{0,64}}[\\\"'\])]{{0,8}}\s{{0,8}}(?:::\s?\w{{1,20}}\s{{0,8}})?"
         r"(?:=>|:=|[:=,]|\b(?:to|is|as)\s{1,8}(?=['\"]))[\s(]{0,8}(?:bearer\s{1,8})?)"
         rf"(?:{APPENDED}|{VALUE}|[^\s'\",;)&}}\]]+)"),
        rf"\1{HIDDEN}",
        SIGNS_OF_WORDS,
    ),
    (rf"(\b(?:password|passphrase|passwd|pwd)\s{{1,8}})(?:{APPENDED}|{VALUE}|{HARMLESS}[^\s'\",;)=:*]+)", rf"\1{HIDDEN}", ("pass", "pwd")),
    (r"(\b(?:cv[vc]2?|mpin|otp)\b[\s#.:-]{1,4}(?:(?:is|code|no|number)\b[\s#.:-]{1,4})?)\d{3,8}", rf"\1{HIDDEN}",
     ("cvv", "cvc", "mpin", "otp")),
)  # fmt: skip

SECRETS: t.Final = tuple((re.compile(pattern, re.IGNORECASE), made) for pattern, made, _ in RULES)


def _shortest(signs: Iterable[str]) -> tuple[str, ...]:
    """The signs without those that contain another one."""
    each = sorted(set(signs), key=lambda sign: (len(sign), sign))
    return tuple(sign for nth, sign in enumerate(each) if not any(other in sign for other in each[:nth]))


#: What makes it worth trying all of them: their signs, and those of a name that holds a secret.
SIGNS: t.Final = _shortest((*SIGNS_OF_NAMES, *(sign for _, _, signs in RULES for sign in signs)))
LOOKS = re.compile(rb":(?:\d{1,5}|\*):[\w.*-]+:[\w.*-]+:|\.[\w-]{6}\.[\w-]{27}|(?:ac|sk)[a-f0-9]{32}|[a-f0-9]-us\d")
#: A text without any of these says nothing of anything that it names.
SAYING = re.compile(r"[:=\s'\"(@<]")


#: A piece of a row, without the names of its values or with the first of them cut short.
PIECE = re.compile(r"(\bJSON data, line \d{1,9}: |\bCOPY [^\n:]{1,200}, line \d{1,18}: (?=\"))[^\n]*")
VALUES = re.compile(r"\bvalues\b[\s\S]*", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.:'$+-])\d{3,}(?![\w:.-])")
ROW = re.compile(r"(row contains \().*?(\)(?:\.?(?:\s|$)|\.?\Z)|\Z)", re.IGNORECASE | re.DOTALL)
PARAMETER = re.compile(r"(\$\d+ = )'((?:[^']|'')*)(?:'|\Z)")
KEY = re.compile(r"(Key \()((?:[^()]|\((?:[^()]|\([^()]*+\))*+\))*+)(\)=\()(.*?)(\)(?= |\.|$)|\Z)", re.DOTALL)
LATIN = re.compile(r"[a-z]+")
#: What PostgreSQL says of a value that somebody sent, which it quotes.
REFUSED = re.compile(
    r"((?:invalid (?:input )?(?:syntax|value)|out of range|malformed)[^\"\n]{0,120}: |\bToken "
    r"|\bvalue (?=\"[^\n]{0,200}\" is out of range))"
    r'"([^\n]*)"'
)
#: An element of XML without others of its name within it, its attributes and its texts; a column's name in a table.
ELEMENT = re.compile(
    r"<(?P<name>[A-Za-z_][\w:.-]{0,60})(?P<more>\s[^<>]{0,1000}?|)(?:(?P<end>/>)|>(?P<inner>(?:(?!</?(?P=name)[\s>]).){0,4000})</(?P=name)>)",
    re.DOTALL,
)
ATTRIBUTE = re.compile(r"(=\s{0,8})(\"[^\"<>]*\"|'[^'<>]*')")
CONTENT = re.compile(r"(?:(?<=^)|(?<=>))(?!\s*<)[^<>]+")
COLUMN = re.compile(r"[\w .-]{1,40}")
BARE = re.compile(r"""[^\s,"'\\][^,"\\]*""")


class _Key(t.NamedTuple):
    """A key: its spelling, how it is shown in a row and in a payload, what becomes of all below it where that depends on nothing
    else, whether a masked field is called so, and whether it holds a payload."""

    name: str
    shown: str
    shown_of_payload: str
    made: Callable[[t.Any], t.Any] | None
    named: bool
    payload: bool


def _short_values(row: dict[str, t.Any], size: int) -> dict[str, t.Any]:
    """Those that are short, as ids and times are, after the names of the others."""
    kept = {key: value for key, value in row.items() if len(json.dumps(value)) <= SHORT}
    return {LEFT_OUT: f"{', '.join(sorted(set(row) - set(kept)))}: {size:,} bytes in all", **kept}


class Redactor:
    """Takes secrets out of texts and rows, and masks fields; equal values of one redactor stay equal.

    Of a payload only what `readable` names stays, the rest is masked. Without fields to mask nothing is, and payloads stay whole.
    The key of the hash is random and never stored, unless one is given, so that nobody can guess values afterwards.
    """

    def __init__(
        self,
        mask: Collection[str] = PERSONAL,
        known: Iterable[str] = (),
        key: bytes | None = None,
        *,
        readable: Collection[str] = READABLE,
    ) -> None:
        self._hash_key = key or randomness.token_bytes(32)
        self._fields = Fields(mask)
        self._readable = Readable(readable)
        #: Whether payloads are masked by what may stay of them.
        self._strict = bool(mask) and not self._readable.everything
        #: What holds a field that is masked: `customer` of customer.name.
        self._holders = frozenset(steps[-2] for _, steps in self._fields.paths if len(steps) > 1)
        self._within = tuple(sorted(personal.WITHIN & self._fields.last.keys()))
        #: Numbers are carried through as they are written; nobody can write one of these.
        self._number = f"\N{NULL}number:{randomness.token_hex(8)}:"
        self._written = re.compile(rf'"{re.escape(json.dumps(self._number)[1:-1])}([^"]+)"')
        known = sorted({value for value in known if len(value) > 2}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._signs = [sign.encode() for sign in (*SIGNS, *(value.lower() for value in known), "\\u")]
        #: In a text only a name tells what a value is; the last step of a path alone would mean too much.
        single = sorted({entry.strip().lower() for entry in mask if "." not in entry}, key=len, reverse=True)
        names = "|".join(map(_spelled, single))
        self._emails = "email" in self._fields.last
        self._named = _named(single) if names else None
        self._names = re.compile(rf"\b(?:{names})\b", re.IGNORECASE) if names else None
        #: A text without any of these words has none of these names.
        self._words = {word for name in single for word in (spelling(name), re.split("[_-]", name)[0])}
        self._read = json.JSONDecoder(parse_float=self._kept, parse_int=self._kept, strict=False)
        #: Stores, products and keys come again and again.
        self.key = functools.lru_cache(8192)(self.text)
        self._short = functools.lru_cache(8192)(self._hashed)
        self._plain = functools.lru_cache(8192)(self._unnamed)
        self._secret = functools.lru_cache(4096)(names_a_secret)
        self._about = functools.lru_cache(4096)(self._about_key)

    def line(
        self, raw: bytes, longest: int | None = None, largest: int | None = None, *, payload: bool = False
    ) -> bytes:
        """A row as one line of JSON, from such a line; where nothing is to be hidden, the very same bytes. Of a text of more
        than `longest` characters the beginning, its length and a digest; of a row that still has more than `largest` its short
        values, after what it leaves out. `payload` says that it is no row, but a payload."""
        long = longest is not None and len(raw) > longest
        suspect = self._is_suspect(raw.lower()) or not raw.isascii()
        if not suspect and not long and not self._fields.last:
            return raw
        try:
            found = self._read.decode(raw.decode("utf-8", errors="replace"))
            row = self._shortened(found, longest) if longest is not None and long else found
            # Before it is looked through, which takes a while for thousands of keys.
            if largest is not None and len(raw) > largest and len(json.dumps(row)) > largest:
                row = _short_values(row, len(raw))
            text = self._any if suspect else self._said
            made = self._payload(row, (), 0) if payload and self._strict else self._walked(row, (), text)
            if made == found:
                return raw
            line = json.dumps(made, ensure_ascii=False, separators=(", ", ": "))
        except (RecursionError, ValueError):
            line = json.dumps({"left_out": "it could not be read, so nothing in it could be masked", "bytes": len(raw)})
        if self._number[1:] in line:
            line = self._written.sub(r"\1", line)
        return line.encode("utf-8", errors="replace")

    def value(self, value: t.Any) -> t.Any:
        """What a document holds, redacted and masked."""
        return self._walked(value, (), self._any)

    def text(self, text: str) -> str:
        """A text without what looks like a secret, and with the values of masked fields, and whatever has the form of a person's
        number, replaced."""
        plain = folded(text)
        made = self._of_table(plain) if "\n" in plain else plain
        if self._is_suspect(plain.lower().encode(errors="replace")):
            if self._known is not None:
                made = self._known.sub(HIDDEN, made)
            for pattern, by in SECRETS:
                made = pattern.sub(by, made)
        made = self._unnamed(made)
        return text if made == plain else made

    def _is_suspect(self, small: bytes) -> bool:
        return any(sign in small for sign in self._signs) or LOOKS.search(small) is not None

    def _any(self, text: str) -> str:
        return self.key(text) if len(text) < 200 else self.text(text)

    def _said(self, text: str) -> str:
        """A text of a row in which nothing tells of a secret."""
        if "\n" in text:
            text = self._of_table(text)
        return self._plain(text) if len(text) < 64 else self._unnamed(text)

    def _unnamed(self, text: str) -> str:
        """A text without the values of masked fields."""
        if self._names is None or self._named is None:
            return text
        if SAYING.search(text):
            text = PIECE.sub(rf"\1{HIDDEN}", ROW.sub(rf"\1{HIDDEN}\2", text))
            text = REFUSED.sub(
                lambda found: f'{found[1]}"{found[2] if is_plain(found[2]) else self.hashed(found[2])}"', text
            )
            text = PARAMETER.sub(lambda found: f"{found[1]}'{self.hashed(found[2])}'", text)
            text = KEY.sub(self._of_key, text)
            if "<" in text:
                text = self._of_xml(text)
            if not self._words.isdisjoint(LATIN.findall(text.lower())):
                # Where a value stands in a statement does not say whose it is: '…' = customer_id, VALUES (…).
                text = LITERAL.sub(self._literal, text)
                text = VALUES.sub(lambda found: NUMBER.sub(lambda number: self.hashed(number[0]), found[0]), text)
                text = self._named.sub(self.hashed, text)
        return personal.without_forms(text, self.hashed, emails=self._emails)

    def hashed(self, value: str) -> str:
        """What stands for a masked value; equal for equal values."""
        return self._short(value) if len(value) < 64 else self._hashed(value)

    def _hashed(self, value: str) -> str:
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
                return self._numbered(value, value.removeprefix(self._number))
            return (self._document(value, text) if value.lstrip()[:1] in ("{", "[") else None) or text(value)
        if isinstance(value, dict):
            made: dict[str, t.Any] = {}
            for key, inner in t.cast("dict[str, t.Any]", value).items():
                about = self._about(key)
                below = (*path, about.name)
                made[about.shown] = (
                    self._leaves(inner, about.made) if about.made
                    else self._leaves(inner, self._masked) if about.named and self._fields.mean(below)
                    else self._payload(inner, below, len(below)) if about.payload and self._strict
                    else self._walked(inner, below, text)
                )  # fmt: skip
            return made
        if isinstance(value, list):
            return [self._walked(inner, path, text) for inner in t.cast("list[t.Any]", value)]
        if isinstance(value, int) and not isinstance(value, bool):
            return self._numbered(value, str(value))
        return value

    def _about_key(self, key: str) -> _Key:
        """What its name alone says of a key."""
        name, secret = spelling(key), names_a_secret(key)
        made = _hidden if secret else self._masked if self._has_within(name) else None
        named = name in self._fields.last
        # In a payload a key may be anything, too: it stays where a program would use it, or where it names a field that is known.
        stays = made is not None or named or self._readable.knows(name) or NAME_OF_A_KEY.fullmatch(key) is not None
        shown = self.text(key)
        return _Key(name, shown, shown if stays else self.hashed(key), made, named, name in PAYLOADS)

    def _numbered(self, value: t.Any, number: str) -> t.Any:
        return self.hashed(number) if self._names and personal.is_of_a_person(number) else value

    def _payload(self, value: t.Any, path: tuple[str, ...], above: int) -> t.Any:
        """A payload, or what is below `path` of one, of which only what may stay does; `above` steps lead to its root."""
        if isinstance(value, dict):
            made: dict[str, t.Any] = {}
            for key, inner in t.cast("dict[str, t.Any]", value).items():
                about = self._about(key)
                below = (*path, about.name)
                made[about.shown_of_payload] = (
                    self._leaves(inner, about.made, payload=True) if about.made
                    else self._leaves(inner, self._masked, payload=True) if about.named and self._fields.mean(below)
                    else self._payload(inner, below, above)
                )  # fmt: skip
            return made
        if isinstance(value, list):
            return [self._payload(inner, path, above) for inner in t.cast("list[t.Any]", value)]
        if value is None or value == "":
            return value
        number = value.removeprefix(self._number) if isinstance(value, str) else value
        if number is value and isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            inner = self._decoded(value)
            if inner is not None:
                return self._encoded(self._payload(inner, path, above))
        stays = self._readable.keeps(path[above:], number) and (
            not isinstance(number, str) or self.key(number) == number
        )
        return value if stays else self._masked(value)

    def _leaves(self, value: t.Any, made: Callable[[t.Any], t.Any], *, payload: bool = False) -> t.Any:
        """A value with each leaf replaced; what is missing stays missing."""
        if isinstance(value, dict):
            entries = [(self._about(key), inner) for key, inner in t.cast("dict[str, t.Any]", value).items()]
            return {
                about.shown_of_payload if payload else about.shown: self._leaves(inner, made, payload=payload)
                for about, inner in entries
            }
        if isinstance(value, list):
            return [self._leaves(inner, made, payload=payload) for inner in t.cast("list[t.Any]", value)]
        return value if value is None else made(value)

    def _decoded(self, value: str) -> t.Any:
        """What a text holds that is JSON itself; None where it is none."""
        try:
            return self._read.decode(value.strip())
        except (RecursionError, ValueError):
            return None

    def _encoded(self, value: t.Any) -> str:
        return self._written.sub(r"\1", json.dumps(value, ensure_ascii=False))

    def _document(self, value: str, text: Callable[[str], str]) -> str | None:
        """A text that is JSON itself, with what is named in it hidden; None where it is none, or names nothing."""
        found = self._decoded(value)
        if found is None:
            return None
        try:
            made = self._walked(found, (), text)
        except RecursionError:
            return None
        return None if made == found else self._encoded(made)

    def _is_masked(self, path: tuple[str, ...]) -> bool:
        return self._fields.mean(path) or self._has_within(path[-1])

    def _has_within(self, name: str) -> bool:
        return any(name.startswith(word) or name.endswith(word) for word in self._within)

    def _masked(self, leaf: t.Any) -> t.Any:
        text = leaf.removeprefix(self._number) if isinstance(leaf, str) else str(leaf)
        return self.hashed(text)

    def _literal(self, found: re.Match[str]) -> str:
        value = found[3] if found[1] is None else found[1].replace("''", "'")
        return found[0] if TIME.fullmatch(value) or spelling(value) in self._fields.last else f"'{self.hashed(value)}'"

    def _of_key(self, found: re.Match[str]) -> str:
        """The values of a key stay where each of its columns may stay of a payload."""
        names = [spelling(name) for name in found[2].split(",")]
        hidden = any(self._is_masked((name,)) for name in names) or t.cast("re.Pattern[str]", self._names).search(
            found[2]
        )
        stays = not hidden and (not self._strict or all(map(self._readable.knows, names)))
        values = found[4] if stays else ", ".join(map(self.hashed, found[4].split(", ")))
        return f"{found[1]}{found[2]}{found[3]}{values}{found[5]}"

    def _of_xml(self, text: str) -> str:
        """Elements that are named as what is masked, and all that is within them."""

        def replaced(found: re.Match[str]) -> str:
            name = spelling(found["name"].rpartition(":")[2])
            if not self._is_masked((name,)) and name not in self._holders:
                return found[0]
            more = ATTRIBUTE.sub(lambda each: f'{each[1]}"{self.hashed(each[2][1:-1])}"', found["more"])
            inner = CONTENT.sub(lambda each: self.hashed(each[0]), found["inner"] or "")
            return f"<{found['name']}{more}" + (found["end"] or f">{inner}</{found['name']}>")

        return ELEMENT.sub(replaced, text)

    def _of_table(self, text: str) -> str:
        """The columns of a table with a line of names, as CSV has it, that are named as what is masked."""
        head, _, rest = text.partition("\n")
        for mark in ",;\t|":
            names = [name.strip(" \"'\r") for name in head.split(mark)]
            if len(names) < 2 or not all(COLUMN.fullmatch(name) for name in names):
                continue
            places = {place: self._secret(name) for place, name in enumerate(names)
                      if self._secret(name) or self._is_masked((spelling(name),))}  # fmt: skip
            if not places:
                continue
            made = io.StringIO()
            writer = csv.writer(made, delimiter=mark, lineterminator="\n")
            try:
                for row in csv.reader(rest.splitlines(), delimiter=mark):
                    writer.writerow([(HIDDEN if places[place] else self.hashed(cell.strip())) if place in places else cell
                                     for place, cell in enumerate(row)])  # fmt: skip
            except csv.Error:
                return f"{head}\n{HIDDEN}"
            return f"{head}\n{made.getvalue().rstrip(chr(10))}"
        return text


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


def _hidden(_: t.Any) -> str:
    return HIDDEN


def names_a_secret(name: str) -> bool:
    """Whether what is called so is secret, whatever it looks like."""
    plain = folded(name)
    return SECRET_NAME.search(plain) is not None or LETTERS.search(spelling(plain)) is not None


def _spelled(name: str) -> str:
    """A pattern of all ways in which a name may be written."""
    return r"[_. -]{0,2}".join(map(re.escape, re.split("[_-]", name)))


class _Named(t.NamedTuple):
    """Masked names in a text, each with what it is set to or compared with, and how far that goes."""

    patterns: tuple[re.Pattern[str], ...]

    def sub(self, made: Callable[[str], str], text: str) -> str:
        for whole, pattern in zip((True, False, False), self.patterns, strict=True):
            text = pattern.sub(functools.partial(_renamed, made, whole), text)
        return text


def _renamed(made: Callable[[str], str], whole: bool, found: re.Match[str]) -> str:
    """A name with its values replaced: of a place all of it, of others each that a comma ends."""
    value = found["value"]
    parts = [value] if whole else BARE.findall(value)
    for part in parts:
        plain = part.strip(" \\\"'")
        value = value.replace(plain, made(plain), 1) if plain else value
    return found["before"] + value


def _named(single: list[str]) -> _Named:
    """What finds the values of these names: of places to the end of the clause, of people to the next comma, and others."""
    places = [name for name in single if any(place in spelling(name) for place in personal.PLACES)]
    people = [name for name in single if spelling(name).endswith(tuple(personal.NAMES)) and name not in places]
    others = [name for name in single if name not in (*places, *people)]
    stop = r"(?!\s*\b(?:AND|OR|WHERE|ORDER|GROUP|LIMIT|RETURNING)\b)"
    end = r"[^;\n\"'<>{}|()=\[\]\\"
    bare = r"(?!\$\d|(?:any|all|array)\b)[^\s,;(){}\[\]\"'<>]+"
    # A telephone number in groups, a name of several words.
    word = r"(?!(?:AND|OR|WHERE|ORDER|GROUP|LIMIT|FOR|ON|SET|RETURNING|THEN|END|FROM|IS)\b)[A-Z][\w.'-]*"
    more = rf"(?:[ ](?:\(?\d[\d().-]*(?=[\s,;.)]|\Z)|(?-i:{word})))*"
    return _Named(
        tuple(
            _with_values(names, value)
            for names, value in (
                (places, rf"(?:{stop}{end}]){{1,160}}"),
                (people, rf"(?:{stop}{end},:]){{1,80}}(?:\s*,\s*{bare})*"),
                (others, rf"{bare}{more}(?:\s*,\s*{bare})*"),
            )
        )
    )


def _with_values(names: list[str], value: str) -> re.Pattern[str]:
    """One of the names, a sign, and such a value or a quoted one; a number tells it without a sign, too."""
    one = "|".join(map(_spelled, names)) or r"(?!)"
    compound = "|".join(_spelled(name) for name in names if "_" in name) or r"(?!)"
    signs = (
        r"(?:=>|->>|->|<>|!=|>=|<=|:=|=|:|>|<|\b(?:in|between|from|like|ilike)\b"
        # What PostgreSQL says of a column or a table of that name is no value of it.
        r"|\bis\b(?!\s+(?:not|null|true|false|distinct|unknown|missing|required|invalid|empty|too|a|an|the|of"
        r"|violated|ambiguous|already|referenced|still|being|used|owned|locked|specified|defined|generated)\b))[(\s]{0,8}"
        r"(?:(?:any|all)\s{0,8}\(\s{0,8})?(?:array\s{0,8}\[\s{0,8})?"
    )
    return re.compile(
        rf"(?P<before>\b(?:[a-z]{{1,20}}[_.-])?(?:{one})(?:[ _-]?(?:no\b\.?|number|id|\d{{1,2}}\b))?"
        rf"(?:[\\\"']{{1,8}}\s{{0,8}},\s{{0,8}}|[\\\"')\]\s]{{0,8}}(?:::\s?\w{{1,20}}\s{{0,8}})?{signs})"
        rf"|\b(?:{compound})\s(?=[^\s,;(){{}}\[\]\"']{{0,64}}\d)"
        rf"|\b(?:{one})[\s#.]{{1,3}}(?:(?:no|number|id)\b[\s#.:]{{1,3}})?(?=[a-z]{{0,4}}-?\d[\d-]{{3}}))"
        rf"(?P<value>\\*\"[^\"\\]*(?:\\*\"|\Z)|'[^']*(?:'|\Z)|{value})",
        re.IGNORECASE,
    )
