# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a text PostgreSQL reads as code, and what as a comment, a string or a quoted name; pure.

The one lexer: whoever concludes anything from a command, the body of a function or a definition reads it through this.
Source: PostgreSQL's manual, "Lexical Structure" (comments nest; E'' has escapes, U&'' code points, $tag$ neither).
"""

from __future__ import annotations

import functools
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Kind = t.Literal["code", "comment", "string", "dollar", "name"]

#: Deeper than this nobody nests strings of statements but to do harm.
MAX_DEPTH: t.Final = 16

#: What is quoted in the words of PostgreSQL itself, which writes neither comments nor dollar quotes: a string, or a name.
QUOTED: t.Final = r"E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""

#: Begins a text in whose plain strings a backslash escapes what follows: there standard_conforming_strings is off.
ESCAPING: t.Final = "/*\\*/"
#: The source of the function `p`, for SQL, to be read here.
SOURCE: t.Final[t.LiteralString] = """
coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), CASE WHEN coalesce(
    (SELECT pg_catalog.split_part(c, '=', 2) FROM unnest(p.proconfig) AS c WHERE pg_catalog.starts_with(c, 'standard_conforming_strings=')),
    pg_catalog.current_setting('standard_conforming_strings')) IN ('off', 'false', 'no', '0')
    THEN '/*' || pg_catalog.chr(92) || '*/' ELSE '' END || p.prosrc)"""

#: Where something besides code begins. Whatever is not ASCII is a letter to PostgreSQL.
_BEGINS: t.Final = re.compile(
    r"""--|/\*|(?<![\w$])(?:[eE]|[uU]&)?'|(?<![\w$])[uU]&"|'|"|(?<![\w$])\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$"""
)
#: A string goes on after a line break, as the kind that it began as.
_GOES_ON: t.Final = r"'[ \t\f\v]*[\n\r]\s*'"
#: The rest of it, which may have been cut anywhere.
_ENDS: t.Final = {
    "-": re.compile(r"[^\n\r]*"),
    "'": re.compile(rf"[^']*(?:(?:''|{_GOES_ON})[^']*)*'?"),
    "e": re.compile(rf"[^'\\]*(?:(?:\\.|''|{_GOES_ON})[^'\\]*)*(?:'|\\?\Z)", re.DOTALL),
    '"': re.compile(r'[^"]*(?:""[^"]*)*"?'),
}
_COMMENT: t.Final = re.compile(r"/\*|\*/")
#: What stays of a string where it goes on; with escapes, and without.
_GONE_ON: t.Final = {True: re.compile(rf"(''|\\.)|{_GOES_ON}", re.DOTALL), False: re.compile(rf"('')|{_GOES_ON}")}
_ESCAPE: t.Final = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))|''", re.DOTALL
)
_CODE_POINT: t.Final = re.compile(r"\\(?:\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4})|(\\))")
_SHORT: t.Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

#: The statement that a string stands in hands it to a person, or runs it.
_RAISES: t.Final = re.compile(r"\braise\b", re.IGNORECASE)
_EXECUTES: t.Final = re.compile(r"\bexecute\b", re.IGNORECASE)
_DOES: t.Final = re.compile(r"\s*do\b", re.IGNORECASE)
#: The variable that a statement runs.
_RUNS: t.Final = re.compile(r"\bexecute\s+\(*(?!(?:format|on|function|procedure)\b)([\w$]+)", re.IGNORECASE)
_ASSIGNS: t.Final = re.compile(r":=|\bdefault\b|(?:^|\b(?:begin|then|else|loop)\b)\s*[\w$.]+\s*=(?!>)", re.IGNORECASE)
#: Stands for what is not known of a string that is put together.
UNKNOWN: t.Final = "%"
#: Where two strings that are known are put together.
_JOINED: t.Final = re.compile(r"\n{0}\s{{0,9}}\|\|\s{{0,9}}{0}".format(re.escape(UNKNOWN)))

#: A name in what is read here, as it is written there.
NAME: t.Final = r'(?:"[^"]*"|(?<![\w$])[\w$]++)'
#: Where a quoted name has anything else, other characters stand for it: so no name is taken for code.
_ODD: t.Final = {n: 0xE000 + n for n in range(128) if not re.match(r"[\w$]", chr(n))}
_AS_IT_IS: t.Final = {odd: n for n, odd in _ODD.items()}


#: So many texts are read once; a look at a pipeline asks the same of the same functions several times.
_remembered = functools.lru_cache(maxsize=512)


class Intricate(ValueError):
    """A text is too long or too deeply nested to be judged."""


class Piece(t.NamedTuple):
    """A part of a text, as it stands there."""

    kind: Kind
    text: str
    #: Whether a backslash escapes what follows, although nothing says so.
    escaping: bool = False

    @property
    def value(self) -> str:
        """What a string or a quoted name stands for; of an escape that stands for nothing the escape itself."""
        head, mark, rest = self.text.partition("$" if self.kind == "dollar" else '"' if self.kind == "name" else "'")
        if self.kind == "dollar":
            tag = f"${rest.partition('$')[0]}$"
            return self.text[len(tag) :].removesuffix(tag)
        body = rest.removesuffix(mark)
        escaped = self.escaping or head in ("e", "E")
        if self.kind == "string":
            body = _GONE_ON[escaped].sub(lambda found: found[1] or "", body)
        if escaped:
            return _ESCAPE.sub(_unescaped, body)
        body = body.replace(mark * 2, mark)
        return _CODE_POINT.sub(_unescaped, body) if head else body


