# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump writes, statement by statement: where it names roles, these given other names, and what each is about (pure)."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lexer
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: What stands in code; a line that begins with a backslash is psql's own.
TOKEN: t.Final = re.compile(
    r"(?P<skipped>^\\[^\n]*)|(?P<word>[^\W\d][\w$]*)|(?P<space>\s+)|(?P<mark>.)", re.DOTALL | re.MULTILINE
)
KINDS: t.Final[dict[lexer.Kind, str]] = {
    "comment": "skipped",
    "string": "literal",
    "dollar": "literal",
    "name": "quoted",
}
#: After the roles of a statement come these.
AFTER_ROLES: t.Final = frozenset({"USING", "WITH", "GRANTED", "CASCADE", "RESTRICT", "IN", "GRANT", "REVOKE"})
#: A name that stands for no role that could be missing.
NOBODY: t.Final = frozenset({"public", "current_user", "current_role", "session_user", "none"})
#: After these comes what a statement says of its object, which may be anything.
SAYS: t.Final = frozenset(
    {"AS", "IS", "RETURNS", "USING", "WITH", "DEFAULT", "SET", "CHECK", "FROM", "TO", "FOR", "EXECUTE"}
)
#: What comes before the kind of an object.
MAKES: t.Final = re.compile(r"^CREATE (?:OR REPLACE |UNIQUE |UNLOGGED |FOREIGN (?=TABLE)|CONSTRAINT (?=TRIGGER))*")
KIND: t.Final = re.compile(r"^(?:[A-Z]+ )+")
LONGEST_NAME: t.Final = 12


@dataclasses.dataclass(frozen=True)
class Token:
    """A piece of a statement."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword it may be; nothing where it is none."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name it may be, as PostgreSQL reads it; nothing where it is none."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "word" else ""


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement, in pieces."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """As it was written."""
        return "".join(token.text for token in self.tokens).strip()

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """Its first keywords or names, in capitals."""
        solid = [token for token in self.tokens if token.kind != "space"]
        return tuple(token.word for token in solid[:4])

    @property
    def grants(self) -> bool:
        """Whether it is about privileges."""
        return self.words[0] in ("GRANT", "REVOKE") or self.words[:3] == ("ALTER", "DEFAULT", "PRIVILEGES")

    @property
    def sets(self) -> bool:
        """Whether it is about the session that runs it."""
        return self.words[0] in ("SET", "RESET", "SELECT")

    @property
    def about(self) -> str:
        """Which object it makes, or what it does to which one; nothing of what it says of it."""
        said: list[str] = []
        for token in self.tokens:
            if token.kind == "literal" or token.text in "(;" or token.word in SAYS:
                break
            said.append(" " if token.kind == "space" else token.text)
            if len(said) > 2 * LONGEST_NAME:
                break
        text = "".join(said).strip()
        made = MAKES.sub("", text)
        if made == text:
            return text
        return KIND.sub(lambda kind: kind[0].lower(), made)

    def roles(self) -> set[str]:
        """The roles it names."""
        return {self.tokens[at].name for at in self._roles() if not _nobody(self.tokens[at])}

    def renamed(self, roles: Mapping[str, str]) -> str:
        """With other roles in their places; one that would log in as a role becomes it instead, which needs no superuser."""
        tokens = list(self.tokens)
        for at in self._roles():
            if (other := roles.get(tokens[at].name)) is not None:
                tokens[at] = Token("quoted", sql.Identifier(other).as_string())
        if "SET" in self.words[0] and self.words[1:3] == ("SESSION", "AUTHORIZATION"):
            head = "RESET ROLE" if self.words[0] == "RESET" else "SET ROLE"
            rest = [tokens[at].text for at in self._roles()]
            return " ".join([head, *rest])
        return Statement(tuple(tokens)).text

    def _roles(self) -> Iterator[int]:
        """Where it names roles."""
        solid = [at for at, token in enumerate(self.tokens) if token.kind != "space"]
        first, depth = self.words[0], 0
        for position, at in enumerate(solid):
            token = self.tokens[at]
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth or not token.word:
                continue
            before = self.tokens[solid[position - 1]].word if position else ""
            named = (
                (first == "ALTER" and before == "OWNER" and token.word == "TO")
                or (token.word in ("ROLE", "USER") and before == "FOR" and self.words[1] == "DEFAULT")
                or (token.word in ("TO", "FROM") and (self.grants or self.words[:2] == ("CREATE", "POLICY")))
                or (token.word == "BY" and before == "GRANTED")
                or (token.word == "AUTHORIZATION" and before == "SESSION")
            )
            if named:
                yield from _listed(self.tokens, solid[position + 1 :])


def _listed(tokens: Sequence[Token], rest: Sequence[int]) -> Iterator[int]:
    """The names up to what comes after them."""
    for at in rest:
        token = tokens[at]
        if token.text == ",":
            continue
        if not token.name or token.word in AFTER_ROLES:
            return
        yield at


def _nobody(token: Token) -> bool:
    return token.name.startswith("pg_") or (token.kind == "word" and token.name in NOBODY)


def _tokens(script: str) -> Iterator[Token]:
    """All of it, in pieces."""
    for piece in lexer.pieces(script):
        if piece.kind == "code":
            yield from (Token(str(found.lastgroup), found[0]) for found in TOKEN.finditer(piece.text))
        else:
            yield Token(KINDS[piece.kind], piece.text)


def split(script: str) -> Iterator[Statement]:
    """The statements of a script; a semicolon in a list, or in the body of a function, ends none."""
    found: list[Token] = []
    depth = within = 0
    before = ""
    for token in _tokens(script):
        kind = token.kind
        if kind == "skipped" or (kind == "space" and not found):
            continue
        found.append(token)
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.word == "ATOMIC" and before == "BEGIN":
            within = 1
        elif within:
            within += {"CASE": 1, "END": -1}.get(token.word, 0)
        before = token.word if kind != "space" else before
        if token.text == ";" and not depth and not within:
            yield Statement(tuple(found[:-1]))
            found = []
    if found:
        yield Statement(tuple(found))
