# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed can be typed wherever it is read, and works on the host that it is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_own_plays import paused

RUN = "00000000-0000-4000-8000-00000000e711"


def test_a_refusal_on_the_screen_too(healthy: Pipeline, stage: Stage) -> None:
    """Of one host it is the same in every folder."""
    here = stage.play("undo", healthy.dsn, run_id=RUN)
    there = stage.play("undo", healthy.dsn, cwd=stage.home, run_id=RUN)
    for played in (here, there):
        assert played.rc == 2, played.text
        assert "ansible-playbook scout.recovery.runs" in played.summary
        assert "--limit" not in played.text
    assert there.result["commands"] == here.result["commands"] != []


def test_a_command_for_one_of_several_hosts_names_it(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """Typed as it is printed, it leaves the other one as it is."""
    luzon, visayas = another_broken(), another_broken()
    inventory = stage.inventory({"luzon": {"scout_dsn": luzon.dsn}, "visayas": {"scout_dsn": visayas.dsn}})
    env = {"ANSIBLE_INVENTORY": inventory}
    before = visayas.fingerprint()
    paused_it = stage.play("pause_ingestion", None, "--limit", "luzon", env=env)
    assert paused_it.rc == 0, paused_it.text
    [resume] = paused_it.result["undo_commands"]
    assert resume == "ansible-playbook scout.recovery.resume_ingestion --limit luzon"
    assert resume in paused_it.summary
    _, playbook, *words = shlex.split(resume)
    resumed = stage.play(playbook, None, *words, env=env, proof=False)
    assert resumed.rc == 0, resumed.text
    assert (paused(luzon), visayas.fingerprint()) == (False, before)
