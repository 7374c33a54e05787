# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One word for one thing, the word of the field, in every text that a person reads."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import CHECKOUT

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
#: What is near to them and is good English.
INNOCENT = (
    "rolled back, and nothing remains", "64 letters, digits and . _", "an incident commander", "held by another session",
    "the update promised for 21:30", "keeps the lock beside the file", "isolation level", "in force again", "Monday to Sunday",
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
PROSE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "drills/*.md", "docs/*.md", "roles/*/templates/*", "docs/*.sql",
         "drills/plugins/plugin_utils/drill/results/templates/*", "Makefile", "deploy/*")  # fmt: skip


def prose(path: Path) -> Iterator[str]:
    """A page without its commands and names; a screen that it shows is text."""
    text = re.sub(
        r"^ *```(?!text)(\w+)\n.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    yield re.sub(r"`[^`\n]+`|\]\([^)\n]+\)|\{[{%].*?[%}]\}", "X", text)


def spoken(value: Any, key: str = "") -> Iterator[str]:
    """The values of a document that a person reads."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from spoken(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from spoken(inner, key)
    elif isinstance(value, str) and (key in SPOKEN or key.endswith(("_changes", "_summary"))):
        yield re.sub(r"`[^`\n]+`|\{[{%].*?[%}]\}", "X", value)


def of_yaml(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    yield from COMMENT.findall(text)
    for document in yaml.safe_load_all(re.sub(r"!\w+", "", text)):
        yield from spoken(document)


def of_python(path: Path) -> Iterator[str]:
    """The docstrings, and the constants of more than one word that are no SQL."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in joined for part in node.values}
    texts = ["".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values) for node in joined]
    texts += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside
    ]
    yield from (text for text in texts if " " in text and not SQL.search(text))


def of_json(path: Path) -> Iterator[str]:
    yield from spoken(json.loads(path.read_text(encoding="utf-8")))


def texts() -> Iterator[tuple[Path, Any]]:
    """Every file that people read texts of, and how they are found in it."""
    for folder in PYTHON:
        yield from ((path, of_python) for path in sorted((CHECKOUT / folder).rglob("*.py")))
    for folder in YAML:
        yield from ((path, of_yaml) for path in sorted((CHECKOUT / folder).rglob("*.yml")))
    yield from ((path, of_json) for path in sorted(CHECKOUT.glob("docs/*.json")))
    for pattern in PROSE:
        yield from ((path, prose) for path in sorted(CHECKOUT.glob(pattern)) if path.is_file())


TEXTS = list(texts())


def found(text: str) -> list[str]:
    """What is said in it and ought not to be, with what to say instead."""
    plain = " ".join(text.split())
    matches = [
        (match.group(0), better)
        for pattern, better, _ in REFUSED
        for match in re.finditer(pattern, plain, re.IGNORECASE)
    ]
    return [f"{words!r}: say {better}" for words, better in matches]


@pytest.mark.parametrize(
    ("path", "read"), TEXTS, ids=lambda value: str(value.relative_to(CHECKOUT)) if isinstance(value, Path) else ""
)
def test_texts_for_people_use_the_words_of_the_field(path: Path, read: Any) -> None:
    assert [said for text in read(path) for said in found(text)] == []


@pytest.mark.parametrize(("pattern", "better", "planted"), REFUSED, ids=[row[1] for row in REFUSED])
def test_a_planted_word_is_refused(pattern: str, better: str, planted: str) -> None:
    assert any(said.endswith(f"say {better}") for said in found(planted)), pattern


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_near_to_it_is_not(text: str) -> None:
    assert found(text) == []


def test_a_planted_word_is_found_in_every_kind_of_file(tmp_path: Path) -> None:
    planted = {
        of_python: (
            'def f():\n    """The kin of it."""\n    raise ValueError(f"mend {1} of "\n        "them")\n    "SELECT kin"\n',
            2,
        ),
        of_yaml: ("# the way back\n- name: Mend it\n  vars: {mode: mend}\n", 2),
        of_json: ('{"description": "its exhibits", "enum": ["mend"]}', 1),
        prose: ("It is\nmended.\n\n```shell\nmend\n```\n```text\nmend it\n```\n`mend`\n", 2),
    }
    for read, (text, number) in planted.items():
        path = tmp_path / read.__name__
        path.write_text(text, encoding="utf-8")
        assert len([said for each in read(path) for said in found(each)]) == number, read.__name__


def test_every_kind_of_text_is_read() -> None:
    assert {read for _, read in TEXTS} == {of_python, of_yaml, of_json, prose}
    assert len(TEXTS) > 300
