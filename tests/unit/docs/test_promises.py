# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every promise of tests/PROMISES.md has a test of its own."""

from __future__ import annotations

import ast
import re
from collections import Counter

from tests import CHECKOUT

TESTS = CHECKOUT / "tests"


def find_tests(path: str) -> set[str]:
    """Return the names of the tests in a file, or none if there is no such file."""
    file = TESTS / path
    nodes = ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_promise_has_its_own_test() -> None:
    owned, _, _ = (TESTS / "PROMISES.md").read_text(encoding="utf-8").partition("\n## Without an owner\n")
    promises = [line for line in owned.splitlines() if line.startswith("- ")]
    owners = re.findall(r"^- .+\. `([^`]+)::(\w+)`$", owned, re.MULTILINE)
    assert owners
    assert len(owners) == len(promises)
    assert [owner for owner, count in Counter(owners).items() if count > 1] == []
    tests = {path: find_tests(path) for path, _ in owners}
    assert [(path, name) for path, name in owners if name not in tests[path]] == []
