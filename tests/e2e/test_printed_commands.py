# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed is right where it is printed: it finds its playbook there, and works on the host that it is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from tests.e2e.pasting import on_screen
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.e2e.test_own_plays import paused


def typed(stage: Stage, command: str, cwd: Path) -> Played:
    """A printed command, as it stands, in the folder in which it was printed."""
    program, playbook, *options = shlex.split(command)
    assert program == "ansible-playbook"
    return stage.play(playbook, None, *options, cwd=cwd, proof=False)


def test_called_by_full_name_from_a_folder_of_ones_own(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """With two databases in an inventory whose name has a space, what undoes one pause undoes that one alone."""
    one, two = another_broken(), another_broken()
    project = stage.home / "a project"
    project.mkdir()
    hosts = {"luzon": {"scout_dsn": one.dsn}, "visayas": {"scout_dsn": two.dsn}}
    Path(stage.inventory(hosts)).rename(project / "my hosts.yml")
    played = stage.play("scout.recovery.pause_ingestion", None, "-i", "my hosts.yml", cwd=project)
    assert played.rc == 0, played.text
    resume = "ansible-playbook scout.recovery.resume_ingestion -i 'my hosts.yml' -e target="
    assert played.results["luzon"]["undo_commands"] == [f"{resume}luzon"]
    assert f"{resume}visayas" in [" ".join(each.split()) for each in on_screen(played.text)]
    assert "pause ingestion of luzon, " in played.text
    undone = typed(stage, f"{resume}visayas", project)
    assert undone.rc == 0, undone.text
    assert (paused(one), paused(two)) == (True, False)


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
