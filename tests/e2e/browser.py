# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a page as a person's browser shows it: headless Chromium, and what is wrong with what it shows.

The fixture `browser` of the end-to-end tests is one browser for all of them:

    seen = browser.look(path, width=360)                  # a file, or text that begins with "<"
    seen = browser.look(path, width=1280, dark=True)
    seen = browser.look(path, paper=True)                 # as it is printed, on A4
    seen.save(tmp_path / "narrow.png")                    # the whole page
    assert "INC-2041" in seen.text
    assert seen.flaws() == []                             # everything below, as lines for a person

Outside of tests: `with open_browser() as browser: …`; `python -m tests.e2e.browser PAGE.html PICTURE.png [width] [dark] [paper]`
takes one picture. Nothing but the page itself is loaded: every other request is refused, and is a flaw.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from tests import debian

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
#: A4 at 96 dots an inch, without margins of 15 mm.
PAPER_WIDTH = 680
HEIGHT = 900
#: WCAG's AA for text of ordinary size.
LEAST_CONTRAST = 4.5

#: What can only be asked inside of the page.
LOOK = (Path(__file__).parent / "browser.js").read_text(encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class Seen:
    """One look at a page."""

    text: str
    title: str
    width: int
    #: The page is wider than the window.
    overflows: bool
    #: Elements whose content does not fit into them, unless they can be scrolled; each named as CSS would.
    overflowing: list[str]
    #: Texts that can hardly be told from their background, each with its contrast.
    faint: list[str]
    #: What the page wanted to load besides itself, and what it names as to be loaded from elsewhere.
    requests: list[str]
    #: Errors and warnings of the console, exceptions of scripts.
    errors: list[str]
    #: The headings, as (level, text).
    headings: list[tuple[int, str]]
    #: Addresses of links; fragments of the page itself that lead nowhere are flaws.
    links: list[str]
    #: Whatever is wrong with the document itself: dead fragments, ids twice, pictures without words, no language.
    faults: list[str]
    picture: bytes

    def save(self, path: Path) -> None:
        """The picture of the whole page, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.picture)

    def flaws(self) -> list[str]:
        """Whatever a reader would stumble over; empty for a good page."""
        made = [f"the page is wider than {self.width} pixels"] if self.overflows else []
        made += [f"does not fit: {each}" for each in self.overflowing]
        made += [f"hard to read: {each}" for each in self.faint]
        made += [f"loaded from elsewhere: {each}" for each in self.requests]
        made += [f"error: {each}" for each in self.errors]
        return made + self.faults


class Browser:
    """A browser with nothing in it; every look begins anew."""

    def __init__(self, chromium: Chromium, thread: concurrent.futures.Executor) -> None:
        self._chromium = chromium
        self._thread = thread

    def look(
        self, page: Path | str, *, width: int = 1280, dark: bool = False, paper: bool = False, until: str = ""
    ) -> Seen:
        """Opens the page, lets it settle, and tells what is there; the picture goes down to that element, or shows all."""
        return self._thread.submit(self._look, page, width, dark=dark, paper=paper, until=until).result()

    def print(self, page: Path | str, to: Path) -> int:
        """Prints it on A4 into a PDF, and tells its size in bytes."""
        return self._thread.submit(self._print, page, to).result()

    def _look(self, page: Path | str, width: int, *, dark: bool, paper: bool, until: str) -> Seen:
        width = PAPER_WIDTH if paper else width
        requests, errors = list[str](), list[str]()
        with self._opened(page, width, requests, errors, dark=dark, paper=paper) as opened:
            found: dict[str, Any] = opened.evaluate(LOOK, LEAST_CONTRAST)
            requests += [each for each in found.pop("assets") if each not in requests]
            box = opened.locator(until).bounding_box() if until else None
            clip: Any = {"x": 0, "y": 0, "width": width, "height": box["y"] + box["height"] + 18} if box else None
            return Seen(
                **{**found, "headings": [tuple(each) for each in found["headings"]]},
                width=width,
                requests=requests,
                errors=errors,
                picture=opened.screenshot(full_page=True, animations="disabled", clip=clip),
            )

    def _print(self, page: Path | str, to: Path) -> int:
        with self._opened(page, PAPER_WIDTH, [], [], dark=False, paper=True) as opened:
            return len(opened.pdf(path=to, format="A4", prefer_css_page_size=True, print_background=True))

    @contextlib.contextmanager
    def _opened(
        self, page: Path | str, width: int, requests: list[str], errors: list[str], *, dark: bool, paper: bool
    ) -> Iterator[Page]:
        with tempfile.TemporaryDirectory() as folder:
            path = page if isinstance(page, Path) else Path(folder, "page.html")
            if isinstance(page, str):
                path.write_text(page, encoding="utf-8")
            address = path.resolve().as_uri()
            context = self._chromium.new_context(
                viewport={"width": width, "height": HEIGHT},
                color_scheme="dark" if dark else "light",
                timezone_id="UTC",
                locale="en-GB",
                reduced_motion="reduce",
            )
            try:
                opened = context.new_page()
                # As long as a busy machine takes to paint a page.
                opened.set_default_timeout(120_000)
                opened.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
                opened.on("pageerror", lambda e: errors.append(str(e)))

                def dismissed(dialog: Any) -> None:
                    errors.append(f"a dialog: {dialog.message}")
                    dialog.dismiss()

                opened.on("dialog", dismissed)

                def only_itself(route: Any) -> None:
                    asked = route.request.url
                    if asked.partition("#")[0] == address:
                        route.continue_()
                    else:
                        requests.append(asked)
                        route.abort()

                opened.route("**/*", only_itself)
                if paper:
                    opened.emulate_media(media="print")
                opened.goto(address, wait_until="load")
                yield opened
            finally:
                context.close()


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser, and its end; raises debian.Unavailable where none can be had."""
    path, environment = _chromium()
    # Playwright keeps an event loop in its thread, which would be in the way of whatever else runs one.
    with concurrent.futures.ThreadPoolExecutor(1, "browser") as thread, contextlib.ExitStack() as ends:

        def start() -> Chromium:
            driver = sync_playwright()
            ends.callback(lambda: thread.submit(driver.__exit__).result())
            chromium = driver.__enter__().chromium.launch(
                executable_path=path,
                args=list(FLAGS),
                # Playwright's own choice is the old mode.
                ignore_default_args=["--headless"],
                env={**os.environ, **environment},
                chromium_sandbox=False,
            )
            ends.callback(lambda: thread.submit(chromium.close).result())
            return chromium

        yield Browser(thread.submit(start).result(), thread)


@functools.cache
def _chromium() -> tuple[str, dict[str, str]]:
    """The one on PATH; else Debian's, with its libraries: 137 MB to fetch, 440 MB in .cache, a few seconds."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found, {}
    root = debian.unpacked("chromium", "chromium", whole=True)
    # What is in usr/bin is a script that knows only the place it would be installed to.
    return str(root / "usr" / "lib" / "chromium" / "chromium"), debian.libraries_of(root)


def main(page: str, picture: str, *words: str) -> None:
    """Takes one picture, and says what is wrong."""
    width = next((int(word) for word in words if word.isdigit()), 1280)
    with open_browser() as browser:
        seen = browser.look(Path(page), width=width, dark="dark" in words, paper="paper" in words)
    seen.save(Path(picture))
    print(json.dumps(seen.flaws(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
