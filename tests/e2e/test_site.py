# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site is built without a warning, and has a page for all that the collections document."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import CHECKOUT

#: The folder of the site, and what was said while it was built.
Built = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site, and what was said while it was built."""
    folder = tmp_path_factory.mktemp("site")
    return folder, build(CHECKOUT, folder)


def build(tree: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does it, into a folder."""
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


def names(pattern: str) -> set[str]:
    return {path.stem for root in (CHECKOUT, CHECKOUT / "drills") for path in root.glob(pattern)} - {"__init__"}


def test_it_is_built_without_a_warning(built: Built) -> None:
    _, said = built
    assert said.returncode == 0, said.stderr
    assert [line for line in said.stderr.splitlines() if not line.startswith("INFO")] == []


def test_all_that_is_documented_has_a_page(built: Built) -> None:
    reference = built[0] / "reference"
    assert {path.name for path in (reference / "modules").iterdir() if path.is_dir()} == names("plugins/modules/*.py")
    assert {path.name for path in (reference / "roles").iterdir() if path.is_dir()} == {
        path.parent.parent.name
        for root in (CHECKOUT, CHECKOUT / "drills")
        for path in root.glob("roles/*/meta/options.yml")
    }
    plugins = {name for kind in ("callback", "filter", "lookup") for name in names(f"plugins/{kind}/*.py")}
    assert {path.name for path in (reference / "plugins").iterdir() if path.is_dir()} == plugins


def test_every_option_stands_on_the_page_of_its_role(built: Built) -> None:
    for root in (CHECKOUT, CHECKOUT / "drills"):
        for specs in root.glob("roles/*/meta/argument_specs.yml"):
            entries = yaml.safe_load(specs.read_text(encoding="utf-8"))["argument_specs"]
            shown = (built[0] / "reference" / "roles" / specs.parent.parent.name / "index.html").read_text("utf-8")
            for name in {name for entry in entries.values() for name in entry.get("options", {})}:
                assert f"<code>{name}</code></a>" in shown, name


def test_no_markup_is_left_on_a_page(built: Built) -> None:
    """Such as F(file), which is none of Ansible's."""
    for path in (built[0] / "reference").rglob("*.html"):
        plain = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert re.findall(r"\b[A-Z]\([\w./-]+\)", plain) == [], path


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    """To a page, to a place on one, and to a file of the sources."""
    tree = tmp_path / "tree"
    for name in ("docs", "scripts", "changelogs"):
        shutil.copytree(CHECKOUT / name, tree / name)
    for entry in CHECKOUT.iterdir():
        if not (tree / entry.name).exists() and entry.name not in (".cache", ".git", ".scout"):
            (tree / entry.name).symlink_to(entry)
    glossary = tree / "docs" / "glossary.md"
    planted = "[a](proof.md#nowhere) [b](nowhere.md) [c](../playbooks/nowhere.yml)"
    glossary.write_text(f"{glossary.read_text(encoding='utf-8')}\n{planted}\n", encoding="utf-8")
    said = build(tree, tmp_path / "site")
    assert said.returncode == 1
    for words in ("'#nowhere'", "docs/nowhere.md, which does not exist", "playbooks/nowhere.yml, which does not exist"):
        assert words in said.stderr
