# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that one stumbles over, on the pages for users."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.rules.tree import Finding, Tree, rule
from scripts.rules.words import NO_WORDS

#: What no native speaker would write on a page for users, what is written instead, and a sentence that must be refused. A screen
#: and a command are as they are.
CLUMSY = (
    (r"(?:^|(?<=[.!?:;] )|(?<=\*\* )|(?<=\*\*))(?:What|Who|Whatever|Whoever)\b[^?.!:;|]*[.!:;,]",
     "the noun: begin no sentence with a clause as its subject", "It stops. What is dropped with data is saved first."),
    (r"\b(?:he|his|him|himself)\b", "they, their, them", "The operator pastes his command."),
    (r"\b(?:said|told)\b", "reported, shown, named", "The cause is told in the summary."),
    (r"\b(?:ours|our)\b", "the toolkit's", "a variable of ours"),
    (r"\b(?:is|are|was|were|be|been|being) (?:(?!not )\w+ )?made\b(?! up)", "create, build, perform", "A role is made here."),
    (r"\bmakes? (?:(?:a|no|the) )?(?:new )?(?:roles?|schemas?|databases?|partitions?|clone|audit trail|something|things)\b",
     "create", "It may make roles."),
)  # fmt: skip
CLUMSY_PATTERNS = [
    (re.compile(pattern, 0 if "Who" in pattern else re.IGNORECASE), better) for pattern, better, _ in CLUMSY
]
#: For whoever changes the toolkit, or made from the code.
FOR_BUILDERS = {"docs/design.md", "docs/follow-an-event.md", "docs/roles.md"}
ANY_BLOCK = re.compile(r"^ *```.*?^ *```|<!-- made by scripts/docs -->.*?<!-- end -->", re.DOTALL | re.MULTILINE)


def clumsy(text: str) -> Iterator[tuple[int, str]]:
    """What is clumsy on a page for users, with what to write instead and the line on which it is."""
    plain = ANY_BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    plain = NO_WORDS.sub(lambda word: "X" + "\n" * word[0].count("\n"), plain)
    # A paragraph, a point of a list and a row of a table are read as one line each.
    for part in re.finditer(r"^[^\n].*?(?=\n\s*\n|\n\s*(?:[-*]|\d+\.) |\n\||\Z)", plain, re.DOTALL | re.MULTILINE):
        words = list(re.finditer(r"\S+", part[0]))
        if re.fullmatch(r"[-*]|\d+\.|#+", words[0][0]):
            del words[0]
        line = " ".join(word[0] for word in words)
        for pattern, better in CLUMSY_PATTERNS:
            for match in pattern.finditer(line):
                at = part.start() + words[line.count(" ", 0, match.start())].start()
                yield plain.count("\n", 0, at) + 1, f"{match[0][:60]!r}: write {better}"


@rule(
    lambda tree: [page for page in tree.files("README.md", "SECURITY.md", "docs/*.md") if page not in FOR_BUILDERS],
    least=35,
)
def pages_for_users_are_in_plain_english(tree: Tree, page: str) -> Iterator[Finding]:
    """As a native speaker would write them, as far as a pattern can tell."""
    yield from (Finding(page, line, wrong) for line, wrong in clumsy(tree.text(page)))
