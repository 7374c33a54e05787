# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One word for one thing, the word of the field, in every text that a person reads."""

from __future__ import annotations

import ast
import functools
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

from scripts.rules.tree import Finding, Loader, Tree, line_of, rule

#: What is not said, what is said instead, and a sentence that must be refused.
REFUSED = (
    (r"\bways? back\b|\bgone? back\b|\bgo(?:es|ing)? back to\b|\bwent back to\b", "undo, roll back", "The way back is undo.yml"),
    (r"\b(?:tak(?:e|es|en|ing)|took) (?:(?!rolled)\w+ ){0,3}back\b", "undo, roll back, revert", "undo.yml takes it back"),
    (r"\bmend(?:s|ed|ing)?\b", "fix", "mend the cause"),
    (r"\bdead letters? waits?\b|(?<!dead )\bletters\b(?!,? (?:and )?digits)", "unresolved dead letters", "the letters of a run"),
    (r"\bset(?:s|ting)? (?:\w+ ){0,3}aside\b|\bisolat(?:e|es|ed|ing)\b", "quarantine", "one event is set aside"),
    (r"\bmove[sd]? (?:the )?(?:poison|suspect) events?\b|\b(?:poison|suspect) events? (?:is |are |was )?moved\b",
     "quarantine", "3 poison events moved"),
    (r"\b(?:bring(?:s|ing)?|brought) (?:\w+ ){0,3}back\b", "redrive, restore", "brings all of it back"),
    (r"\bmade again\b|\bmak(?:e|es|ing) (?:\w+ ){1,3}again\b|\bremak(?:e|es|ing)\b", "rebuild, recreate", "sales made again"),
    (r"\bgiv(?:e|es|en|ing) (?:\w+ ){0,3}back\b|\bgave (?:\w+ ){0,3}back\b", "re-enable, restore", "gives back the jobs"),
    (r"\bleft as (?:it was|they were)\b|\bperhaps paused\b", "unchanged", "ingestion was left as it was"),
    (r"\bstopped from starting\b", "new runs are blocked", "stopped from starting, but not yet paused"),
    (r"\bnothing is known of\b|\buntold\b|\bunsure\b", "state unknown, cannot tell", "nothing is known of ingestion"),
    (r"\bstands? twice\b", "duplicate within one batch", "the id stands twice in one batch"),
    (r"(?<![.\w])kin\b", "related events", "the event and its kin"),
    (r"\blook(?:s|ed|ing)? for once more\b", "final sweep, checked again", "they are looked for once more"),
    (r"\bsurvey(?:s|ed|ing|ors?)?\b", "preview, comparison", "a survey of the window"),
    (r"\b(?:hold|holds|held|holding) (?:\w+ ){0,2}back\b", "blocked, skipped, deferred", "events are held back"),
    (r"\bexhibits?\b", "evidence archive", "the exhibits of an incident"),
    (r"\bsound sales?\b", "known-good test sale", "a sound sale"),
    (r"\bas at a systemic failure\b", "looks systemic, not bad data", "stopped as at a systemic failure"),
    (r"\bno look was taken\b", "skipped check", "no look was taken for gold"),
    (r"\b(?:fall|falls|fell) free\b|\btook over the lease\b", "the lease expires in", "the lease falls free by itself"),
    (r"\bnothing selected\b", "0 events match", "nothing selected is there"),
    (r"\bastray\b|\bpromises? (?:\w+ )?(?:kept|broken)\b|\bkeeps? (?:its|all|every) promises?\b",
     "none lost or duplicated; checks passed", "none astray, all promises kept"),
    (r"\bnot everything can be seen\b", "insufficient privileges to see", "not everything can be seen (jobs)"),
    (r"\byoung(?:er|est)\b", "latest, later", "the youngest capture"),
    (r"\bstrides?\b", "adaptive batches; canary and ramp", "in longer strides"),
    (r"\b(?:object|stand|lie|live)s? beside (?:the|a) schemas?\b|\bwhat is beside\b", "database-level objects",
     "objects beside the schemas"),
    (r"\bwhole way\b|\bdid not arrive\b", "post-rollback verification failed", "went the whole way, and did not arrive"),
    (r"\bholds? still\b", "schema changed during capture", "a schema that does not hold still"),
)  # fmt: skip
SQL = re.compile(
    r"^\W*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH|LOCK|SET|GRANT|REVOKE|COPY|CASE)\b|\bFROM \w+\.|\bWHERE\b"
)
COMMENT = re.compile(r"(?:^|\s)#:? (.*)$", re.MULTILINE)
#: The keys whose values a person reads.
SPOKEN = {"name", "title", "about", "description", "short_description", "msg", "fail_msg", "success_msg", "summary"}
PYTHON = ("module_utils/recovery", "library", "plugins", "drills/plugins")
YAML = (
    "playbooks",
    "roles",
    "inventories",
    "monitoring",
    "drills/playbooks",
    "drills/scenarios",
    "drills/roles",
    "changelogs/fragments",
    "drills/changelogs/fragments",
)
PROSE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "drills/*.md", "benchmarks/*.md", "docs/*.md", "roles/*/templates/*", "docs/*.sql",
         "Makefile", "deploy/*")  # fmt: skip