def _unescaped(found: re.Match[str]) -> str:
    """What an escape stands for."""
    *numbers, last = found.groups()
    for digits, base in zip(numbers, (16, 16, 16, 8), strict=False):
        if digits:
            number = int(digits, base)
            return chr(number) if number <= 0x10FFFF else found[0]
    return _SHORT.get(last, last) if last else "'"


def pieces(text: str) -> Iterator[Piece]:
    """The text in pieces, all of it and in order, in one pass; whatever has been cut ends with the text."""
    at, escaping = 0, text.startswith(ESCAPING)
    while found := _BEGINS.search(text, at):
        if found.start() > at:
            yield Piece("code", text[at : found.start()])
        begin, what = found.end(), found[0][0].lower()
        if found[0] == "/*":
            kind, at = "comment", _end_of_comment(text, begin)
        elif what == "$":
            close = text.find(found[0], begin)
            kind, at = "dollar", len(text) if close < 0 else close + len(found[0])
        else:
            kind = "comment" if what == "-" else "name" if found[0][-1] == '"' else "string"
            escapes = what == "e" or (escaping and found[0] == "'")
            ended = _ENDS["-" if what == "-" else "e" if escapes else found[0][-1]].match(text, begin)
            at = ended.end() if ended else len(text)
        yield Piece(kind, text[found.start() : at], escaping and found[0] == "'")
    if at < len(text):
        yield Piece("code", text[at:])


def _end_of_comment(text: str, at: int) -> int:
    """Comments nest."""
    depth = 1
    for found in _COMMENT.finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if not depth:
            return found.end()
    return len(text)


def name(shown: str) -> str:
    """What a NAME stands for."""
    return shown[1:-1].translate(_AS_IT_IS) if shown.startswith('"') else shown.lower()


def quoted(name: str) -> str:
    """A quoted name, as it stands in what is read here."""
    return f'"{name.translate(_ODD)}"'


@_remembered
def code(text: str) -> str:
    """A statement without its comments and strings."""
    return _read(text, lambda _: False, 0)


@_remembered
def may_run(text: str) -> str:
    """A command or a function's body without comments, with all strings that it might run, read likewise: for what has to be
    prevented. Those are what it runs itself, keeps in a variable, or hands to a function; never what a RAISE says.
    Raises Intricate where strings are nested more than MAX_DEPTH deep."""
    return _read(text, lambda it: it.executes or it.keeps or it.assigns or it.depth > 0, 0)


@_remembered
def runs(text: str) -> str:
    """A command or a function's body without comments, with those strings alone that it runs itself (EXECUTE, DO, a variable
    that is run), read likewise: for what is concluded from it. UNKNOWN stands where such a string is put together with
    something. Raises Intricate where they are nested more than MAX_DEPTH deep."""
    return _read(text, lambda it: it.executes or it.keeps, 0)


class _Statement:
    """What the statement that we are in does with a string."""

    def __init__(self, code: str, run: frozenset[str]) -> None:
        self._begun = self.raises = self.executes = self.assigns = self.joins = False
        #: Whether a variable that is run is in it.
        self.keeps = not run.isdisjoint(re.findall(r"[\w$]+", code.lower())) if run else False
        #: How many parentheses are open.
        self.depth = 0

    def add(self, text: str) -> None:
        """Some more of its code."""
        if text.strip():
            self.raises |= bool(_RAISES.search(text))
            self.executes |= bool(_EXECUTES.search(text)) or (not self._begun and bool(_DOES.match(text)))
            self.assigns |= bool(_ASSIGNS.search(text))
            self.depth += sum(map(text.count, "([")) - sum(map(text.count, ")]"))
            self._begun, self.joins = True, text.rstrip().endswith("||")

    def adds(self, text: str) -> bool:
        """Whether this, after a string, puts it together with something."""
        text = text.lstrip()
        return text.startswith("||") or (text.startswith(",") and self.executes and self.depth > 0)


def _statements(text: str) -> list[list[Piece]]:
    """The pieces of each statement, with the semicolon that ends it."""
    found: list[list[Piece]] = [[]]
    for piece in pieces(text):
        if piece.kind != "code":
            found[-1].append(piece)
            continue
        *ended, rest = piece.text.split(";")
        for each in ended:
            found[-1].append(Piece("code", f"{each};"))
            found.append([])
        found[-1].append(Piece("code", rest))
    return found


def _read(text: str, wanted: t.Callable[[_Statement], bool], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise Intricate(f"its strings are nested more than {MAX_DEPTH} deep")
    of = [(each, "".join(piece.text for piece in each if piece.kind == "code")) for each in _statements(text)]
    run = frozenset(found.lower() for _, code in of for found in _RUNS.findall(code))
    parts: list[str] = []
    inner = ESCAPING if text.startswith(ESCAPING) else ""
    for each, code in of:
        statement, open_ended = _Statement(code, run), False
        for piece in each:
            if piece.kind == "comment":
                parts.append(" ")
            elif piece.kind in ("code", "name"):
                if open_ended and statement.adds(piece.text):
                    parts.append(UNKNOWN)
                open_ended &= not piece.text.strip()
                parts.append(quoted(piece.value) if piece.kind == "name" else piece.text)
                statement.add(piece.text if piece.kind == "code" else "_")
            elif wanted(statement) and not statement.raises:
                parts += [UNKNOWN if statement.joins else " ", _read(inner + piece.value, wanted, depth + 1), "\n"]
                open_ended = True
            else:
                parts.append("''")
    return _JOINED.sub("", "".join(parts))
