# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page of the site in a browser, on a phone and on a screen: nothing is wider than the window, nothing is loaded from elsewhere,
no script complains; and the search finds.
"""

from __future__ import annotations

import concurrent.futures
import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests import CHECKOUT
from tests.e2e import browser

WIDTHS = (390, 1280)
#: What reaches out of the window and cannot be scrolled to within something of its own.
WIDER = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => e && (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
    const out = [...document.querySelectorAll('.md-content *')].filter(
        e => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement));
    return (document.documentElement.scrollWidth > width ? ['the page'] : []).concat(out.map(e => e.tagName));
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what is asked for."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of the site, and where it is served."""
    folder = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)
    serving = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


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
        for name in pages:
            page.goto(f"{base}{name}/", wait_until="load")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                wrong += [f"{name} at {width}: {each} is wider" for each in page.evaluate(WIDER)]
        found = searched(page, "quarantine")
        chromium.close()
    assert len(pages) > 90
    return wrong, found


def searched(page: Page, word: str) -> str:
    """What the search has for a word."""
    page.fill("input.md-search__input", word)
    page.wait_for_selector(".md-search-result__item")
    return page.inner_text(".md-search-result__list")


def test_every_page_fits_a_phone_and_a_screen_and_loads_nothing_from_elsewhere(site: tuple[Path, str]) -> None:
    # Playwright keeps an event loop in its thread, which would be in the way of whatever else runs one.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        wrong, found = thread.submit(seen, *site).result()
    assert wrong == []
    assert "Moving data" in found
