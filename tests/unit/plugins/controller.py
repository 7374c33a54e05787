# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller of a run up to its first task: what was typed, the inventory, and the lookups a play begins with, in this process."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import context
from ansible.executor.playbook_executor import PlaybookExecutor
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import inventory_hostnames
from ansible.template import Templar
from ansible.utils.context_objects import CLIArgs
from ansible.utils.vars import load_extra_vars
from ansible.vars.manager import VariableManager

from ansible_collections.scout.recovery.plugins.lookup import targets
from ansible_collections.scout.recovery.plugins.plugin_utils.given_options import trusted
from tests import CHECKOUT

LOOKUPS = {"targets": targets.LookupModule}
ONE = {"scout": {"hosts": {"local": {}}}}


def parsed(words: list[str], sources: tuple[str, ...]) -> CLIArgs:
    """What Ansible knows of a command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("args", nargs="*")
    parser.add_argument("-e", dest="extra_vars", action="append", default=[])
    parser.add_argument("-l", "--limit", dest="subset")
    parser.add_argument("--tags", action="append", default=[])
    parser.add_argument("--skip-tags", action="append", default=[])
    parser.add_argument("--start-at-task")
    given = vars(parser.parse_args(words))
    # As a command line is: whatever has braces in it is a template, until somebody says that it is data.
    given["extra_vars"] = tuple(map(trusted, given["extra_vars"]))
    return CLIArgs({**given, "tags": given["tags"] or ["all"], "inventory": sources, "listtasks": True})


class Controller(PlaybookExecutor):
    """Runs nothing, and is found by lookups as that of a run is."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, inventory: Mapping[str, Any], *words: str
    ) -> None:
        (folder / "hosts.yml").write_text(yaml.safe_dump(dict(inventory)))
        sources = (str(folder / "hosts.yml"),) if inventory else ()
        monkeypatch.setattr(context, "CLIARGS", parsed([*words], sources))
        # Ansible reads them once a process.
        monkeypatch.setattr(load_extra_vars, "extra_vars", {}, raising=False)
        loader = DataLoader()
        hosts = InventoryManager(loader=loader, sources=list(sources))
        hosts.subset(context.CLIARGS["subset"])
        super().__init__([], hosts, VariableManager(loader=loader, inventory=hosts), loader, {})
        # Of itself this process finds none of Ansible's by their full names.
        monkeypatch.setattr(
            targets.lookup_loader, "get", lambda _name, loader: inventory_hostnames.LookupModule(loader=loader)
        )

    def looks_up(self, plugin: str, *terms: str) -> Any:
        """What a play is given."""
        return LOOKUPS[plugin](loader=self._loader, templar=self._templar()).run(list(terms), self.variables())

    def reads(self, name: str) -> Any:
        """A variable as a task would have it."""
        return self._templar().template(self.variables()[name])

    def _templar(self) -> Templar:
        return Templar(loader=self._loader, variables=self.variables())

    def variables(self, host: str | None = None) -> dict[str, Any]:
        """Those of a play of the checkout, or of one of its hosts."""
        found = self._inventory.get_host(host) if host else None
        return self._variable_manager.get_vars(host=found) | {"playbook_dir": str(CHECKOUT / "playbooks")}

    def loader(self) -> DataLoader:
        """What reads files and what was typed."""
        return self._loader


def typed(**options: Any) -> list[str]:
    """The options as a person gives them."""
    return ["-e", json.dumps(options)]
