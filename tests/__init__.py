# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collections are found as Ansible finds it, also by what runs a part of this folder with `python -m`."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

#: The root of the checkout.
CHECKOUT = Path(__file__).resolve().parents[1]
#: Of both collections.
[VERSION] = re.findall(r"^version: (\S+)$", (CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"), re.MULTILINE)

if (_path := str(CHECKOUT / ".collections")) not in sys.path:
    sys.path.append(_path)


@functools.cache
def public_variables() -> frozenset[str]:
    """What variables are called after scout_."""
    roots = (CHECKOUT, CHECKOUT / "drills")
    files = [path for root in roots for path in (*root.glob("roles/*/*/*.yml"), *root.glob("playbooks/*.yml"))]
    return frozenset(name for path in files for name in re.findall(r"\bscout_(\w+)", path.read_text(encoding="utf-8")))
