# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module is executed with its own options and rules, by its own name, and asks for a database only where it has one."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import sys
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from tests import CHECKOUT

MODULES = "ansible_collections.scout.recovery.plugins.modules"
NAMES = sorted(path.stem for path in (CHECKOUT / "library").glob("scout_*.py"))
#: Modules without a database.
BARE = {"scout_notify"}


class Constructed(Exception):
    """Ends a module where the validator of ansible-test would."""


@pytest.mark.parametrize("name", NAMES)
def test_the_validator_sees_its_options_and_rules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def construct(_self: AnsibleModule, **arguments: Any) -> None:
        given.append(arguments)
        raise Constructed

    monkeypatch.setattr(AnsibleModule, "__init__", construct)
    module = importlib.import_module(f"{MODULES}.{name}")
    with pytest.raises(Constructed):
        module.main()
    rules: dict[str, Any] = getattr(module, "RULES", {})
    assert given == [{"argument_spec": module.SPEC, "supports_check_mode": True, **rules}]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_database_or_none(name: str) -> None:
    spec = importlib.import_module(f"{MODULES}.{name}").SPEC
    assert ("dsn" in spec) is (name not in BARE)


def executed(name: str, options: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The exit code and the result of a module run as Ansible runs it on a target, where its name is __main__."""
    out = io.StringIO()
    # Nobody has imported the file that Ansible starts.
    sys.modules.pop(f"{MODULES}.{name}", None)
    with patch_module_args(options), contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        runpy.run_module(f"{MODULES}.{name}", run_name="__main__", alter_sys=True)
    return int(str(ended.value.code)), json.loads(out.getvalue())


def test_executed_it_knows_its_name() -> None:
    code, told = executed("scout_notify", {"title": "a title", "body": "a body"})
    assert (code, told["operation"], told["sent"]) == (0, "notify", [])
