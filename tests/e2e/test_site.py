# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site is built without a warning and has a page for all that the collections document. Every page fits a phone and a screen in a
browser, nothing is loaded from elsewhere, no script complains, and the search finds.
"""

from __future__ import annotations

import concurrent.futures
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

from tests import CHECKOUT
from tests.e2e import browser

WIDTHS = (390, 1280)
#: The folder of the site, and what was said while it was built.
Built = tuple[Path, subprocess.CompletedProcess[str]]
#: What reaches out of the window and cannot be scrolled to within something of its own.
WIDER = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => e && (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
    const out = [...document.querySelectorAll('.md-content *')].filter(
        e => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement));
    return (document.documentElement.scrollWidth > width ? ['the page'] : []).concat(out.map(e => e.tagName));
}"""


#: Gives the page that is there the content of another.
CONTENT = """async address => {
    const other = new DOMParser().parseFromString(await (await fetch(address)).text(), 'text/html');
    document.querySelector('.md-content').replaceWith(document.adoptNode(other.querySelector('.md-content')));
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what is asked for."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site, and what was said while it was built."""
    folder = tmp_path_factory.mktemp("site")
    return folder, build(CHECKOUT, folder)


@pytest.fixture
def address(built: Built) -> Iterator[str]:
    """Where it is served."""
    serving = functools.partial(Quiet, directory=str(built[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def build(tree: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does it, into a folder."""
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


def seen(folder: Path, base: str) -> tuple[list[str], str]:
    """What is wrong with any page, and what the search says."""
    path, environment = browser._chromium()
    pages = sorted(each.parent.relative_to(folder).as_posix() for each in folder.rglob("index.html"))
    wrong: list[str] = []
    own = (base, "data:", "blob:")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(browser.FLAGS), env={**os.environ, **environment},
                                          ignore_default_args=["--headless"], chromium_sandbox=False)  # fmt: skip
        page = chromium.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(own) else None)
        kinds: set[str] = set()
        for name in pages:
            # What is generated differs in its content alone: one page of a kind is loaded, and has the content of each other.
            kind = name.rpartition("/")[0] if name.startswith("reference/") else name
            if kind in kinds:
                page.evaluate(CONTENT, f"{base}{name}/")
            else:
                page.goto(f"{base}{name}/", wait_until="load")
                # On a busy machine the search box is still on its way to another width.
                page.add_style_tag(content="* { transition: none !important }")
            kinds.add(kind)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                wrong += [f"{name} at {width}: {each} is wider" for each in page.evaluate(WIDER)]
        page.reload(wait_until="load")
        found = searched(page, "quarantine")
        chromium.close()
    assert len(pages) > 90
    return wrong, found


def searched(page: Page, word: str) -> str:
    """What the search has for a word."""
    page.fill("input.md-search__input", word)
    page.wait_for_selector(".md-search-result__item")
    return page.inner_text(".md-search-result__list")


def test_every_page_fits_a_phone_and_a_screen_and_loads_nothing_from_elsewhere(built: Built, address: str) -> None:
    # Playwright keeps an event loop in its thread, which would be in the way of whatever else runs one.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        wrong, found = thread.submit(seen, built[0], address).result()
    assert wrong == []
    assert "Moving data" in found


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
