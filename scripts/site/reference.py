# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of modules, roles and plugins: what ansible-doc tells of both collections as they are published, read by antsibull-docs'
schemas, with its markup turned into HTML by antsibull-docs-parser.
"""

from __future__ import annotations

import html
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from antsibull_docs.process_docs import normalize_plugin_info
from antsibull_docs_parser import dom
from antsibull_docs_parser.format import LinkProvider
from antsibull_docs_parser.html import to_html_plain
from antsibull_docs_parser.parser import Context, parse

COLLECTIONS = ("scout.recovery", "scout.drills")
#: The folder of each kind, what its index is called, and what it is about.
KINDS = {
    "module": (
        "modules",
        "Modules",
        "What a task can call. Each reads and plans first, and writes nothing with `--check`.",
    ),
    "role": ("roles", "Roles", "What the playbooks are made of. Each variable carries the name of its role."),
    "filter": ("plugins", "Plugins", "What sums up an operation, and draws the chart of a report."),
}
HERE = Path(__file__).parent


class Undocumented(Exception):
    """Something of the collection cannot be read; says what, and why."""


class Entry(NamedTuple):
    """A module, a role or a plugin, as antsibull-docs' schema has it."""

    kind: str
    fqcn: str
    found: dict[str, Any]

    @property
    def name(self) -> str:
        """The last part."""
        return self.fqcn.rpartition(".")[2]

    @property
    def folder(self) -> str:
        """Where its page is, below reference/."""
        return KINDS[self.kind][0]

    @property
    def about(self) -> str:
        """What it is, in a line."""
        doc = (
            self.found["entry_points"]["main"]
            if "main" in self.found.get("entry_points", {})
            else self.found.get("doc")
        )
        return (doc or next(iter(self.found["entry_points"].values())))["short_description"].rstrip(".")


def pages(root: Path) -> dict[str, str]:
    """The text of every page, by its name below docs/; raises Undocumented."""
    entries = list(_read(root))
    known = {(entry.fqcn, entry.kind): entry for entry in entries}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["anchor"] = anchor
    template = environment.get_template("reference.md.j2")
    default = _defaults(root)
    made = {
        f"reference/{entry.folder}/{entry.name}.md": template.render(
            entry=entry,
            text=_Text(entry, known),
            rows=_rows,
            sections=sections(entry),
            default=lambda name, option, entry=entry: default(entry, name, option),
        )
        for entry in entries
    }
    for folder, title, about in {value[0]: value for value in reversed(KINDS.values())}.values():
        made[f"reference/{folder}/index.md"] = _index(title, about, [each for each in entries if each.folder == folder])
    return made


def sections(entry: Entry) -> list[dict[str, Any]]:
    """What a page tells of: the one thing itself, or each entry point of a role; one with the options of another only names it."""
    if entry.kind != "role":
        doc = entry.found["doc"]
        return [{**doc, "entry": "", "options": doc["options"], "like": ""}]
    shown: list[dict[str, Any]] = []
    for name, point in sorted(entry.found["entry_points"].items(), key=lambda each: each[0] != "main"):
        like = next((each["entry"] for each in shown if each["options"] and each["options"] == point["options"]), "")
        shown.append({**point, "entry": name, "like": like})
    return shown


def _read(root: Path) -> Iterator[Entry]:
    """All that both collections document."""
    for kind, found in _told(root).items():
        for fqcn, told in sorted(found.items()):
            if kind not in KINDS or not fqcn.startswith(COLLECTIONS):
                continue
            entry, errors = normalize_plugin_info(fqcn, kind, told)
            if errors:
                raise Undocumented(f"{fqcn}: {'; '.join(errors)}")
            yield Entry(kind, fqcn, entry)


def _told(root: Path) -> dict[str, dict[str, Any]]:
    """What ansible-doc tells, by kind and name."""
    taken = {"ANSIBLE_CONFIG", "PYTHONPATH", "ANSIBLE_COLLECTIONS_PATH"}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(root / "scripts" / "build"), "--stage", folder], check=True)
        environment = {name: value for name, value in os.environ.items() if name not in taken}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-doc")), "--metadata-dump", *COLLECTIONS],
            cwd=folder, env=environment | {"ANSIBLE_COLLECTIONS_PATH": folder}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise Undocumented(done.stderr)
    return json.loads(done.stdout)["all"]


def _defaults(root: Path) -> Any:
    """A default as a person reads it; that of a role's variable with the public variable that it takes."""
    docs = runpy.run_path(str(root / "scripts" / "docs"))

    def default(entry: Entry, name: str, option: Mapping[str, Any]) -> str:
        if entry.kind == "role":
            place = root / ("drills" if ".drills." in entry.fqcn else "") / "roles" / entry.name
            given = yaml.safe_load((place / "defaults" / "main.yml").read_text(encoding="utf-8")) or {}
            if name in given or option["required"]:
                return re.sub(
                    r"`([^`]+)`", r"<code>\1</code>", html.escape(docs["default"](name, option, given), quote=False)
                )
        if option["required"]:
            return "required"
        given = option["default"]
        return "none" if given is None else f"<code>{html.escape(docs['literal'](given), quote=False)}</code>"

    return default


def _rows(options: Mapping[str, Any], below: str, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every option or value with its path, and what is inside of it after it."""
    for name, option in options.items():
        yield (*path, name), option
        yield from _rows(option.get(below) or option.get("options") or {}, below, (*path, name))


def _index(title: str, about: str, entries: list[Entry]) -> str:
    """The page of all of a kind."""
    lines = [f"# {title}", "", about]
    for collection in COLLECTIONS:
        if found := [each for each in entries if each.fqcn.startswith(collection)]:
            lines += ["", f"## {collection}", "", "| Name | What it does |", "|---|---|"]
            lines += [f"| [`{each.name}`]({each.name}.md) | {_cell(each.about)} |" for each in found]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|")


class _Text(LinkProvider):
    """Turns the markup of documentation into HTML; what has a page here is linked."""

    def __init__(self, entry: Entry, known: Mapping[tuple[str, str], Entry]) -> None:
        self._entry, self._known = entry, known
        self._self = dom.PluginIdentifier(entry.fqcn, entry.kind)

    def __call__(self, paragraphs: str | list[str], entry_point: str = "", *, inline: bool = False) -> str:
        """As paragraphs, or as text with line breaks."""
        context = Context(self._self, entry_point or None)
        parsed = parse([paragraphs] if isinstance(paragraphs, str) else paragraphs, context, errors="exception")
        ends = {"par_start": "", "par_end": "", "par_sep": "<br>"} if inline else {}
        return to_html_plain(parsed, link_provider=self, current_plugin=self._self, **ends)

    def plugin_link(self, plugin: dom.PluginIdentifier) -> str | None:
        """The address of a page, from this one."""
        entry = self._known.get((plugin.fqcn, plugin.type))
        return f"../../{entry.folder}/{entry.name}/" if entry else None

    def plugin_option_like_link(
        self, plugin: dom.PluginIdentifier, entrypoint: str | None, what: str, name: list[str], current_plugin: bool
    ) -> str | None:
        """The address of a row in a table."""
        entry = self._known.get((plugin.fqcn, plugin.type))
        if entry is None:
            return None
        page = "" if current_plugin else self.plugin_link(plugin)
        return f"{page}#{anchor(what, entrypoint or '', name)}"


def anchor(what: str, entry_point: str, path: list[str] | tuple[str, ...]) -> str:
    """The id of a row: option-target_seconds, return-batches-rows."""
    return "-".join([{"retval": "return"}.get(what, what), *([entry_point] if entry_point else []), *path])
