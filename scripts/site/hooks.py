# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MkDocs is told beside mkdocs.yml: which pages stand outside of docs/, where a link that leads out of it goes, and the pages of
modules, roles and plugins.

Pages are written to be read in the repository. So a link to another page stays a link to it, and one to a file of the sources
leads to the repository. REPOSITORY names it, as for scripts/build; without it such a link is plain text, for the address in
galaxy.yml is nobody's. SITE_URL is where the site is published, if it is; a page that is not found has to know.
"""

from __future__ import annotations

import html
import logging
import os
import posixpath
import re
from pathlib import Path
from typing import Any

import pymdownx.slugs
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("mkdocs.scout")

#: What stands outside of docs/ and is a page of the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "MAINTAINERS.md": "project/maintainers.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "CHANGELOG.md": "project/changes.md",
    "drills/README.md": "project/drills.md",
    "benchmarks/README.md": "project/benchmarks.md",
}
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^)\s#]+)(?P<place>(?:#[^)\s]*)?)\)")
#: antsibull-changelog escapes all punctuation, as a repository's page may have it. Python-Markdown knows these alone.
ESCAPED = re.compile(r"\\([^\w\s\\`*_{}\[\]()>#+\-.!])")
#: antsibull-changelog puts the anchor of a heading before it, where the site would give the heading another, or the same twice.
ANCHORED = re.compile(r'^<a id="([\w-]+)"></a>\n(#+ .+)$', re.MULTILINE)
FENCE = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)


@event_priority(100)
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The address of the sources, anchors as a repository's page has them, and the reference in the navigation."""
    config.repo_url = os.environ.get("REPOSITORY", "").rstrip("/")
    if "mike" in config.plugins:
        # The list of versions is where mike publishes; elsewhere there is none to look for.
        config.extra["version"] = {"provider": "mike", "default": "latest"}
    config.repo_name = "Sources" if config.repo_url else ""
    config.site_url = os.environ.get("SITE_URL", "")
    config.mdx_configs["toc"]["slugify"] = pymdownx.slugs.slugify(case="lower")
    config.extra["scout_pages"] = pages = reference.pages(ROOT)
    config.nav = _filled(config.nav, pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All pages that are not in docs/."""
    made = {there: (ROOT / here).read_text(encoding="utf-8") for here, there in OUTSIDE.items()}
    changes = ANCHORED.sub(r"\2 {#\1}", made[OUTSIDE["CHANGELOG.md"]])
    made[OUTSIDE["CHANGELOG.md"]] = ESCAPED.sub(lambda mark: html.escape(mark[1]), changes)
    made["assets/site.css"] = (Path(__file__).parent / "site.css").read_text(encoding="utf-8")
    for name, text in {**made, **config.extra.pop("scout_pages")}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links as the site needs them; what is fenced is no link."""
    here = next((name for name, there in OUTSIDE.items() if there == page.file.src_uri), f"docs/{page.file.src_uri}")
    if page.file.src_uri.startswith("reference/"):
        return markdown

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), found["target"]))
        address = _address(here, target, page, config, files)
        return f"[{found['text']}]({address}{found['place']})" if address else found["text"]

    parts, at = list[str](), 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(led, markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, LINK.sub(led, markdown[at:])])


def _address(here: str, target: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Where a link to a file of the repository leads on the site; empty where that has no address."""
    inside = OUTSIDE.get(target) or target.removeprefix("docs/")
    if (target in OUTSIDE or target.startswith("docs/")) and files.get_file_from_path(inside):
        return posixpath.relpath(inside, posixpath.dirname(page.file.src_uri))
    if not (ROOT / target).exists():
        log.warning("%s links to %s, which does not exist", here, target)
    if not config.repo_url:
        return ""
    return f"{config.repo_url}/{'tree' if (ROOT / target).is_dir() else 'blob'}/main/{target}"


def _filled(nav: Any, pages: dict[str, str]) -> Any:
    """The navigation, a folder in it replaced by all of its pages, the index first."""
    if isinstance(nav, list):
        return [_filled(each, pages) for each in nav]
    if isinstance(nav, dict):
        return {title: _filled(below, pages) for title, below in nav.items()}
    if not nav.endswith("/"):
        return nav
    found = sorted(name for name in pages if name.startswith(nav) and not name.endswith("/index.md"))
    return [f"{nav}index.md", *found]
