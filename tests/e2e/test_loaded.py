# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook loads before it begins: what its tasks name, and from bytecode."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Stage

OURS = "ansible_collections.scout.recovery.plugins."
LOGIC = f"{OURS}module_utils.recovery."
#: What Ansible's own loaders read: plugins by their kind, and the module that serves all others from bytecode.
BY_ANSIBLE = ("callback", "lookup", "filter", "plugin_utils.preload")


def loaded(playbook: str, pipeline: Pipeline, home: Path) -> dict[str, tuple[str, str, str]]:
    """Loader, file and bytecode of each module that was imported by the process that ran the play."""
    report = home / "loaded.json"
    env = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "scout.recovery.summary,loaded",
        "SCOUT_LOADED": str(report),
    }
    played = Stage(home, warm=False).play(playbook, pipeline.dsn, env=env)
    assert played.rc == 0, played.text
    return {name: tuple(found) for name, found in json.loads(report.read_text()).items()}


def packages(modules: dict[str, tuple[str, str, str]]) -> set[str]:
    """The packages of our logic among them."""
    return {name.removeprefix(LOGIC).partition(".")[0] for name in modules if name.startswith(LOGIC)}


def test_a_pause_loads_what_it_needs_and_from_bytecode(healthy: Pipeline, tmp_path: Path) -> None:
    """Neither releases nor incidents, neither plots nor what only a report needs; and nothing of ours is compiled anew."""
    modules = loaded("pause_ingestion", healthy, tmp_path)
    assert packages(modules) >= {"invoke", "pipeline", "summary"}
    assert packages(modules).isdisjoint({"release", "incidents", "moves", "health", "evidence", "application"})
    assert not [name for name in modules if name.partition(".")[0] in ("matplotlib", "numpy", "apprise", "httpx")]
    ours = {
        name: found
        for name, found in modules.items()
        if name.startswith(OURS)
        and not name.removeprefix(OURS).startswith(BY_ANSIBLE)
        and "." in name.removeprefix(OURS)
    }
    assert len(ours) > 40
    assert {name: found[0] for name, found in ours.items() if found[0] != "SourceFileLoader"} == {}
    assert [found[2] for found in ours.values() if not Path(found[2]).exists()] == []
