# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated files are current, and docs/variables.md lists the variables that playbooks and roles read."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, right_database, task_options
from tests import CHECKOUT
from tests.programs import script

#: A variable that a playbook or a role reads; what begins with _ is Ansible's.
PUBLIC = re.compile(r"lookup\('scout.recovery.setting', '(?!_)(\w+)'|\{\{ (scout_contract) \|")
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|[^|]+\|[^|]+\|$", re.MULTILINE)


def test_what_scripts_docs_writes_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs", "--check"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_of_variables_lists_what_is_read_and_nothing_else() -> None:
    folders = (CHECKOUT, CHECKOUT / "drills")
    files = [
        path
        for root in folders
        for each in ("playbooks/*.yml", "roles/*/defaults/main.yml")
        for path in root.glob(each)
    ]
    read = {name for path in files for names in PUBLIC.findall(path.read_text("utf-8")) for name in names if name}
    read |= task_options.names() | {"target", right_database.ALLOW, *extra_vars.OF_A_PLAY}
    page = (CHECKOUT / "docs" / "variables.md").read_text(encoding="utf-8")
    listed = {name for row in ROW.findall(page) for name in re.findall(r"\w+", row)}
    assert sorted(listed - read) == []
    assert sorted(read - listed) == []


def test_the_page_of_support_shows_what_was_tried() -> None:
    matrix, found = script("matrix"), json.loads((CHECKOUT / "docs" / "support.json").read_text("utf-8"))
    page = (CHECKOUT / "docs" / "support.md").read_text(encoding="utf-8")
    assert matrix.BETWEEN.findall(page) == [matrix.rendered(found)]
    assert [each["name"] for each in found] == [line.name for line in matrix.lines()]
    assert all(each.get("passed", True) for each in found)
