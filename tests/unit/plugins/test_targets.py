# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup that every playbook begins with gives a pattern that matches hosts, each with a database of its own, or refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError

from tests.unit.plugins.controller import ONE, Controller, typed

DSN = "postgresql://oncall@192.0.2.1/luzon"
SAME = {
    "luzon": {"scout_dsn": DSN},
    "visayas": {"db": "luzon", "scout_dsn": "user=oncall host=192.0.2.1 dbname={{ db }}"},
}
NAMELESS = {"luzon": {"scout_dsn": DSN}, "visayas": {}}
Hosts = dict[str, dict[str, Any]]


def of(hosts: Hosts, **others: Hosts) -> dict[str, Any]:
    """An inventory with these hosts in group scout, and with other groups."""
    return {group: {"hosts": each} for group, each in {"scout": hosts, **others}.items()}


ALONE = {"db1": {}, "db2": {}}
#: What is typed for which inventory, and the sentences in which it is refused.
REFUSED: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    **{
        f"target {target}": (
            ONE, typed(target=target), [f"no host matches target {target!r}", "name one of all, scout, local"],
        )
        for target in ("nobody", "all:!all", "{{ 7 }}", "\x1b[31mred", "a;b")
    },
    "no host of the group": (
        {"ungrouped": {"hosts": ALONE}}, [], ["the inventory has no host in group scout", "one of all, db1, db2"],
    ),
    "a limit that leaves no host": (
        of({"luzon": {}}, web={"www": {}}), ["-l", "www"],
        ["--limit www leaves none of the hosts of scout", "correct --limit (-l)"],
    ),
    "a host that names no database among others": (
        of(NAMELESS), [],
        [
            "host visayas has no scout_dsn, and is one of 2",
            "give visayas its scout_dsn in the inventory, or name one host with -e target=HOST",
        ],
    ),
    "two hosts that are one database": (
        of(SAME), [],
        ["hosts luzon and visayas are one database: both lead to database", "-e allow_shared_database=true allows it"],
    ),
    "a word that is neither yes nor no": (of(SAME), typed(allow_shared_database="ture"), ["'ture' is not a yes or no"]),
    # What is typed goes for all of them.
    "one database typed for two": (of({"a": {}, "b": {}}), typed(scout_dsn=DSN), ["hosts a and b are one database"]),
    **{
        f"a mistyped {name}": (
            of({"luzon": {name: "postgresql://nobody@127.0.0.1:1/scout", "scout_dsn_of_old": "x"}}), [],
            [f"host luzon has the variable {name}, which nothing reads", f"did you mean {meant}?"],
        )
        for name, meant in {"scout_dns": "scout_dsn", "SCOUT_DSN": "scout_dsn", "scout_pasword": "scout_password"}.items()
    },
    **{
        f"{option} of {playbook}": (
            ONE, [playbook, option],
            [
                f"{option.partition('=')[0]} would leave out steps that the others rely on",
                "nothing was changed", "Next: run the same command",
            ],
        )
        for option in ("--tags=drain", "--skip-tags=lease", "--start-at-task=Drain")
        for playbook in ("playbooks/emergency_reset.yml", "scout.recovery.undo")
    },
}  # fmt: skip
#: What is typed for which inventory, and the hosts that the playbook is for.
TAKEN: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "the usual inventory": (ONE, [], "scout"),
    "no inventory": ({}, [], "localhost"),
    "localhost alone": ({"ungrouped": {"hosts": {"localhost": {}}}}, [], "localhost"),
    "a host without the group": ({"ungrouped": {"hosts": ALONE}}, typed(target="db2"), "db2"),
    "one of two by its name": (of(NAMELESS), typed(target="visayas"), "visayas"),
    "one of two by --limit": (of(NAMELESS), ["-l", "visayas"], "scout"),
    "one database for two, as told": (of(SAME), typed(allow_shared_database=True), "scout"),
    "a part of an assessment": (ONE, ["playbooks/assess.yml", "--skip-tags=metrics"], "scout"),
    "a part of somebody's own play": (ONE, ["site.yml", "--tags=drain"], "scout"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, words, sentences = REFUSED[what]
    with pytest.raises(AnsibleLookupError) as raised:
        Controller(tmp_path, monkeypatch, inventory, *words).looks_up("targets")
    for sentence in sentences:
        assert sentence in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, words, pattern = TAKEN[what]
    assert Controller(tmp_path, monkeypatch, inventory, *words).looks_up("targets") == [pattern]


def test_a_playbook_may_be_for_other_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the target is."""
    controller = Controller(tmp_path, monkeypatch, ONE, *typed(target="nobody"))
    assert controller.looks_up("targets", "localhost") == ["localhost"]
