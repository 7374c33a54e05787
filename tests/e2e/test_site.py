# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site is built without a warning, which a dead link would be, and has a page for each module and role."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import CHECKOUT

ROOTS = (CHECKOUT, CHECKOUT / "drills")


def test_the_site_has_a_page_for_each_module_and_role(tmp_path: Path) -> None:
    built = subprocess.run(
        [str(Path(sys.executable).with_name("mkdocs")), "build", "--site-dir", str(tmp_path)],
        cwd=CHECKOUT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert [line for line in built.stderr.splitlines() if not line.startswith("INFO")] == []
    pages = {path.parent.name for path in (tmp_path / "reference").glob("*/*/index.html")}
    modules = {path.stem for root in ROOTS for path in root.glob("plugins/modules/scout_*.py")}
    roles = {path.parent.parent.name for root in ROOTS for path in root.glob("roles/*/meta/argument_specs.yml")}
    assert modules
    assert pages >= modules | roles
