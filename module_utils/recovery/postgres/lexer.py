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

#: Where something besides code begins.
_BEGINS: t.Final = re.compile(r"""--|/\*|(?<!\w)(?:[eE]|[uU]&)?'|(?<!\w)[uU]&"|'|"|(?<![\w$])\$(?:[^\W\d]\w*)?\$""")
#: The rest of it, which may have been cut anywhere.
_ENDS: t.Final = {
    "-": re.compile(r"[^\n]*"),
    "'": re.compile(r"[^']*(?:''[^']*)*'?"),
    "e": re.compile(r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\\?\Z)", re.DOTALL),
    '"': re.compile(r'[^"]*(?:""[^"]*)*"?'),
}
_COMMENT: t.Final = re.compile(r"/\*|\*/")
_ESCAPE: t.Final = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))|''", re.DOTALL
)
_CODE_POINT: t.Final = re.compile(r"\\(?:\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4})|(\\))")
_SHORT: t.Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

#: The statement that a string stands in hands it to a person, or runs it.
_RAISES: t.Final = re.compile(r"\braise\b", re.IGNORECASE)
_EXECUTES: t.Final = re.compile(r"\bexecute\b", re.IGNORECASE)
_DOES: t.Final = re.compile(r"\s*do\b", re.IGNORECASE)
#: It runs what is in a variable, and keeps a string in one.
_RUNS_VARIABLE: t.Final = re.compile(r"\bexecute\s+(?!(?:format|on|function|procedure)\b)\w", re.IGNORECASE)
_ASSIGNS: t.Final = re.compile(r":=|\bdefault\b", re.IGNORECASE)
#: Stands for what is not known of a string that is put together.
UNKNOWN: t.Final = "%"
#: Comes after a string that is run, where nothing is added to it.
_END: t.Final = "\n"


#: So many texts are read once; a look at a pipeline asks the same of the same functions several times.
_remembered = functools.lru_cache(maxsize=512)


class Intricate(ValueError):
    """A text is too long or too deeply nested to be judged."""


class Piece(t.NamedTuple):
    """A part of a text, as it stands there."""

    kind: Kind
    text: str

    @property
    def value(self) -> str:
        """What a string or a quoted name stands for; of an escape that stands for nothing the escape itself."""
        head, mark, rest = self.text.partition("$" if self.kind == "dollar" else '"' if self.kind == "name" else "'")
        if self.kind == "dollar":
            tag = f"${rest.partition('$')[0]}$"
            return self.text[len(tag) :].removesuffix(tag)
        body = rest.removesuffix(mark)
        if head in ("e", "E"):
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
    at = 0
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
            ended = _ENDS["-" if what == "-" else "e" if what == "e" else found[0][-1]].match(text, begin)
            at = ended.end() if ended else len(text)
        yield Piece(kind, text[found.start() : at])
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


@_remembered
def code(text: str) -> str:
    """A statement without its comments and strings."""
    return _read(text, lambda _: False, 0)


@_remembered
def may_run(text: str) -> str:
    """A command or a function's body without comments, with all strings that it might run, read likewise: for what has to be
    prevented. Those are what it runs itself, keeps in a variable, or hands to a function; never what a RAISE says.
    Raises Intricate where strings are nested more than MAX_DEPTH deep."""

    def wanted(statement: _Statement) -> bool:
        return (statement.executes or statement.assigns or statement.depth > 0) and not statement.raises

    return _read(text, wanted, 0)


@_remembered
def runs(text: str) -> str:
    """A command or a function's body without comments, with those strings alone that it runs itself (EXECUTE, DO, a variable
    where one is run), read likewise: for what is concluded from it. UNKNOWN stands where such a string is put together with
    something. Raises Intricate where they are nested more than MAX_DEPTH deep."""
    variable = _RUNS_VARIABLE.search(code(text)) is not None

    def wanted(statement: _Statement) -> bool:
        return (statement.executes or (variable and statement.assigns)) and not statement.raises

    return _read(text, wanted, 0)


class _Statement:
    """What the statement that we are in does with a string."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._begun = self.raises = self.executes = self.assigns = self.joins = False
        #: How many parentheses are open.
        self.depth = 0

    def add(self, text: str) -> None:
        """Some more of its code, in which others may begin."""
        *ended, text = text.split(";")
        if ended:
            self._begin()
        if text.strip():
            self.raises |= bool(_RAISES.search(text))
            self.executes |= bool(_EXECUTES.search(text)) or (not self._begun and bool(_DOES.match(text)))
            self.assigns |= bool(_ASSIGNS.search(text))
            self.depth += text.count("(") - text.count(")")
            self._begun, self.joins = True, text.rstrip().endswith("||")


def _read(text: str, wanted: t.Callable[[_Statement], bool], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise Intricate(f"its strings are nested more than {MAX_DEPTH} deep")
    parts: list[str] = []
    statement = _Statement()
    for piece in pieces(text):
        if piece.kind == "comment":
            parts.append(" ")
        elif piece.kind in ("code", "name"):
            if parts and parts[-1] == _END and piece.text.lstrip().startswith("||"):
                parts.append(UNKNOWN)
            parts.append(piece.text)
            statement.add(piece.text if piece.kind == "code" else "_")
        elif wanted(statement):
            parts += [UNKNOWN if statement.joins else " ", _read(piece.value, wanted, depth + 1), _END]
        else:
            parts.append("''")
    return "".join(parts)
