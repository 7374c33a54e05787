# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook costs beside an empty play, where nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.timing import ROOT, Case, command, compare, inventory

PLAYBOOKS = ("assess", "pause_ingestion", "resume_ingestion", "emergency_reset")


def measure(server: Server, folder: Path, rounds: int) -> str:
    """Compare each playbook with an empty play."""
    hosts = inventory(folder, builder.build(server.create_database("startup"), events=2000))
    empty = folder / "empty.yml"
    empty.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": []}]))

    def case(name: str, path: Path) -> Case:
        return Case(name, lambda: command("ansible-playbook", "-i", hosts, str(path)))

    ours = [case(f"{name}.yml", ROOT / "playbooks" / f"{name}.yml") for name in PLAYBOOKS]
    return compare([case("an empty play", empty), *ours], rounds)
