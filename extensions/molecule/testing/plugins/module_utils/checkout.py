# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a module take parts of the checkout's reference pipeline, which Ansible does not send along with a module."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import ansible_collections
import ansible_collections.scout

PIPELINE = "ansible_collections.scout.drills.plugins.plugin_utils.reference"

# A module runs from an archive that has these packages, too; what PYTHONPATH has of them counts as well.
for _package in (ansible_collections, ansible_collections.scout):
    _package.__path__ = pkgutil.extend_path(_package.__path__, _package.__name__)


def part(name: str) -> Any:
    """A module of the reference pipeline by its name there, as in server.local."""
    return importlib.import_module(f"{PIPELINE}.{name}")
