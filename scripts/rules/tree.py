# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that rules read, what a rule is, and what it finds."""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import importlib.util
import json
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
#: Folders of the checkout that hold nothing of ours.
UNREAD = {".git", ".venv", ".cache", ".collections", ".deps", ".molecule", ".scout", ".ansible", "__pycache__", "dist"}
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Tree:
    """The files of the checkout, by their paths in it. Tests plant texts in place of what files have; None removes a file."""

    def __init__(self, planted: Mapping[str, str | None] | None = None) -> None:
        self._planted = dict(planted or {})
        self._files = sorted(
            {*_walked(), *self._planted} - {path for path, text in self._planted.items() if text is None}
        )

    def files(self, *patterns: str) -> list[str]:
        """Those that match, each once, pattern by pattern; `**` is any number of folders, also none."""
        return list(dict.fromkeys(path for pattern in patterns for path in self._files if _matcher(pattern)(path)))

    def exists(self, path: str) -> bool:
        """Whether a file or a folder has this path."""
        plain = posixpath.normpath(path)
        return self._planted[plain] is not None if plain in self._planted else (ROOT / plain).exists()

    def has(self, pattern: str) -> bool:
        """Whether a file or a folder matches; a pattern that ends with a slash is that of a folder."""
        inside = self.files(f"{pattern.rstrip('/')}/**/*")
        return bool(inside or (not pattern.endswith("/") and self.files(pattern)))

    def is_file(self, path: str) -> bool:
        """Whether a file has this path."""
        return posixpath.normpath(path) in self._planted or (ROOT / path).is_file()

    def text(self, path: str) -> str:
        """What is in a file."""
        planted = self._planted.get(path)
        return _read(path) if planted is None else planted

    def yaml(self, path: str) -> Any:
        """The content of a YAML file, which several rules are given, so that none may change it."""
        return _parsed_yaml(self.text(path))

    def json(self, path: str) -> Any:
        """The content of a JSON file, for reading only."""
        return _parsed_json(self.text(path))

    def python(self, path: str) -> ast.Module:
        """The syntax of a module, for reading only."""
        return _parsed_python(self.text(path))

    def line(self, path: str, words: str) -> int:
        """The first line that has these words; 1 where none has."""
        return line_of(self.text(path), max(self.text(path).find(words), 0))


class Finding(NamedTuple):
    """What is wrong, and where."""

    path: str
    line: int
    wrong: str


class Rule(NamedTuple):
    """A law of the documentation: what it looks at, how many there are at least, and what it finds wrong with one of them."""

    name: str
    each: Callable[[Tree], Iterable[Any]]
    least: int
    look: Callable[[Tree, Any], Iterator[Finding]]

    def run(self, tree: Tree) -> tuple[list[Finding], int]:
        """All it finds, and at how many things it looked; to look at too few of them is a finding, too."""
        things = list(self.each(tree))
        found = [finding for thing in things for finding in self.look(tree, thing)]
        if len(things) < self.least:
            found.append(
                Finding("scripts/rules", 1, f"looked at {len(things)} things, where there are at least {self.least}")
            )
        return found, len(things)


#: Every rule by its name.
RULES: dict[str, Rule] = {}


def rule(
    each: Callable[[Tree], Iterable[Any]], least: int = 1
) -> Callable[[Callable[[Tree, Any], Iterator[Finding]]], Callable[[Tree, Any], Iterator[Finding]]]:
    """Make a rule of a function, which is called for each thing that there is."""

    def made(look: Callable[[Tree, Any], Iterator[Finding]]) -> Callable[[Tree, Any], Iterator[Finding]]:
        name = f"{look.__module__.rpartition('.')[2]}.{look.__name__}"
        RULES[name] = Rule(name, each, least, look)
        return look

    return made


def one(path: str) -> Callable[[Tree], list[str]]:
    """For a rule about a single file."""
    return lambda _: [path]


def line_of(text: str, at: int) -> int:
    """The line of a place in a text."""
    return text.count("\n", 0, at) + 1


def roles(tree: Tree) -> list[str]:
    """The folder of every role."""
    found = tree.files("roles/*/meta/argument_specs.yml", "drills/roles/*/meta/argument_specs.yml")
    return [posixpath.dirname(posixpath.dirname(path)) for path in found]


def name_of(path: str) -> str:
    """The last part of a path, without its ending."""
    return posixpath.splitext(posixpath.basename(path))[0]


@functools.cache
def script(name: str) -> ModuleType:
    """A program of scripts/ as a module; its name has no ending."""
    loader = importlib.machinery.SourceFileLoader(f"scripts_{name}", str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    made = sys.modules[loader.name] = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


@functools.cache
def _walked() -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in UNREAD]
        found += [posixpath.relpath(posixpath.join(folder, name), ROOT) for name in files]
    return found


@functools.cache
def _matcher(pattern: str) -> Callable[[str], Any]:
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*)", pattern))).fullmatch


@functools.cache
def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@functools.cache
def _parsed_yaml(text: str) -> Any:
    return yaml.load(text, Loader)


@functools.cache
def _parsed_json(text: str) -> Any:
    return json.loads(text)


@functools.cache
def _parsed_python(text: str) -> ast.Module:
    return ast.parse(text)
