# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads modules of the collection, and what they need, from compiled bytecode: in the controller, before it forks a worker."""

from __future__ import annotations

import importlib
import sys
import typing as t
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader

if t.TYPE_CHECKING:
    from collections.abc import Sequence

COLLECTION = __name__.removesuffix(".plugins.plugin_utils.preload")
MODULES = f"{COLLECTION}.plugins.modules"
OURS = (
    f"{COLLECTION}.plugins.module_utils.recovery",
    f"{MODULES}.",
    f"{COLLECTION}.plugins.action.",
    f"{COLLECTION}.plugins.plugin_utils.",
)


class _Compiled:
    """Ansible's own finder compiles a collection's files anew at every start; Python's uses their bytecode.

    PathFinder would not do: it asks `sys.path_hooks`, and the first of these is Ansible's own.
    """

    def __init__(self) -> None:
        self.prefixes: tuple[str, ...] = OURS
        self._finders: dict[str, FileFinder] = {}

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Answers for modules whose names begin with one of the prefixes, for nothing else."""
        if path is None or not name.startswith(self.prefixes):
            return None
        for folder in path:
            finder = self._finders.get(folder)
            if finder is None:
                finder = self._finders[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
            if (found := finder.find_spec(name)) is not None:
                return found
        return None


_COMPILED = _Compiled()


def compiled(prefix: str) -> None:
    """Loads modules of another collection from bytecode too, those whose names begin so."""
    _COMPILED.prefixes = (*_COMPILED.prefixes, prefix)


def module(name: str) -> t.Any:
    """A module of this collection by its short name."""
    return importlib.import_module(f"{MODULES}.{name}")


sys.meta_path.insert(0, t.cast("t.Any", _COMPILED))
