# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which test files a change reaches: of what kind the way is, in which order they come, and how many are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.rules.tree import script
from tests import CHECKOUT

REACHED = script("reached")
RECOVERY = "ansible_collections.scout.recovery.plugins.module_utils.recovery"
#: A checkout of few files, each with what it says of others.
FILES = {
    "module_utils/recovery/core/text.py": "",
    "module_utils/recovery/ledger/runs.py": "from ..core.text import (\n    shown,\n    count as c,\n)\n",
    "module_utils/recovery/moves/undo/plan.py": "    from ...ledger import runs\n",
    "library/scout_undo.py": "from ..module_utils.recovery.moves.undo import plan\n",
    "drills/plugins/plugin_utils/drill/clone/copy.py": f"import {RECOVERY}.core.text\n",
    "roles/undo/tasks/main.yml": "- scout.recovery.scout_undo:\n",
    "roles/report/tasks/main.yml": "- ansible.builtin.template: {src: page.html.j2}\n",
    "playbooks/take_off.yml": "- ansible.builtin.import_role: {name: scout.recovery.undo}\n",
    "playbooks/told.yml": "- ansible.builtin.import_role: {name: scout.recovery.report}\n",
    "tests/helper.py": f"from {RECOVERY}.core import text\n",
    "tests/unit/core/test_text.py": f"from {RECOVERY}.core import text\n",
    "tests/integration/core/test_words.py": "",
    "tests/integration/ledger/test_all.py": f"from {RECOVERY}.ledger.runs import Run\n",
    "tests/integration/moves/undo/test_back.py": 'call("scout_undo")\n',
    "tests/integration/clone/test_clone.py": "from ansible_collections.scout.drills.plugins.plugin_utils.drill.clone import copy\n",
    "tests/integration/drills/clone/test_whole.py": "",
    "tests/security/test_far.py": "from tests import helper\n",
    "tests/e2e/test_away.py": 'play("take_off")\n',
    "tests/e2e/test_shown.py": 'type("ansible-playbook playbooks/told.yml")\n',
    "tests/e2e/test_kept_screens.py": "",
    "tests/e2e/test_page.py": "",
    "tests/e2e/test_owners.py": 'psql("docs/owners_for_all.sql")\n',
    "tests/e2e/test_asked.py": 'psql("docs/owners_for_all.sql")\n',
}  # fmt: skip
#: What is changed, and the files that are named, in their order.
CHANGES = {
    "a package, then who imports it": (
        ["module_utils/recovery/ledger/runs.py"],
        ["integration/ledger/test_all", "integration/moves/undo/test_back", "e2e/test_away"],
    ),
    "a folder of tests that mirrors it, whatever is imported there": (
        ["module_utils/recovery/core/text.py"],
        ["integration/core/test_words", "integration/clone/test_clone", "integration/ledger/test_all", "security/test_far",
         "integration/moves/undo/test_back", "e2e/test_away"],
    ),
    "drills": (
        ["drills/plugins/plugin_utils/drill/clone/copy.py"],
        ["integration/drills/clone/test_whole", "integration/clone/test_clone"],
    ),
    "a module, by its name": (["library/scout_undo.py"], ["integration/moves/undo/test_back", "e2e/test_away"]),
    "a role, by the playbooks that have it": (["roles/undo/tasks/main.yml"], ["e2e/test_away"]),
    "a playbook, by its name in quotes": (["playbooks/take_off.yml"], ["e2e/test_away"]),
    "a template, by the role that names it": (["roles/report/templates/page.html.j2"], ["e2e/test_page", "e2e/test_shown"]),
    "a part of a package, by the folder above that mirrors it": (
        ["module_utils/recovery/ledger/trust/ownership.py"], ["integration/ledger/test_all"],
    ),
    "a script for psql, by who runs it, and then by its name": (
        ["docs/owners_for_all.sql"], ["e2e/test_owners", "e2e/test_asked"],
    ),
    "what tests are named like": (["plugins/callback/screen.py"], ["e2e/test_kept_screens"]),
    "a test that changed, before all": (
        ["tests/e2e/test_shown.py", "library/scout_undo.py"],
        ["e2e/test_shown", "integration/moves/undo/test_back", "e2e/test_away"],
    ),
    "a helper of tests": (["tests/helper.py"], ["security/test_far"]),
    "a page, which a script checks": (["docs/undo.md"], []),
    "what nothing uses": (["LICENSE"], []),
}  # fmt: skip


def test_a_change_reaches_what_uses_it(subtests: pytest.Subtests) -> None:
    for about, (changes, named) in CHANGES.items():
        with subtests.test(msg=about):
            assert REACHED.nearest(FILES, changes) == [f"tests/{name}.py" for name in named]


def test_the_script_names_so_many_and_says_how_many_are_left() -> None:
    command = [sys.executable, "scripts/reached", "--most", "2", "--files", "module_utils/recovery/ledger/runs.py"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    named = done.stdout.split()
    assert (done.returncode, len(named)) == (0, 2), done.stderr
    assert all(name.startswith("tests/integration/ledger/test_") for name in named)
    assert done.stderr.startswith("reached: 1 changed files reach 2 files of tests, and ")


def test_what_differs_from_a_commit_and_what_git_does_not_know_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True, capture_output=True
        )

    for step in ("kept", "committed", "edited"):
        (tmp_path / step).write_text("1")
    git("init", "--initial-branch=main")
    git("add", "kept", "edited")
    git("commit", "--message=one")
    git("branch", "upstream")
    git("add", "committed")
    git("commit", "--message=two")
    (tmp_path / "edited").write_text("2")
    (tmp_path / "new").write_text("1")
    (tmp_path / "link").symlink_to("kept")
    monkeypatch.setattr(REACHED, "ROOT", tmp_path)
    assert REACHED.changed("") == ["edited", "new"]
    assert REACHED.changed("upstream") == ["committed", "edited", "new"]
    git("branch", "--set-upstream-to=upstream")
    assert REACHED.changed("") == ["committed", "edited", "new"]
