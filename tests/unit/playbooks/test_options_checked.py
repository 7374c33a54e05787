# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook checks the options of every role that it reaches, once, before it does anything."""

from __future__ import annotations

import pytest

from tests import plays

#: Recording and notifying stop no operation, so their options are not refused beforehand.
STOPS_NOTHING = {("incident", "seen.yml"), ("incident", "look.yml"), ("notify", "main.yml")}
#: What a play may have besides what Ansible reads before its tasks.
PLAY = {"name", "hosts", "connection", "gather_facts", "serial", "max_fail_percentage", "strategy", "tasks"}


@pytest.mark.parametrize("playbook", plays.PLAYBOOKS)
def test_the_options_of_every_role_are_checked_once(playbook: str) -> None:
    (named,) = plays.checked(playbook)
    used = {
        short
        for each in plays.of(playbook)
        if ((short := each.role.removeprefix("scout.recovery.")), each.arguments["tasks_from"]) not in STOPS_NOTHING
        and each.arguments["tasks_from"] != "options.yml"
    }
    assert sorted(named) == sorted(used)


@pytest.mark.parametrize("playbook", plays.PLAYBOOKS)
def test_they_are_checked_before_anything_else(playbook: str) -> None:
    assert plays.first(playbook)["vars"]["preflight_roles"]
    assert plays.begins_with(playbook)
    (play,) = plays.loaded(plays.PLAYBOOKS[playbook])
    assert play.keys() <= PLAY
    assert play["gather_facts"] is False
