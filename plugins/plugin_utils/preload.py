# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads what a worker will need once, before the controller forks its workers, and from compiled bytecode."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import typing as t
from importlib.machinery import ModuleSpec, PathFinder

from ansible.plugins.loader import connection_loader, shell_loader

if t.TYPE_CHECKING:
    from collections.abc import Sequence

COLLECTION = __name__.removesuffix(".plugins.plugin_utils.preload")
MODULES = f"{COLLECTION}.plugins.modules"
OURS = (
    f"{COLLECTION}.plugins.module_utils.recovery",
    f"{MODULES}.",
    f"{COLLECTION}.plugins.plugin_utils.drill",
    f"{COLLECTION}.plugins.plugin_utils.pipeline",
    f"{COLLECTION}.plugins.plugin_utils.variables",
)


class _Compiled:
    """Ansible's own finder compiles a collection's files anew at every start; Python's uses their bytecode."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:  # noqa: ARG004
        """Answers for this collection's modules and what they share, for nothing else."""
        return PathFinder.find_spec(name, path) if name.startswith(OURS) else None


def module(name: str) -> t.Any:
    """A module of this collection by its short name."""
    return importlib.import_module(f"{MODULES}.{name}")


sys.meta_path.insert(0, t.cast("t.Any", _Compiled))
for _found in pkgutil.iter_modules(importlib.import_module(MODULES).__path__):
    module(_found.name)
connection_loader.get("local", class_only=True)
shell_loader.get("sh")
