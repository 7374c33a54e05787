# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that scripts/check-docs refuses, and good English that is near to them."""

from __future__ import annotations

import pytest

from scripts.rules.english import CLUMSY, clumsy
from scripts.rules.words import REFUSED, found

INNOCENT = (
    "rolled back, and nothing remains", "64 letters, digits and . _", "an incident commander", "held by another session",
    "the update promised for 21:30", "keeps the lock beside the file", "isolation level", "in force again", "Monday to Sunday",
)  # fmt: skip


def test_a_planted_word_is_refused(subtests: pytest.Subtests) -> None:
    for _, better, planted in REFUSED:
        with subtests.test(msg=better):
            assert any(said.endswith(f"say {better}") for _, said in found(planted)), planted


def test_what_is_near_to_it_is_not(subtests: pytest.Subtests) -> None:
    for text in INNOCENT:
        with subtests.test(msg=text):
            assert list(found(text)) == []


#: Good English that is near to what is clumsy.
PLAIN = (
    "## What happens\n\nIt stops.", "What is wrong? Nothing.", "A screen:\n\n```text\nsaid  his own\n```", "| What it does | Who |",
    "It shows who blocks whom.", "a capture makes it possible", "the theme", "`his`", "It is not made up.",
)  # fmt: skip


def test_what_is_clumsy_is_found_with_its_line(subtests: pytest.Subtests) -> None:
    for _, better, planted in CLUMSY:
        with subtests.test(msg=better):
            assert [
                (line, wrong.endswith(f"write {better}")) for line, wrong in clumsy(f"# A page\n\n{planted}\n")
            ] == [(3, True)]


def test_what_is_plain_is_not(subtests: pytest.Subtests) -> None:
    for text in PLAIN:
        with subtests.test(msg=text):
            assert list(clumsy(text)) == []
