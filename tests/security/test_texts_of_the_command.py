# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text that somebody passes on to the `scout` command is neither a template nor a command of a shell, nor another option."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage
from tests.e2e.test_command import scout

HOSTILE = "it's \"late\" {{ lookup('pipe', 'touch touched') }} $(touch touched)\n-e x=1"


def test_a_text_is_passed_on_and_not_evaluated(scout_db: str, tmp_path: Path) -> None:
    healthy, stage = Pipeline(scout_db), Stage(tmp_path)
    paused = scout(stage, healthy, "pause", "--reason", HOSTILE, cwd=stage.home)
    assert paused.returncode == 0, paused.stdout + paused.stderr
    assert healthy.one("SELECT reason FROM scout_ops.pauses") == HOSTILE.replace("\n", " "), "on one line"
    assert not (stage.home / "touched").exists()
    assert not (CHECKOUT / "touched").exists()