BLOCK = re.compile(r"^ *```(?!text)(\w+)\n.*?^ *```", re.DOTALL | re.MULTILINE)
NO_WORDS = re.compile(r"`[^`\n]+`|\]\([^)\n]+\)|\{[{%].*?[%}]\}")
NO_WORDS_OF_YAML = re.compile(r"`[^`\n]+`|\{[{%].*?[%}]\}")
PATTERNS = [(re.compile(pattern, re.IGNORECASE), better) for pattern, better, _ in REFUSED]

#: A text, and the line on which it begins; 0 where that is not known.
Text = tuple[int, str]
Reader = Callable[[str], Iterator[Text]]


class Read(NamedTuple):
    """A file that people read texts of, and how they are found in it."""

    path: str
    texts: Reader


def prose(text: str) -> Iterator[Text]:
    """A page without its commands and names; a screen that it shows is text."""
    kept = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    yield 1, NO_WORDS.sub(lambda word: "X" + "\n" * word[0].count("\n"), kept)


def spoken(value: Any, key: str = "") -> Iterator[Text]:
    """The values of a document that a person reads."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from spoken(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from spoken(inner, key)
    elif isinstance(value, str) and (key in SPOKEN or key.endswith(("_changes", "_summary"))):
        yield 0, NO_WORDS_OF_YAML.sub("X", value)


def of_yaml(text: str) -> Iterator[Text]:
    """The comments, and what a person reads of the values."""
    yield from ((line_of(text, comment.start(1)), comment[1]) for comment in COMMENT.finditer(text))
    for document in yaml.load_all(re.sub(r"!\w+", "", text), Loader):
        yield from spoken(document)


def of_python(text: str) -> Iterator[Text]:
    """The docstrings, and the constants of more than one word that are no SQL."""
    inside: set[int] = set()
    # A text of several parts comes before its parts.
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            inside.update(map(id, node.values))
            made = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            made = node.value
        else:
            continue
        if " " in made and not SQL.search(made):
            yield node.lineno, made


def of_json(text: str) -> Iterator[Text]:
    """What a person reads of the values."""
    yield from spoken(json.loads(text))


def texts(tree: Tree) -> list[Read]:
    """Every file that people read texts of."""
    kinds: list[tuple[tuple[str, ...], Reader]] = [
        (tuple(f"{folder}/**/*.py" for folder in PYTHON), of_python),
        (tuple(f"{folder}/**/*.yml" for folder in YAML), of_yaml),
        (("docs/*.json",), of_json),
        (PROSE, prose),
    ]
    return [Read(path, read) for patterns, read in kinds for path in tree.files(*patterns)]


def found(text: str) -> Iterator[tuple[int, str]]:
    """What is said in a text and ought not to be, with what to say instead and after how many words."""
    plain = " ".join(text.split())
    for pattern, better in PATTERNS:
        for match in pattern.finditer(plain):
            yield len(plain[: match.start()].split()), f"{match[0]!r}: say {better}"


@functools.cache
def _found_in(text: str, read: Reader) -> list[tuple[int, str]]:
    made: list[tuple[int, str]] = []
    every = list(read(text))
    # Most files have nothing of the kind, and then one search a file is enough.
    joined = "\0".join(" ".join(words.split()) for _, words in every)
    for start, words in every if any(pattern.search(joined) for pattern, _ in PATTERNS) else ():
        for number, wrong in found(words):
            places = [word.start() for word in re.finditer(r"\S+", words)]
            line = start + words.count("\n", 0, places[min(number, len(places) - 1)])
            # A value of a document is looked for by its first words.
            made.append((line if start else line_of(text, max(text.find(words[:30]), 0)), wrong))
    return made


@rule(texts, least=301)
def texts_for_people_use_the_words_of_the_field(tree: Tree, file: Read) -> Iterator[Finding]:
    """In every kind of file."""
    yield from (Finding(file.path, line, wrong) for line, wrong in _found_in(tree.text(file.path), file.texts))


#: In the names of Python, and in the comments: shorter than the words of the field, and as hard to find.
UNNAMED = re.compile(r"(?<![^\W_])(?:kin|mend(?:s|ed|ing)?|youngest|chose)(?![^\W_])", re.IGNORECASE)


def names(text: str) -> Iterator[Text]:
    """The names that a file gives, and its comments."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT):
            yield token.start[0], token.string


@functools.cache
def _unnamed_in(text: str) -> list[Text]:
    return [
        (line, match[0])
        for line, words in (names(text) if UNNAMED.search(text) else ())
        for match in UNNAMED.finditer(words)
    ]


@rule(lambda tree: [Read(path, names) for path in tree.files("**/*.py")], least=900)
def names_and_comments_use_the_words_of_the_field(tree: Tree, file: Read) -> Iterator[Finding]:
    """Those of tests too."""
    yield from (
        Finding(file.path, line, f"{word!r} in a name or a comment") for line, word in _unnamed_in(tree.text(file.path))
    )


@rule(lambda _: [of_python, of_yaml, of_json, prose], least=4)
def every_kind_of_text_is_read(tree: Tree, read: Reader) -> Iterator[Finding]:
    """So that no pattern leads to nothing unnoticed."""
    if not any(file.texts is read for file in texts(tree)):
        yield Finding("scripts/rules/words.py", 1, f"{read.__name__} reads no file")
