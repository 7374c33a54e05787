# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site is built without a warning, has a page for all that the collections document, and its check finds what is planted."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import CHECKOUT

SCRIPTS = CHECKOUT / "scripts" / "site"
FOUND = runpy.run_path(str(SCRIPTS / "whole.py"))


def page(text: str) -> str:
    return f"<!doctype html><html><body>{text}</body></html>"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The site, and what was said while it was built."""
    site = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--site-dir", str(site)]
    said = subprocess.run(
        command, cwd=CHECKOUT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    return site, said


def names(pattern: str) -> set[str]:
    return {path.stem for root in (CHECKOUT, CHECKOUT / "drills") for path in root.glob(pattern)} - {"__init__"}


def test_it_is_built_without_a_warning(built: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, said = built
    assert said.returncode == 0, said.stderr
    assert [line for line in said.stderr.splitlines() if not line.startswith("INFO")] == []


def test_all_that_is_documented_has_a_page(built: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    reference = built[0] / "reference"
    assert {path.name for path in (reference / "modules").iterdir() if path.is_dir()} == names("plugins/modules/*.py")
    assert {path.name for path in (reference / "roles").iterdir() if path.is_dir()} == {
        path.parent.parent.name
        for root in (CHECKOUT, CHECKOUT / "drills")
        for path in root.glob("roles/*/meta/main.yml")
    }
    plugins = {name for kind in ("callback", "filter", "lookup") for name in names(f"plugins/{kind}/*.py")}
    assert {path.name for path in (reference / "plugins").iterdir() if path.is_dir()} == plugins


def test_every_option_stands_on_the_page_of_its_role(built: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    for root in (CHECKOUT, CHECKOUT / "drills"):
        for specs in root.glob("roles/*/meta/argument_specs.yml"):
            entries = yaml.safe_load(specs.read_text(encoding="utf-8"))["argument_specs"]
            shown = (built[0] / "reference" / "roles" / specs.parent.parent.name / "index.html").read_text("utf-8")
            for name in {name for entry in entries.values() for name in entry.get("options", {})}:
                assert f"<code>{name}</code></a>" in shown, name


def test_no_markup_is_left_on_a_page(built: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Such as F(file), which is none of Ansible's."""
    for path in (built[0] / "reference").rglob("*.html"):
        plain = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert re.findall(r"\b[A-Z]\([\w./-]+\)", plain) == [], path


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('<a href="../other/#there">x</a><a href="#here">x</a><i id="here"></i>', None),
        ('<a href="https://git.example.com/x">x</a><a href="mailto:a@b">x</a>', None),
        ('<a href="../gone/">x</a>', "page/index.html: ../gone/ leads to nothing"),
        ('<a href="../other/#gone">x</a>', "page/index.html: ../other/#gone leads to no such place"),
        ('<a href="#gone">x</a>', "page/index.html: #gone leads to no such place"),
        ('<a href="/other/">x</a>', "page/index.html: /other/ is absolute"),
        ('<i id="a"></i><b id="a"></b>', "page/index.html: the id a stands there more than one time"),
        ('<img src="../gone.png">', "page/index.html: ../gone.png leads to nothing"),
        ('<script src="https://cdn.example.com/x.js"></script>', "page/index.html: loads https://cdn.example.com/x.js"),
        ('<link rel="stylesheet" href="//cdn.example.com/x.css">', "page/index.html: loads //cdn.example.com/x.css"),
    ],
)
def test_what_leads_nowhere_is_found(tmp_path: Path, text: str, flaw: str | None) -> None:
    for name, content in (("page", text), ("other", '<i id="there"></i>')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(page(content), encoding="utf-8")
    assert list(FOUND["flaws"](tmp_path)) == ([flaw] if flaw else [])


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
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    said = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert said.returncode == 1
    for words in ("'#nowhere'", "docs/nowhere.md, which does not exist", "playbooks/nowhere.yml, which does not exist"):
        assert words in said.stderr


def test_the_navigation_has_four_parts_that_a_reader_looks_for() -> None:
    settings: dict[str, Any] = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))
    parts = [next(iter(each)) for each in settings["nav"]]
    assert parts == ["Home", "Tutorial", "How-to by symptom", "Reference", "Explanation", "Project"]
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False
    assert {entry.get("scheme") for entry in settings["theme"]["palette"]} == {None, "default", "slate"}
    assert "search" in settings["plugins"]
