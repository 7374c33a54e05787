# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changelogs name every module that was released."""

from __future__ import annotations

import re

import yaml

from tests import CHECKOUT


def test_every_module_is_in_a_changelog_or_not_released_yet() -> None:
    told: set[str] = set()
    released: set[str] = set()
    for home in (CHECKOUT, CHECKOUT / "drills"):
        if (file := home / "changelogs" / "changelog.yaml").exists():
            for version, made in yaml.safe_load(file.read_text())["releases"].items():
                released.add(version)
                told |= {each["name"] for each in made.get("modules", [])}
    modules = [*CHECKOUT.glob("library/scout_*.py"), *CHECKOUT.glob("drills/plugins/modules/scout_*.py")]
    for path in modules:
        [since] = re.findall(r"^version_added: (\S+)$", path.read_text(), re.MULTILINE)
        assert path.stem in told or since not in released, path.stem
