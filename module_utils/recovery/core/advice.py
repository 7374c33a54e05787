# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do next: words for a person, and commands that stand alone and can be pasted; pure."""

from __future__ import annotations

import re
import shlex
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A part of an option's value: what is quoted, or whatever neither ends a sentence nor stands for something to fill in.
_VALUE: t.Final = r"""(?:"[^"…]*"|'[^'…]*'|[^\s;,.:"'…()`]|[,.:](?=\S))"""
#: An option with a value: of the run, or by which secrets and hosts are reached.
_VALUED: t.Final = r"-[ieu]|--limit|--vault-\w[-\w]*|--private-key|--[\w-]+-password-file|--become-\w+"
#: A command of this toolkit, complete with its options.
#: One whose next option is still to be filled in is none.
COMMAND: t.Final = re.compile(
    r"`?((?>ansible-playbook [\w./-]*\w"
    rf"(?: (?:--check|-[bkKJ])(?![-\w])| (?:{_VALUED}) (?>{_VALUE}+)(?!…))*))"
    r"(?! -e )`?"
)
#: A statement for psql: from the words with which it begins to its semicolon, or to where words go on.
STATEMENT: t.Final = re.compile(
    r"(?:(?<=^)|(?<=[;:.,] )|(?<=then )|(?<=runs )|(?<=`))"
    r"((?:ALTER [A-Z]+ |CREATE [A-Z]+ |DROP [A-Z]+ |REINDEX [A-Z]+ |REFRESH MATERIALIZED "
    r"|GRANT (?=[^;]{0,999} TO )|REVOKE (?=[^;]{0,999} FROM )|SELECT (?:cron|pg_catalog)\.|SELECT pg_\w+\(|UPDATE (?=\S+ SET )|SET )"
    r"(?:'[^'…]*'|\"[^\"…]*\"|\((?>[^();'\"`…\n]+|'[^'…]*'|\"[^\"…]*\"|\([^();`…\n]*\))*+\)"
    r"|(?!(?:,? (?:or|then|which|and|as)|,) [a-z]|\.\s)[^;'\"`…\n])+)"
    r"(?:;|`|$|(?=,? [a-z])|(?=\.\s))"
)
#: How a statement ends of which psql runs what it says.
GEXEC: t.Final = r"\gexec"
#: One of the scripts of docs/, as psql runs it.
SCRIPT: t.Final = re.compile(r"`?(psql -X(?: -[dfv] (?:'[^'…]*'|[^\s;,'…`()]*[^\s;,.'…`()]))+)`?")
#: A playbook that a text names alone, between the marks by which it becomes a command.
MARKED: t.Final = re.compile(r"`(\w+)\.yml((?: [^`\n]*)?)`")
#: A playbook of ours in a command.
OURS: t.Final = re.compile(r"ansible-playbook scout\.recovery\.\w+\b(?! --limit )")
#: What joins a command to the words before and after it.
JOINTS: t.Final = " \n;,.:"


class Part(t.NamedTuple):
    """A command, a statement for psql, or words around them."""

    text: str
    is_command: bool
    is_statement: bool = False


def of_host(made: t.Any, host: str) -> t.Any:
    """A text, or all texts of lists and dictionaries, with the host in each command of ours, where it is one of several."""
    if not host:
        return made
    if isinstance(made, str):
        return OURS.sub(lambda found: f"{found[0]} --limit {value(host)}", made)
    if isinstance(made, list):
        return [of_host(each, host) for each in t.cast("list[t.Any]", made)]
    if isinstance(made, dict):
        return {name: of_host(each, host) for name, each in t.cast("dict[str, t.Any]", made).items()}
    return made


def value(text: str) -> str:
    """The value of an option in a command that somebody pastes into a shell, where it may have been written by anybody."""
    return shlex.quote(text)


def plain(text: str) -> str:
    """A text as a sentence: marked playbooks as the commands they are, and no marks."""
    return COMMAND.sub(r"\1", MARKED.sub(r"`ansible-playbook scout.recovery.\1\2`", text)).replace("`", "")


def parts(text: str) -> Iterator[Part]:
    """The commands of a text in their order, and the words between them without what joined them."""
    whole, at = plain(text), 0
    for found in COMMAND.finditer(whole):
        yield from _with_statements(whole[at : found.start()], first=not at)
        yield Part(found[1], is_command=True)
        at = found.end()
    yield from _with_statements(whole[at:], first=not at)


def _with_statements(text: str, *, first: bool) -> Iterator[Part]:
    at = 0
    for found in STATEMENT.finditer(text):
        yield from _with_scripts(text[at : found.start()], first=first and not at)
        statement = found[1].rstrip()
        yield Part(statement if statement.endswith(GEXEC) else f"{statement};", is_command=False, is_statement=True)
        at = found.end()
    yield from _with_scripts(text[at:], first=first and not at)


def _with_scripts(text: str, *, first: bool) -> Iterator[Part]:
    at = 0
    for found in SCRIPT.finditer(text):
        if words := _between(text[at : found.start()], first=first and not at):
            yield Part(words, is_command=False)
        yield Part(found[1], is_command=True)
        at = found.end()
    if words := _between(text[at:], first=first and not at):
        yield Part(words, is_command=False)


def _between(text: str, *, first: bool) -> str:
    if first:
        return text.strip()
    words = text.lstrip(JOINTS).rstrip()
    # The order of the lines says it.
    return "" if words == "then" else words


def commands(texts: Iterable[str]) -> list[str]:
    """All playbooks of these texts, with their options, each once, in their order."""
    found = (part.text for text in texts for part in parts(text) if part.is_command)
    return list(dict.fromkeys(text for text in found if COMMAND.match(text)))


def words(texts: Iterable[str]) -> list[str]:
    """What these texts say besides their commands."""
    said = (" … ".join(part.text for part in parts(text) if not COMMAND.match(part.text)) for text in texts)
    return [text for text in said if text]
