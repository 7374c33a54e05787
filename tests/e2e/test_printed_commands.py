# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed is right where it is printed: it finds its playbook there, and works on the host that it is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from tests.e2e.pasting import on_screen
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_own_plays import paused


def test_a_refusal_on_the_screen_too(healthy: Pipeline, stage: Stage) -> None:
    """Of one host, in the checkout, it is what it always was; elsewhere the playbook has its full name."""
    here = stage.play("undo", healthy.dsn, run_id="00000000-0000-4000-8000-00000000e711")
    assert here.rc == 2, here.text
    assert "ansible-playbook playbooks/runs.yml" in here.summary
    there = stage.play("undo", healthy.dsn, cwd=stage.home, run_id="00000000-0000-4000-8000-00000000e711")
    assert there.rc == 2, there.text
    assert "playbooks/runs.yml" not in there.text
    assert "ansible-playbook scout.recovery.runs" in there.summary
    full = [each.replace("playbooks/", "scout.recovery.").replace(".yml", "") for each in here.result["commands"]]
    assert there.result["commands"] == full


def test_a_database_that_was_typed_is_in_the_commands_too(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """The shell names another one, which the next command leaves as it is."""
    meant, exported = another_broken(), another_broken()
    before = exported.fingerprint()
    env = {"SCOUT_DSN": exported.dsn}
    here = f"scout_dsn={meant.dsn}"
    paused_it = stage.play("pause_ingestion", None, "-e", here, env=env)
    assert paused_it.rc == 0, paused_it.text
    [resume] = paused_it.result["undo_commands"]
    assert shlex.split(resume)[2:] == ["-e", here]
    resumed = stage.play("resume_ingestion", None, *shlex.split(resume)[2:], env=env, proof=False)
    assert resumed.rc == 0, resumed.text
    assert (paused(meant), exported.fingerprint()) == (False, before)
    assert resume in [" ".join(each.split()) for each in on_screen(paused_it.text)]
