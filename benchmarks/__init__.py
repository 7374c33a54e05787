# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection is found as Ansible finds it; the servers are our own, so their superuser may work there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if (_path := str(Path(__file__).resolve().parents[1] / ".collections")) not in sys.path:
    sys.path.append(_path)
os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"
