# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of scripts/ as modules; their names have no ending."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

from tests import CHECKOUT


@functools.cache
def script(name: str) -> ModuleType:
    """Load a program of scripts/ without running it."""
    loader = importlib.machinery.SourceFileLoader(f"scripts_{name}", str(CHECKOUT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    made = sys.modules[loader.name] = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made
