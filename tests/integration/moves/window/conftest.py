# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference just large enough for every kind of damage in a window of it."""

from __future__ import annotations

from tests.scout import planted
from tests.scout.fixtures import small

#: The faithful reference with 400 events, in whose schema public somebody lies in wait for every query of ours.
scout_template = small(400, prepare=planted.plant)
