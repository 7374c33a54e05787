# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module with a database has its action plugin, and takes its connection from the action group."""

from __future__ import annotations

import importlib

import yaml

from tests import CHECKOUT

COLLECTION = "ansible_collections.scout.recovery.plugins"
WITHOUT_DATABASE = {"scout_notify"}
MODULES = {path.stem for path in CHECKOUT.glob("library/scout_*.py")} - WITHOUT_DATABASE


def test_each_has_an_action_plugin_that_runs_it() -> None:
    assert {path.stem for path in CHECKOUT.glob("plugins/action/*.py")} == MODULES
    for name in MODULES:
        action = importlib.import_module(f"{COLLECTION}.action.{name}").ActionModule
        assert action.module is importlib.import_module(f"{COLLECTION}.modules.{name}")


def test_each_is_in_the_action_group() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    assert set(runtime["action_groups"]["all"]) == MODULES
