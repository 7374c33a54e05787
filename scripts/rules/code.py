# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages say of the code is so: packages, chains of calls, tables of the ledger, proofs, and what each release names."""

from __future__ import annotations

import ast
import functools
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import schema as ledger_schema
from scripts.rules.markdown import Row, rows, section
from scripts.rules.pages import modules, playbooks
from scripts.rules.tree import Finding, Tree, line_of, one, rule

RECOVERY = "module_utils/recovery"
LEDGER = f"{RECOVERY}/ledger/schema.py"
LONGEST_FILE, FULLEST_PACKAGE, PACKAGES = 700, 20, 14
SHOWN = re.compile(r"^\| \d+ \| `(\w+)(?:/|\.py)` \| [^|]+ \|$", re.MULTILINE)
HOP = re.compile(r"\]\(\.\./([\w/]+\.py)\)\s`(\w+)`")
WHERE = re.compile(r"^\| [^|]+ \| `?([\w/]+)`?[^|]*\| `([\w/.]+)`[^|]*\|$", re.MULTILINE)
TABLE = re.compile(r"CREATE TABLE scout_ops\.(\w+) \((.*?)\n\);", re.DOTALL)
COLUMN = re.compile(r"^    ([a-z_]+) ", re.MULTILINE)

Place = tuple[int, str, str]


@rule(one("docs/design.md"))
def design_shows_every_package(tree: Tree, page: str) -> Iterator[Finding]:
    """Once, with its charter."""
    packages = [path.split("/")[-2] for path in tree.files(f"{RECOVERY}/*/__init__.py")] + ["invoke"]
    shown = SHOWN.findall(tree.text(page))
    for name in sorted(set(shown) ^ set(packages) | {name for name in shown if shown.count(name) > 1}):
        yield Finding(page, tree.line(page, f"`{name}"), f"{name} is not both a package and shown once")
    if len(packages) != PACKAGES:
        yield Finding(page, 1, f"there are {len(packages)} packages, and pages say {PACKAGES}")


def _hops(tree: Tree) -> list[Place]:
    text = tree.text("docs/follow-an-event.md")
    return [(line_of(text, hop.start()), hop[1], hop[2]) for hop in HOP.finditer(text)]


@rule(_hops, least=15)
def the_chains_of_calls_are_as_the_page_says(tree: Tree, hop: Place) -> Iterator[Finding]:
    """Each hop is a function or a class of its file."""
    line, file, name = hop
    if not tree.exists(file) or not re.search(rf"^(?:def|class) {name}\b", tree.text(file), re.MULTILINE):
        yield Finding("docs/follow-an-event.md", line, f"{file} has no {name}")


def _where(tree: Tree) -> list[Place]:
    start, text = section(tree, "docs/design.md", "Where do I change")
    return [(start + text.count("\n", 0, row.start()), row[1], row[2]) for row in WHERE.finditer(text)]


@rule(_where, least=16)
def where_to_change_a_thing_is_a_place_that_exists(tree: Tree, row: Place) -> Iterator[Finding]:
    """A file of the package that the page starts at."""
    line, start, there = row
    if not any(tree.is_file(posixpath.join(base, there)) for base in (RECOVERY, start)):
        yield Finding("docs/design.md", line, f"no file {there}")


def _sources(tree: Tree) -> list[str]:
    return tree.files(
        *(f"{root}/**/*.py" for root in ("module_utils", "library", "plugins", "drills/plugins", "scripts"))
    )


@rule(_sources, least=300)
def no_file_is_too_long(tree: Tree, path: str) -> Iterator[Finding]:
    """Whoever looks for something reads one file."""
    if (lines := len(tree.text(path).splitlines())) > LONGEST_FILE:
        yield Finding(path, lines, f"has {lines} lines, more than {LONGEST_FILE}")


@functools.cache
def _folders(tree: Tree) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in tree.files(f"{RECOVERY}/**/*.py", "drills/plugins/plugin_utils/**/*.py"):
        if posixpath.basename(path) != "__init__.py":
            found.setdefault(posixpath.dirname(path), []).append(path)
    return found


@rule(_folders, least=40)
def no_package_is_too_full(tree: Tree, folder: str) -> Iterator[Finding]:
    """Of files of its own."""
    if (files := len(_folders(tree)[folder])) > FULLEST_PACKAGE:
        yield Finding(folder, 1, f"has {files} files, more than {FULLEST_PACKAGE}")


