# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated files are current, and docs/variables.md lists the variables that playbooks and roles read."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests import CHECKOUT
from tests.programs import script

#: A variable that a playbook or a role reads, as it is read.
READ = re.compile(r"(?<![.\w])(scout_\w+)(?= \| default| is (?:un)?defined)")
FOLDERS = (CHECKOUT, CHECKOUT / "drills")

ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|[^|]+\|[^|]+\|$", re.MULTILINE)


def test_what_scripts_docs_writes_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs", "--check"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_of_variables_lists_what_is_read_and_nothing_else() -> None:
    files = [
        path for folder in FOLDERS for place in ("playbooks", "roles") for path in folder.glob(f"{place}/**/*.yml")
    ]
    read = {name for path in files for name in READ.findall(path.read_text(encoding="utf-8"))}
    assert {"scout_dsn", "scout_window_start", "scout_drill_dir", "scout_application_dir"} <= read
    page = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    listed = {name for row in ROW.findall(page) for name in re.findall(r"\w+", row)}
    assert sorted(listed - read) == []
    assert sorted(read - listed) == []


def test_a_default_on_the_page_of_variables_is_the_one_of_a_role() -> None:
    docs = script("docs")
    files = [path for folder in FOLDERS for path in folder.glob("roles/*/defaults/main.yml")]
    found = [each for path in files for each in docs.PUBLIC.findall(path.read_text(encoding="utf-8"))]
    given = {name: value.strip("'") for name, value in found if value.strip("'") not in ("", "omit")}
    page = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(scout_\w+)` \| `([^`]+)` \|", page, re.MULTILINE))
    shared = said.keys() & given.keys()
    assert len(shared) > 40
    assert {name: said[name] for name in shared} == {name: given[name] for name in shared}


def test_the_page_of_support_shows_what_was_tried() -> None:
    matrix, found = script("matrix"), json.loads((CHECKOUT / "docs" / "support.json").read_text("utf-8"))
    page = (CHECKOUT / "docs" / "support.md").read_text(encoding="utf-8")
    assert matrix.BETWEEN.findall(page) == [matrix.rendered(found)]
    assert [each["name"] for each in found] == [line.name for line in matrix.lines()]
    assert all(each.get("passed", True) for each in found)
