# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which batches a play goes over its hosts: what can be said, where, and what goes before what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import rollout
from tests.unit.plugins.controller import ONE, Controller, typed


@pytest.mark.parametrize(
    ("value", "batches"),
    [
        (1, [1]), ("1", [1]), ("20%", ["20%"]), ("1,10,100%", [1, 10, "100%"]), ("1, 50%", [1, "50%"]),
        ([1, "10", "100%"], [1, 10, "100%"]),
    ],
)  # fmt: skip
def test_batches(value: Any, batches: list[int | str]) -> None:
    assert rollout.of("serial", {"serial": value}, []) == batches


@pytest.mark.parametrize("value", [0, -1, "nix", "", "1,", "101%", "0%", [], ["x"], {"a": 1}, None, True, 1.5])
def test_what_are_no_batches_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(BadInput, match=r"is no number of hosts.* -e scout_serial=1,10,100%"):
        rollout.of("serial", {"scout_serial": value}, [])


def test_what_is_typed_goes_before_the_inventory_and_that_before_the_default() -> None:
    hosts = [("a", {"scout_serial": 3, "serial": 9}), ("b", {})]
    assert rollout.of("serial", {"scout_serial": 2}, hosts) == [2]
    assert rollout.of("serial", {}, hosts) == [3]
    assert rollout.of("serial", {}, [("a", {})]) == ["100%"]


def test_hosts_that_differ_are_refused() -> None:
    with pytest.raises(BadInput, match="scout_serial is 1 for a and 2 for b: a run has one"):
        rollout.of("serial", {}, [("a", {"scout_serial": 1}), ("b", {"scout_serial": 2})])


@pytest.mark.parametrize("value", ["free", "host_pinned", "linear", "ansible.builtin.free"])
def test_strategies(value: str) -> None:
    assert rollout.of("strategy", {"strategy": value}, []) == f"ansible.builtin.{value.rpartition('.')[2]}"
    with pytest.raises(BadInput, match=r"is unknown.* free, host_pinned, linear"):
        rollout.of("strategy", {"strategy": f"{value}r"}, [])


@pytest.mark.parametrize(("value", "share"), [(0, 0.0), ("25%", 25.0), (12.5, 12.5), ("100", 100.0)])
def test_shares(value: Any, share: float) -> None:
    assert rollout.of("max_fail_percentage", {"max_fail_percentage": value}, []) == share


@pytest.mark.parametrize("value", [-1, 101, "many", "", None])
def test_what_is_no_share_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="is no percentage"):
        rollout.of("max_fail_percentage", {"max_fail_percentage": value}, [])


@pytest.mark.parametrize(
    ("failed", "hosts", "most", "ends"),
    [
        (0, 10, 0, False),
        (1, 10, 0, True),
        (2, 10, 20, False),
        (3, 10, 20, True),
        (10, 10, 100, False),
        (0, 0, 0, False),
    ],
)
def test_no_batch_begins_after_one_of_which_more_failed(failed: int, hosts: int, most: float, ends: bool) -> None:
    assert rollout.goes_no_further(failed, hosts, most) is ends


@pytest.mark.parametrize(("hosts", "cores", "forks"), [(1, 8, 5), (50, 2, 8), (50, 1, 5), (7, 8, 7), (200, 16, 64)])
def test_forks_follow_the_cores_and_the_hosts(hosts: int, cores: int, forks: int) -> None:
    assert rollout.forks(hosts, cores) == forks


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"serial": "nix"}, "serial nix is no number of hosts"),
        ({"scout_strategy": "fast"}, "scout_strategy fast is unknown"),
        ({"max_fail_percentage": "many"}, "max_fail_percentage many is no percentage"),
    ],
)
@pytest.mark.parametrize("asked", ["serial", "strategy"])
def test_whatever_is_wrong_is_refused_beforehand(
    asked: str, given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first of the two lookups, whichever that is."""
    with pytest.raises(AnsibleLookupError, match=said):
        Controller(tmp_path, monkeypatch, ONE, *typed(**given)).looks_up("rollout", asked)


@pytest.mark.parametrize("name", ["serial", "scout_strategy", "max_fail_percentage"])
def test_a_template_is_never_executed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused as it was typed, and is a text from then on."""
    controller = Controller(tmp_path, monkeypatch, ONE, *typed(**{name: "{{ 6 * 7 }}"}))
    assert str(controller.reads(name)) == "42"
    with pytest.raises(AnsibleLookupError, match=name + r" \{\{ 6 \* 7 \}\} is (no|unknown)"):
        controller.looks_up("rollout", "serial")
    assert controller.reads(name) == "{{ 6 * 7 }}"


def test_an_inventory_says_it_for_its_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed goes before it."""
    hosts = {"scout": {"hosts": {"a": {}, "b": {}}, "vars": {"scout_serial": 1, "scout_strategy": "linear"}}}
    for words, batches in (([], [1]), (typed(serial="50%"), ["50%"])):
        controller = Controller(tmp_path, monkeypatch, hosts, *words)
        assert controller.looks_up("rollout", "serial") == [batches]
        assert controller.looks_up("rollout", "strategy") == ["ansible.builtin.linear"]