def _differences(tree: Tree) -> list[Row]:
    found = [row for row in rows(tree, "docs/differences.md") if len(row.cells) == 4]
    return [row for row in found if row.cells[3] not in ("Proved by", "---")]


@functools.cache
def _tests(tree: Tree) -> set[str]:
    return {
        name
        for path in tree.files("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", tree.text(path), re.MULTILINE)
    }


@rule(_differences, least=20)
def every_difference_has_a_proof(tree: Tree, row: Row) -> Iterator[Finding]:
    """A test that there is."""
    proofs = set(re.findall(r"`(test_\w+)`", row.cells[3]))
    if not proofs:
        yield Finding("docs/differences.md", row.line, f"names no test: {row.cells[3]}")
    for name in sorted(proofs - _tests(tree)):
        yield Finding("docs/differences.md", row.line, f"no test {name}")


@rule(one("docs/ledger.md"))
def ledger_page_has_every_table(tree: Tree, page: str) -> Iterator[Finding]:
    """In the order in which they were made."""
    shown = re.findall(r"^## (\w+)$", tree.text(page), re.MULTILINE)
    if shown != (known := list(ledger_schema.TABLES)):
        yield Finding(page, 1, f"has the tables {shown}, and the ledger has {known}")


def _columns(tree: Tree) -> list[tuple[str, str, str]]:
    [versions] = [
        ast.literal_eval(node.value)
        for node in tree.python(LEDGER).body
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == "VERSIONS"
    ]
    return [
        (version, table, column)
        for version in versions
        for table, body in TABLE.findall(version)
        for column in COLUMN.findall(body)
    ]


@rule(_columns, least=50)
def every_column_of_the_ledger_has_a_comment(tree: Tree, place: tuple[str, str, str]) -> Iterator[Finding]:
    """In the version that makes its table; the page is made of them."""
    version, table, column = place
    if f"COMMENT ON COLUMN scout_ops.{table}.{column} IS" not in version:
        yield Finding(LEDGER, tree.line(LEDGER, f"CREATE TABLE scout_ops.{table} "), f"{table}.{column} has no comment")


@rule(lambda tree: sorted(playbooks(tree) | modules(tree)), least=50)
def changelog_names_what_a_user_meets(tree: Tree, name: str) -> Iterator[Finding]:
    """Every playbook and every module."""
    if f"``{name}``" not in _changes(tree):
        yield Finding("changelogs/fragments", 1, f"no fragment names {name}")


@functools.cache
def _changes(tree: Tree) -> str:
    return "".join(map(tree.text, tree.files("changelogs/fragments/*.yml", "changelogs/changelog.yaml")))


@rule(one("docs/security.md"))
def every_attack_stands_on_the_page_with_its_test(tree: Tree, page: str) -> Iterator[Finding]:
    """Once, and every test of an attack is on the page."""
    carried_out = tree.files("tests/security/test_*.py")
    listed = {row.line: row.cells[-1].strip("`") for row in rows(tree, page) if "tests/security/" in row.cells[-1]}
    yield from (Finding(page, 1, f"does not have {name}") for name in carried_out if name not in listed.values())
    seen = set[str]()
    for line, name in listed.items():
        if name not in carried_out or name in seen:
            yield Finding(page, line, f"{name} is no test of an attack, or has a line already")
        seen.add(name)


def _settings(tree: Tree) -> list[tuple[str, Any, Any]]:
    settings: dict[str, Any] = tree.yaml("mkdocs.yml")
    parts = [next(iter(each)) for each in settings["nav"]]
    schemes = {entry.get("scheme") for entry in settings["theme"]["palette"]}
    return [
        ("nav", parts, ["Home", "Get started", "Something is wrong", "Operate", "Reference", "Explanation", "Project"]),
        ("strict", settings["strict"], True),
        ("font", settings["theme"]["font"], False),
        ("palette", schemes, {None, "default", "slate"}),
        ("plugins", "search" in settings["plugins"], True),
    ]


@rule(_settings)
def the_site_has_what_a_reader_looks_for(tree: Tree, setting: tuple[str, Any, Any]) -> Iterator[Finding]:
    """The parts between home and project in the order of need, light and dark, a search, and nothing that is loaded from elsewhere."""
    name, found, wanted = setting
    if found != wanted:
        yield Finding("mkdocs.yml", tree.line("mkdocs.yml", f"{name}:"), f"{name} is {found}, not {wanted}")
