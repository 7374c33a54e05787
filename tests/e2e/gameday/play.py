# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play a script on a pipeline of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import drill_run
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.embedded import open_embedded
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests import CHECKOUT
from tests.e2e.gameday.round import Round
from tests.e2e.gameday.script import Script

#: Scripts that once failed and must not fail again.
KEPT = Path(__file__).parent / "kept"


def play(script: Script, folder: Path) -> dict[str, Any]:
    """What came of it; `script.json` in the folder is what KEPT takes."""
    folder.mkdir(parents=True)
    (folder / "script.json").write_text(json.dumps(script.as_document(), indent=1, ensure_ascii=False) + "\n")
    told: dict[str, Any] = {
        "name": folder.name,
        "verdict": "not_run",
        "events": None,
        "steps": [],
        "checks": [],
        "why": [],
    }
    request = drill_run.Request(names=(), output=folder, config_file=str(CHECKOUT / "ansible.cfg"))
    progress = Progress()
    with (
        drill_run.playbook_runner(request) as runner,
        open_embedded(progress, events=script.events, variant=script.variant) as sandbox,
    ):
        Round(script, sandbox, runner, folder, progress, told).run()
    return told
