# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins are small, and use what Ansible and Python document: nothing that another release may change without a word."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import CHECKOUT

PLUGINS = [
    path
    for folder in ("plugins", "drills/plugins/action")
    for path in sorted((CHECKOUT / folder).rglob("*.py"))
    if path.relative_to(CHECKOUT).parts[1] not in ("modules", "module_utils")
]
MAX_LINES = 1500
MODULES = ("ansible._internal", "ansible.executor", "ansible.context", "ansible.utils.unsafe_proxy", "ctypes")
#: What no plugin may reach, by the name of its module and its own.
NAMES = ("inspect.currentframe", "sys.meta_path", "sys._getframe")
#: What a base class of ours is given, as the developer guide of Ansible and its own plugins use it, and what ends a process.
ALLOWED = ("self._task", "self._connection", "self._templar", "self._execute_module", "self._loader", "os._exit")


def private(source: str) -> list[str]:
    """What the source uses of the private parts of others, in the order of its lines."""
    tree = ast.parse(source)
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    return [said for node in ast.walk(tree) for said in _private(node, own)]


def _private(node: ast.AST, own: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [f"{node.module}.{each.name}" for each in node.names]
    else:
        names = []
    for name in names:
        if any(f"{name}.".startswith(f"{each}.") for each in MODULES) or name in NAMES:
            yield name
    if isinstance(node, ast.Attribute):
        name = ast.unparse(node)
        hidden = node.attr.startswith("_") and not node.attr.startswith("__")
        ours = ast.unparse(node.value) == "self" and node.attr in own
        if name in NAMES or (hidden and not ours and name not in ALLOWED):
            yield name


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_plugin_uses_no_private_api(path: Path) -> None:
    assert private(path.read_text(encoding="utf-8")) == []


def test_all_plugins_together_are_small() -> None:
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines())
        for path in PLUGINS
        if path.is_relative_to(CHECKOUT / "plugins")
    )
    assert lines <= MAX_LINES


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import ansible.context", ["ansible.context"]),
        ("from ansible import context", ["ansible.context"]),
        ("from ansible._internal._templating import x", ["ansible._internal._templating.x"]),
        ("import ctypes", ["ctypes"]),
        ("from sys import meta_path", ["sys.meta_path"]),
        ("inspect.currentframe()", ["inspect.currentframe"]),
        ("task._parent", ["task._parent"]),
        ("self._task._parent", ["self._task._parent"]),
        ("self._play_context", ["self._play_context"]),
        ("class A:\n def _own(self): return self._own, self._task.args, self.__class__", []),
    ],
)
def test_what_is_private_is_found(source: str, found: list[str]) -> None:
    assert private(source) == found
